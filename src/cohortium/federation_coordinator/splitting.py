"""The best split of a node from sums of gradients: second order, as XGBoost has it (Chen & Guestrin 2016, KDD, 785-794)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import TreesPlan

Array = NDArray[np.float64]

TIE = 1e-10
"""Gains that differ by less, relative to what they are differences of, are the same: rounding of sums chooses no split."""

SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Split:
    """column, cut: bins up to it go left; unknown: 1 when those without a value do. left, right: (3,) sums of gradient, second
    derivative and units."""

    column: int
    cut: int
    unknown: float
    gain: float
    left: Array
    right: Array


def score(sums: Array, ridge: float) -> Array:
    """G^2 / (H + ridge) of sums (3, ...)."""
    return np.asarray(sums[0] ** 2 / np.maximum(sums[1] + ridge, 1e-300))


def best_split(sums: Array, plan: TreesPlan) -> Split | None:
    """Of a node with sums (3, q, B + 1); None where no split gains. Of equal ones the first column, the lowest cut, unknown to the
    left. Where nobody's value is unknown, unknown goes with the more."""
    known, lacking = np.cumsum(sums[..., :-1], axis=-1), sums[..., -1:]
    whole = known[:, :1, -1:] + lacking[:, :1]
    left = np.stack([known + lacking, known], axis=-1)  # (3, q, B, 2)
    right = whole[..., None] - left
    fine = np.ones(left.shape[1:], bool)
    for side in (left, right):
        fine &= (side[2] >= plan.least_leaf - SLACK) & (side[1] >= plan.least_curvature * (1 - SLACK) - SLACK)
        fine &= side[1] + plan.ridge > SLACK
    fine[..., 0] &= lacking[2] > SLACK
    if not fine.any():
        return None
    both = score(left, plan.ridge) + score(right, plan.ridge)
    gain = np.where(fine, 0.5 * (both - score(whole[..., None], plan.ridge)), -np.inf)
    near = TIE * float(both[fine].max())
    top = float(gain.max())
    if top <= near:
        return None
    j, b, way = (int(i) for i in np.unravel_index(int((gain >= top - near).argmax()), gain.shape))
    one, other = left[:, j, b, way], right[:, j, b, way]
    unknown = float(one[2] >= other[2]) if lacking[2, j, 0] <= SLACK else float(way == 0)
    return Split(j, b, unknown, float(gain[j, b, way]), one.copy(), other.copy())
