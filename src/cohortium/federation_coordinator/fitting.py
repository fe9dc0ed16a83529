"""One round of the fit: sums of all sites in, the next parameters out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import SiteSums
from cohortium.errors import FederationError
from cohortium.federation_coordinator.newton import ENOUGH, FLAT, estimable, inverse
from cohortium.federation_coordinator.state import Fit, State, newton

Array = NDArray[np.float64]

SMALLEST_STEP = 1e-6


def fresh(n: int) -> Fit:
    """The start: all n parameters zero."""
    none = np.zeros(0)
    return Fit(np.zeros(n), none, np.inf, none, 0.0, 1.0, none, none, {}, none, {}, 0)


def size(state: State) -> tuple[int, int]:
    """Intercepts, and scores K."""
    kind = state.plan.kind
    if state.plan.baseline is not None:  # one for each bin of time
        return len(newton(state).asked) - len(state.columns), 1
    return (0 if kind == "survival" else len(state.classes) if kind == "multiclass" else 1,
            len(state.classes) if kind == "multiclass" else 1)  # fmt: skip


def penalties(state: State) -> Array:
    """(P,) ridge on coefficients, none on intercepts."""
    intercepts, k = size(state)
    return np.concatenate([np.zeros(intercepts), np.full(len(state.columns) * k, state.plan.penalty)])


def elimination_order(state: State) -> NDArray[np.intp]:
    """Parameters in the order in which they are kept; of several classes those of the first come last, so that it is the
    reference that others are held against."""
    _, k = size(state)
    every = np.arange(len(penalties(state)))
    return np.concatenate([every[every % k != 0], every[every % k == 0]]) if k > 1 else every


def total(state: State, answers: dict[str, SiteSums], at: Array) -> tuple[float, Array, Array]:
    """Penalised loss, gradient and Hessian of all sites; sites in a fixed order, so that the sum is the same to the bit."""
    ridge = penalties(state)
    sums = [answers[s] for s in state.here]
    loss = sum(s.loss for s in sums) + 0.5 * float(ridge @ (at * at))
    gradient = sum((s.gradient for s in sums), np.zeros(len(at))) + ridge * at
    hessian = sum((s.hessian for s in sums), np.zeros((len(at), len(at)))) + np.diag(ridge)
    return loss, gradient, hessian


def advance(state: State, answers: dict[str, SiteSums]) -> State:
    """The state after a round: with other parameters to ask about, or done. Raises :class:`FederationError`."""
    fit = newton(state)
    loss, gradient, hessian = total(state, answers, fit.asked)
    fit = replace(fit, sums=answers, sums_at=fit.asked, tries=fit.tries + 1)
    first_time = not len(fit.accepted)
    rounding = 1e-12 * (1 + abs(loss))
    if not first_time and loss > fit.loss + 1e-4 * fit.step * fit.slope + rounding:
        if fit.step < SMALLEST_STEP:
            raise FederationError(
                "The fit found no way down; the sites' sums contradict each other. Nothing was estimated."
            )
        step = fit.step / 2
        return replace(state, fit=replace(fit, step=step, asked=fit.accepted + step * fit.direction))
    if first_time:
        keep = estimable(hessian, elimination_order(state))
        fit = replace(fit, kept=keep.astype(float), first=np.diag(inverse(hessian, keep)).copy())
        state = replace(state, notices=(*state.notices, *_aliased(state, keep)))
        if not keep[size(state)[0] :].any() and len(state.columns):
            raise FederationError("No column can be estimated: none varies where it would count.")
    keep = fit.kept > 0
    try:
        covariance = inverse(hessian, keep)
    except np.linalg.LinAlgError:
        covariance = None
    _separated(state, fit, keep, covariance)
    assert covariance is not None
    direction = -covariance @ gradient
    slope = float(gradient @ direction)
    here = replace(fit, accepted=fit.asked, loss=loss, direction=direction, slope=slope, step=1.0, best=answers)
    if -slope <= ENOUGH * (1 + abs(loss)):
        return replace(state, phase="done", fit=replace(here, accepted=fit.asked + direction))
    if fit.tries > state.plan.rounds:
        raise FederationError(
            f"The fit did not converge in {state.plan.rounds} rounds. Set federation.penalty above 0, or allow more rounds."
        )
    # Far from the optimum a full step of a logistic or Cox model may overshoot into regions without curvature.
    step = min(1.0, 5.0 / max(float(np.abs(direction).max(initial=0.0)), 1e-300))
    return replace(state, fit=replace(here, step=step, asked=fit.asked + step * direction))


def _aliased(state: State, keep: NDArray[np.bool_]) -> list[str]:
    intercepts, k = size(state)
    every = keep[intercepts:].reshape(len(state.columns), k)
    lost = [c.name for c, kept in zip(state.columns, every, strict=True) if not kept[-1]]
    return [
        f"Column '{n}' is a combination of those before it, or does not vary where it counts: no coefficient."
        for n in lost
    ]


def _separated(state: State, fit: Fit, keep: NDArray[np.bool_], covariance: Array | None) -> None:
    """Raise where an estimate runs to infinity: the columns tell the outcome of some patients for certain."""
    intercepts, k = size(state)
    if covariance is None:
        grown = keep & (np.abs(fit.asked) >= np.abs(fit.asked[keep]).max())
    else:
        grown = keep & (np.diag(covariance) > FLAT * np.maximum(fit.first, 1e-300))
    grown[:intercepts] = False
    if not grown.any() and covariance is not None:
        return
    names = [state.columns[(i - intercepts) // k].name for i in np.flatnonzero(grown)]
    unique = list(dict.fromkeys(names))
    said = ", ".join(f"'{n}'" for n in unique[:5]) + (f" and {len(unique) - 5} more" if len(unique) > 5 else "")
    raise FederationError(
        f"No finite estimate, the data are separated: the outcome of some patients is certain given {said or 'the columns'}. "
        "Set federation.penalty above 0, or leave the feature out."
    )
