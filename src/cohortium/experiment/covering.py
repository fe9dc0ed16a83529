"""Records of how often the headline's sets, intervals and lower bounds held on test units, and how much they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.calibration import WITHIN, outlived
from cohortium.contracts import (
    Bounds,
    ClassOutcome,
    Estimate,
    Intervals,
    LowerBounds,
    Outcome,
    Sets,
    Survival,
    SurvivalOutcome,
    ValueOutcome,
)
from cohortium.contracts.results import CoverageRow
from cohortium.experiment.looks import Statistic, look
from cohortium.experiment.scoring import FoldToScore, Scores

FloatArray = NDArray[np.float64]
FEWEST = 20
"""Of a group with fewer tested units nothing is said."""

EVERYONE, CLASS = "everyone", "class"
NAMES = {Sets: ("coverage", "one_class", "one_class_right"), Intervals: ("coverage", "interval_width"),
         LowerBounds: ("coverage", "lower_bound")}  # fmt: skip


def coverage(
    name: str, scores: Scores, learner: str, level: float | None, groupings: Mapping[str, Mapping[str, str]],
    by: str | None = None,
) -> list[CoverageRow]:  # fmt: skip
    """A row for everybody, one per class, and one per group of every variable of ``groupings`` (unit -> group). by: the variable within
    whose groups bounds were calibrated.

    Empty where no bounds were made. ``coverage``: the share of units whose set or interval held the outcome, or who outlived
    their bound (units that were censored before it stand in as :func:`cohortium.calibration.outlived` says); ``one_class``:
    the share whose set names one class, ``one_class_right``: the share of those that are of it; ``interval_width`` and
    ``lower_bound``: medians. Computed in every outer fold and averaged.
    """
    first = scores.folds[0].bounds
    if first is None or level is None:
        return []
    names, rows = NAMES[type(first)], []
    for variable, group, of in _groups(scores, groupings):
        n = len(np.unique(np.concatenate([f.outcome.units[of(f)] for f in scores.folds])))
        if n < FEWEST:
            small = f"too small to say: fewer than {FEWEST} units"
            made = [Estimate(m, None, n=n, n_events=None, reason=small) for m in names]
        else:
            looks = look(scores, _statistic(learner, of, len(names)), [learner])
            made = [_within(looks.estimate(i, m, n=n)) for i, m in enumerate(names)]
        own = _own(scores, of) if variable == by else None
        rows.append(CoverageRow(name, learner, level, variable, group, n, made, own))
    return rows


def _own(scores: Scores, of: _Of) -> float:
    """Share of a group's tested units whose bounds were calibrated within it, over all folds."""
    cells = [str(c) for f in scores.folds if f.bounds is not None for c in f.bounds.groups[of(f)]]
    return sum(c.startswith(WITHIN) for c in cells) / max(len(cells), 1)


def _within(e: Estimate) -> Estimate:
    """A share's limits are shares."""
    if e.low is None or e.high is None or e.metric in ("interval_width", "lower_bound"):
        return e
    return replace(e, low=max(e.low, 0.0), high=min(e.high, 1.0))


def _groups(scores: Scores, groupings: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str, _Of]]:
    yield EVERYONE, EVERYONE, _Of()
    outcome = scores.endpoint.outcome
    if isinstance(outcome, ClassOutcome):
        for k, c in enumerate(outcome.endpoint.classes):
            yield CLASS, c, _Of(code=k)
    for variable, of in groupings.items():
        groups = list(dict.fromkeys(of.values()))
        for group in groups if len(groups) > 1 else []:
            yield variable, group, _Of(of=of, group=group)


class _Of:
    """Positions of a group's units in a fold."""

    def __init__(self, code: int | None = None, of: Mapping[str, str] | None = None, group: str = "") -> None:
        self.code, self.of, self.group = code, of, group

    def __call__(self, fold: FoldToScore) -> NDArray[np.intp]:
        if self.code is not None:
            assert isinstance(fold.outcome, ClassOutcome)
            return np.flatnonzero(fold.outcome.codes == self.code)
        if self.of is not None:
            return np.flatnonzero([self.of.get(str(u)) == self.group for u in fold.outcome.units])
        return np.arange(len(fold.outcome))


def _statistic(learner: str, of: _Of, k: int) -> Statistic:
    def statistic(fold: FoldToScore) -> tuple[FloatArray, dict[int, str]]:
        rows = of(fold)
        if not len(rows):
            return np.full(k, np.nan), dict.fromkeys(range(k), "a test fold holds none of the group")
        assert fold.bounds is not None
        values = _numbers(fold.outcome.take(rows), fold.bounds.take(rows), fold.predictions[learner].take(rows))
        missing = {1: "not bounded for half of the units: too few to calibrate on", 2: "no set names one class"}
        return values, {i: missing.get(i, "") for i in np.flatnonzero(np.isnan(values)).tolist()}

    return statistic


def _numbers(outcome: Outcome, bounds: Bounds, prediction: object) -> FloatArray:
    if isinstance(bounds, Sets):
        assert isinstance(outcome, ClassOutcome)
        held = bounds.inside[np.arange(len(bounds)), outcome.codes]
        one = bounds.inside.sum(axis=1) == 1
        return np.array([held.mean(), one.mean(), held[one].mean() if one.any() else np.nan])
    if isinstance(bounds, Intervals):
        assert isinstance(outcome, ValueOutcome)
        held = (outcome.values >= bounds.low) & (outcome.values <= bounds.high)
        width = float(np.median(bounds.high - bounds.low))
        return np.array([held.mean(), width if np.isfinite(width) else np.nan])
    assert isinstance(outcome, SurvivalOutcome) and isinstance(prediction, Survival) and bounds.free is not None
    share = float(outlived(outcome, bounds.low[:, None], prediction, bounds.free).mean())
    return np.array([share, np.median(bounds.low)])
