"""Subtypes of a cohort in a representation of it: who is clustered, whether there are clusters, and which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.joint import Joint
from cohortium.subtypes.centroids import Points
from cohortium.subtypes.consensus import Consensus, find_consensus
from cohortium.subtypes.deciding import DRAWS, Evidence, find_evidence
from cohortium.subtypes.model import Subtypes, fit_subtypes, see, weights_of

MOST_UNITS = 2000
"""Units that are clustered, drawn at random where there are more; the others are assigned."""

FEWEST = 30
PER_CLUSTER = 10
"""Units per cluster without which no larger number of clusters is looked at."""


@dataclass(frozen=True, eq=False)
class Found:
    """rows: positions of the units that were clustered, one of each patient. points: these. shared: whether latent variables
    weigh by what modalities share. evidence: of how many clusters there are. forced: their number was given. consensus,
    subtypes: None when there are none."""

    rows: NDArray[np.intp]
    points: Points
    weights: NDArray[np.float64]
    shared: bool
    evidence: Evidence
    forced: bool
    consensus: Consensus | None
    subtypes: Subtypes | None


def clustered_rows(cohort: Cohort, known: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Positions of one unit of each patient, of those of whom anything is known; at most :data:`MOST_UNITS`.

    Units of one patient are alike: taken together they would look like clusters.
    """
    rows = rng.permutation(np.flatnonzero(known))
    _, first = np.unique(cohort.groups()[rows], return_index=True)
    return np.sort(rng.permutation(rows[first])[:MOST_UNITS])


def find_subtypes(
    cohort: Cohort,
    joint: Joint,
    rng: np.random.Generator,
    most: int = 8,
    clusters: int | None = None,
    draws: int = DRAWS,
    each: Callable[[], None] = lambda: None,
) -> Found:
    """Cluster the units of a cohort in a representation fitted on them.

    most: the largest number of clusters looked at. clusters: their number, whatever the evidence. each: called ``draws``
    times. Raises ValueError where too few patients have any modality, or the representation tells them not apart.
    """
    weights, shared = weights_of(joint)
    points, known = see(joint, weights, cohort)
    rows = clustered_rows(cohort, known, rng)
    points = points.take(rows)
    top = min(most, len(rows) // PER_CLUSTER)
    if len(rows) < FEWEST or (clusters or 0) > len(rows) // PER_CLUSTER:
        need = max(FEWEST, PER_CLUSTER * (clusters or 0))
        raise ValueError(f"only {len(rows)} patients have any modality, and {need} are needed")
    if not np.ptp(points.at, axis=0).any():
        raise ValueError("the modalities do not tell the units apart")
    evidence = find_evidence(points, weights, range(2, max(top, 2) + 1), rng, draws, each)
    k = clusters or evidence.chosen
    if k is None:
        return Found(rows, points, weights, shared, evidence, False, None, None)
    consensus = find_consensus(points, k, rng)
    return Found(
        rows,
        points,
        weights,
        shared,
        evidence,
        clusters is not None,
        consensus,
        fit_subtypes(joint, weights, points, consensus),
    )
