"""Shrinkage of many locations and variances towards what they have in common, by empirical Bayes.

Johnson, Li & Rabinovic 2007, Biostatistics 8:118: a normal prior of locations, an inverse gamma prior of variances, both by moments.
Counts, means and sums of squares are enough: no rows are needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE, MOST_ROUNDS = 1e-10, 1000


def shrunken(n: Array, mean: Array, square: Array) -> tuple[Array, Array]:
    """(p,) shrunken locations and variances. n: (p,) observations of each feature, 0 where there are none; mean: (p,);
    square: (p,) sums of squared deviations."""
    some, several = n > 0, n > 1
    centre, spread = _moments(mean[some])
    variance = square / np.maximum(n - 1, 1)
    v, w = _moments(variance[several])
    gamma, delta = mean.copy(), np.where(several, variance, 1.0)
    if not w > 0:
        # Variances that do not differ are known without looking at the feature; one row in the batch tells of none.
        delta = np.full(len(mean), v if several.any() else 1.0)
        return _location(mean, centre, n, delta, spread), delta
    a, b = 2 + v * v / w, v + v**3 / w
    for _ in range(MOST_ROUNDS):
        new = _location(mean, centre, n, delta, spread)
        scale = (0.5 * (square + n * (mean - new) ** 2) + b) / (n / 2 + a - 1)
        moved = max(float(np.abs(new - gamma).max()), float((np.abs(scale - delta) / delta).max()))
        gamma, delta = new, scale
        if moved < TOLERANCE:
            break
    return gamma, delta


def _moments(values: Array) -> tuple[float, float]:
    """Mean, and variance with n - 1; 0 where there are too few."""
    if not len(values):
        return 0.0, 0.0
    return float(values.mean()), float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _location(mean: Array, centre: float, n: Array, delta: Array, spread: float) -> Array:
    return np.asarray((spread * n * mean + delta * centre) / (spread * n + delta))
