"""How many clusters there are, none included.

For every number k, the units are clustered and two things are measured, both relative to clouds without clusters
(:mod:`cohortium.subtypes.unimodal`) that are clustered in the same way: how much nearer units are to their own centre than to the
next (*separation*, the simplified silhouette of Hruschka 2006, Evol Comput 14:115), and how empty the border between a cluster and its neighbour is
compared with their middles, for the cluster of which that is least so (*valley*). A curved or square cloud is separated and
has no valley; chance makes valleys and no separation. The evidence for k is the smaller of the two, in standard deviations of
the clouds; the test compares the largest evidence over all k with the largest of each cloud, so that looking at many k costs nothing
in error. Is there any, k is where both together are largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cohortium.subtypes.centroids import Array, Points, fit_centres, nearest
from cohortium.subtypes.unimodal import Cloud

STARTS = 8
DRAWS, FIRST, HOPELESS = 199, 49, 0.25
"""Clouds, at most; when after the first ones p is above this, no more are drawn (Besag & Clifford 1991, Biometrika 78:301)."""

LEVEL = 0.02
"""Of the test: subtypes are found in at most so many cohorts without any."""

BAND = 0.15
"""Half the width of border and middles, of the distance between two centres."""

LEAST_POWER = 0.25
"""Units of which less than this share of the way between two centres is seen say nothing of the border."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """ks: (m,) numbers of clusters looked at. separation, valley: (m,) standard deviations above clouds without clusters.
    raw: (m, 2) as measured. p: of the largest evidence. chosen: number of clusters, None when there are none."""

    ks: tuple[int, ...]
    separation: Array
    valley: Array
    raw: Array
    p: float
    draws: int
    chosen: int | None

    @property
    def best(self) -> int:
        """The number for which there is most evidence, be it enough or not."""
        return self.ks[int((self.separation + self.valley).argmax())]


def measure(points: Points, ks: Sequence[int], rng: np.random.Generator) -> Array:
    """(m, 2) separation and valley for every number of clusters; larger means more clustered."""
    out = np.empty((len(ks), 2))
    for i, k in enumerate(ks):
        centres, _ = fit_centres(points, k, STARTS, rng)
        far = np.sqrt(np.sort(points.squares(centres), axis=1)[:, :2])
        out[i, 0] = ((far[:, 1] - far[:, 0]) / np.maximum(far[:, 1], 1e-12)).mean()
        out[i, 1] = valley(points, centres)
    return out


def valley(points: Points, centres: Array) -> float:
    """Minus the logarithm of units at the border per units about the centres, of each cluster and the nearest other one; the
    least of all clusters."""
    label, worst = nearest(points, centres), np.inf
    for a, centre in enumerate(centres):
        far = np.square(centres - centre).sum(axis=1)
        far[a] = np.inf
        b = int(far.argmin())
        rows = np.flatnonzero((label == a) | (label == b))
        way = points.seen[rows] * (centres[b] - centre)
        length = np.square(way).sum(axis=1)
        here = points.at[rows] - points.seen[rows] * (centres[b] + centre) / 2
        t = (here * way).sum(axis=1) / np.maximum(length, 1e-300)
        t = t[length > LEAST_POWER * max(float(far[b]), 1e-300)]
        border, middles = (np.abs(t) < BAND).sum(), (np.abs(np.abs(t) - 0.5) < BAND).sum() / 2
        worst = min(worst, -float(np.log((border + 0.5) / (middles + 0.5))))
    return worst


def find_evidence(
    points: Points,
    scale: Array,
    ks: Sequence[int],
    rng: np.random.Generator,
    draws: int = DRAWS,
    each: Callable[[], None] = lambda: None,
) -> Evidence:
    """Test of no clusters against any number of ``ks``. scale: see :meth:`Cloud.of`. each: called after every draw."""
    cloud, null = Cloud.of(points, scale, rng), list[Array]()
    raw = measure(points, ks, rng)
    while len(null) < draws:
        null.append(measure(cloud.draw(rng), ks, rng))
        each()
        if len(null) in (FIRST, draws):
            z, p = _compared(raw, np.stack(null))
            if p > HOPELESS:
                break
    found = Evidence(tuple(ks), z[:, 0], z[:, 1], raw, p, len(null), None)
    return found if p > LEVEL else replace(found, chosen=found.best)


def _compared(raw: Array, null: Array) -> tuple[Array, float]:
    """(m, 2) standard deviations above the clouds, and the p-value of the largest evidence. null: (draws, m, 2)."""
    mean, sd = null.mean(axis=0), np.maximum(null.std(axis=0), 1e-9)
    z, zn = (raw - mean) / sd, (null - mean) / sd
    more = zn.min(axis=2).max(axis=1) >= z.min(axis=1).max() - 1e-12
    return z, float(1 + more.sum()) / (len(null) + 1)
