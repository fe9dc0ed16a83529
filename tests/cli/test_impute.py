"""``cohortium impute``: scores where the target was hidden, tables marked as imputed, and wrong input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.cli.conftest import Call
from tests.cli.test_hostile import refused
from tests.study import factor_files

N = 140


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return factor_files.write(tmp_path_factory.mktemp("impute") / "cohort", N)


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """A study file to spoil, with its own files."""
    shutil.copytree(study.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study.yaml"


def test_a_modality_is_predicted_and_scored(call: Call, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    found = call("impute", study, "--target", "protein", "--out", out, "--csv", "--jobs", 1)
    assert found.code == 0 and "hidden on purpose" in found.out and "predicted, not measured" in found.out
    assert "fitting" in found.err
    scores = pd.read_csv(out / "scores.csv").set_index("method")
    assert list(scores.index) == ["mean", "knn", "ridge", "factors"]
    assert (
        scores.loc["factors", "correlation"] > 0.6
        and scores.loc["factors", "correlation"] > scores.loc["knn", "correlation"]
    )
    assert scores.loc["factors", "rmse"] < 0.8 < scores.loc["mean", "rmse"] and np.isnan(
        scores.loc["mean", "correlation"]
    )
    assert scores["coverage"].between(0.85, 0.95).all(), "the stated uncertainty holds, of every method"
    measured = set(pd.read_csv(study.parent / "protein.csv", dtype=str)["patient_id"])
    values, low, high, sd = (
        pd.read_csv(out / f"{n}.csv", dtype={"unit": str}) for n in ("values", "low", "high", "sd")
    )
    assert set(values["unit"]) == {f"{i:04d}" for i in range(N)} - measured, "no measured row is among them"
    assert values["imputed"].all() and values["imputed_from"].iloc[0].split()[0] == "labs"
    assert "fixed" not in values and values["positive=yes"].between(0, 1).all()
    numbers = [f"p{j}" for j in range(11)] + ["marker"]
    assert (low[numbers] <= values[numbers]).all(axis=None) and (values[numbers] <= high[numbers]).all(axis=None)
    np.testing.assert_allclose(sd[numbers], (high[numbers] - low[numbers]) / 3.29, rtol=1e-2)
    truth = truth_of(values["unit"], study)
    known = values["imputed_from"].notna().to_numpy()
    assert np.median([np.corrcoef(values.loc[known, f"p{j}"], truth[known, j])[0, 1] for j in range(11)]) > 0.6
    # Who has nothing is given the mean, and more uncertainty than anybody.
    assert not known[-1] and (sd.loc[~known, numbers[:3]].to_numpy() >= sd[numbers[:3]].max().to_numpy() - 1e-9).all()
    assert [oct(p.stat().st_mode & 0o777) for p in out.iterdir()] == ["0o600"] * len(list(out.iterdir()))
    facts = json.loads((out / "imputation.json").read_text())
    assert facts["n_imputed"] == len(values) and "not measured" in facts["values"]


def truth_of(units: pd.Series, study: Path) -> np.ndarray:
    """Expected proteins p0..p10 of the units, by regression of the measured ones on the planted factors."""
    z = factor_files.factors(N)
    protein = pd.read_csv(study.parent / "protein.csv", dtype={"patient_id": str}).set_index("patient_id")
    y = protein[[f"p{j}" for j in range(11)]].to_numpy()
    rows = [int(i) for i in protein.index]
    return z[[int(u) for u in units]] @ np.linalg.lstsq(z[rows], y, rcond=None)[0]


def test_numbers_are_the_same_again_and_whatever_the_number_of_processes(
    call: Call, study: Path, tmp_path: Path
) -> None:
    args = ("impute", study, "--target", "rna", "--method", "ridge", "--folds", 3)
    one = call(*args, "--jobs", 1, "--json", "--out", tmp_path / "a").json
    two = call(*args, "--jobs", 2, "--json", "--out", tmp_path / "b").json
    assert one["scores"] == two["scores"] and one["method"] == "ridge" and len(one["scores"]) == 3
    a, b = (pd.read_parquet(tmp_path / n / "values.parquet") for n in "ab")
    pd.testing.assert_frame_equal(a, b)
    assert one["n_imputed"] == len(a) == (~pd.Series([f"{i:04d}" for i in range(N)]).isin(
        pd.read_csv(study.parent / "rna.csv", dtype=str)["patient_id"])).sum()  # fmt: skip


def test_only_scored_without_a_folder_and_quiet(call: Call, study: Path, tmp_path: Path) -> None:
    found = call("impute", study, "--target", "labs", "--folds", 2, "--method", "mean", "--jobs", 1)
    assert found.code == 0 and "Only scored" in found.out and "was closer here than mean" in found.out
    quiet = call("impute", study, "--target", "labs", "--folds", 2, "--method", "mean", "--jobs", 1, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.thorough
def test_an_autoencoder_imputes_as_well(call: Call, study: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'deep' is not installed")
    short = tmp_path / "study.yaml"
    text = study.read_text().replace("file: ", f"file: {study.parent}/")
    short.write_text(text + "joint: [{model: vae, size: 6, epochs: 40, posterior: poe}]\n")
    found = call(
        "impute", short, "--target", "protein", "--method", "vae", "--folds", 2, "--jobs", 1, "--out", tmp_path / "o"
    )
    assert found.code == 0
    scores = pd.read_csv(tmp_path / "o" / "scores.csv").set_index("method")
    assert scores.loc["vae", "rmse"] < 0.9 and 0.83 < scores.loc["vae", "coverage"] < 0.97
    values = pd.read_parquet(tmp_path / "o" / "values.parquet")
    assert values["positive=yes"].between(0, 1).all() and len(values) > 20


def test_hidden_units_do_not_reach_what_predicts_them(copy: Path) -> None:
    """Other values of the target in the hidden units: what is said of them, and how sure of it, does not change by a bit."""
    from cohortium.cohort import Cohort, Table
    from cohortium.experiment.imputing import deal_hidden, score_fold
    from cohortium.joint.imputing import Among, fit_factor_imputer, fit_ridge_imputer
    from cohortium.study.data import read_study

    cohort = read_study(cohortium.load_study(copy)).cohort
    groups = np.arange(N)
    fold = deal_hidden(cohort.presence()["protein"].to_numpy(bool), groups, 5, 0)
    tables = dict(cohort.modalities)
    t = tables["protein"]
    tested = (fold == 0)[cohort.units.index.get_indexer(t.units)]
    values = t.values.copy()
    values[tested] = values[tested] * 100 + 5
    tables["protein"] = Table(t.units, values, t.features)
    spoilt = Cohort(cohort.units, tables)
    methods = {
        "ridge": Among((fit_ridge_imputer,)),
        "factors": Among((fit_factor_imputer(8), fit_factor_imputer(8, 15.0))),
    }
    one, two = (score_fold(c, groups, fold, 0, "protein", methods, 0) for c in (cohort, spoilt))
    assert not np.array_equal(one.truth, two.truth, equal_nan=True)
    for name in methods:
        for a, b in zip(one.made[name], two.made[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_patients_with_several_units_are_hidden_together() -> None:
    from cohortium.experiment.imputing import deal_hidden

    groups = np.repeat(np.arange(30), 2)
    have = np.arange(60) % 4 != 1
    fold = deal_hidden(have, groups, 5, 0)
    assert (fold[::2] == fold[1::2]).all() and set(fold) == set(range(5))
    assert (deal_hidden(np.arange(60) < 20, groups, 5, 0)[20:] == -1).all()


def test_imputed_values_are_not_read_as_measured_unless_the_study_says_so(
    call: Call, copy: Path, tmp_path: Path
) -> None:
    assert (
        call(
            "impute",
            copy,
            "--target",
            "protein",
            "--out",
            copy.parent / "made",
            "--csv",
            "--folds",
            2,
            "--method",
            "knn",
        ).code
        == 0
    )
    text = copy.read_text().replace("protein: {file: protein.csv}", "protein: {file: made/values.csv, id: unit}")
    copy.write_text(text)
    refused(call("embed", copy, "--out", tmp_path / "e.h5ad"), "not measurements", "exclude: [imputed, imputed_from]")
    copy.write_text(text.replace("id: unit}", "id: unit, exclude: [imputed, imputed_from]}"))
    assert call("embed", copy, "--out", tmp_path / "e.h5ad").code == 0


def test_wrong_targets_are_refused(call: Call, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    refused(call("impute", study, "--target", "protien", "--out", out), "protien", "Did you mean 'protein'?")
    refused(call("impute", study, "--target", "notes", "--out", out), "shape texts", "labs, rna, protein")
    assert "protein" not in (found := call("impute", study)).out and found.code == 2 and "--target" in found.err
    assert call("impute", study, "--target", "rna", "--method", "magic").code == 2
    assert call("impute", study, "--target", "rna", "--folds", 1).code == 2
    refused(call("impute", study, "--target", "rna", "--out", tmp_path / "no" / "o"), "does not exist")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    refused(call("impute", study, "--target", "rna", "--out", tmp_path / "full"), "holds something else")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full"]
    with pytest.raises(cohortium.errors.StudyError, match="No method called 'ridgee'"):
        cohortium.impute(study, "rna", method="ridgee")


def test_targets_that_cannot_be_learned_are_refused(call: Call, study: Path, copy: Path) -> None:
    def rows(name: str, keep: slice) -> None:
        file = copy.parent / f"{name}.csv"
        lines = file.read_text().splitlines()
        file.write_text("\n".join([lines[0], *lines[1:][keep]]) + "\n")

    rows("protein", slice(0, 12))
    refused(call("impute", copy, "--target", "protein"), "Only 12 units", "20")
    rows("protein", slice(0, 0))
    refused(call("impute", copy, "--target", "protein"), "protein.csv", "no rows")
    shutil.copy(study.parent / "protein.csv", copy.parent / "protein.csv")
    rna = pd.read_csv(copy.parent / "rna.csv", dtype={"patient_id": str})
    rna.assign(**{c: 1.0 for c in rna.columns[1:]}).to_csv(copy.parent / "rna.csv", index=False)
    refused(call("impute", copy, "--target", "rna"), "No feature of 'rna' varies")
    copy.write_text("\n".join(x for x in copy.read_text().splitlines() if not x.startswith("    ") or "labs" in x))
    refused(call("impute", copy, "--target", "labs"), "one modality")


def test_nobody_lacks_it_and_names_that_are_taken(call: Call, copy: Path, tmp_path: Path) -> None:
    labs = pd.read_csv(copy.parent / "labs.csv", dtype={"patient_id": str})
    more = labs.iloc[[0]].assign(patient_id=f"{N - 1:04d}")
    pd.concat([labs, more]).rename(columns={"lab1": "unit"}).to_csv(copy.parent / "labs.csv", index=False)
    args = ("impute", copy, "--folds", 2, "--method", "mean", "--jobs", 1)
    found = call(*args, "--target", "labs", "--out", tmp_path / "o")
    assert found.code == 0 and "nothing was imputed" in found.out
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["features.csv", "imputation.json", "scores.csv"]
    labs.rename(columns={"lab1": "unit"}).to_csv(copy.parent / "labs.csv", index=False)
    assert call(*args, "--target", "labs", "--out", tmp_path / "o").code == 0, "an imputation of ours is replaced"
    assert "unit (feature)" in pd.read_parquet(tmp_path / "o" / "values.parquet")
