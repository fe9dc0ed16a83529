"""Boosted trees as a method of federated studies: bins from federated quantiles, then trees level by level from histograms of
gradients. See :mod:`cohortium.federation_coordinator.boosting` and ``docs/federation_trees.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, FitQuestion
from cohortium.contracts.federation_trees import (
    AskHistograms,
    AskQuantiles,
    SiteHistograms,
    SiteQuantiles,
    TreesModel,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.boosting import (
    Boosting,
    boosting,
    counted,
    fresh,
    grown,
    model_of,
    numeric,
)
from cohortium.federation_coordinator.checking_trees import wrong_histograms, wrong_quantiles
from cohortium.federation_coordinator.results_trees import results
from cohortium.federation_coordinator.state import State

__all__ = ["advance", "answered_by", "check", "grid", "model", "progress", "question", "restarts", "results", "start"]

WIDE = 2.0
"""Bins of scores reach so many times the sum of the trees' standard deviations, which that of their sum cannot exceed."""

progress = Boosting
restarts = True
"""A site that is left out takes its sums with it: bins and trees begin anew, and are those of the others."""


def start(state: State) -> Boosting:
    """No bins, no trees."""
    return fresh(state)


def question(state: State) -> FitQuestion:
    """Counts by cell, then sums of gradients at the nodes that come next."""
    fit, plan = boosting(state), digest(encode(state.plan))
    if fit.grid.size:
        return AskQuantiles(plan, state.round, numeric(state), fit.grid)
    return AskHistograms(plan, state.round, model_of(state), fit.growing, fit.level)


def answered_by(state: State) -> type:
    """What sites answer in this phase."""
    return SiteQuantiles if boosting(state).grid.size else SiteHistograms


def check(state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    wrong = wrong_quantiles if boosting(state).grid.size else wrong_histograms
    return {s: reason for s, a in answers.items() if (reason := wrong(a, state))}


def advance(state: State, answers: Any) -> State:
    """The state after a round."""
    return counted(state, answers) if boosting(state).grid.size else grown(state, answers)


def model(state: State) -> TreesModel:
    """The fitted model, as it is sent to be scored."""
    return model_of(state)


def grid(state: State, bins: int) -> NDArray[np.float64]:
    """(bins - 1,) edges of scores, on the scale of log odds; empty where no classes are scored."""
    if state.plan.kind == "multiclass":
        return np.linspace(-8.0, 8.0, bins - 1)
    if state.plan.kind != "binary":
        return np.zeros(0)
    fit = boosting(state)
    return np.asarray(fit.base[0] + max(WIDE * float(fit.spread.sum()), 1e-3) * np.linspace(-1, 1, bins - 1))
