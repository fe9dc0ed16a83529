"""Fitted subtypes: what places any unit, new ones included, among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.joint import Joint
from cohortium.subtypes.centroids import Array, Labels, Points
from cohortium.subtypes.consensus import Consensus

SHARED = 0.01
"""Share of its variance that a latent variable has to explain of two modalities to be common to them."""

LEAST_SPREAD = 0.01
"""Of the variance of a latent variable: clusters are no tighter than this."""


def weights_of(joint: Joint) -> tuple[Array, bool]:
    """(K,) weight of each latent variable in distances, and whether they are those of what modalities share.

    A variable counts by the share of variance that it explains in at least two modalities (the second largest of its shares):
    what only one modality says is often how it was measured. With one modality, or where nothing is shared,
    by the sum of its shares.
    """
    share = np.sort(np.asarray(joint.explained, dtype=np.float64), axis=0)
    if len(share) > 1 and share[-2].max() >= SHARED:
        return np.sqrt(np.maximum(share[-2], 0.0)), True
    return np.sqrt(np.maximum(share.sum(axis=0), 0.0)), False


@dataclass(frozen=True, eq=False)
class Subtypes:
    """joint: the representation. weights: (K,) of its variables. centres: (R, k, K) weighted, of resampled clusterings. spread:
    (K,) variances inside clusters, weighted. shares: (k,) of units. names: (k,)."""

    joint: Joint
    weights: Array
    centres: Array
    spread: Array
    shares: Array
    names: tuple[str, ...]

    def probabilities(self, cohort: Cohort) -> Array:
        """(n, k) probability of each subtype given what is known of a unit, whatever modalities it has; NaN for a unit that has none
        of them. Gaussian clusters of equal, axis-aligned spread, averaged over the resampled clusterings; the less is
        known, the nearer to the subtypes' shares."""
        points, known = see(self.joint, self.weights, cohort)
        out = np.full((len(cohort), len(self.names)), np.nan)
        if known.any():
            out[known] = self.of(points.take(np.flatnonzero(known)))
        return out

    def of(self, points: Points) -> Array:
        """(n, k) the same of units in the space of the representation."""
        b, w = points.seen, self.weights
        variance = np.square(b) * self.spread + np.square(w) * b * (1 - b)
        variance = np.maximum(variance, LEAST_SPREAD * np.square(w) * b + 1e-300)
        inverse = 1 / variance
        out = np.zeros((len(points), len(self.names)))
        for centres in self.centres:
            score = (points.at * b * inverse) @ centres.T - 0.5 * (np.square(b) * inverse) @ np.square(centres).T
            score = score + np.log(self.shares)
            score = np.exp(score - score.max(axis=1, keepdims=True))
            out += score / score.sum(axis=1, keepdims=True)
        return out / len(self.centres)

    def assign(self, cohort: Cohort) -> pd.DataFrame:
        """A row for every unit (index ``unit``): ``subtype``, the likeliest (None for a unit without any of the modalities), and
        ``confidence``, its probability."""
        p = self.probabilities(cohort)
        known = ~np.isnan(p[:, 0])
        pick = np.where(known, np.nan_to_num(p).argmax(axis=1), -1)
        names = np.array([*self.names, None], dtype=object)
        confidence = np.where(known, np.nan_to_num(p).max(axis=1), np.nan)
        index = pd.Index(cohort.ids.astype(str), name="unit")
        return pd.DataFrame({"subtype": names[pick], "confidence": confidence}, index=index)


def see(joint: Joint, weights: Array, cohort: Cohort) -> tuple[Points, NDArray[np.bool_]]:
    """The units in the weighted space of a representation, and (n,) who has any of its modalities."""
    found = joint.embed(cohort)
    seen = np.clip(1 - np.square(found.sd), 0.0, 1.0)
    return Points(found.mean * weights, seen), found.known


def fit_subtypes(joint: Joint, weights: Array, points: Points, found: Consensus) -> Subtypes:
    """The model of a consensus of ``points``."""
    k = int(found.labels.max()) + 1
    centres = centres_of(points, found.labels, k)
    b = points.seen
    left = np.square(points.at - b * centres[found.labels]) - np.square(weights) * b * (1 - b)
    spread = np.maximum(
        left.sum(axis=0) / np.maximum(np.square(b).sum(axis=0), 1e-12), LEAST_SPREAD * np.square(weights)
    )
    shares = np.bincount(found.labels, minlength=k) / len(points)
    return Subtypes(joint, weights, found.centres, spread, shares, tuple(f"S{i + 1}" for i in range(k)))


def centres_of(points: Points, labels: Labels, k: int) -> Array:
    """(k, K) least-squares centres."""
    one = (labels[:, None] == np.arange(k)).astype(np.float64)
    return np.asarray(one.T @ (points.at * points.seen) / np.maximum(one.T @ np.square(points.seen), 1e-12))
