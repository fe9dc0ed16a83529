"""Reading a run folder: predictions meet their outcomes, whatever the order; damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cohortium.errors import RunFolderError
from cohortium.report import write_report
from cohortium.report.folder import Scored, open_run
from cohortium.report.words import endpoint_of
from tests.report.runs import GRID, make_results, make_run

KINDS = ("survival", "binary", "continuous")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path, make_results(KINDS, modalities=("clinical", "blood"), n=72))


def _scored(run: Path, endpoint: str, first_repeat: bool = True) -> Scored:
    folder = open_run(run)
    scored = folder.scored(endpoint_of(folder.results, endpoint), "auto", first_repeat)
    assert scored is not None
    return scored


def _rewrite(file: Path, change) -> None:
    table = pq.read_table(file)
    changed = pa.Table.from_pandas(change(table.to_pandas()), preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)


def test_first_repeat_and_all(run: Path):
    assert len(_scored(run, "recurrence").units) == 60
    every = _scored(run, "recurrence", first_repeat=False)
    assert len(every.units) == 300
    assert sorted(set(every.repeat.tolist())) == [0, 1, 2, 3, 4]


def test_row_order_does_not_matter(run: Path):
    before = {e: _scored(run, e) for e in ("os", "recurrence", "score")}
    for name in ("predictions.parquet", "outcomes.parquet"):
        _rewrite(run / name, lambda t: t.sample(frac=1, random_state=1))
    for endpoint, was in before.items():
        now = _scored(run, endpoint)
        a, b = np.argsort(was.units.astype(str)), np.argsort(now.units.astype(str))
        for field in ("units", "fold", "p", "code", "prediction", "value", "risk", "survival", "time", "event"):
            x, y = getattr(was, field), getattr(now, field)
            assert (x is None) == (y is None)
            if x is not None:
                assert (x[a] == y[b]).all(), field


def test_survival_curves_lie_on_the_grid_of_the_file(run: Path):
    scored = _scored(run, "os")
    assert scored.times.tolist() == GRID.tolist()
    assert scored.survival.shape == (60, len(GRID))
    assert (np.diff(scored.survival, axis=1) <= 0).all()


def test_rows_without_a_prediction_are_left_out(run: Path):
    def blank(t: pd.DataFrame) -> pd.DataFrame:
        rows = (t["endpoint"] == "os") & (t["learner"] == "auto") & (t["unit"] == "u00003")
        t.loc[rows, "risk"] = np.nan
        return t

    _rewrite(run / "predictions.parquet", blank)
    scored = _scored(run, "os")
    assert len(scored.units) == len(scored.survival) == 59


def test_folds_may_be_named(run: Path):
    _rewrite(run / "predictions.parquet", lambda t: t.assign(fold="site " + t["fold"].astype(str)))
    assert sorted(set(_scored(run, "os").fold.tolist())) == [0, 1, 2, 3, 4]


def test_a_learner_without_predictions_has_none(run: Path):
    folder = open_run(run)
    assert folder.scored(endpoint_of(folder.results, "os"), "single:blood") is None


def test_a_cut_file_is_named(run: Path):
    file = run / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunFolderError, match="cannot be read"):
        write_report(run)
    assert not (run / "report.html").exists()
