"""Summaries of variables in groups of units, and which counts of them are withheld."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.description import FEWEST, Summary
from cohortium.study.measuring import Measured

Rows = NDArray[np.intp]
Counts = NDArray[np.int64]


def summarise(m: Measured, rows: Rows, rest: Rows | None) -> Summary:
    """One variable of some units, with every count. rest: the units that they are compared with."""
    from cohortium.metrics import level_difference, mean_difference, median_follow_up

    values, absent = m.values[rows], m.absent[rows]
    known = np.isfinite(values)
    here = Summary(int(known.sum()), int((~known & ~absent).sum()), int(absent.sum()))
    if m.variable.kind == "levels":
        counts = level_counts(m, rows)
        gap = None if rest is None else level_difference(counts, level_counts(m, rest))
        return replace(here, counts=[int(c) for c in counts], difference=gap)
    if here.n < FEWEST:
        return here
    if m.followed is not None:
        return replace(here, median=median_follow_up(m.followed.take(rows)))
    q1, median, q3 = (float(q) for q in np.quantile(values[known], [0.25, 0.5, 0.75]))
    made = replace(here, median=median, q1=q1, q3=q3)
    if rest is None:
        return replace(made, mean=float(values[known].mean()), sd=float(values[known].std(ddof=1)))
    other = m.values[rest][np.isfinite(m.values[rest])]
    if len(other) < FEWEST:
        return made
    spread = float(values[known].std(ddof=1)), float(other.std(ddof=1))
    return replace(
        made, difference=mean_difference(float(values[known].mean()), spread[0], float(other.mean()), spread[1])
    )


def level_counts(m: Measured, rows: Rows) -> Counts:
    """(K,) units of each level."""
    values = m.values[rows]
    return np.bincount(values[np.isfinite(values)].astype(int), minlength=len(m.variable.levels)).astype(np.int64)


def hidden_counts(counts: Counts, blocks: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """(K, G) which counts of K levels in G groups are withheld. blocks: groups that together are the first one (everyone).

    Withheld are counts of 1 to 4, all of a group of fewer than five known values, and as many more that none follows from a
    sum: of a group's levels, and of a level over everyone and the groups of a block, either none or at least two are withheld,
    the smallest first. The number of known values is not withheld: that a value is missing says nothing about it.
    """
    known = counts.sum(axis=0)
    hidden = ((counts > 0) & (counts < FEWEST)) | (known < FEWEST)[None, :]
    while True:
        before = int(hidden.sum())
        for g in range(counts.shape[1]):
            if hidden[:, g].sum() == 1:
                _hide_smallest(hidden[:, g], counts[:, g], 0)
        for block in blocks:
            groups = [*block, 0]  # everyone last: its counts are the most wanted
            for k in range(len(counts)):
                if hidden[k, groups].sum() == 1:
                    row = hidden[k, groups]
                    _hide_smallest(row, counts[k, groups], 1)
                    hidden[k, groups] = row
        if int(hidden.sum()) == before:
            return hidden


def _hide_smallest(hidden: NDArray[np.bool_], counts: Counts, spared: int) -> None:
    """Hide the smallest count above zero that is not hidden yet; the last ``spared`` only where there is no other."""
    free = np.flatnonzero(~hidden & (counts > 0))
    own = free[free < len(counts) - spared]
    free = own if len(own) else free
    if len(free):
        hidden[free[np.argmin(counts[free])]] = True


def withhold(s: Summary, hidden: NDArray[np.bool_], hidden_in_all: bool) -> Summary:
    """The summary without the hidden counts; without its difference where that would give one away."""
    counts = [None if h else c for c, h in zip(s.counts, hidden, strict=True)]
    few = [k for k, c in enumerate(s.counts) if c is not None and 0 < c < FEWEST <= s.n]
    unsafe = bool(counts) and (bool(hidden.any()) or hidden_in_all)
    return replace(s, counts=counts, few=few, difference=None if unsafe else s.difference)


def over_folds(made: Sequence[Summary], hidden_in_all: NDArray[np.bool_]) -> tuple[Summary, Summary]:
    """The smallest and the largest of each number over test folds.

    A level is withheld that has 1 to 4 units in the least or fullest fold, or is withheld in everyone; one alone takes the
    smallest other with it, and of two folds nothing is shown that has such a level: their sum is known.
    """
    counts = np.array([s.counts for s in made], np.int64).reshape(len(made), len(made[0].counts))
    low, high = counts.min(axis=0), counts.max(axis=0)
    hidden = hidden_in_all.copy()
    for extreme in (low, high):
        hidden |= (extreme > 0) & (extreme < FEWEST)
    if hidden.sum() == 1:
        _hide_smallest(hidden, high, 0)
    if hidden.any() and len(made) == 2:
        hidden[:] = True
    unsafe = bool(hidden.any())

    def of(pick: Any, counts: Counts) -> Summary:
        def one(name: str) -> float | None:
            known = [x for s in made if (x := getattr(s, name)) is not None]
            return pick(known) if known else None

        return Summary(
            *(int(pick(getattr(s, name) for s in made)) for name in ("n", "missing", "absent")),
            median=one("median"),
            q1=one("q1"),
            q3=one("q3"),
            counts=[None if h else int(c) for h, c in zip(hidden, counts, strict=True)],
            few=[k for k, c in enumerate(counts) if hidden[k] and 0 < c < FEWEST],
            difference=None if unsafe else one("difference"),
        )

    return of(min, low), of(max, high)
