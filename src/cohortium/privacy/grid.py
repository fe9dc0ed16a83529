"""Sums with noise on a grid: what leaves has the same possible values whatever the data are.

Noise in floating point has gaps that tell the sum below it (Mironov 2012, CCS). Here every patient's share is cut to a multiple of
a power of two, the sum is one of integers and so exact, and the noise is an integer: a discrete Gaussian (Canonne, Kamath & Steinke
2020, NeurIPS), by OpenDP from the operating system's randomness. The grid is 2^-30 of the noise or finer, so that
discrete and continuous noise differ by a total variation below 2e-20.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require

Array = NDArray[np.float64]

FINE = 30
"""The grid is at most 2^-FINE standard deviations of the noise."""

WITHIN = 1 - 2.0**-40
"""Shares are scaled to a norm that is smaller by this, so that rounding cannot lift them above it."""


class Noise(Protocol):
    """Where noise comes from. source: ``system`` (nobody can know it) or ``seed`` (whoever has the seed knows it)."""

    source: str

    def integers(self, scale: float, size: int, asked: str) -> NDArray[np.int64]:
        """(size,) Gaussian integers of standard deviation ``scale``, which is large. asked: digest of the question."""
        ...

    def uniform(self, size: int, asked: str) -> Array:
        """(size,) even numbers from 0 to 1: who is in a step."""
        ...


class SystemNoise:
    """Discrete Gaussian of OpenDP, from the operating system's randomness; another one each time. Needs the extra ``privacy``."""

    source = "system"

    def __init__(self) -> None:
        require("opendp", extra="privacy", purpose="Noise that nobody can foresee")

    def integers(self, scale: float, size: int, asked: str = "") -> NDArray[np.int64]:
        import opendp.prelude as dp

        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
        with _contributed():
            draw = dp.m.make_gaussian(*space, scale=float(scale))
        return np.array(draw([0] * size), dtype=np.int64)

    def uniform(self, size: int, asked: str = "") -> Array:
        return np.frombuffer(os.urandom(8 * size), dtype="<u8") / 2.0**64


class _contributed:  # noqa: N801
    """OpenDP's Gaussian is marked as contributed: allowed for as long as it is made, not for the whole process."""

    def __enter__(self) -> None:
        from opendp.mod import GLOBAL_FEATURES

        self.had = "contrib" in GLOBAL_FEATURES
        GLOBAL_FEATURES.add("contrib")

    def __exit__(self, *_: object) -> None:
        from opendp.mod import GLOBAL_FEATURES

        if not self.had:
            GLOBAL_FEATURES.discard("contrib")


class SeededNoise:
    """Rounded Gaussian numbers by seed, site and question: for simulations, which give the same numbers again. Hides nothing from who
    knows the seed."""

    source = "seed"

    def __init__(self, seed: int, site: str) -> None:
        self.seed, self.site = seed, site

    def integers(self, scale: float, size: int, asked: str) -> NDArray[np.int64]:
        return np.rint(self._rng(asked).standard_normal(size) * scale).astype(np.int64)

    def uniform(self, size: int, asked: str) -> Array:
        return self._rng(f"{asked}/who").random(size)

    def _rng(self, asked: str) -> np.random.Generator:
        key = hashlib.blake2b(f"{self.seed}/{self.site}/{asked}".encode(), digest_size=16).digest()
        return np.random.default_rng(int.from_bytes(key, "little"))


def grid_of(deviation: float, bound: float) -> float:
    """A power of two that is fine beside the noise, or beside the bound where there is no noise."""
    return 2.0 ** (math.floor(math.log2(deviation if deviation > 0 else bound)) - FINE)


def shares_on_grid(shares: Array, bound: float, grid: float) -> NDArray[np.int64]:
    """(n, d) shares of patients, cut to an L2 norm of ``bound`` and towards zero to multiples of ``grid``; as integers."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        norm = np.sqrt((shares * shares).sum(1))
        factor = np.minimum(1.0, bound * WITHIN / norm)
    factor[norm == 0] = 1.0
    return np.asarray(np.trunc(shares * factor[:, None] / grid).astype(np.int64))


def noisy_sum(shares: Array, bound: float, mu: float, noise: Noise, asked: str) -> Array:
    """(d,) sum over patients of their shares (n, d), each cut to the norm ``bound``, with noise of deviation bound / mu.

    Costs ``mu`` (add or remove a patient). Infinite mu: no noise. Raises ``ValueError`` for shares that are no numbers.
    """
    return noisy_sums([shares], shares.shape[1], bound, mu, noise, asked)


def noisy_sums(several: Iterable[Array], d: int, bound: float, mu: float, noise: Noise, asked: str) -> Array:
    """The same of patients in groups, each (n, d), so that not all shares need be held at a time."""
    deviation = bound / mu
    grid = grid_of(deviation, bound)
    total = np.zeros(d, np.int64)
    for shares in several:
        if not np.isfinite(shares).all():
            raise ValueError("shares are to be finite")
        total = total + shares_on_grid(shares, bound, grid).sum(0)
    if deviation > 0:
        total = total + noise.integers(deviation / grid, d, asked)
    return np.asarray(total * grid)
