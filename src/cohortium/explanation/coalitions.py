"""Shapley values of a game whose players are few: exact, or from drawn orders with their Monte-Carlo error.

The value of a player is the mean of what it adds over all orders in which players may come (Shapley 1953). Values add up
to v(all) - v(none); equal players have equal values; one that changes nothing has 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

EXACT = 12
"""Players up to which all 2^n coalitions are valued."""

PAIRS = 100
"""Orders drawn, each with its reverse, where players are more."""


@dataclass(frozen=True, eq=False)
class Shapley:
    """values: (n, d) of n players in d games played at once. error: (n, d) Monte-Carlo standard error, 0 where exact.
    nothing, everything: (d,) v(none) and v(all)."""

    values: Array
    error: Array
    nothing: Array
    everything: Array
    exact: bool


def shapley(
    n: int, value: Callable[[Mask], Array], rng: np.random.Generator, *, exact_up_to: int = EXACT, pairs: int = PAIRS
) -> Shapley:
    """Shapley values of ``n`` players. value: (n,) who is there -> (d,) what that is worth; asked once for each coalition.

    Beyond ``exact_up_to`` players, means over ``pairs`` random orders, each with its reverse (Mitchell 2022, JMLR 23:43).
    """
    return _exact(n, value) if n <= exact_up_to else _drawn(n, value, rng, pairs)


def _exact(n: int, value: Callable[[Mask], Array]) -> Shapley:
    nothing = np.asarray(value(np.zeros(n, dtype=bool)), dtype=np.float64)
    total, everything = np.zeros((n, len(nothing))), nothing
    for code in range(2**n):
        mask = (code >> np.arange(n)) & 1 == 1
        v = nothing if code == 0 else np.asarray(value(mask), dtype=np.float64)
        size = int(mask.sum())
        for i in range(n):
            # |S|! (n - |S| - 1)! / n! with S the coalition without i
            others = size - int(mask[i])
            weight = 1.0 / (n * comb(n - 1, others))
            total[i] += weight * v if mask[i] else -weight * v
        everything = v
    return Shapley(total, np.zeros_like(total), nothing, everything, True)


def _drawn(n: int, value: Callable[[Mask], Array], rng: np.random.Generator, pairs: int) -> Shapley:
    known: dict[bytes, Array] = {}

    def of(mask: Mask) -> Array:
        key = np.packbits(mask).tobytes()
        if key not in known:
            known[key] = np.asarray(value(mask.copy()), dtype=np.float64)
        return known[key]

    nothing, everything = of(np.zeros(n, dtype=bool)), of(np.ones(n, dtype=bool))
    total, square = (np.zeros((n, len(nothing))) for _ in range(2))
    for _ in range(pairs):
        order, pair = rng.permutation(n), np.zeros((n, len(nothing)))
        for way in (order, order[::-1]):
            mask, before = np.zeros(n, dtype=bool), nothing
            for i in way:
                mask[i] = True
                after = of(mask)
                pair[i] += (after - before) / 2
                before = after
        total += pair
        square += pair**2
    mean = total / pairs
    spread = np.maximum(square / pairs - mean**2, 0.0) * pairs / max(pairs - 1, 1)
    return Shapley(mean, np.sqrt(spread / pairs), nothing, everything, False)
