"""Edges of bins from counts by cell: quantiles of all sites together, without a single value.

A grid is laid over the mean and four standard deviations to both sides, then laid again where the counts are, so that each of its
cells holds few; of the last grid the edges nearest to the quantiles become the edges of bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CELLS = 128
WIDE = 4.0
ROUNDS = 3
"""Each makes the widest cell that holds something about CELLS times narrower."""


def first_grid(mean: Array, sd: Array) -> Array:
    """(c, CELLS - 1) edges around the means (c,)."""
    return np.asarray(mean[:, None] + sd[:, None] * np.linspace(-WIDE, WIDE, CELLS - 1))


def finer_grid(grid: Array, counts: Array, mean: Array, sd: Array) -> Array:
    """Edges between which about equally many units lie. counts: (c, CELLS) of all sites by cell of ``grid``.

    Outermost values are within sqrt(n) standard deviations (Samuelson 1968, JASA 63:1522).
    """
    out = np.empty_like(grid)
    for j, n in enumerate(counts):
        reach = sd[j] * np.sqrt(max(n.sum(), 1.0))
        ends = min(mean[j] - reach, grid[j, 0] - sd[j]), max(mean[j] + reach, grid[j, -1] + sd[j])
        at = np.concatenate([ends[:1], grid[j], ends[1:]])
        below = np.concatenate([[0.0], np.cumsum(n)])
        some = np.concatenate([[True], np.diff(below) > 0])  # empty cells have no share of the edges
        some[:-1] |= some[1:]
        found = np.interp(np.arange(1, CELLS) / CELLS * below[-1], below[some], at[some])
        out[j] = _rising(found, grid[j])
    return out


def _rising(found: Array, last: Array) -> Array:
    """Edges that differ; where they do not, those of the last grid."""
    scale = np.finfo(float).eps * 8 * np.maximum(np.abs(found), np.abs(found).max(initial=0.0))
    return found if (np.diff(found) > scale[1:]).all() else last


def edges_of(grid: Array, counts: Array, bins: int) -> tuple[Array, float]:
    """Edges of at most ``bins`` bins of a column, each with units in it, and how far they are from the quantiles they stand for: the
    largest share of units between. grid: (m - 1,), counts: (m,)."""
    below = np.cumsum(counts)[:-1] / max(counts.sum(), 1.0)
    wanted = np.arange(1, bins) / bins
    chosen: list[int] = []
    off = 0.0
    for w in wanted:
        i = int(np.abs(below - w).argmin())
        if not 0 < below[i] < 1 or (chosen and below[i] <= below[chosen[-1]]):
            continue
        chosen.append(i)
        off = max(off, float(abs(below[i] - w)))
    return grid[chosen], off
