"""Records of calibration: the headline learner and the reference, per class or horizon, from the outer folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Estimate,
    Probabilities,
    Survival,
    SurvivalOutcome,
    TimeOutcome,
)
from cohortium.contracts.results import CalibrationRow
from cohortium.experiment.looks import Looks, Statistic, look
from cohortium.experiment.scoring import FoldToScore, Scores, tested_events

AT = np.linspace(0, 1, 51)
"""Predicted probabilities at which the smooth curve is kept."""


def calibration(name: str, scores: Scores, learners: Sequence[str]) -> list[CalibrationRow]:
    """A row per learner and class (of two only the second) or horizon; none for continuous endpoints.

    Computed in every outer fold and averaged, the ratio on its logarithm; an estimate is null with the reason where
    no fold allows it.
    """
    outcome = scores.endpoint.outcome
    rows = []
    for learner in learners:
        if isinstance(outcome, ClassOutcome):
            classes = outcome.endpoint.classes
            for k in range(1 if len(classes) == 2 else 0, len(classes)):
                looks = look(scores, _of_class(learner, k), [learner])
                events = tested_events(scores, outcome.codes == k)
                rows.append(_row(name, learner, looks, scores.n, events, classes[k], None))
        elif isinstance(outcome, TimeOutcome):
            for h in scores.endpoint.horizons:
                looks = look(scores, _by_horizon(learner, h), [learner])
                events = tested_events(scores, outcome.event & (outcome.time <= h))
                rows.append(_row(name, learner, looks, scores.n, events, "", h))
    return rows


def _of_class(learner: str, k: int) -> Statistic:
    from cohortium.metrics import calibrate_classes

    def statistic(fold: FoldToScore) -> tuple[NDArray[np.float64], dict[int, str]]:
        outcome, prediction = fold.outcome, fold.predictions[learner]
        assert isinstance(outcome, ClassOutcome) and isinstance(prediction, Probabilities)
        return _numbers(calibrate_classes(outcome.codes == k, prediction.p[:, k], AT))

    return statistic


def _by_horizon(learner: str, horizon: float) -> Statistic:
    from cohortium.metrics import calibrate_incidence, calibrate_survival

    def statistic(fold: FoldToScore) -> tuple[NDArray[np.float64], dict[int, str]]:
        outcome, prediction = fold.outcome, fold.predictions[learner]
        if isinstance(outcome, CompetingOutcome) and isinstance(prediction, CumulativeIncidence):
            return _numbers(calibrate_incidence(outcome, prediction, horizon, AT))
        assert isinstance(outcome, SurvivalOutcome) and isinstance(prediction, Survival)
        return _numbers(calibrate_survival(outcome, prediction, horizon, AT))

    return statistic


def _numbers(made: object) -> tuple[NDArray[np.float64], dict[int, str]]:
    from cohortium.metrics.calibration import NUMBERS, Calibrated

    assert isinstance(made, Calibrated)
    values = np.array([getattr(made, n) for n in NUMBERS])
    values[NUMBERS.index("expected_observed")] = np.log(made.expected_observed)
    return np.concatenate([values, made.curve]), {NUMBERS.index(n): why for n, why in made.reasons.items()}


def _row(
    endpoint: str, learner: str, looks: Looks, n: int, n_events: int, label: str, horizon: float | None
) -> CalibrationRow:
    from cohortium.metrics.calibration import NUMBERS

    estimates = []
    for i, number in enumerate(NUMBERS):
        e = looks.estimate(i, _NAMES[number], n=n, n_events=n_events, horizon=horizon,
                           exponential=number == "expected_observed")  # fmt: skip
        estimates.append(e if number in _SIGNED else _not_negative(e))
    curve = looks.curve(AT, range(len(NUMBERS), len(NUMBERS) + len(AT)))
    if curve is not None:
        curve = replace(curve, low=[_within(x) for x in curve.low], high=[_within(x) for x in curve.high])
    return CalibrationRow(endpoint, learner, label, horizon, estimates, curve)


_SIGNED = ("slope", "intercept")
_NAMES = {
    "slope": "calibration_slope",
    "intercept": "calibration_intercept",
    "expected_observed": "expected_observed",
    "ici": "ici",
    "e50": "e50",
    "e90": "e90",
    "ici_by_chance": "ici_by_chance",
}


def _not_negative(e: Estimate) -> Estimate:
    return e if e.low is None else replace(e, low=max(e.low, 0.0))


def _within(x: float | None) -> float | None:
    return None if x is None else min(max(x, 0.0), 1.0)
