"""``cohortium biomarkers``: what the folder holds, planted features, covariates, gene sets, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.cli.conftest import Call
from tests.cli.test_hostile import refused

STUDY = """\
name: markers
title: A & B <script>alert(1)</script>
cohort:
  units: {file: units.csv, id: patient_id}
  modalities:
    clinical: {file: clinical.csv}
    rna: {file: rna.csv}
    protein: {file: protein.csv}
endpoints:
  survival: {kind: survival, time: months, event: died, time_unit: months}
  response: {kind: binary, column: response, positive: yes}
  score: {kind: continuous, column: score}
  kind: {kind: multiclass, column: kind}
  grade: {kind: ordinal, column: kind, classes: [a, b, c]}
  flat: {kind: continuous, column: flat}
primary: score
design: {site: hospital}
"""


def write(folder: Path, n: int = 240) -> Path:
    """rna has 40 features of which 14 carry the score, one named like markup; a fifth lacks it. protein is noise."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    ids = [f"{i:04d}" for i in range(n)]
    stage, rna, protein = rng.integers(1, 4, n), rng.standard_normal((n, 40)), rng.standard_normal((n, 20))
    score = rna[:, :14].sum(axis=1) + stage
    time = rng.exponential(size=n) * np.exp(-score / 3) * 20 + 0.1
    units = {
        "patient_id": ids, "months": np.minimum(time, 60).round(2) + 0.1, "died": (time < 60).astype(int),
        "response": np.where(score + rng.logistic(size=n) > score.mean(), "yes", "no"), "score": (score + rng.standard_normal(n)).round(3),
        "kind": pd.qcut(score + rng.standard_normal(n), 3, labels=["a", "b", "c"]), "flat": 1.5,
        "hospital": rng.choice(["north", "south"], n),
    }  # fmt: skip
    pd.DataFrame(units).to_csv(folder / "units.csv", index=False)
    pd.DataFrame({"patient_id": ids, "stage": stage, "age": rng.integers(40, 80, n)}).to_csv(
        folder / "clinical.csv", index=False
    )
    names = ["<b>G0</b>", *(f"GENE{j}" for j in range(1, 40))]
    frame = pd.DataFrame(rna.round(4), columns=names)
    frame.insert(0, "patient_id", ids)
    frame[rng.random(n) > 0.2].to_csv(folder / "rna.csv", index=False)
    frame = pd.DataFrame(protein.round(4), columns=[f"P{j}" for j in range(20)])
    frame.insert(0, "patient_id", ids)
    frame.to_csv(folder / "protein.csv", index=False)
    (folder / "sets.gmt").write_text(
        "CAUSAL\tx\t"
        + "\t".join(f"GENE{j}" for j in range(1, 14))
        + "\nREST\tx\t"
        + "\t".join(f"GENE{j}" for j in range(14, 40))
    )
    (folder / "other.gmt").write_text("A\tx\t" + "\t".join(f"XYZ{j}" for j in range(30)))
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("biomarkers") / "cohort")


@pytest.fixture(scope="module")
def made(study: Path) -> Path:
    out = study.parent.parent / "out"
    cohortium.biomarkers(study, out, gene_sets=[study.parent / "sets.gmt"], panel=True)
    return out


def test_planted_features_are_found_and_put_side_by_side(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o700 and all(p.stat().st_mode & 0o777 == 0o600 for p in made.iterdir())
    assert sorted(p.name for p in made.iterdir()) == [
        "biomarkers.csv",
        "biomarkers.html",
        "biomarkers.json",
        "gene_sets.csv",
    ]
    table = pd.read_csv(made / "biomarkers.csv")
    assert list(table.columns) == [
        "modality",
        "feature",
        "group",
        "n",
        "effect",
        "low",
        "high",
        "fitted",
        "p",
        "q",
        "tested",
        "p_given",
        "q_given",
        "selected",
        "w",
        "again",
        "stability",
    ]
    assert len(table) == 62 and set(table.loc[table["modality"] == "rna", "n"]) < set(range(170, 215))
    causal = table["feature"].isin(["<b>G0</b>", "stage", *(f"GENE{j}" for j in range(1, 14))])
    assert (table.loc[causal, "selected"]).mean() > 0.8 and (table.loc[~causal, "selected"]).sum() <= 3
    assert (table.loc[causal, "q_given"] < 0.1).mean() > 0.8 and (table.loc[~causal, "q_given"] < 0.1).sum() <= 4
    assert (table.loc[table["selected"] & causal, "effect"] > 0).all()
    r = json.loads((made / "biomarkers.json").read_text())
    assert r["cohortium_biomarkers"] == 1 and r["n_found"] == table["selected"].sum() and r["refused"] == ""
    first = r["groups"][0]
    assert first["selected"] and first["folds"] == [5, 5] and first["sites"] == [2, 2] and first["again"] > 0.5
    sets = pd.read_csv(made / "gene_sets.csv").set_index("name")
    assert sets.loc["CAUSAL", "q"] < 0.001 and sets.loc["CAUSAL", "direction"] == 1 and sets.loc["CAUSAL", "size"] == 13
    assert r["enrichment"][0]["background"] == 40 and r["enrichment"][0]["known"] == 39


def test_the_page_is_one_file_with_everything_escaped(made: Path) -> None:
    page = (made / "biomarkers.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page and "src=" not in page
    assert "<script>alert" not in page and "<b>G0" not in page and "&lt;b&gt;G0" in page
    for text in ("given all other features", "Found is not caused", "look larger than they are", "CAUSAL"):
        assert text in page, text
    assert page.count("<svg") == 2 and "None" not in page


def test_the_same_again_and_machines_get_one_object(call: Call, made: Path, study: Path, tmp_path: Path) -> None:
    found = call(
        "biomarkers", study, "--out", tmp_path / "a", "--gene-sets", study.parent / "sets.gmt", "--panel", "--json"
    ).json
    assert found["results"]["n_found"] >= 10
    for name in ("biomarkers.csv", "biomarkers.json", "biomarkers.html", "gene_sets.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (made / name).read_bytes(), name


@pytest.mark.parametrize("endpoint", ["survival", "response", "kind", "grade"])
def test_every_kind_of_endpoint(call: Call, study: Path, tmp_path: Path, endpoint: str) -> None:
    found = call(
        "biomarkers", study, "--out", tmp_path / "o", "--endpoint", endpoint, "--beyond", "clinical", "--fdr", "0.2"
    )
    assert found.code == 0 and "beyond clinical" in found.out and "GENE" in found.out
    table = pd.read_csv(tmp_path / "o" / "biomarkers.csv")
    assert set(table["modality"]) == {"rna", "protein"} and ("level" in table) == (endpoint == "kind")
    causal = table["feature"].isin([f"GENE{j}" for j in range(1, 14)])
    assert (table.loc[causal, "q"] < 0.2).mean() > 0.5 and (
        table.loc[table["modality"] == "protein", "q"] < 0.2
    ).mean() < 0.2
    assert "level" not in table or set(table["level"]) <= {"a", "b", "c"}


def test_wrong_input(call: Call, study: Path, made: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "never", study.parent
    for options, said in (
        (["--endpoint", "surviva"], "Did you mean 'survival'"),
        (["--endpoint", "flat"], "same value"),
        (["--beyond", "clinicl"], "Did you mean 'clinical'"),
        (["--beyond", "clinical,rna,protein"], "Nothing is left"),
        (["--beyond", "rna,protein"], "too many to adjust for"),
        (["--fdr", "0"], "cannot be used"),
        (["--fdr", "2"], "cannot be used"),
        (["--gene-sets", folder / "other.gmt"], "0 of the"),
        (["--gene-sets", folder / "study.yaml"], "between tabs"),
        (["--gene-sets", folder / "none.gmt"], "cannot be read"),
        (["--gene-sets", folder / "sets.gmt", "--id-space", "entrez"], "--id-space"),
    ):
        refused(call("biomarkers", study, "--out", out, *options), said)
        assert not out.exists()
    refused(call("biomarkers", study, "--out", made), "not empty")
    assert not list(tmp_path.glob(".*part*"))
