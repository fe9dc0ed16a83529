"""Histograms of nodes below the root, in which bins hold few patients: neighbouring bins share their sums.

Of the two children of a split, and each column, neighbouring bins are put together until both children have none, or at least
``least``, of the site's patients in them; bins that were together in the parent stay together. Where that cannot be, because a child
holds fewer than ``least`` in all, the site adds nothing to either. The sums of bins that are together are dealt out by how many
patients of the site they hold at the root, which left with its histogram. So no sum that leaves, and no difference between a node and
its children, is of fewer than ``least`` patients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROUNDING = 1e-9


def enough(people: Array, least: int) -> Bools:
    """Whether counts of patients are none, or at least ``least``."""
    return (people < ROUNDING) | (people >= least - ROUNDING)


def merged(left: Array, right: Array, ends: Bools, least: int) -> Bools:
    """(P, q, B) whether a group of bins ends at a bin, of P pairs of children. left, right: (P, q, B) patients; ends: of the parents."""
    # Bins first: each step is over all pairs and columns. Both children at once, 0 and 1.
    both = np.moveaxis(np.stack([left, right]), -1, 0).copy()
    close = np.moveaxis(ends, -1, 0).copy()
    sums = np.zeros(both.shape[1:])
    for t in range(len(both)):
        sums += both[t]
        close[t] &= enough(sums, least).all(0)
        sums *= ~close[t]
    # What is left over at the end joins the groups before it, until it is enough.
    short = np.ones(sums.shape[1:], bool)
    sums[:] = 0.0
    for t in range(len(both) - 1, -1, -1):
        short &= ~(close[t] & enough(sums, least).all(0))
        if not short.any():
            break
        close[t] &= ~short
        sums += both[t]
    close[-1] = True
    return np.moveaxis(close, 0, -1)


def shared(sums: Array, ends: Bools, root: Array) -> Array:
    """(V, q, B) sums of V nodes, in each group of bins dealt out by the patients at the root (q, B)."""
    before = np.cumsum(ends, axis=-1) - ends
    row = np.arange(ends[..., 0].size).reshape(*ends.shape[:-1], 1) * ends.shape[-1]
    place = (row + before).ravel()
    held = np.broadcast_to(root, ends.shape).ravel()
    whole, every = np.bincount(place, sums.ravel(), ends.size), np.bincount(place, held, ends.size)
    share = held / np.maximum(every[place], 1e-300)
    found: Array = (whole[place] * share).reshape(ends.shape)
    return found
