"""What sums of a calibration must be: those of so many units and events, convex, and smooth where the likelihood is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FitAnswer, SiteScores
from cohortium.contracts.federation_preparing import SiteCalibration
from cohortium.federation_coordinator.checking import SLACK
from cohortium.federation_coordinator.state import Calibration, State

Array = NDArray[np.float64]

CONTRADICTS = "its answer contradicts its last one: not a likelihood of the same patients"
WRONG = "its sums are not what its declared counts say"


def wrong_calibration(
    a: FitAnswer, expected: tuple[str, ...], plan: str, state: State, known: SiteScores, c: Calibration, key: str
) -> str:
    """Why the answer of a site is refused, or an empty text. known: its scores of the same patients; key: of its earlier answers."""
    if not isinstance(a, SiteCalibration):
        return "it answered another question about this fit"
    if a.plan != plan or a.round != state.round:
        return "it answered another question: a repeated message"
    f = len(expected)
    if a.who != expected or a.loss.shape != (f,) or a.gradient.shape != (f, 2) or a.hessian.shape != (f, 3):
        return "its sums are of another number of parameters"
    if not all(np.isfinite(x).all() for x in (a.loss, a.gradient, a.hessian)):
        return "it sent NaN or infinite numbers"
    for i, who in enumerate(expected):
        reason = _one(a, i, who, state, known, c, key)
        if reason:
            return reason
    return ""


def _one(a: SiteCalibration, i: int, who: str, state: State, known: SiteScores, c: Calibration, key: str) -> str:
    """Of one fit: at nought everything but the scores is known; later, likelihoods are convex and no steeper than there."""
    kind, n, events = state.plan.kind, known.units, known.counts[-1]
    loss, (g0, g1), (h00, h01, h11) = a.loss[i], a.gradient[i], a.hessian[i]
    slack = SLACK * (1 + n)
    if min(h00, h11) < -slack or h01**2 > h00 * h11 * (1 + SLACK) + slack**2:
        return "its Hessian is not that of a likelihood: it has negative curvature"
    at = c.at[c.who.index(who)]
    if kind == "survival":
        if not at.any() and not 0 <= loss <= events * np.log(max(n, 2)) + slack:
            return WRONG
        return _not_convex(a, i, who, c, key)
    if h00 > (n if kind == "continuous" else n / 4) + slack:
        return WRONG
    if kind == "binary" and not at.any():
        fits = abs(loss - n * np.log(2)) < slack and abs(g0 - (n / 2 - events)) < slack and abs(h00 - n / 4) < slack
        if not fits or abs(g1) > np.sqrt(n * h11) + slack:
            return WRONG
    if kind == "continuous" and (abs(h00 - n) > slack or g0**2 > 2 * loss * n * (1 + SLACK) + slack):
        return WRONG
    if kind == "continuous" and g1**2 > 2 * max(loss, 0) * h11 * (1 + SLACK) + slack:
        return WRONG
    return _not_convex(a, i, who, c, key) or _too_steep(a, i, who, c, key)


def _not_convex(a: SiteCalibration, i: int, who: str, c: Calibration, key: str) -> str:
    """A convex function lies above its tangents: between this answer and the last of the same site."""
    last = c.last.get(key)
    if last is None or who not in last.who:
        return ""
    j, k = last.who.index(who), c.who.index(who)
    move = c.at[k] - c.last_at[k]
    slack = SLACK * (1 + abs(a.loss[i]) + abs(last.loss[j]))
    below = a.loss[i] < last.loss[j] + last.gradient[j] @ move - slack
    return CONTRADICTS if below or last.loss[j] < a.loss[i] - a.gradient[i] @ move - slack else ""


def _too_steep(a: SiteCalibration, i: int, who: str, c: Calibration, key: str) -> str:
    """Curvature is largest at nought, so that gradients cannot move faster than that (Nesterov 2004, theorem 2.1.5)."""
    first = c.first.get(key)
    if first is None or who not in first.who:
        return ""
    j = first.who.index(who)
    h = first.hessian[j]
    most, move = np.array([[h[0], h[1]], [h[1], h[2]]]), c.at[c.who.index(who)]
    turned = a.gradient[i] - first.gradient[j]
    bound = float(move @ most @ move)
    grown = float(turned @ np.linalg.pinv(most, hermitian=True) @ turned)
    tall = (a.hessian[i, [0, 2]] > h[[0, 2]] * (1 + SLACK) + SLACK).any()
    return CONTRADICTS if tall or grown > bound * (1 + 1e-4) + SLACK * (1 + abs(first.loss[j])) else ""
