"""Decision curves: net benefit of the headline learner, the reference, and treating all, from the outer folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import (
    ClassOutcome,
    CumulativeIncidence,
    Estimate,
    Outcome,
    Prediction,
    Probabilities,
    Survival,
    TimeOutcome,
)
from cohortium.contracts.results import Curve, DecisionPoint, DecisionRow
from cohortium.experiment.looks import Looks, Statistic, look
from cohortium.experiment.scoring import FoldToScore, Scores, tested_events

FloatArray = NDArray[np.float64]
GRID = np.arange(1, 100) / 100


def decisions(name: str, scores: Scores, learners: Sequence[str], thresholds: Sequence[float]) -> list[DecisionRow]:
    """A row for a two-class endpoint, one per horizon of survival and competing risks, none for others.

    learners: the headline, and the reference where there is one. thresholds: of the points; curves have every hundredth.
    """
    outcome = scores.endpoint.outcome
    if isinstance(outcome, ClassOutcome) and outcome.endpoint.kind.value == "binary":
        return [_row(name, scores, learners, thresholds, outcome.endpoint.classes[1], None, outcome.codes == 1)]
    if not isinstance(outcome, TimeOutcome):
        return []
    return [
        _row(name, scores, learners, thresholds, "", h, outcome.event & (outcome.time <= h))
        for h in scores.endpoint.horizons
    ]


def _row(
    name: str, scores: Scores, learners: Sequence[str], thresholds: Sequence[float], label: str,
    horizon: float | None, event: NDArray[np.bool_],
) -> DecisionRow:  # fmt: skip
    asked = np.unique(np.asarray(thresholds, float))
    at = np.concatenate([GRID, asked])
    looks = look(scores, _statistic(learners, at, horizon), learners)
    blocks = {who: k * len(at) for k, who in enumerate((*learners, "all"))}
    model, other = learners[0], learners[1] if len(learners) > 1 else None
    n, n_events = scores.n, tested_events(scores, event)

    def curve(of: Looks, begin: int) -> Curve:
        made = of.curve(GRID, range(begin, begin + len(GRID)))
        nothing: list[float | None] = [None] * len(GRID)
        return made if made is not None else Curve([round(float(x), 6) for x in GRID], nothing, nothing, nothing)

    def net(of: Looks, i: int, paired: bool = False) -> Estimate:
        return of.estimate(i, "net_benefit", n=n, n_events=n_events, horizon=horizon, paired=paired)

    versus_all = looks.minus(slice(blocks[model], blocks[model] + len(at)), slice(blocks["all"], None))
    points = []
    versus = None
    if other is not None:
        versus = looks.minus(*(slice(blocks[w], blocks[w] + len(at)) for w in (model, other)))
    for k, threshold in enumerate(asked, start=len(GRID)):
        point = [net(looks, blocks[model] + k), net(looks, blocks["all"] + k), net(versus_all, k, True)]
        if other is not None and versus is not None:
            point += [net(looks, blocks[other] + k), net(versus, k, True)]
        points.append(DecisionPoint(float(threshold), *point))
    return DecisionRow(
        name, model, label, horizon, curve(looks, blocks[model]), curve(looks, blocks["all"]), points,
        None if other is None else curve(looks, blocks[other]), None if versus is None else curve(versus, 0),
    )  # fmt: skip


def _statistic(learners: Sequence[str], at: FloatArray, horizon: float | None) -> Statistic:
    def statistic(fold: FoldToScore) -> tuple[FloatArray, dict[int, str]]:
        count = _counter(fold.outcome, at, horizon)
        parts = [count(_probability(fold.predictions[name], horizon)) for name in learners]
        values = np.concatenate([*parts, count(np.ones(len(fold.outcome)))])
        why = "nobody of those treated is followed to the horizon in the test fold"
        return values, {int(i): why for i in np.flatnonzero(~np.isfinite(values))}

    return statistic


def _counter(outcome: Outcome, at: FloatArray, horizon: float | None) -> Callable[[FloatArray], FloatArray]:
    from cohortium.metrics import net_benefit, net_benefit_by

    if isinstance(outcome, TimeOutcome):
        assert horizon is not None
        return lambda p: net_benefit_by(outcome, p, at, horizon)
    assert isinstance(outcome, ClassOutcome)
    return lambda p: net_benefit(outcome.codes == 1, p, at)


def _probability(prediction: Prediction, horizon: float | None) -> FloatArray:
    """(n,) of the positive class, or of an event by the horizon."""
    if isinstance(prediction, Survival):
        return np.asarray(1.0 - prediction.at(np.array([horizon], float))[:, 0], np.float64)
    if isinstance(prediction, CumulativeIncidence):
        return prediction.at(np.array([horizon], float))[:, 0]
    assert isinstance(prediction, Probabilities)
    return prediction.p[:, 1]
