"""From contrasts with knockoffs to a list whose expected share of false discoveries is bounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def threshold(w: Array, fdr: float) -> float:
    """Smallest t with (1 + #{w <= -t}) / #{w >= t} <= fdr; infinity where there is none (Barber & Candès 2015, Ann Stat
    43:2055: knockoff+)."""
    for t in np.unique(np.abs(w[w != 0])):
        if (1 + (w <= -t).sum()) <= fdr * (w >= t).sum():
            return float(t)
    return np.inf


def e_values(w: Array, fdr: float) -> Array:
    """Of every w an e-value: those of the nulls sum to len(w) at most, in expectation (Ren & Barber 2024, JRSS B 86:122)."""
    t = threshold(w, fdr)
    if not np.isfinite(t):
        return np.zeros(len(w))
    return np.asarray(len(w) * (w >= t) / (1.0 + (w <= -t).sum()))


def e_benjamini_hochberg(e: Array, fdr: float) -> NDArray[np.bool_]:
    """Rejected e-values, whatever their dependence (Wang & Ramdas 2022, JRSS B 84:822)."""
    order = np.argsort(-e, kind="stable")
    k = np.arange(1, len(e) + 1)
    passed = np.flatnonzero(e[order] * fdr * k >= len(e) * (1 - 1e-12))
    out = np.zeros(len(e), dtype=bool)
    if len(passed):
        out[order[: passed[-1] + 1]] = True
    return out
