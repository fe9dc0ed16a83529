"""Newton's method on sums: which parameters can be estimated, the next step, and when it is done."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Array = NDArray[np.float64]

ALIASED = 1e-10
"""A column of which less than this share of its curvature is left, given those before it, is a combination of them."""

FLAT = 1e5
"""A variance that grew so many times since the start belongs to an estimate that runs to infinity."""

ENOUGH = 1e-16
"""Squared Newton decrement, relative to 1 + |loss|, at which the estimate is exact to rounding after one more step."""


def estimable(hessian: Array, order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(P,) which parameters are no combination of those before them in ``order``; elimination as R's coxph does it."""
    h = hessian[np.ix_(order, order)].copy()
    keep = np.zeros(len(order), bool)
    start = np.diag(h).copy()
    for i in range(len(order)):
        if h[i, i] > ALIASED * max(start[i], 1e-300) and start[i] > 1e-12:
            keep[order[i]] = True
            h[i + 1 :, i + 1 :] -= np.outer(h[i + 1 :, i], h[i, i + 1 :]) / h[i, i]
            h[i + 1 :, i] = 0.0
    return keep


def inverse(hessian: Array, keep: NDArray[np.bool_]) -> Array:
    """(P, P) inverse over the kept parameters, zero elsewhere. Raises ``LinAlgError`` where it has none."""
    out = np.zeros_like(hessian)
    at = np.flatnonzero(keep)
    if len(at):
        h = hessian[np.ix_(at, at)]
        scale = 1 / np.sqrt(np.maximum(np.diag(h), 1e-300))
        factor = cho_factor(h * np.outer(scale, scale))
        out[np.ix_(at, at)] = cho_solve(factor, np.eye(len(at))) * np.outer(scale, scale)
    return out
