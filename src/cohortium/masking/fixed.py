"""Numbers as integers modulo 2^(64 w), so that sums are exact and a uniform mask hides them completely.

x is stored as round(x 2^f), in w words of 64 bits, lowest first, two's complement. Sums of these integers are exact: of n
numbers the sum is off by at most n 2^-(f+1), and by the rounding of one float64 when it is read (2^-53 of its size).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Words = NDArray[np.uint64]

WORD = 2.0**64
MOST_TERMS = 128
"""Numbers that can be added without running over the top."""


def largest(words: int, fraction: int) -> float:
    """The size that a number must stay below, so that MOST_TERMS of them fit."""
    return float(2.0 ** (64 * words - 1 - fraction) / MOST_TERMS)


def resolution(fraction: int, terms: int) -> float:
    """How far a sum of so many numbers can be from the exact one, before it is rounded to float64."""
    return float(terms * 2.0 ** -(fraction + 1))


def to_fixed(x: Array, words: int, fraction: int) -> Words:
    """(w, n) of numbers x (n,). Raises :class:`ValueError` for what is not finite or too large."""
    if not np.isfinite(x).all() or (np.abs(x) >= largest(words, fraction)).any():
        raise ValueError("a number is not finite or too large")
    rest = np.round(np.abs(x) * 2.0**fraction)  # a power of two: exact but for the rounding to an integer
    out = np.zeros((words, len(x)), np.uint64)
    for k in reversed(range(words)):
        place = WORD**k
        digit = np.floor(rest / place)  # exact too: digits are a part of the 53 bits of a float64
        rest = rest - digit * place
        out[k] = digit.astype(np.uint64)
    return np.where(x < 0, negative(out), out)


def from_fixed(u: Words, fraction: int) -> Array:
    """(n,) numbers of (w, n), rounded to float64."""
    minus = u[-1] >> np.uint64(63) != 0
    size = np.where(minus, negative(u), u)
    out = np.zeros(u.shape[1])
    for k in range(len(u)):  # lowest first: each rounding is of the size of the sum so far
        out = out + size[k].astype(np.float64) * WORD**k
    return np.asarray(np.where(minus, -out, out) * 2.0**-fraction)


def add(a: Words, b: Words) -> Words:
    """Modulo 2^(64 w)."""
    out = np.empty_like(a)
    carry = np.zeros(a.shape[1], np.uint64)
    for k in range(len(a)):
        s = a[k] + b[k]
        over = s < a[k]
        out[k] = s + carry
        carry = (over | (out[k] < s)).astype(np.uint64)
    return out


def negative(a: Words) -> Words:
    """Modulo 2^(64 w)."""
    one = np.zeros_like(a)
    one[0] = 1
    return add(~a, one)
