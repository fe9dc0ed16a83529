"""The fit of a stack's weights: Newton's method on sums, weights not below 0, their differences shrunken.

The penalised likelihood is that of late fusion in ``run`` (:mod:`cohortium.fusion.stacking`) with a given penalty; each Newton step is the exact
solution of the quadratic programme, so that the end is the minimum to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from cohortium.contracts.federation_stack import SiteStackMoments, SiteStackSums, intercepts
from cohortium.errors import FederationError
from cohortium.federation_coordinator.newton import ENOUGH
from cohortium.federation_coordinator.stack_state import n_scores, stack_of, stacking
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

SMALLEST_STEP = 1e-6
SHRINK = 0.9
"""Correlations of scores are taken for a tenth less than they are, as in ``run``."""


def described(state: State, answers: Mapping[str, SiteStackMoments]) -> State:
    """With mean and covariance of scores, by pairs of those that units have; weights at their start. Raises :class:`FederationError`."""
    here = [answers[s] for s in state.here]
    count, sums, products = (
        sum((getattr(a, n) for a in here), 0 * here[0].count) for n in ("count", "sums", "products")
    )
    own = np.maximum(np.diag(count), 1.0)
    if not np.diag(count).any():
        raise FederationError("No site has enough patients with scores of a part: weights cannot be fitted.")
    mean = np.diag(sums) / own
    # Over units with both scores, of deviations from the mean of each over all that have it.
    centred = products - sums * mean[None, :] - (sums * mean[None, :]).T + count * np.outer(mean, mean)
    full = centred / np.maximum(count, 1.0)
    cov = SHRINK * full
    np.fill_diagonal(cov, np.maximum(np.diag(full), 0.0) + 1e-8)
    parts, t = len(stacking(state).parts), intercepts(state.plan.kind, n_scores(state))
    start = np.concatenate([np.zeros(t), np.full(parts, 1 / parts)])
    fit = replace(stacking(state), moments=dict(answers), mean=mean, cov=cov, asked=start)
    return replace(state, fit=fit)


def penalised(state: State, at: Array) -> tuple[float, Array, Array]:
    """Penalty on weights at parameters, and its derivatives: on their differences, and a weak one that keeps dead parts out."""
    t = intercepts(state.plan.kind, n_scores(state))
    parts = len(at) - t
    matrix = np.zeros((len(at), len(at)))
    spread = np.eye(parts) - 1.0 / parts
    matrix[t:, t:] = stack_of(state).penalty * spread + np.eye(parts) / parts
    return 0.5 * float(at @ matrix @ at), matrix @ at, matrix


def weighed(state: State, answers: Mapping[str, SiteStackSums]) -> State:
    """The state after a round: other weights to ask about, or done. Raises :class:`FederationError`."""
    fit = stacking(state)
    loss, gradient, hessian = penalised(state, fit.asked)
    for s in state.here:
        loss, gradient, hessian = loss + answers[s].loss, gradient + answers[s].gradient, hessian + answers[s].hessian
    fit = replace(fit, sums=dict(answers), sums_at=fit.asked, tries=fit.tries + 1)
    first = not len(fit.accepted)
    if not first and loss > fit.loss + 1e-4 * fit.step * fit.slope + 1e-12 * (1 + abs(loss)):
        if fit.step < SMALLEST_STEP:
            raise FederationError("The weights of the stack found no way down; the sites' sums contradict each other.")
        step = fit.step / 2
        return replace(state, fit=replace(fit, step=step, asked=fit.accepted + step * fit.direction))
    t = intercepts(state.plan.kind, n_scores(state))
    direction = newton_step(gradient, hessian, fit.asked, t)
    slope = float(gradient @ direction)
    here = replace(fit, accepted=fit.asked, loss=loss, direction=direction, slope=slope, step=1.0)
    if -slope <= ENOUGH * (1 + abs(loss)):
        end = fit.asked + direction
        end[t:] = np.maximum(end[t:], 0.0)
        return replace(state, phase="done", fit=replace(here, accepted=end))
    if fit.tries > state.plan.rounds:
        raise FederationError(f"The weights of the stack did not converge in {state.plan.rounds} rounds.")
    step = min(1.0, 5.0 / max(float(np.abs(direction).max()), 1e-300))
    return replace(state, fit=replace(here, step=step, asked=fit.asked + step * direction))


def newton_step(gradient: Array, hessian: Array, at: Array, t: int) -> Array:
    """(P,) to the minimum of the quadratic with these derivatives at ``at``, where no parameter from place t on is below 0."""
    h = hessian + 1e-12 * np.trace(hessian) / len(at) * np.eye(len(at))
    free, w = slice(0, t), slice(t, None)
    solved = (
        np.linalg.solve(h[free, free], np.column_stack([h[free, w], gradient[free]]))
        if t
        else np.zeros((0, len(at) - t + 1))
    )
    s = h[w, w] - h[w, free] @ solved[:, :-1]
    g = gradient[w] - h[w, free] @ solved[:, -1]
    root = np.linalg.cholesky((s + s.T) / 2).T
    x, _ = nnls(root, np.linalg.solve(root.T, s @ at[w] - g))
    move = x - at[w]
    return np.concatenate([-(solved[:, -1] + solved[:, :-1] @ move), move])


def neutral(state: State) -> Array:
    """(K,) score of a unit of which nothing is known: the base rate of the others; of survival that of their expected hazard, were it the same at all times."""
    fit, kind = stacking(state), state.plan.kind
    here = [fit.moments[s] for s in state.here]
    outcome, units = sum(a.outcome for a in here), max(float(sum(a.units[0] for a in here)), 1e-300)
    if kind == "survival":
        last = [fit.sums[s] for s in state.here]
        return np.array([np.log(max(sum(a.hazard for a in last), 1e-300) / max(sum(a.time for a in last), 1e-300))])
    share = np.asarray(outcome / units)
    if kind == "continuous":
        return share
    if kind == "binary":
        p = np.clip(share, 0.5 / max(units, 1.0), 1 - 0.5 / max(units, 1.0))
        return np.asarray(np.log(p / (1 - p)))
    return np.asarray(np.log(np.maximum(share, 0.5 / max(units, 1.0))))
