"""Standardised differences between two groups: how unlike they are, in a unit that does not grow with their size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean_difference(mean_a: float, sd_a: float, mean_b: float, sd_b: float) -> float | None:
    """Absolute difference of two means in standard deviations: the root of the mean of both variances (Austin 2009, Stat Med
    28:3083). sd: with n - 1. None where both are zero and the means differ, or a number is not known; 0 where all are alike."""
    spread = float(np.sqrt((sd_a**2 + sd_b**2) / 2))
    gap = abs(mean_a - mean_b)
    if not np.isfinite([spread, gap]).all():
        return None
    # A constant column has a spread of rounding errors.
    if spread <= 1e-12 * max(abs(mean_a), abs(mean_b)):
        return 0.0 if gap <= 1e-12 * max(abs(mean_a), abs(mean_b)) else None
    return gap / spread


def level_difference(counts_a: NDArray[np.integer], counts_b: NDArray[np.integer]) -> float | None:
    """Mahalanobis distance between the shares of K levels in two groups (Yang & Dalton 2012, SAS Global Forum 335); of two
    levels |p - q| / sqrt((p(1-p) + q(1-q)) / 2), as Austin 2009. counts: (K,). None where a group is empty, or where the groups
    have no level in common and no spread."""
    seen = (counts_a + counts_b) > 0
    a, b = counts_a[seen].astype(np.float64), counts_b[seen].astype(np.float64)
    if a.sum() == 0 or b.sum() == 0:
        return None
    p, q = (a / a.sum())[1:], (b / b.sum())[1:]
    if not len(p):
        return 0.0
    spread = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    gap = p - q
    inverse = np.linalg.pinv(spread, rcond=1e-10, hermitian=True)
    if float(np.abs(spread @ inverse @ gap - gap).max()) > 1e-8:  # no spread where they differ
        return None
    return float(np.sqrt(max(gap @ inverse @ gap, 0.0)))
