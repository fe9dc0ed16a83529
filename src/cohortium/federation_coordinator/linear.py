"""Linear models by Newton's method, as a method of federated studies: see :mod:`cohortium.federation_coordinator.fitting`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, AskSums, LinearModel, SiteSums
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator import checking
from cohortium.federation_coordinator.fitting import advance, fresh, size
from cohortium.federation_coordinator.results import results
from cohortium.federation_coordinator.state import Fit, State, newton

__all__ = ["advance", "answered_by", "check", "grid", "model", "progress", "question", "results", "start"]

WIDE = 4.0
"""Bins of scores reach so many standard deviations, were columns uncorrelated, to both sides of their mean."""

progress = Fit
restarts = True
"""A site that is left out takes its sums with it: the fit begins anew, and is that of the others."""


def start(state: State) -> Fit:
    """All parameters zero."""
    intercepts, k = size(state)
    return fresh(intercepts + k * len(state.columns))


def question(state: State) -> AskSums:
    """Sums at the parameters that come next."""
    return AskSums(
        digest(encode(state.plan)), state.round, state.columns, state.classes, state.mean, state.sd, state.outcome,
        newton(state).asked,
    )  # fmt: skip


def answered_by(state: State) -> type:
    """What sites answer in this phase."""
    return SiteSums


def check(state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    left = {s: reason for s, a in answers.items() if (reason := checking.wrong_sums(a, state))}
    return left | checking.unlike_others({s: a for s, a in answers.items() if s not in left}, state)


def model(state: State) -> LinearModel:
    """The fitted model, as it is sent to be scored."""
    return LinearModel(state.columns, state.classes, state.mean, state.sd, state.outcome, newton(state).accepted)


def grid(state: State, bins: int) -> NDArray[np.float64]:
    """(bins - 1,) edges of scores, on the scale of log odds; empty where no classes are scored."""
    if state.plan.kind == "binary":
        b = newton(state).accepted
        return np.asarray(b[0] + max(float(np.sqrt(b[1:] @ b[1:])), 1e-3) * np.linspace(-WIDE, WIDE, bins - 1))
    return np.linspace(-2 * WIDE, 2 * WIDE, bins - 1) if state.plan.kind == "multiclass" else np.zeros(0)
