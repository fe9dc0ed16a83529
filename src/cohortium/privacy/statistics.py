"""Shares of patients in counts, means and variances: bounded by what was declared, so that a sum of them has a known sensitivity.

A patient counts once: several units of one share his weight, so that their number changes no sensitivity (the mean of vectors is no
longer than the longest). Bounds come from the study file, never from the data; values beyond them are cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST = 1.0
NARROWEST = 0.05
"""Noise can make a variance negative: a standard deviation is taken for at least this share of the declared range."""


def by_patient(rows: Array, patient: NDArray[np.int64]) -> Array:
    """(m, d) mean over each patient's units of rows (n, d)."""
    _, who = np.unique(patient, return_inverse=True)
    size = np.bincount(who)
    if (size == 1).all():
        return rows
    out = np.zeros((len(size), rows.shape[1]))
    np.add.at(out, who, rows)
    return out / size[:, None]


def scaled(x: Array, low: Array, high: Array) -> Array:
    """Values cut to their bounds and brought to -1 to 1; NaN stays."""
    middle, half = (low + high) / 2, (high - low) / 2
    return np.asarray(np.clip((x - middle) / half, -1.0, 1.0))


def moment_rows(x: Array, low: Array, high: Array, levels: Sequence[bool]) -> Array:
    """(n, 3 q) of each column whether it is known, its scaled value and the square of that. levels: columns of 0 and 1, of which the
    square says nothing more: it is 0."""
    z = scaled(x, low, high)
    known = ~np.isnan(z)
    z = np.where(known, z, 0.0)
    share = np.array(levels)
    z = np.where(share & known, np.where(known, x, 0.0), z)
    return np.hstack([known.astype(float), z, np.where(share, 0.0, z * z)])


def moment_bound(groups: Sequence[tuple[bool, int]]) -> float:
    """L2 norm that no row of :func:`moment_rows` is above. groups: of each feature whether it is coded by levels, and its columns:
    of a number 1, value and square are at most 1 each; all level columns of a feature are known together, one of them at most is 1."""
    return math.sqrt(sum(k + 1 if coded else 3 for coded, k in groups))


def means(total: Array, low: Array, high: Array, levels: Sequence[bool]) -> tuple[Array, Array]:
    """Mean and standard deviation (q,) of noisy sums (3 q,) of :func:`moment_rows`, in the units of the columns. Post-processing: costs
    nothing. Means stay within the bounds, standard deviations at least ``NARROWEST`` of the range."""
    q = len(low)
    count = np.maximum(total[:q], FEWEST)
    share = np.array(levels)
    first = total[q : 2 * q] / count
    z = np.where(share, np.clip(first, 0.0, 1.0), np.clip(first, -1.0, 1.0))
    second = np.clip(total[2 * q :] / count, 0.0, 1.0)
    variance = np.where(share, z * (1 - z), second - z * z)
    middle, half = (low + high) / 2, (high - low) / 2
    sd = np.sqrt(np.maximum(variance, (2 * NARROWEST) ** 2))
    return np.where(share, z, middle + half * z), np.where(share, sd, half * sd)
