"""Groups are dealt to folds so that every fold gets its share of every stratum.

Own work rather than scikit-learn's ``StratifiedGroupKFold``, which balances the parts of the strata only: here folds also
come out equal in size, a rare class is followed by the patients who have it, and no fold can be empty
(``tests/resampling/test_dealing.py`` compares the two).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 20


def deal(
    strata: NDArray[np.int64], groups: NDArray[np.int64], k: int, needed: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(n,) fold 0..k-1 of each unit; units of one group share it, and no fold is empty (k <= groups).

    strata, groups: (n,) int. needed: strata that should be in every fold; when a draw leaves one out of a fold although
    enough groups hold it, further draws deal in random order and the best is taken. With one unit per group this is stratified
    K-fold: folds differ by at most one unit, in each stratum and in all.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    if int(codes.max()) + 1 == len(codes):
        return _deal_units(strata, codes, k, rng)
    table = np.zeros((int(codes.max()) + 1, int(strata.max()) + 1))
    np.add.at(table, (codes, strata), 1.0)
    best, fewest = np.zeros(0, dtype=np.int64), np.inf
    for draw in range(DRAWS):
        fold = _deal_groups(table, k, rng, by_weight=draw == 0)
        left_out = _left_out(table, fold, k, needed)
        if left_out < fewest:
            best, fewest = fold, left_out
        if not left_out:
            break
    return best[codes]


def _deal_units(
    strata: NDArray[np.int64], codes: NDArray[np.int64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Stratum by stratum, rare ones first, round and round the folds, the one with fewest units first.

    The shuffle is of sorted groups, so that the folds depend on the groups' names and not on the order of rows.
    """
    shuffled, tie = np.argsort(codes)[rng.permutation(len(codes))], rng.permutation(k)
    size, fold = np.zeros(k, dtype=np.int64), np.zeros(len(codes), dtype=np.int64)
    counts = np.bincount(strata)
    for s in np.argsort(counts, kind="stable"):
        members = shuffled[strata[shuffled] == s]
        fold[members] = np.resize(np.lexsort((tie, size)), len(members))
        size += np.bincount(fold[members], minlength=k)
    return fold


def _deal_groups(table: NDArray[np.float64], k: int, rng: np.random.Generator, by_weight: bool) -> NDArray[np.int64]:
    """(groups,) fold. table: (groups, strata) units. Groups that weigh most come first, or in any order; each goes where it adds least
    to the sum of squared shares of the strata, then to the smallest fold (so an empty fold is filled first)."""
    total = np.maximum(table.sum(axis=0), 1.0)
    shuffled, tie = rng.permutation(len(table)), rng.permutation(k)
    weight = ((table / total) ** 2).sum(axis=1) * by_weight
    order = shuffled[np.argsort(-weight[shuffled], kind="stable")]
    cost, size = table / total**2, table.sum(axis=1)
    filled, units = np.zeros((k, table.shape[1])), np.zeros(k)
    fold = np.zeros(len(table), dtype=np.int64)
    for g in order:
        f = np.lexsort((tie, units, (filled * cost[g]).sum(axis=1)))[0]
        fold[g] = f
        filled[f] += table[g]
        units[f] += size[g]
    return fold


def _left_out(table: NDArray[np.float64], fold: NDArray[np.int64], k: int, needed: Sequence[int]) -> int:
    """How many (stratum, fold) pairs lack each other though enough groups hold the stratum."""
    return sum(
        min(k, int((table[:, s] > 0).sum())) - len(np.unique(fold[table[:, s] > 0]))
        for s in needed
        if s < table.shape[1]
    )
