"""Canonical correlation of several blocks of the same units, of which a unit may lack any.

The generalised form in which each canonical variate is the mean of what the blocks say of it, and the blocks agree as far
as they can (MAXVAR; Kettenring 1971, Biometrika 58:433), units that lack a block left out of its part (van de Velden &
Takane 2012, Comput Stat 27:551), with a ridge in each block, without which features that outnumber units agree perfectly about
nothing (Vinod 1976, J Econometrics 4:147). With two complete blocks it is Hotelling's. Worked out in the span of the units or
of the features, whichever is smaller.

How far blocks agree on units that shaped nothing is what counts: ridge, number of variates, and how far each
block's word is trusted all come from units that were held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.fusion.factors import Block
from cohortium.fusion.joining import sample_space

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

RIDGES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Relative to the mean variance of a block's directions; the last are near to partial least squares."""

LEAST, MOST = 0.05, 0.95
"""How far a block's variate may be thought to tell of the common one, as a correlation."""

BY_CHANCE = 1.645
"""A variate on which blocks agree by less than so many standard errors of no agreement is dropped."""


@dataclass(frozen=True, eq=False)
class Directions:
    """maps: per block (q, K) from its features to what it says of each variate. centres: per block (q,)."""

    maps: tuple[Array, ...]
    centres: tuple[Array, ...]

    def said(self, x: Array, j: int) -> Array:
        """(m, K) of the block's rows (m, q)."""
        return (x - self.centres[j]) @ self.maps[j]


def fit_directions(blocks: Sequence[Block], n: int, size: int, ridge: float) -> Directions:
    """The leading variates of blocks without gaps. On the units that were fitted, the mean over a unit's blocks of what they
    say of a variate is its value, of unit mean square with a weight by the number of blocks."""
    from scipy.linalg import eigh

    centres = tuple(b.x.mean(axis=0) for b in blocks)
    bases = [_basis(b.x - c, ridge) for b, c in zip(blocks, centres, strict=True)]
    count = np.zeros(n)
    for b in blocks:
        count[b.rows] += 1
    edges = np.cumsum([0, *(w.shape[1] for w, _ in bases)])
    whole = np.zeros((n, edges[-1]))
    for b, (w, _), i, k in zip(blocks, bases, edges[:-1], edges[1:], strict=True):
        whole[b.rows, i:k] = w / np.sqrt(count[b.rows])[:, None]
    tall = n > whole.shape[1]
    gram = whole.T @ whole if tall else whole @ whole.T
    size = max(1, min(size, len(gram)))
    values, vectors = eigh(gram, subset_by_index=[len(gram) - size, len(gram) - 1])
    keep = values > max(float(values[-1]), 1e-300) * 1e-9
    values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
    right = vectors if tall else whole.T @ vectors / np.sqrt(values)
    top = np.abs(right).argmax(axis=0)
    right = right * np.where(right[top, np.arange(right.shape[1])] < 0, -1.0, 1.0)
    right = right * np.sqrt(count.sum() / values)
    maps = tuple(v @ right[i:k] for (_, v), i, k in zip(bases, edges[:-1], edges[1:], strict=True))
    return Directions(maps, centres)


def _basis(x: Array, ridge: float) -> tuple[Array, Array]:
    """(m, r) whitened rows, shrunk by the ridge, and (q, r) what makes them of features."""
    if x.shape[1] > len(x):
        vectors, s = sample_space(x)
        back = x.T @ (vectors / s)
    else:
        values, back = np.linalg.eigh(x.T @ x)
        keep = values > max(float(values[-1]), 1e-300) * 1e-9
        s, back = np.sqrt(values[keep])[::-1], back[:, keep][:, ::-1]
    v = back / np.sqrt(np.square(s) + ridge * np.square(s).mean())
    return x @ v, v


@dataclass(frozen=True, eq=False)
class Canonical:
    """Directions, and how far to trust each block. signal: (M, K) correlation with the common variate of what a block says of
    units that shaped nothing. scale: (M, K) its standard deviation there. agreement: (K,) mean correlation between blocks
    there, NaN where nobody has two. ridge: that was chosen."""

    directions: Directions
    signal: Array
    scale: Array
    agreement: Array
    ridge: float

    @property
    def size(self) -> int:
        """K."""
        return len(self.agreement)

    def infer(self, blocks: Sequence[Block | None], n: int) -> tuple[Array, Array]:
        """(n, K) mean and variance of the common variates given whatever blocks a unit has: one Gaussian factor a variate, of
        which each block is a noisy sight (Bach & Jordan 2005); 0 and 1 where nothing is known."""
        total, precision = np.zeros((n, self.size)), np.ones((n, self.size))
        for j, b in enumerate(blocks):
            if b is not None and len(b.rows):
                noise = 1 - np.square(self.signal[j])
                total[b.rows] += self.signal[j] / noise * self.directions.said(b.x, j) / self.scale[j]
                precision[b.rows] += np.square(self.signal[j]) / noise
        return total / precision, 1 / precision

    def state(self) -> dict[str, Any]:
        """JSON-able, arrays as leaves."""
        own = {k: getattr(self, k) for k in ("signal", "scale", "agreement", "ridge")}
        return {"maps": list(self.directions.maps), "centres": list(self.directions.centres), **own}

    @staticmethod
    def restore(state: dict[str, Any]) -> Canonical:
        maps, centres = (tuple(np.asarray(a) for a in state[k]) for k in ("maps", "centres"))
        arrays = (np.asarray(state[k]) for k in ("signal", "scale", "agreement"))
        return Canonical(Directions(maps, centres), *arrays, float(state["ridge"]))


@dataclass(frozen=True, eq=False)
class _Seen:
    """What held-out units say, over all folds. pairs: (M, M, K) correlations. units: (M, M) how many have both. sd: (M, K)."""

    pairs: Array
    units: Array
    sd: Array

    def agreement(self) -> Array:
        """(K,) mean over pairs that were seen, by how many units have both; NaN where none was."""
        weight = np.triu(self.units, 1)
        total = weight.sum()
        return np.tensordot(weight, self.pairs, 2) / total if total else np.full(self.pairs.shape[2], np.nan)


def fit_canonical(blocks: Sequence[Block], n: int, size: int, folds: Sequence[tuple[Rows, Rows]]) -> Canonical:
    """The variates on which blocks agree, at most ``size``. folds: positions of units that are fitted and held out."""
    size = max(1, min(size, min(len(a) for a, _ in folds) - 1))
    tried = [_held_out(blocks, n, size, r, folds) for r in RIDGES]
    # What counts is the common variance that is found; a variate on which blocks disagree finds none.
    gains = [float(np.square(np.maximum(np.nan_to_num(t.agreement()), 0.0)).sum()) for t in tried]
    pick = int(np.argmax(gains))
    seen, directions = tried[pick], fit_directions(blocks, n, size, RIDGES[pick])
    agreement = seen.agreement()[: directions.maps[0].shape[1]]
    units = float(np.triu(seen.units, 1).sum())
    kept = np.flatnonzero(~(agreement < BY_CHANCE / np.sqrt(max(units, 1.0))))
    kept = kept if len(kept) else np.zeros(1, dtype=np.intp)
    signal = np.stack([_signal(seen.pairs[:, :, k], seen.units) for k in kept], axis=1)
    maps = tuple(m[:, kept] for m in directions.maps)
    found = Directions(maps, directions.centres)
    return Canonical(found, signal, seen.sd[:, kept], agreement[kept], RIDGES[pick])


def _held_out(blocks: Sequence[Block], n: int, size: int, ridge: float, folds: Sequence[tuple[Rows, Rows]]) -> _Seen:
    """Agreement of the blocks on the held-out units of each fold."""
    m = len(blocks)
    pairs, units = np.zeros((m, m, size)), np.zeros((m, m))
    squares, counts = np.zeros((m, size)), np.zeros(m)
    for train, test in folds:
        fitted = [_some(b, train, n) for b in blocks]
        if any(len(b.rows) < 2 for b in fitted):
            continue
        directions = fit_directions(fitted, n, size, ridge)
        said = np.full((m, n, size), np.nan)
        for j, b in enumerate(blocks):
            new = _some(b, test, n)
            value = directions.said(new.x, j)
            said[j, new.rows, : value.shape[1]] = value
            squares[j, : value.shape[1]] += np.square(value).sum(axis=0)
            counts[j] += len(new.rows)
        for a in range(m):
            for b_ in range(a):
                both = np.flatnonzero(~np.isnan(said[a, :, 0]) & ~np.isnan(said[b_, :, 0]))
                if len(both) > 3:
                    r = _correlations(said[a, both], said[b_, both]) * len(both)
                    pairs[a, b_] += r
                    pairs[b_, a] += r
                    units[a, b_] += len(both)
                    units[b_, a] += len(both)
    sd = np.sqrt(squares / np.maximum(counts, 1)[:, None])
    pairs = pairs / np.maximum(units, 1)[:, :, None]
    return _Seen(pairs, units, np.where(sd > 1e-9, sd, 1.0))


def _some(block: Block, rows: Rows, n: int) -> Block:
    """The part of a block whose units are among ``rows``."""
    here = np.zeros(n, dtype=bool)
    here[rows] = True
    at = np.flatnonzero(here[block.rows])
    return Block(block.x[at], block.rows[at])


def _correlations(a: Array, b: Array) -> Array:
    """(K,) of columns; 0 where one does not vary or is not there."""
    a, b = np.nan_to_num(a - a.mean(axis=0)), np.nan_to_num(b - b.mean(axis=0))
    scale = np.sqrt(np.square(a).sum(axis=0) * np.square(b).sum(axis=0))
    return np.where(scale > 1e-12, (a * b).sum(axis=0) / np.maximum(scale, 1e-12), 0.0)


def _signal(pairs: Array, units: Array) -> Array:
    """(M,) correlation of each block with a common factor, by least squares on the correlations (M, M) between blocks."""
    m = len(pairs)
    if not units.any():
        return np.full(m, MOST if m == 1 else 0.5)
    out = np.full(m, np.sqrt(max(float((pairs * units).sum() / units.sum()), LEAST**2)))
    for _ in range(50):
        for j in range(m):
            weight = units[j] * out
            bottom = float(weight @ out)
            if bottom > 0:
                out[j] = np.clip(float(weight @ pairs[j]) / bottom, LEAST, MOST)
    return np.clip(out, LEAST, MOST)
