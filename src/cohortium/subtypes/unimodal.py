"""Cohorts like this one without clusters: what clustering finds in a cloud that has one mode in every direction.

Clustering parts anything: a long gradient stably in two, a heavy tail into a crowd and its outliers. Whether there are clusters is
whether it finds more than it would in a cloud of the same shape with a single mode. Gaussian clouds (Liu 2008, JASA
103:1281; John 2020, Sci Rep 10:1816) are too narrow a notion of *no clusters*: skewed, heavy-tailed and flat gradients differ from
them and are none either. Here a cloud keeps the units' own distances from the centre, with directions drawn anew (an
elliptical cloud, of whatever tails), and each principal axis the nearest unimodal distribution to its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.subtypes.centroids import Points

Array = NDArray[np.float64]

MODES = 40
"""Places that are tried for the mode."""

POOL = 20_000
"""Values from which the distribution of one axis of the elliptical cloud is known."""

LEAST_SEEN = 0.05
"""A latent variable of which a unit tells less than this is not used to see how it is distributed."""


def nearest_unimodal(x: Array) -> tuple[Array, Array]:
    """Knots (values, cumulative probabilities) of the unimodal distribution nearest to that of x (n,) in Kolmogorov's distance.

    Left of the mode the greatest convex minorant of the distribution function, right of it the least concave
    majorant, as in the dip (Hartigan & Hartigan 1985, Ann Stat 13:70); linear between knots.
    """
    x = np.sort(np.asarray(x, dtype=np.float64))
    n = len(x)
    f = (np.arange(n) + 0.5) / n
    x = x + np.arange(n) * 1e-12 * max(float(x[-1] - x[0]), 1e-300)  # ties have no slope
    best: tuple[float, Array, Array] | None = None
    for m in np.unique(np.linspace(0, n - 1, min(MODES, n)).astype(int)):
        at = np.unique(np.r_[_convex(x[: m + 1], f[: m + 1]), m + _convex(x[m:], -f[m:])])
        gap = float(np.abs(np.interp(x, x[at], f[at]) - f).max())
        if best is None or gap < best[0] - 1e-12:
            best = (gap, x[at], f[at])
    assert best is not None
    return best[1], best[2]


def _convex(x: Array, y: Array) -> NDArray[np.intp]:
    """Positions of the knots of the greatest convex minorant of points with increasing x."""
    out: list[int] = []
    for i in range(len(x)):
        while len(out) > 1 and (y[out[-1]] - y[out[-2]]) * (x[i] - x[out[-1]]) >= (y[i] - y[out[-1]]) * (
            x[out[-1]] - x[out[-2]]
        ):
            out.pop()
        out.append(i)
    return np.array(out, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Cloud:
    """What the units' cloud is without clusters.

    centre: (d,). axes: (d, r) principal axes times their standard deviations. margins: of each axis the knots of its nearest
    unimodal distribution, standardised. radii: (n,) of the units. seen: (n, d) their reliabilities.
    """

    centre: Array
    axes: Array
    margins: tuple[tuple[Array, Array], ...]
    radii: Array
    pool: Array
    seen: Array

    @staticmethod
    def of(points: Points, scale: Array, rng: np.random.Generator) -> Cloud:
        """scale: (d,) standard deviation of a latent variable before weights, times its weight; what is not known of a unit is
        drawn from that."""
        known = points.seen >= LEAST_SEEN
        u = np.where(
            known, points.at / np.sqrt(np.maximum(points.seen, LEAST_SEEN)), rng.normal(size=points.at.shape) * scale
        )
        centre = u.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(u.T, bias=True).reshape(len(centre), -1))
        keep = values > 1e-9 * max(float(values.max()), 1e-300)
        sd, vectors = np.sqrt(values[keep]), vectors[:, keep]
        y = (u - centre) @ vectors / sd
        margins = tuple(_standard(*nearest_unimodal(c)) for c in y.T)
        radii = np.sqrt(np.square(y).sum(axis=1))
        way = rng.normal(size=(-(-POOL // len(radii)), len(radii), len(sd)))
        pool = way[:, :, 0] / np.sqrt(np.square(way).sum(axis=2)) * radii
        return Cloud(centre, vectors * sd, margins, radii, np.sort(pool.ravel()), points.seen)

    def draw(self, rng: np.random.Generator) -> Points:
        """As many units, seen as well as these."""
        n, r = len(self.radii), self.axes.shape[1]
        way = rng.normal(size=(n, r))
        e = way * (self.radii / np.maximum(np.sqrt(np.square(way).sum(axis=1)), 1e-12))[:, None]
        rank = np.interp(e, self.pool, (np.arange(len(self.pool)) + 0.5) / len(self.pool))
        y = np.column_stack([np.interp(rank[:, j], p, v) for j, (v, p) in enumerate(self.margins)])
        y = y - y.mean(axis=0)
        y = y @ _inverse_root(y.T @ y / n)
        u = self.centre + y @ self.axes.T
        return Points(u * np.sqrt(self.seen), self.seen)


def _standard(values: Array, p: Array) -> tuple[Array, Array]:
    """The same distribution with mean 0 and standard deviation 1."""
    share, middle, width = np.diff(p) / (p[-1] - p[0]), (values[1:] + values[:-1]) / 2, np.diff(values)
    mean = float(share @ middle)
    sd = np.sqrt(max(float(share @ (np.square(middle - mean) + np.square(width) / 12)), 1e-300))
    return (values - mean) / sd, p


def _inverse_root(a: Array) -> Array:
    values, vectors = np.linalg.eigh(a)
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-9))) @ vectors.T)
