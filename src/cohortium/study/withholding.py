"""Which counts of a table are withheld so that no count of 1 to 4 can be read or worked out (Hundepool 2012, Statistical
Disclosure Control, chapter 4: primary and secondary suppression, audited by linear programming)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.description import FEWEST

Counts = NDArray[np.int64]
Cells = NDArray[np.bool_]
Blocks = Sequence[Sequence[int]]


def withheld(counts: Counts, blocks: Blocks) -> tuple[Cells, Cells]:
    """(K, G) which counts of K levels in G groups are withheld, and of which of these it may be said that they are 1 to 4.

    blocks: groups that together are the first one (everyone). Withheld are counts of 1 to 4, all of a group of fewer than five
    known values, and as many more, the smallest first, as it takes that none of them has one possible value given all that is
    shown: sums of levels in a group, sums of groups of a block, and which cells are called small. The number of known values is
    not withheld: that a value is missing says nothing about it.
    """
    known = counts.sum(axis=0)
    small = (counts > 0) & (counts < FEWEST)
    hidden = _closed(small | (known < FEWEST)[None, :], counts, blocks)
    silent = np.zeros_like(hidden)
    while True:
        few = _said(small & hidden & (known >= FEWEST)[None, :] & ~silent, counts, hidden, blocks)
        found = _worked_out(small, counts, hidden, few, blocks)
        if not found:
            return hidden, few
        for k, g in found:
            near = np.zeros_like(hidden)
            near[k, :] = near[:, g] = True
            if (few & near).any():
                silent |= near
            elif few.any():
                silent[:] = True
            elif not _hide_smallest(hidden, counts, near) and not _hide_smallest(hidden, counts, ~near):
                return hidden, few
        hidden = _closed(hidden, counts, blocks)


def _sums(shape: tuple[int, int], blocks: Blocks) -> Iterator[Cells]:
    """The cells of each sum that a reader knows: levels of a group, and of a level everyone and the groups of a block."""
    for g in range(shape[1]):
        cells = np.zeros(shape, bool)
        cells[:, g] = True
        yield cells
    for block in blocks:
        for k in range(shape[0]):
            cells = np.zeros(shape, bool)
            cells[k, [0, *block]] = True
            yield cells


def _closed(hidden: Cells, counts: Counts, blocks: Blocks) -> Cells:
    """With as many more that no sum has one hidden cell alone."""
    hidden = hidden.copy()
    changed = True
    while changed:
        changed = False
        for cells in _sums(counts.shape, blocks):  # type: ignore[arg-type]
            if (hidden & cells).sum() == 1:
                changed |= _hide_smallest(hidden, counts, cells)
    return hidden


def _hide_smallest(hidden: Cells, counts: Counts, cells: Cells) -> bool:
    """Hide the smallest count above zero among ``cells``, of everyone only where there is no other; whether there was one."""
    free = cells & ~hidden & (counts > 0)
    inside = free.copy()
    inside[:, 0] = False
    free = inside if inside.any() else free
    if free.any():
        at = np.argmin(np.where(free, counts, np.iinfo(np.int64).max))
        hidden[np.unravel_index(at, hidden.shape)] = True
    return bool(free.any())


def _said(few: Cells, counts: Counts, hidden: Cells, blocks: Blocks) -> Cells:
    """Of no sum are all hidden cells called small: of 8 in two levels, both would be 4."""
    few = few.copy()
    for cells in _sums(counts.shape, blocks):  # type: ignore[arg-type]
        own = hidden & cells
        if own.any() and (few[own]).all():
            at = np.argmax(np.where(own, counts, -1))
            few[np.unravel_index(at, few.shape)] = False
    return few


def _worked_out(small: Cells, counts: Counts, hidden: Cells, few: Cells, blocks: Blocks) -> list[tuple[int, int]]:
    """Small cells that have one possible value given everything that is shown."""
    from scipy.optimize import linprog

    at = np.argwhere(hidden)
    if not len(at):
        return []
    rows, totals = [], []
    sign = np.ones(counts.shape)
    for i, cells in enumerate(_sums(counts.shape, blocks)):  # type: ignore[arg-type]
        if not (hidden & cells).any():
            continue
        by_level = i >= counts.shape[1]
        sign[:, 0] = -1.0 if by_level else 1.0
        row = np.where(cells, sign, 0.0)
        total = 0.0 if by_level else float(counts[cells].sum())
        rows.append(row[hidden])
        totals.append(total - float((row * counts)[~hidden].sum()))
    bounds = [(1, FEWEST - 1) if few[k, g] else (0, None) for k, g in at]
    found = []
    for i, (k, g) in enumerate(at):
        if small[k, g]:
            aim = np.zeros(len(at))
            aim[i] = 1.0
            ends = [linprog(s * aim, A_eq=np.array(rows), b_eq=totals, bounds=bounds) for s in (1.0, -1.0)]
            if all(e.status == 0 for e in ends) and -ends[1].fun - ends[0].fun < 1 - 1e-6:
                found.append((int(k), int(g)))
    return found
