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
    pd.testing.assert_frame_equal(known, folds.labels(made.outcome.take(split.train)), check_dtype=False)


def test_no_outcome_of_a_test_sample_is_told(tmp_path: Path, folds: ModuleType) -> None:
    made = simulate_cohort(np.random.default_rng(1), 60, {"rna": 4, "protein": 3}, "multiclass")
    split = folds.splits(made.cohort, made.outcome, 1)[0]
    other = made.outcome.codes.copy()
    other[split.test] = (other[split.test] + 1) % 3
    for name, outcome in (("one", made.outcome), ("two", replace(made.outcome, codes=other))):
        folds.write_fold(tmp_path / name, made.cohort, outcome, split)
    for file in (tmp_path / "one").rglob("*.csv"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_scores_do_not_depend_on_the_order_of_samples(folds: ModuleType) -> None:
    """flexynesis gives samples back in another order."""
    made = simulate_cohort(np.random.default_rng(2), 60, {"rna": 4, "protein": 3}, "multiclass")
    classes = made.outcome.endpoint.classes
    p = pd.DataFrame(np.eye(3)[made.outcome.codes] + 0.1, made.outcome.units, [f"p_{c}" for c in classes])
    p.iloc[:5] = p.iloc[5:10].to_numpy()  # some are wrong
    shuffled = p.sample(frac=1, random_state=0)[p.columns[::-1]]
    assert folds.scores(made.outcome, shuffled) == folds.scores(made.outcome, p)
    assert 0.7 < folds.scores(made.outcome, p)["roc_auc"] < 1
