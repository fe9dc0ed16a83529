"""The units most like a given one, by each modality and by all together, and how unusual it is.

By a modality: Euclidean distance of encoded features; similarity is how many standard deviations of these distances it is below
their mean, so that every modality has the same say, however many features it has. (By the kernel of
:mod:`cohortium.fusion.similarity` small tables, whose distances differ most, would decide alone.) Together: the mean over the
unit's modalities; what another unit lacks says nothing of it and counts as the mean, 0. Sees no outcome; nothing is drawn but, of very
many units, those among which nearest ones are looked for to say how unusual a unit is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.encoders import Encoder, fit_encoder
from cohortium.fusion.similarity import Points, distances, reach
from cohortium.joint.model import Array

NEIGHBOURS = 20
"""Nearest units whose mean distance says how unusual a unit is; a fifth of the others, where they are few."""

FEWEST = 10
"""Units without which nobody is compared by a modality."""

REFERENCES = 4000
"""Units among which the nearest are looked for to say how unusual a unit is."""

AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Side:
    """One modality of the units that others are compared with. points: of all that have it, encoded, by the root of the number of
    features. references: positions among them. k: neighbours. reaches: (m,) mean distances to them."""

    encoder: Encoder
    points: Points
    references: NDArray[np.intp]
    k: int
    reaches: Array

    def see(self, cohort: Cohort, name: str) -> Points:
        """The units of a cohort that have the modality."""
        data = cohort.modalities[name]
        x = self.encoder.transform(data)  # type: ignore[arg-type]
        rows = cohort.units.index.get_indexer(data.units)
        return Points(x / np.sqrt(x.shape[1]), rows, np.zeros(len(x)))


@dataclass(frozen=True, eq=False)
class Likeness:
    """A unit and n others, NaN for those that cannot be compared with it.

    distance: (n,) root mean squared difference of encoded features, in standard deviations; None for all modalities together.
    similarity: (n,) standard deviations nearer than the mean. reach: the unit's mean distance to its nearest; usual: its median over the others.
    unusual: share of the others whose is smaller, 0..1; together, of the mean logarithm relative to the median.
    """

    distance: Array | None
    similarity: Array
    reach: float
    usual: float
    unusual: float


@dataclass(frozen=True, eq=False)
class Peers:
    """Those that units are compared with. n: how many. patients: (n,) labels. sides: by each modality that they can be compared by."""

    n: int
    patients: NDArray[np.object_]
    sides: dict[str, Side]

    def like(self, one: Cohort) -> dict[str, Likeness]:
        """A single unit by each of its modalities, then under ``""`` by all of them; empty where it has none of them.

        Units of the same patient, itself among them, cannot be compared with it. ``one`` may be of the peers or not.
        """
        same = self.patients == one.units["patient"].iloc[0]
        out, ratios = dict[str, Likeness](), list[tuple[float, Array]]()
        for name, side in self.sides.items():
            if name not in one.modalities or not len(one.modalities[name].units):
                continue
            at = side.points.rows
            d = distances(side.see(one, name), side.points)
            d[0, same[at]] = np.inf
            own = reach(d[:, side.references], side.k)
            others = np.isfinite(d[0])
            distance, similarity, theirs = (np.full(self.n, np.nan) for _ in range(3))
            distance[at[others]] = d[0, others]
            similarity[at[others]] = _nearer(d[0, others])
            theirs[at[others]] = side.reaches[others]
            usual = float(np.median(side.reaches[others])) if others.any() else np.nan
            unusual = float((side.reaches[others] < own[0]).mean()) if others.any() else np.nan
            out[name] = Likeness(distance, similarity, float(own[0]), usual, unusual)
            ratios.append((float(_log(own[0]) - _log(usual)), _log(theirs) - _log(usual)))
        if out:
            out[""] = _together([x.similarity for x in out.values()], ratios)
        return out


def _log(x: Array | float) -> Array:
    return np.asarray(np.log(np.maximum(x, 1e-12)))


def _nearer(distance: Array) -> Array:
    """How many standard deviations distances are below their mean; nothing where they do not differ."""
    spread = float(distance.std()) if len(distance) else 0.0
    return (distance.mean() - distance) / spread if spread > 1e-12 else np.zeros(len(distance))


def _together(similarities: list[Array], ratios: list[tuple[float, Array]]) -> Likeness:
    known = ~np.isnan(np.stack(similarities))
    total = np.where(known, np.nan_to_num(np.stack(similarities)), 0.0).mean(axis=0)
    total[~known.any(axis=0)] = np.nan
    theirs = np.stack([r for _, r in ratios])
    mean = np.where(known, np.nan_to_num(theirs), 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    own = float(np.mean([r for r, _ in ratios]))
    unusual = float((mean[known.any(axis=0)] < own).mean()) if known.any() else np.nan
    return Likeness(None, total, float(np.exp(own)), 1.0, unusual)


def fit_peers(cohort: Cohort, seed: int, each: Callable[[int, int], None] = lambda done, total: None) -> Peers:
    """Encoders of a cohort, and how near its units are to their nearest. Modalities that fewer than :data:`FEWEST` units have, or without a feature that
    varies, are left out. each: called with how many modalities are done, of how many."""
    patients, sides = cohort.units["patient"].to_numpy(dtype=object), dict[str, Side]()
    for done, (name, data) in enumerate(cohort.modalities.items()):
        each(done, len(cohort.modalities))
        if len(data.units) < FEWEST:
            continue
        encoder = fit_encoder(data)
        if len(encoder.names_):
            sides[name] = _side(cohort, name, encoder, patients, np.random.default_rng([seed, 29]))
    each(len(cohort.modalities), len(cohort.modalities))
    return Peers(len(cohort), patients, sides)


def _side(cohort: Cohort, name: str, encoder: Encoder, patients: NDArray[np.object_], rng: np.random.Generator) -> Side:
    nobody = np.zeros(0, dtype=np.intp)
    points = Side(encoder, Points(np.zeros((0, 1)), nobody, np.zeros(0)), nobody, 1, np.zeros(0)).see(cohort, name)
    m, label = len(points.x), patients[points.rows]
    references = np.arange(m) if m <= REFERENCES else np.sort(rng.permutation(m)[:REFERENCES])
    k = min(NEIGHBOURS, max((m - 1) // 5, 1))
    parts = []
    for a in range(0, m, AT_ONCE):
        at = np.arange(a, min(a + AT_ONCE, m))
        d = distances(points.take(at), points.take(references))
        d[label[at][:, None] == label[references]] = np.inf
        parts.append(reach(d, k))
    return Side(encoder, points, references, k, np.concatenate(parts))
