"""The files that benchmarks/peers gives to other tools: ids and values are kept, and no outcome of a test sample is told."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from cohortium.testing import simulate_cohort

FILE = Path(__file__).parents[1] / "benchmarks" / "peers" / "folds.py"


@pytest.fixture
def folds() -> ModuleType:
    if not FILE.exists():
        pytest.skip("the benchmarks are not here")
    spec = importlib.util.spec_from_file_location("peers_folds", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_fold_keeps_ids_and_values(tmp_path: Path, folds: ModuleType) -> None:
    made = simulate_cohort(np.random.default_rng(0), 60, {"rna": 7, "protein": 3}, "multiclass", missing_cells=0.1)
    split = folds.splits(made.cohort, made.outcome, 1)[0]
    folds.write_fold(tmp_path, made.cohort, made.outcome, split)
    for part, rows in (("train", split.train), ("test", split.test)):
        clin = pd.read_csv(tmp_path / part / "clin.csv", index_col=0, dtype={0: str})
        assert list(clin.index) == list(made.cohort.ids[rows])
        for name, modality in made.cohort.modalities.items():
            read = pd.read_csv(tmp_path / part / f"{name}.csv", index_col=0, float_precision="round_trip")
            assert list(read.columns) == list(made.cohort.ids[rows]) and read.index.name is None
            np.testing.assert_array_equal(read.to_numpy().T, np.asarray(modality.values, float)[rows])
    known = pd.read_csv(tmp_path / "train" / "clin.csv", index_col=0, dtype={0: str}, float_precision="round_trip")
    outcome = folds.labels(made.outcome.take(split.train))
    pd.testing.assert_frame_equal(known[list(outcome)], outcome, check_dtype=False)
    beside = known.drop(columns=list(outcome))
    assert set(beside) == {f"{m}:{f}" for m, t in made.cohort.modalities.items() for f in t.features.index}
    np.testing.assert_allclose(beside.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(beside.std(), 1)


def test_wide_tables_are_not_covariates(folds: ModuleType) -> None:
    made = simulate_cohort(np.random.default_rng(0), 60, {"rna": folds.NARROW, "protein": 3}, "survival")
    beside = folds.covariates(made.cohort, np.arange(40))
    assert list(beside) == [f"protein:{f}" for f in made.cohort.modalities["protein"].features.index]
    values = folds.table(made.cohort.modalities["protein"])
    train, new = values.iloc[:40], values.iloc[40:]
    np.testing.assert_allclose(beside.iloc[40:], (new - train.mean()) / train.std())


def test_units_without_a_table_or_of_one_value_there_are_not_compared(folds: ModuleType) -> None:
    made = simulate_cohort(np.random.default_rng(5), 40, {"rna": 20, "protein": 3}, "survival", missing={"rna": 0.3})
    rna, protein = made.cohort.modalities["rna"], made.cohort.modalities["protein"]
    everybody = folds.usable(made.cohort)
    assert list(made.cohort.ids[everybody]) == [i for i in made.cohort.ids if i in set(rna.units)]
    rna.values[3] = 1.0
    protein.values[:] = 1.0  # narrow: a covariate
    kept = made.cohort.ids[folds.usable(made.cohort)]
    assert set(made.cohort.ids[everybody]) - set(kept) == {rna.units[3]}


def test_no_outcome_of_a_test_sample_is_told(tmp_path: Path, folds: ModuleType) -> None:
    made = simulate_cohort(np.random.default_rng(1), 60, {"rna": 4, "protein": 3}, "multiclass")
    split = folds.splits(made.cohort, made.outcome, 1)[0]
    other = made.outcome.codes.copy()
    other[split.test] = (other[split.test] + 1) % 3
    for name, outcome in (("one", made.outcome), ("two", replace(made.outcome, codes=other))):
        folds.write_fold(tmp_path / name, made.cohort, outcome, split)
    for file in (tmp_path / "one").rglob("*.csv"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_no_time_or_event_of_a_test_sample_is_told(tmp_path: Path, folds: ModuleType) -> None:
    made = simulate_cohort(np.random.default_rng(1), 60, {"rna": 4, "protein": 20}, "survival")
    split = folds.splits(made.cohort, made.outcome, 1)[0]
    time, event = made.outcome.time.copy(), made.outcome.event.copy()
    time[split.test] += 1000.0
    event[split.test] = ~event[split.test]
    for name, outcome in (("one", made.outcome), ("two", replace(made.outcome, time=time, event=event))):
        folds.write_fold(tmp_path / name, made.cohort, outcome, split)
    files = list((tmp_path / "one").rglob("*.csv"))
    assert len(files) == 6
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()
    told = pd.read_csv(tmp_path / "one" / "train" / "clin.csv", index_col=0, float_precision="round_trip")
    np.testing.assert_array_equal(told[["time", "event"]], np.c_[made.outcome.time, made.outcome.event][split.train])


def test_risks_are_scored_in_their_direction_and_to_one_time(folds: ModuleType) -> None:
    """Concordance counted by hand; a side's order of samples does not matter, a risk that is no number is refused."""
    made = simulate_cohort(np.random.default_rng(3), 80, {"rna": 4, "protein": 3}, "survival")
    split, tau = folds.splits(made.cohort, made.outcome, 1)[0], folds.last_time(made.cohort, made.outcome, 1)
    train, test = made.outcome.take(split.train), made.outcome.take(split.test)
    assert tau is not None and np.median(made.outcome.time) < tau <= train.time[train.event].max()
    tau = float(np.median(test.time[test.event]))
    risk = pd.DataFrame({"risk": np.random.default_rng(4).normal(size=len(test))}, test.units)
    got = folds.scores(test, risk.sample(frac=1, random_state=0), train, tau)
    r, right, pairs = risk["risk"].to_numpy(), 0, 0
    for i in np.flatnonzero(test.event & (test.time <= tau)):
        later = (test.time > test.time[i]) | ((test.time == test.time[i]) & ~test.event)
        right, pairs = right + (r[i] > r[later]).sum(), pairs + later.sum()
    assert got["harrell_c"] == pytest.approx(right / pairs)
    back = folds.scores(test, -risk, train, tau)
    assert back["uno_c"] == pytest.approx(1 - got["uno_c"]) and back["uno_c"] != 0.5
    with pytest.raises(ValueError, match="not a number"):
        folds.scores(test, risk * np.nan, train, tau)


def test_scores_do_not_depend_on_the_order_of_samples(folds: ModuleType) -> None:
    """flexynesis gives samples back in another order."""
    made = simulate_cohort(np.random.default_rng(2), 60, {"rna": 4, "protein": 3}, "multiclass")
    classes = made.outcome.endpoint.classes
    p = pd.DataFrame(np.eye(3)[made.outcome.codes] + 0.1, made.outcome.units, [f"p_{c}" for c in classes])
    p.iloc[:5] = p.iloc[5:10].to_numpy()  # some are wrong
    shuffled = p.sample(frac=1, random_state=0)[p.columns[::-1]]
    assert folds.scores(made.outcome, shuffled) == folds.scores(made.outcome, p)
    assert 0.7 < folds.scores(made.outcome, p)["roc_auc"] < 1
