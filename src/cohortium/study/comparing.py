"""``compare``: two finished runs, fold by fold where both tested the same units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.contracts import Estimate
from cohortium.errors import RunFolderError

if TYPE_CHECKING:
    from cohortium.contracts.results import LeaderboardRow
    from cohortium.study.running import RunResult


@dataclass(frozen=True)
class Comparison:
    """One learner of run A beside one of run B, in one metric.

    difference: A minus B, paired on the same folds; null with a reason where folds or units are not the same.
    """

    endpoint: str
    learner_a: str
    learner_b: str
    a: Estimate
    b: Estimate
    difference: Estimate


def compare(run_a: RunResult | str | Path, run_b: RunResult | str | Path) -> list[Comparison]:
    """The headline learners of two runs, and every learner that both have, in every metric that both measured.

    Paired where both runs tested the same units in the same folds (``units.csv`` of both says who is who).
    Raises :class:`RunFolderError` for an unfinished run, or when the runs have no endpoint of the same name and kind
    in common.
    """
    from cohortium.study.running import RunResult, open_run

    a = run_a if isinstance(run_a, RunResult) else open_run(run_a)
    b = run_b if isinstance(run_b, RunResult) else open_run(run_b)
    kinds_a, kinds_b = ({e.name: e.kind for e in r.results.cohort.endpoints} for r in (a, b))
    common = [n for n, k in kinds_a.items() if kinds_b.get(n) == k]
    if not common:
        raise RunFolderError(
            f"The two runs have no endpoint of the same name and kind in common: the first has "
            f"{', '.join(kinds_a)}, the second {', '.join(kinds_b)}. Name the endpoints alike and run again."
        )
    out: list[Comparison] = []
    for endpoint in common:
        folds_a, folds_b = _folds(a.folder, endpoint), _folds(b.folder, endpoint)
        reason = _why_unpaired(folds_a, folds_b)
        scores = None if reason else (_scores(a.folder, endpoint), _scores(b.folder, endpoint))
        for row_a, row_b in _pairs(a, b, endpoint):
            out += _compare_rows(row_a, row_b, scores, reason, len(set().union(*folds_a.values())))
    return out


def _pairs(a: RunResult, b: RunResult, endpoint: str) -> list[tuple[LeaderboardRow, LeaderboardRow]]:
    rows_a = [r for r in a.results.leaderboard if r.endpoint == endpoint]
    rows_b = [r for r in b.results.leaderboard if r.endpoint == endpoint]
    by_name = {r.learner: r for r in rows_b}
    head = [(x, y) for x in rows_a for y in rows_b if x.headline and y.headline]
    return head + [
        (r, by_name[r.learner]) for r in rows_a if r.learner in by_name and (r, by_name[r.learner]) not in head
    ]


def _folds(folder: Path, endpoint: str) -> dict[tuple[int, int], frozenset[str]]:
    """(repeat, fold) -> real ids of the tested units."""
    import pyarrow.parquet as pq

    key = pd.read_csv(folder / "units.csv", dtype=str).set_index("pseudonym")["unit"]
    rows = pq.read_table(
        folder / "predictions.parquet",
        columns=["learner", "unit", "repeat", "fold"],
        filters=[("endpoint", "=", endpoint)],
    ).to_pandas()
    rows = rows[rows["learner"] == rows["learner"].iloc[0]]
    return {
        (int(r), int(f)): frozenset(key.reindex(g["unit"]).astype(str))
        for (r, f), g in rows.groupby(["repeat", "fold"])
    }


def _why_unpaired(a: dict[Any, frozenset[str]], b: dict[Any, frozenset[str]]) -> str:
    units_a, units_b = frozenset().union(*a.values()), frozenset().union(*b.values())
    if units_a != units_b:
        return f"unpaired: the runs tested different units ({len(units_a & units_b)} in common)"
    if a != b:
        return "unpaired: the runs tested the same units in different folds; use the same seed, or folds from a file"
    if len(a) == 1:
        return "unpaired: one fold only"
    return ""


def _scores(folder: Path, endpoint: str) -> pd.DataFrame:
    """Metric values of every fold, by (learner, metric, horizon, repeat, fold)."""
    import pyarrow.parquet as pq

    frame = pq.read_table(folder / "scores.parquet", filters=[("endpoint", "=", endpoint)]).to_pandas()
    return frame.sort_values(["repeat", "fold"])


def _compare_rows(
    a: LeaderboardRow, b: LeaderboardRow, scores: tuple[pd.DataFrame, pd.DataFrame] | None, reason: str, n: int
) -> list[Comparison]:
    by_ask = {(e.metric, e.horizon): e for e in b.estimates}
    out = []
    for e in a.estimates:
        other = by_ask.get((e.metric, e.horizon))
        if other is None:
            continue
        if scores is None:
            found = Estimate(e.metric, None, n=0, horizon=e.horizon, reason=reason)
        else:
            found = _paired(_of(scores[0], a.learner, e), _of(scores[1], b.learner, e), e, n)
        out.append(Comparison(a.endpoint, a.learner, b.learner, e, other, found))
    return out


def _of(scores: pd.DataFrame, learner: str, e: Estimate) -> pd.DataFrame:
    rows = scores[(scores["learner"] == learner) & (scores["metric"] == e.metric)]
    return rows[rows["horizon"].isna()] if e.horizon is None else rows[rows["horizon"] == e.horizon]


def _paired(a: pd.DataFrame, b: pd.DataFrame, e: Estimate, n: int) -> Estimate:
    from cohortium.experiment.estimating import paired

    x, y = a["value"].to_numpy(float), b["value"].to_numpy(float)
    return paired(
        (e.metric, e.horizon), x, y, a["n_train"].to_numpy(np.float64), a["n_test"].to_numpy(np.float64), n, e.n_events
    )
