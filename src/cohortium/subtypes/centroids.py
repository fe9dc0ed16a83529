"""k-means of units that are known to different degrees.

A posterior mean is drawn towards 0 the less is known of a unit: of a latent variable with value z it is ``b z`` on
average, with reliability ``b = 1 - sd²``. Plain k-means takes the units of which little is known for a cluster of their own, in
the middle. Here a unit of cluster k is expected at ``b * centre_k``, and centres are least-squares: with everybody known
equally well this is k-means (Lloyd 1982, IEEE TIT 28:129), started as k-means++ (Arthur & Vassilvitskii 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

ROUNDS = 60
"""Most rounds of a start; the best of several starts is taken."""

AT_ONCE = 4_000_000
"""Distances that are held at once."""


@dataclass(frozen=True, eq=False)
class Points:
    """n units in d weighted latent variables. at: (n, d) posterior means. seen: (n, d) reliabilities in [0, 1]."""

    at: Array
    seen: Array

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: NDArray[np.intp]) -> Points:
        """The units at the given positions."""
        return Points(self.at[rows], self.seen[rows])

    def squares(self, centres: Array) -> Array:
        """(n, k) squared distance of each unit to where a unit of each centre (k, d) would be expected."""
        own = np.square(self.at).sum(axis=1)
        far = own[:, None] - 2 * (self.at * self.seen) @ centres.T + np.square(self.seen) @ np.square(centres).T
        return np.maximum(far, 0.0)


def nearest(points: Points, centres: Array) -> Labels:
    """(n,) position of the nearest centre."""
    return np.asarray(points.squares(centres).argmin(axis=1), dtype=np.int64)


def fit_centres(points: Points, k: int, starts: int, rng: np.random.Generator) -> tuple[Array, float]:
    """(k, d) centres, and the sum of squares they leave: the best of several starts."""
    centres, left = many_fits(points, k, np.ones((starts, len(points)), dtype=bool), rng)
    best = int(left.argmin())
    return centres[best], float(left[best])


def many_fits(points: Points, k: int, use: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Array, Array]:
    """k-means of several subsets, each from a start of its own.

    use: (s, n) which units a fit sees. Returns (s, k, d) centres and (s,) sums of squares over the units seen.
    """
    step = max(1, AT_ONCE // (len(points) * k))
    parts = [_fits(points, k, use[i : i + step], rng) for i in range(0, len(use), step)]
    return np.concatenate([c for c, _ in parts]), np.concatenate([w for _, w in parts])


def _fits(points: Points, k: int, use: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Array, Array]:
    s, n, d = len(use), len(points), points.at.shape[1]
    centres = _starts(points, k, use, rng)
    pulled, weight = points.at * points.seen, np.square(points.seen)
    both = np.column_stack([pulled, weight])
    own = np.square(points.at).sum(axis=1)
    left, active = np.full(s, np.inf), np.arange(s)
    for _ in range(ROUNDS):
        c = centres[active]
        flat = c.reshape(-1, d)
        far = (own[:, None] - 2 * pulled @ flat.T + weight @ np.square(flat).T).reshape(n, len(active), k)
        label, seen = far.argmin(axis=2), use[active].T
        now = (np.maximum(far.min(axis=2), 0.0) * seen).sum(axis=0)
        member = (label[:, :, None] == np.arange(k)) & seen[:, :, None]
        sums = (member.reshape(n, -1).T.astype(np.float64) @ both).reshape(len(active), k, 2 * d)
        # A cluster that lost its last unit keeps its centre.
        centres[active] = np.where(sums[..., d:] > 1e-9, sums[..., :d] / np.maximum(sums[..., d:], 1e-9), c)
        going = now < left[active] * (1 - 1e-7)
        left[active] = np.minimum(now, left[active])
        active = active[going]
        if not len(active):
            break
    return centres, left


def _starts(points: Points, k: int, use: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """(s, k, d) units that are far from each other, drawn by their squared distance; well-known ones are likelier."""
    s, n = use.shape
    known = np.square(points.seen).sum(axis=1) + 1e-12
    here = points.at / np.maximum(points.seen, 0.2)
    chance = np.where(use, known, 0.0)
    centres = np.empty((s, k, points.at.shape[1]))
    far = np.full((s, n), np.inf)
    for j in range(k):
        total = np.cumsum(chance, axis=1)
        at = (total <= (rng.random(s) * total[:, -1])[:, None]).sum(axis=1)
        centres[:, j] = here[np.minimum(at, n - 1)]
        far = np.minimum(far, points.squares(centres[:, j]).T)
        chance = np.where(use, far + 1e-12, 0.0)
    return centres
