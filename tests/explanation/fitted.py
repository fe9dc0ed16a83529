"""A learner fitted on part of a simulated cohort, with the rest of it to be asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cohortium.contracts import Fold, Outcome, Prediction
from cohortium.explanation import FeatureGroup, FoldModel, Target, group_features, target_of
from cohortium.explanation.grouping import SCREENED, in_turn, leaned_on
from cohortium.learners import LearnerConfig, fit_all
from cohortium.metrics import headline_metric, score
from cohortium.testing import Simulated, simulate_cohort


@dataclass(frozen=True, eq=False)
class Fitted:
    """simulated: all of it. model: fitted on the first two thirds, to be asked about the rest. items: features and groups."""

    simulated: Simulated
    model: FoldModel
    target: Target
    items: list[FeatureGroup]
    train: np.ndarray


def fitted(
    kind: str = "binary",
    modalities: Mapping[str, int] | None = None,
    *,
    n: int = 360,
    seed: int = 0,
    learner: str = "auto",
    permute: bool = False,
    config: LearnerConfig | None = None,
    **more: Any,
) -> Fitted:
    """permute: labels of the training part are dealt out anew."""
    sizes = dict(modalities or {"a": 8, "b": 70, "noise": 30})
    more = {"informative": {"a": 3, "b": 2}, "missing": {"b": 0.3}, "signal": 2.5, **more}
    sim = simulate_cohort(np.random.default_rng(seed), n, sizes, kind, **more)
    train, test = np.arange(2 * n // 3), np.arange(2 * n // 3, n)
    y = sim.outcome.take(train)
    if permute:
        y = replace(y.take(np.random.default_rng([seed, 1]).permutation(len(train))), units=y.units)
    at = np.arange(len(train)) % 3
    inner = tuple((np.flatnonzero(at != j), np.flatnonzero(at == j)) for j in range(3))
    fold = Fold(sim.cohort.take(train), y, np.arange(len(train)), inner, 3, "y/0/0")
    config = config or LearnerConfig(models=("linear",), probes=False)
    predictor = fit_all(config, fold, [learner])[learner]
    tested = sim.outcome.take(test)
    target = target_of(y.endpoint, 1.0 if kind == "survival" else None)
    model = FoldModel(predictor, sim.cohort.take(test), scorer(tested), None, 3, "y/0/0", len(train))
    items = []
    for name, table in sim.cohort.modalities.items():
        if table.shape == "table":
            wide = table.n_features > SCREENED
            columns = np.array(in_turn(leaned_on(predictor, name), SCREENED)) if wide else np.arange(table.n_features)
            items += group_features(name, table, columns)
    return Fitted(sim, model, target, items, train)


def scorer(outcome: Outcome) -> Callable[[Prediction], float]:
    """The usual metric of the endpoint's kind."""
    metric = headline_metric(outcome.endpoint.kind)
    return lambda p: score(metric, outcome, p)
