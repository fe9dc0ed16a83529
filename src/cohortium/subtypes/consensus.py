"""Clusters that do not depend on who happens to be in the cohort: many clusterings of parts of the units, and their vote.

Each part is four fifths of the units. All clusterings are named after the one of all units that each resembles most
(bagged clustering: Dudoit & Fridlyand 2003, Bioinformatics 19:1090). How often two units are together
is their consensus (Monti 2003, Mach Learn 52:91); how much of a cluster is found again in a part is its stability, the mean
Jaccard index (Hennig 2007, Comput Stat Data Anal 52:258).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.subtypes.centroids import Array, Labels, Points, fit_centres, many_fits, nearest

RESAMPLES, SHARE = 100, 0.8
STARTS, STARTS_EACH = 40, 4


@dataclass(frozen=True, eq=False)
class Consensus:
    """k clusters, the largest first. labels: (n,) of all units clustered together. centres: (R, k, d) of the parts, cluster
    by cluster the same. together: (n, n) share of parts with both units in which they are in one cluster.
    stability: (k,) mean Jaccard index. within, between: (k,) mean consensus inside, and with the nearest other cluster."""

    labels: Labels
    centres: Array
    together: NDArray[np.float32]
    stability: Array
    within: Array
    between: Array


def find_consensus(points: Points, k: int, rng: np.random.Generator) -> Consensus:
    """Cluster the units and parts of them. Clusters may come out empty where points coincide: their number is then smaller."""
    labels = _by_size(nearest(points, fit_centres(points, k, STARTS, rng)[0]))
    k, n = int(labels.max()) + 1, len(points)
    parts = np.zeros((RESAMPLES, n), dtype=bool)
    for row in parts:
        row[rng.choice(n, size=max(int(SHARE * n), k), replace=False)] = True
    fits, left = many_fits(points, k, np.repeat(parts, STARTS_EACH, axis=0), rng)
    best = left.reshape(RESAMPLES, STARTS_EACH).argmin(axis=1)
    fits = fits.reshape(RESAMPLES, STARTS_EACH, *fits.shape[1:])[np.arange(RESAMPLES), best]
    own = np.stack([nearest(points, c) for c in fits])
    jaccard = np.stack([_jaccard(labels[use], found[use], k) for use, found in zip(parts, own, strict=True)])
    centres = np.empty_like(fits)
    for r, found in enumerate(own):
        centres[r] = fits[r][match(labels, found, k)]
    together = _together(own, parts, k)
    within, between = _consensus_of(labels, together, k)
    return Consensus(labels, centres, together, jaccard.max(axis=2).mean(axis=0), within, between)


def _by_size(labels: Labels) -> Labels:
    """Named 0.. from the largest to the smallest."""
    kinds, code, count = np.unique(labels, return_inverse=True, return_counts=True)
    place = np.empty(len(kinds), dtype=np.int64)
    place[np.argsort(-count, kind="stable")] = np.arange(len(kinds))
    return place[code.ravel()]


def overlap(a: Labels, b: Labels, k: int) -> Array:
    """(k, k) units in both."""
    out = np.zeros((k, k))
    np.add.at(out, (a, b), 1.0)
    return out


def match(reference: Labels, other: Labels, k: int) -> NDArray[np.intp]:
    """(k,) the cluster of ``other`` that goes by each name of ``reference``: as many units as can be keep their cluster."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(-overlap(reference, other, k))[1], dtype=np.intp)


def _jaccard(a: Labels, b: Labels, k: int) -> Array:
    both = overlap(a, b, k)
    either = both.sum(axis=1)[:, None] + both.sum(axis=0) - both
    return np.asarray(both / np.maximum(either, 1.0))


def _together(own: Labels, parts: NDArray[np.bool_], k: int) -> NDArray[np.float32]:
    n = own.shape[1]
    member = (
        ((own[:, :, None] == np.arange(k)) & parts[:, :, None]).transpose(1, 0, 2).reshape(n, -1).astype(np.float32)
    )
    seen = parts.T.astype(np.float32)
    return np.asarray(member @ member.T / np.maximum(seen @ seen.T, 1.0), dtype=np.float32)


def _consensus_of(labels: Labels, together: NDArray[np.float32], k: int) -> tuple[Array, Array]:
    count = np.bincount(labels, minlength=k).astype(np.float64)
    one = (labels[:, None] == np.arange(k)).astype(np.float32)
    total = np.asarray(one.T @ together @ one, dtype=np.float64)
    pairs = np.outer(count, count) - np.diag(count)
    own = np.diag(total) - one.T @ np.diag(together)
    within = own / np.maximum(np.diag(pairs), 1.0)
    mean = total / np.maximum(np.outer(count, count), 1.0)
    np.fill_diagonal(mean, -1.0)
    return np.asarray(within, np.float64), mean.max(axis=1)
