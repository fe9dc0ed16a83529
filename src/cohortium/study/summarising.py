"""Summaries of variables in groups of units."""

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


def withhold(s: Summary, hidden: NDArray[np.bool_], few: NDArray[np.bool_], hidden_in_all: bool) -> Summary:
    """The summary without the hidden counts; without its difference where that would give one away."""
    counts = [None if h else c for c, h in zip(s.counts, hidden, strict=True)]
    unsafe = bool(counts) and (bool(hidden.any()) or hidden_in_all)
    said = [int(k) for k in np.flatnonzero(few)]
    return replace(s, counts=counts, few=said, difference=None if unsafe else s.difference)


def over_folds(made: Sequence[Summary], hidden_in_all: NDArray[np.bool_]) -> tuple[Summary, Summary]:
    """The smallest and the largest of each number over test folds.

    Folds are drawn at random: who is in one is not known. A level is withheld that has 1 to 4 units in the least or fullest fold, or is withheld in everyone; one alone takes the
    smallest other with it, and of two folds nothing is shown that has such a level: their sum is known.
    """
    counts = np.array([s.counts for s in made], np.int64).reshape(len(made), len(made[0].counts))
    low, high = counts.min(axis=0), counts.max(axis=0)
    hidden = hidden_in_all.copy()
    for extreme in (low, high):
        hidden |= (extreme > 0) & (extreme < FEWEST)
    if hidden.sum() == 1 and (others := ~hidden & (high > 0)).any():
        hidden[np.argmin(np.where(others, high, np.iinfo(np.int64).max))] = True
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
