"""``cohortium explain``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Call, Called, Done


def refused(found: Called, *said: str) -> None:
    assert found.code == 2, found.out
    assert all(s in found.err for s in said), found.err


@pytest.mark.thorough
def test_a_run_is_explained(call: Call, done: Done, tmp_path: Path) -> None:
    found = call("explain", done.run, done.study, "--out", tmp_path / "e", "--jobs", "1")
    assert found.code == 0 and "held-out units in 3 folds" in found.out and "with no modality 0.500" in found.out
    assert "explains the model, not the disease" in found.out and "Features that move predictions most" in found.out
    assert "explaining 6/6" in found.err and "fitting 3/3" in found.err
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == [
        "explanation.html",
        "explanation.json",
        "features.csv",
    ]
    results = json.loads((tmp_path / "e" / "explanation.json").read_text())
    assert results["learner"] == "late" and {m["modality"] for m in results["modalities"]} == {"clinical", "rna"}
    table = pd.read_csv(tmp_path / "e" / "features.csv")
    assert set(table["features"]) >= {"age", "size", "g0"}
    page = (tmp_path / "e" / "explanation.html").read_text()
    assert "Does the order hold?" in page and "default-src 'none'" in page
    asked = call("explain", done.run, done.study, "--json", "--jobs", "1").json
    assert asked["folder"] is None and asked["results"]["full"] == results["full"]
    assert call("explain", done.run, done.study, "--quiet", "--jobs", "1").out == ""


def test_a_patient_is_explained(call: Call, done: Done, tmp_path: Path) -> None:
    have = set(pd.read_csv(done.folder / "rna.csv", dtype=str)["patient"])
    unit = next(f"{i:04d}" for i in range(90) if f"{i:04d}" not in have)
    found = call("explain", done.run, done.study, "--patient", unit, "--out", tmp_path / "p.json")
    assert found.code == 0 and found.out.startswith(f"{unit}, late on response: probability of 'yes'")
    for said in (
        "decided from",
        "fitted without this patient",
        "What features did",
        "If it were measured",
        "decision changes",
        "Most similar patients",
    ):
        assert said in found.out, said
    one = json.loads((tmp_path / "p.json").read_text())
    assert one["unit"] == unit and one["missing"][0]["modality"] == "rna"
    asked = call("explain", done.run, done.study, "--patient", unit, "--json").json
    assert asked["results"]["predicted"] == one["predicted"]
    assert call("explain", done.run, done.study, "--patient", unit, "--quiet").out == ""


def test_a_new_patient_with_odd_values(call: Call, done: Done, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "clinical.csv").write_text("patient,age,size\nx0,,\nx1,,-1\nx2,1e9,-3\n")
    for unit in ("x0", "x1", "x2"):
        found = call("explain", done.run, done.study, "--patient", unit, "--data", new)
        assert found.code == 0 and f"{unit}, late" in found.out
    assert "has no modality" in call("explain", done.run, done.study, "--patient", "x0", "--data", new).out
    assert "unknown" in call("explain", done.run, done.study, "--patient", "x1", "--data", new).out
    (new / "clinical.csv").unlink()
    (new / "rna.csv").write_text("patient,g0,g1,g2,g3,g4,g5\nx3,1,2,3,4,5,6\n")
    assert "clinical" in call("explain", done.run, done.study, "--patient", "x3", "--data", new).out


@pytest.mark.parametrize("unit", ["", "9999", "../0001", "0001\n", "00010"])
def test_unknown_patients_are_refused(call: Call, done: Done, unit: str) -> None:
    refused(call("explain", done.run, done.study, "--patient", unit), "No unit")


def test_wrong_input_is_refused(call: Call, done: Done, tmp_path: Path) -> None:
    refused(call("explain", tmp_path, done.study), "is no run folder")
    refused(call("explain", done.run), "Give the study file too")
    refused(call("explain", done.run, tmp_path / "study.yaml"), "study.yaml")
    refused(call("explain", done.run, done.study, "--learner", "auto"), "no learner called 'auto'")
    refused(call("explain", done.run, done.study, "--endpoint", "os"), "No endpoint called 'os'")
    refused(call("explain", done.run, done.study, "--out", done.run), "not empty")
    refused(call("explain", done.run, done.study, "--data", done.folder), "--patient")
    refused(call("explain", done.run, done.study, "--patient", "0001", "--data", tmp_path / "none"), "No folder")
    assert call("explain", done.run, done.study, "--repeats", "0").code == 2
    assert not [p for p in done.run.iterdir() if p.name.startswith(".explain")]
    before = (done.run / "run.json").read_text()
    (done.run / "run.json").write_text(before.replace('"finished"', '"running"'))
    refused(call("explain", done.run, done.study), "not finished")
    (done.run / "run.json").write_text(before)
