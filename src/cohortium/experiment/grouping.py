"""Performance by subgroup: every group and the rest of its variable in each fold, and the correction for many looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Estimate,
    Outcome,
    Probabilities,
    Survival,
    SurvivalOutcome,
    TimeOutcome,
)
from cohortium.contracts.results import Contrast, SubgroupRow
from cohortium.experiment.looks import Looks, Statistic, look
from cohortium.experiment.scoring import Ask, FoldToScore, Scores, count_events, score_one

FloatArray = NDArray[np.float64]
FEWEST_UNITS, FEWEST_EVENTS = 20, 10
"""A group with fewer units, events, or units of a class is too small to say."""

_SHARES = ("sensitivity", "specificity")


def subgroups(
    name: str, scores: Scores, learner: str, groupings: Mapping[str, Mapping[str, str]], metric: str
) -> list[SubgroupRow]:
    """Rows of every group of every variable that has two or more.

    groupings: variable -> unit -> group. metric: the headline's; the first that was asked for where it is not among them.
    """
    ask = next((a for a in scores.asks if a[0] == metric), scores.asks[0])
    tested = _tested(scores)
    rows: list[SubgroupRow] = []
    for variable, of in groupings.items():
        label = np.array([of.get(str(u), "unknown") for u in tested.units], object)
        groups = [g for g in dict.fromkeys(of.values()) if (label == g).any()]
        if len(groups) < 2:
            continue
        for k, group in enumerate(groups):
            inside, outside = (tested.take(np.flatnonzero(m)) for m in (label == group, label != group))
            with_rest = k == 0 or len(groups) > 2
            rows.append(_row(name, scores, learner, variable, group, of, ask, inside, outside if with_rest else None))
    return _corrected(rows)


def _tested(scores: Scores) -> Outcome:
    """Every unit that a fold tests, once, in the endpoint's order."""
    units = np.unique(np.concatenate([f.outcome.units for f in scores.folds]).astype(str))
    outcome = scores.endpoint.outcome
    return outcome.take(np.flatnonzero(np.isin(outcome.units.astype(str), units)))


def _row(
    name: str, scores: Scores, learner: str, variable: str, group: str, of: Mapping[str, str], ask: Ask,
    inside: Outcome, outside: Outcome | None,
) -> SubgroupRow:  # fmt: skip
    n, n_events = len(inside), count_events(inside)
    names = _statistics(scores, ask)
    small = _too_small(inside)
    blank = [Estimate(m, None, n=n, n_events=n_events, horizon=h, reason=small) for m, h in names]
    if small:
        return SubgroupRow(name, learner, variable, group, n, n_events, blank)
    statistic = _statistic(scores, learner, group, of, names)
    holders = tuple(f for f in scores.folds if any(of.get(str(u)) == group for u in f.outcome.units))
    alone = len(holders) == 1 < len(scores.folds)  # a site left out: its fold is a test set of its own
    looks = look(replace(scores, folds=holders) if alone else scores, statistic, [learner])
    estimates = [
        _enough(looks, i, looks.estimate(i, m, n=n, n_events=n_events, horizon=h)) for i, (m, h) in enumerate(names)
    ]
    if outside is None or alone or _too_small(outside):
        return SubgroupRow(name, learner, variable, group, n, n_events, estimates)
    k = len(names)
    gap = looks.minus(slice(0, k), slice(k, 2 * k))
    versus = []
    for i, (m, h) in enumerate(names):
        e = _enough(gap, i, gap.estimate(i, m, n=n, n_events=n_events, horizon=h, paired=True))
        versus.append(Contrast(e, None if e.value is None else gap.p_value(i)))
    return SubgroupRow(name, learner, variable, group, n, n_events, estimates, versus)


def _statistics(scores: Scores, ask: Ask) -> list[Ask]:
    """The headline metric, and what else suits the endpoint."""
    outcome = scores.endpoint.outcome
    if isinstance(outcome, TimeOutcome):
        middle = scores.endpoint.horizons[len(scores.endpoint.horizons) // 2 :][:1]
        return [ask, *(("expected_minus_observed", h) for h in middle)]
    if outcome.endpoint.kind.value == "binary":
        return [ask, *((m, None) for m in _SHARES), ("expected_minus_observed", None)]
    return [ask]


def _too_small(outcome: Outcome) -> str | None:
    """Why nothing can be said of these units; None where something can."""
    if len(outcome) < FEWEST_UNITS:
        return f"too small to say: fewer than {FEWEST_UNITS} units"
    if isinstance(outcome, TimeOutcome):
        return None if outcome.event.sum() >= FEWEST_EVENTS else f"too small to say: fewer than {FEWEST_EVENTS} events"
    if isinstance(outcome, ClassOutcome):
        counts = np.bincount(outcome.codes, minlength=len(outcome.endpoint.classes))
        if counts.min() < FEWEST_EVENTS:
            return f"too small to say: fewer than {FEWEST_EVENTS} units of a class"
    return None


def _enough(looks: Looks, i: int, e: Estimate) -> Estimate:
    """Null where fewer than half of the folds have a value: the others would not be like them."""
    if e.metric in _SHARES and not e.method.endswith("paired") and e.low is not None and e.high is not None:
        e = replace(e, low=max(e.low, 0.0), high=min(e.high, 1.0))
    known = int(np.isfinite(looks.values[:, i]).sum())
    if e.value is None or 2 * known >= len(looks.values):
        return e
    why = f"too small to say: estimable in {known} of {len(looks.values)} folds"
    return replace(e, value=None, low=None, high=None, method="", low_powered=False, reason=why)


def _statistic(scores: Scores, learner: str, group: str, of: Mapping[str, str], names: list[Ask]) -> Statistic:
    """The numbers of the group, then those of the rest."""

    def statistic(fold: FoldToScore) -> tuple[FloatArray, dict[int, str]]:
        member = np.array([of.get(str(u)) == group for u in fold.outcome.units])
        values, reasons = [], dict[int, str]()
        for rows in (np.flatnonzero(member), np.flatnonzero(~member)):
            for ask in names:
                made = _value(scores, fold, learner, rows, ask) if len(rows) else "a test fold holds none of the group"
                if isinstance(made, str):
                    reasons[len(values)] = made
                values.append(np.nan if isinstance(made, str) else made)
        return np.array(values), reasons

    return statistic


def _value(scores: Scores, fold: FoldToScore, learner: str, rows: NDArray[np.intp], ask: Ask) -> float | str:
    outcome, prediction = fold.outcome.take(rows), fold.predictions[learner].take(rows)
    if ask[0] in _SHARES:
        from cohortium.metrics import decide

        assert isinstance(outcome, ClassOutcome) and isinstance(prediction, Probabilities)
        positive = ask[0] == "sensitivity"
        of = (outcome.codes == 1) == positive
        decided = decide(outcome.endpoint.kind, prediction.p, fold.thresholds.get(learner)) == 1
        return float((decided[of] == positive).mean()) if of.any() else "a test fold holds one class only"
    if ask[0] == "expected_minus_observed":
        return _expected_minus_observed(outcome, prediction, ask[1])
    part = replace(fold, outcome=outcome, predictions={learner: prediction})
    return score_one(scores.endpoint, part, learner, ask)


def _expected_minus_observed(outcome: Outcome, prediction: object, horizon: float | None) -> float | str:
    if isinstance(outcome, ClassOutcome):
        assert isinstance(prediction, Probabilities)
        return float(prediction.p[:, 1].mean() - (outcome.codes == 1).mean())
    from cohortium.metrics import incidence_at, kaplan_meier

    if isinstance(outcome, CompetingOutcome):
        assert isinstance(prediction, CumulativeIncidence) and horizon is not None
        if outcome.time.max() < horizon and (outcome.cause == 0).any():
            return "nobody of the group is followed to the horizon in a test fold"
        return float(prediction.at(np.array([horizon])).mean() - incidence_at(outcome.time, outcome.cause, horizon)[0])
    assert isinstance(outcome, SurvivalOutcome) and isinstance(prediction, Survival) and horizon is not None
    times, s, _, _ = kaplan_meier(outcome.time, outcome.event, outcome.entry if outcome.entry.any() else None)
    k = int(np.searchsorted(times, horizon, side="right"))
    alive = 1.0 if k == 0 else float(s[k - 1])
    if outcome.time.max() < horizon and alive > 0:
        return "nobody of the group is followed to the horizon in a test fold"
    return float(alive - prediction.at(np.array([horizon])).mean())


def _corrected(rows: list[SubgroupRow]) -> list[SubgroupRow]:
    """Holm's correction over every difference of the endpoint."""
    from cohortium.metrics import holm

    p = [c.p for r in rows for c in r.versus_rest if c.p is not None]
    corrected = iter(holm(p).tolist())
    return [
        replace(r, versus_rest=[c if c.p is None else replace(c, p_holm=next(corrected)) for c in r.versus_rest])
        for r in rows
    ]
