"""Means and standard deviations of all sites together, and sites whose numbers are of another unit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, SiteMoments

Array = NDArray[np.float64]

FAR = 20.0
"""A site whose mean is so many standard deviations away from the others' median, or whose spread is so many times theirs,
measures something else."""

MANY, FEW = 50, 0.1
"""Of a table with so many numeric columns, this share may be so far: those columns are not used, and the site stays."""


def together(count: Array, mean: Array, squares: Array) -> tuple[Array, Array, Array]:
    """Count, mean and population standard deviation (q,) from those of sites (sites, q); exact, no large sums cancel
    (Chan, Golub & LeVeque 1983, Am Stat 37:242)."""
    total = count.sum(0)
    safe = np.maximum(total, 1e-300)
    centre = (count * mean).sum(0) / safe
    spread = squares.sum(0) + (count * (mean - centre) ** 2).sum(0)
    return total, centre, np.sqrt(np.maximum(spread / safe, 0.0))


def scaled(moments: Mapping[str, tuple[Array, Array, Array]]) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Mean and sd (q,) of all sites, and which columns vary at all; of their counts, means and squares (q,)."""
    count, mean, squares = (np.array([m[i] for m in moments.values()]) for i in range(3))
    total, centre, sd = together(count, mean, squares)
    varies = (total > 0) & (sd > 1e-9 * np.maximum(1.0, np.abs(centre)))
    return centre, np.where(varies, sd, 1.0), varies


def outcome_scale(moments: Mapping[str, SiteMoments]) -> tuple[float, float]:
    """Mean and sd of a continuous endpoint; (0, 1) of others."""
    values = list(moments.values())
    if not any(m.outcome_squares for m in values):
        return 0.0, 1.0
    parts = ([[m.weight] for m in values], [[m.outcome_mean] for m in values], [[m.outcome_squares] for m in values])
    _, mean, sd = together(*(np.array(p) for p in parts))
    return float(mean[0]), float(sd[0])


def other_units(moments: Mapping[str, SiteMoments], columns: Sequence[Column]) -> dict[str, str]:
    """Site -> why its numbers cannot be those of the others. With two sites both are named: who is right is not known.

    Of a table with many columns a few may differ as far by their nature (a gene that hardly anyone expresses): see
    :func:`unlike_columns`."""
    out: dict[str, str] = {}
    wide = _wide(columns)
    while len(moments) - len(out) > 1:
        rest = {s: m for s, m in moments.items() if s not in out}
        found = {s: _farthest(_far(m, [o for t, o in rest.items() if t != s], columns), wide) for s, m in rest.items()}
        far = {s: f for s, f in found.items() if f[0] > FAR}
        if not far:
            break
        worst = max(far, key=lambda s: far[s][0])
        named = far if len(rest) == 2 else {worst: far[worst]}
        out |= {
            s: f"the numbers of '{columns[f[1]].name}' are of another size there than elsewhere: other units?"
            for s, f in named.items()
        }
    return out


def unlike_columns(moments: Mapping[str, SiteMoments], columns: Sequence[Column]) -> NDArray[np.bool_]:
    """(q,) columns of tables with many, of which the numbers of some site are of another size than elsewhere."""
    several = np.zeros(len(columns), dtype=bool)
    for at in _wide(columns):
        several[at] = True
    if not several.any() or len(moments) < 2:
        return several & False
    far = [_far(m, [o for t, o in moments.items() if t != s], columns) for s, m in moments.items()]
    return several & (np.array(far).max(axis=0) > FAR)


def _wide(columns: Sequence[Column]) -> list[NDArray[np.intp]]:
    """Positions of the numeric columns of each table that has many of them."""
    by: dict[str, list[int]] = {}
    for j, c in enumerate(columns):
        if not c.level:
            by.setdefault(c.modality, []).append(j)
    return [np.array(at, dtype=np.intp) for at in by.values() if len(at) >= MANY]


def _farthest(far: Array, wide: Sequence[NDArray[np.intp]]) -> tuple[float, int]:
    """How far a site is, and by which column; a table with many columns counts where more than ``FEW`` of them are far."""
    said = far.copy()
    for at in wide:
        if (far[at] > FAR).mean() <= FEW:
            said[at] = np.minimum(said[at], FAR)
    worst = int(said.argmax()) if len(said) else 0
    return (float(said[worst]), worst) if len(said) else (0.0, 0)


def _far(m: SiteMoments, others: Sequence[SiteMoments], columns: Sequence[Column]) -> Array:
    """(q,) how far the numbers of a site are from the medians of the others; 0 where that cannot be said."""
    counts = np.array([o.count for o in others])
    here = np.where(counts > 0, 1.0, np.nan)
    deviations = np.sqrt(np.array([o.squares for o in others]) / np.maximum(counts, 1e-300)) * here
    with warnings.catch_warnings():  # a column that no other site knows
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmedian(np.array([o.mean for o in others]) * here, axis=0)
        sd = np.nanmedian(deviations, axis=0)
    own = np.sqrt(m.squares / np.maximum(m.count, 1e-300))
    known = (m.count > 0) & (sd > 0) & (own > 0) & np.array([not c.level for c in columns], dtype=bool)
    safe, spread = np.where(known, sd, 1.0), np.where(known, own, 1.0)
    ratio = np.maximum(spread / safe, safe / spread)
    distance = np.abs(m.mean - np.nan_to_num(mean)) / np.maximum(spread, safe)
    return np.where(known, np.maximum(ratio, distance), 0.0)
