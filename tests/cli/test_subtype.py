"""``cohortium subtype``: what the folder holds, "none", forced numbers, and wrong input."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.cli.conftest import Call
from tests.cli.test_hostile import refused
from tests.subtypes import files


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write(tmp_path_factory.mktemp("subtype") / "cohort")


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write(tmp_path_factory.mktemp("subtype") / "noise", 60, clusters=False)


@pytest.fixture(scope="module")
def made(study: Path) -> Path:
    out = study.parent.parent / "out"
    cohortium.subtype(study, out, most=4)
    return out


def read(out: Path) -> tuple[pd.DataFrame, dict]:
    return pd.read_csv(out / "subtypes.csv", dtype={"unit": str, "patient": str}), json.loads(
        (out / "subtypes.json").read_text()
    )


def test_planted_subtypes_are_found_and_described(made: Path, study: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o700 and all(p.stat().st_mode & 0o777 == 0o600 for p in made.iterdir())
    table, results = read(made)
    assert list(table.columns) == ["unit", "patient", "subtype", "confidence", "has_rna", "has_protein", "has_labs"]
    units = pd.read_csv(study.parent / "units.csv")
    known = table["subtype"].notna()
    from sklearn.metrics import adjusted_rand_score

    assert adjusted_rand_score(units["truth"][known], table["subtype"][known]) > 0.8
    assert len(table) == 120 and not known.iloc[-1] and np.isnan(table["confidence"].iloc[-1])
    assert results["n_clusters"] == 3 and not results["forced"] and results["p"] <= 0.02 and results["n_without"] == 1
    found = {d["name"]: d for d in results["differences"]}
    assert (
        found["survival"]["p_holm"] < 0.001 and found["score"]["p_holm"] < 0.01 and found["response"]["p_holm"] > 0.05
    )
    assert found["site"]["role"] == "design" and {"presence of rna", "presence of protein"} <= set(found)
    assert all(d["p_holm"] >= d["p"] for d in found.values() if d["p"] is not None)
    assert {c["subtype"] for c in results["curves"]} == {"S1", "S2", "S3"}
    assert all(s["found"] > 3 for s in results["sources"])
    markers = pd.read_csv(made / "markers.csv")
    assert len(markers) == 60 and {"q", "effect_S1", "naive_effect_S1"} <= set(markers.columns)


def test_the_page_is_one_file_that_says_what_it_means(made: Path) -> None:
    page = (made / "subtypes.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page and "src=" not in page
    for text in ("3 subtypes were found", "log-rank", "need to be found again in other patients", "naive", "stability"):
        assert text in page, text
    assert page.count("<svg") == 4 and "None" not in page and "nan" not in page.replace("nant", "")


def test_new_patients_are_assigned_by_what_was_saved(made: Path, study: Path, tmp_path: Path) -> None:
    subtypes = cohortium.load_subtypes(made)
    table, _ = read(made)
    again = subtypes.assign(cohortium.load_cohort(study))
    own = table.set_index("unit")["subtype"].reindex(again.index)
    assert (again["subtype"].fillna("") == own.fillna("")).all()
    new = tmp_path / "new"
    shutil.copytree(study.parent, new)
    pd.read_csv(new / "labs.csv", dtype={"patient_id": str}).head(3).to_csv(new / "labs.csv", index=False)
    fewer = subtypes.assign(cohortium.load_cohort(new / "study.yaml"))
    both = fewer["subtype"].notna() & again["subtype"].notna()
    assert (fewer["subtype"] == again["subtype"])[both].mean() > 0.85


def test_the_same_again_and_machines_get_one_object(call: Call, made: Path, study: Path, tmp_path: Path) -> None:
    found = call("subtype", study, "--out", tmp_path / "a", "--most", "4", "--json").json
    assert found["results"]["n_clusters"] == 3 and found["results"]["clusters"][0]["name"] == "S1"
    for name in ("subtypes.csv", "markers.csv", "subtypes.json", "subtypes.html", "subtypes_model.json"):
        assert (tmp_path / "a" / name).read_bytes() == (made / name).read_bytes(), name


def test_outcomes_form_no_subtype(made: Path, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    shutil.copytree(study.parent, folder)
    units = pd.read_csv(folder / "units.csv", dtype={"patient_id": str})
    for column in ("months", "died", "response", "score"):
        units[column] = np.random.default_rng(0).permutation(units[column])
    units.to_csv(folder / "units.csv", index=False)
    cohortium.subtype(folder / "study.yaml", tmp_path / "out", most=4)
    for name in ("subtypes.csv", "markers.csv", "subtypes_model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (made / name).read_bytes(), name


def test_none_is_an_answer_and_forcing_is_loud(call: Call, noise: Path, tmp_path: Path) -> None:
    found = call("subtype", noise, "--out", tmp_path / "none", "--most", "3")
    assert found.code == 0 and "No subtypes were found" in found.out and "no labels" in found.out
    assert "clustering 199/199" in found.err
    assert sorted(p.name for p in (tmp_path / "none").iterdir()) == ["subtypes.html", "subtypes.json"]
    results = json.loads((tmp_path / "none" / "subtypes.json").read_text())
    assert results["n_clusters"] == 0 and results["p"] > 0.05 and results["clusters"] == [] and results["markers"] == []
    assert "That is an answer" in (tmp_path / "none" / "subtypes.html").read_text()
    forced = call("subtype", noise, "--out", tmp_path / "forced", "--most", "3", "--clusters", "3")
    assert forced.code == 0 and "no evidence" in forced.out and "was forced" in forced.out
    assert "Do not report them as such" in (tmp_path / "forced" / "subtypes.html").read_text()
    assert (tmp_path / "forced" / "subtypes.csv").exists()


def test_wrong_input_is_refused_before_anything_is_done(call: Call, study: Path, noise: Path, tmp_path: Path) -> None:
    refused(call("subtype", study, "--out", tmp_path / "no" / "s"), "does not exist")
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("mine")
    refused(call("subtype", study, "--out", full), "not empty")
    refused(call("subtype", study, "--out", full / "x"), "is a file")
    refused(call("subtype", tmp_path / "other.yaml", "--out", tmp_path / "s"), "other.yaml")
    assert call("subtype", study, "--out", tmp_path / "s", "--clusters", "1").code == 2
    assert call("subtype", study, "--out", tmp_path / "s", "--method", "magic").code == 2
    assert call("subtype", study).code == 2
    refused(call("subtype", noise, "--out", tmp_path / "s", "--clusters", "9"), "59 patients", "90 are needed")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full"] and (full / "x").read_text() == "mine"


def test_few_patients_and_odd_endpoints(call: Call, tmp_path: Path) -> None:
    few = files.write(tmp_path / "few", 20)
    refused(call("subtype", few, "--out", tmp_path / "s"), "Only 19 units", "30")
    odd = files.write(tmp_path / "odd", 60)
    units = pd.read_csv(odd.parent / "units.csv", dtype={"patient_id": str})
    units["died"], units["response"] = 0, "no"
    units.to_csv(odd.parent / "units.csv", index=False)
    found = call("subtype", odd, "--out", tmp_path / "s", "--most", "3", "--clusters", "3")
    assert found.code == 0 and "survival: not compared" in found.out and "response: not compared" in found.out
    results = json.loads((tmp_path / "s" / "subtypes.json").read_text())
    assert all(d["reason"] for d in results["differences"] if d["name"] in ("survival", "response"))


def test_a_study_without_torch_names_the_extra(
    call: Call, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(call("subtype", study, "--out", tmp_path / "s", "--method", "vae"), "torch", "cohortium[deep]")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_an_autoencoder_finds_them_as_well(call: Call, study: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'deep' is not installed")
    folder = tmp_path / "c"
    shutil.copytree(study.parent, folder)
    file = folder / "study.yaml"
    file.write_text(file.read_text() + "joint: [{model: vae, size: 6, epochs: 80}]\n")
    found = call(
        "subtype", file, "--out", tmp_path / "v", "--method", "vae", "--most", "3", "--clusters", "3", "--json"
    ).json
    assert found["results"]["method"] == "vae" and found["results"]["n_clusters"] == 3
    table, _ = read(tmp_path / "v")
    again = cohortium.load_subtypes(tmp_path / "v").assign(cohortium.load_cohort(file))
    own = table.set_index("unit")["subtype"].reindex(again.index)
    assert (again["subtype"].fillna("") == own.fillna("")).mean() > 0.99
