"""From predictions of the outer folds to estimates, paired differences and their records.

A metric is computed in every fold against that fold's own training censoring, then averaged; two learners are
compared fold by fold. A metric that some fold does not allow (no event, one class) is estimated from the folds
that do, and null with the reason when fewer than two do. One fixed test set: bootstrap over its patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import ClassOutcome, Estimate, Outcome, Prediction, SurvivalOutcome
from cohortium.contracts.results import AddedValueRow, LeaderboardRow, LearningCurveRow, Versus
from cohortium.experiment.folds import FoldResult
from cohortium.experiment.plan import EndpointPlan
from cohortium.experiment.run import Experiment

Ask = tuple[str, float | None]
"""A metric and its horizon (None where it has none)."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics of all learners of one endpoint in every fold.

    asks: metrics in the order of the report. values: (learner, metric, horizon) -> (n_folds,), NaN where not
    estimable; reasons: why. n_train, n_test: (n_folds,). n, n_events: distinct units scored. fixed: the one
    test set (outcome, censoring, patients), when there is one fold only.
    """

    endpoint: EndpointPlan
    asks: tuple[Ask, ...]
    values: dict[tuple[str, str, float | None], FloatArray]
    reasons: dict[tuple[str, str, float | None], str]
    n_train: NDArray[np.int64]
    n_test: NDArray[np.int64]
    n: int
    n_events: int | None
    seed: int
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    thresholds: dict[str, list[float | None]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    censorings: list[Any] = field(default_factory=list)
    tests: list[NDArray[np.intp]] = field(default_factory=list)


def asks_of(e: EndpointPlan, metrics: Sequence[str]) -> tuple[Ask, ...]:
    """Metrics with their horizons: time-dependent ones once for each of the endpoint's horizons."""
    from cohortium.metrics import METRICS

    out: list[Ask] = []
    for m in metrics:
        if METRICS[m].needs_horizon:
            out += [(m, h) for h in e.horizons]
        else:
            out.append((m, None))
    return tuple(out)
