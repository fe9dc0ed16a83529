"""Which features mark the clusters, without using them twice.

Features that helped to form clusters differ between them even where there are none: their p-values mean nothing (Gao 2022,
JASA 119:332). Here the features of a modality are tested against clusters formed from the *other* modalities alone, of which
they were no part: the test is valid for features that have nothing to do with the others' data. With one modality there is no
such clustering, and no test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts.subtypes import Marker, MarkerSource
from cohortium.encoders import fit_encoder
from cohortium.joint import fit_joint_factors
from cohortium.metrics import benjamini_hochberg
from cohortium.subtypes.centroids import Array, Labels, fit_centres, nearest
from cohortium.subtypes.consensus import STARTS, match
from cohortium.subtypes.model import see, weights_of

LEVEL = 0.05
ONE = (
    "there is no other modality to form clusters from, and features that formed the clusters differ between them even where "
    "there are none: effects are shown, nothing is tested"
)
FEW = "too few units have it and another modality"


@dataclass(frozen=True, eq=False)
class _Tested:
    name: str
    features: NDArray[np.object_]
    n: NDArray[np.int64]
    naive: Array
    p: Array | None = None
    effects: Array | None = None
    agreement: float | None = None
    reason: str | None = None


def find_markers(
    cohort: Cohort,
    labels: Labels,
    names: tuple[str, ...],
    rng: np.random.Generator,
    size: int = 24,
    cap: float | None = None,
    each: Callable[[], None] = lambda: None,
) -> tuple[list[MarkerSource], list[Marker]]:
    """Markers of all modalities, the smallest p first, then by the largest effect.

    cohort: the units that were clustered. labels: (n,) their clusters. size, cap: of the factors that the others' clusters are
    formed in. each: called after every modality.
    """
    tested = []
    for name in cohort.modalities:
        tested.append(_modality(cohort, labels, len(names), name, rng, size, cap))
        each()
    tested = [t for t in tested if len(t.features)]
    p = np.concatenate([t.p if t.p is not None else np.full(len(t.features), np.nan) for t in tested] or [np.zeros(0)])
    q, begin = benjamini_hochberg(p), 0
    sources, markers = list[MarkerSource](), list[Marker]()
    for t in tested:
        own = q[begin : begin + len(t.features)]
        begin += len(t.features)
        found = None if t.p is None else int((own < LEVEL).sum())
        sources.append(MarkerSource(t.name, int(t.n.max(initial=0)), len(t.features), found, t.agreement, t.reason))
        for j, feature in enumerate(t.features):
            effects = dict.fromkeys(names) if t.effects is None else _named(names, t.effects[:, j])
            markers.append(
                Marker(
                    t.name,
                    str(feature),
                    int(t.n[j]),
                    _number(None if t.p is None else t.p[j]),
                    _number(own[j]),
                    effects,
                    _named(names, t.naive[:, j]),
                )
            )
    return sources, sorted(markers, key=lambda m: (m.p is None, m.p or 0.0, -_largest(m)))


def _largest(m: Marker) -> float:
    return max((abs(v) for v in (m.naive if m.p is None else m.effects).values() if v is not None), default=0.0)


def _named(names: tuple[str, ...], values: Array) -> dict[str, float | None]:
    return {n: _number(v) for n, v in zip(names, values, strict=True)}


def _number(x: float | None) -> float | None:
    return None if x is None or not np.isfinite(x) else float(x)


def _modality(
    cohort: Cohort, labels: Labels, k: int, name: str, rng: np.random.Generator, size: int, cap: float | None
) -> _Tested:
    data = cohort.modalities[name]
    none = _Tested(name, np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64), np.zeros((k, 0)))
    if len(data.units) < 2 * k:
        return none
    encoder = fit_encoder(data)
    z = encoder.transform(data, impute=False)  # type: ignore[arg-type]
    rows = cohort.units.index.get_indexer(data.units)
    naive, n = effect_sizes(z, labels[rows], k), (~np.isnan(z)).sum(axis=0)
    plain = _Tested(name, encoder.names_, n, naive, reason=ONE)
    others = [m for m in cohort.modalities if m != name]
    if not others:
        return plain
    found = clusters_without(cohort, others, labels, k, rng, size, cap)
    if found is None or (found[rows] >= 0).sum() < 5 * k:
        return _Tested(name, encoder.names_, n, naive, reason=FEW)
    at = found[rows] >= 0
    own = found[rows][at]
    from sklearn.metrics import adjusted_rand_score

    agreement = float(adjusted_rand_score(labels[found >= 0], found[found >= 0]))
    return _Tested(
        name,
        encoder.names_,
        (~np.isnan(z[at])).sum(axis=0),
        naive,
        kruskal_wallis(z[at], own),
        effect_sizes(z[at], own, k),
        agreement,
    )


def clusters_without(
    cohort: Cohort, others: list[str], labels: Labels, k: int, rng: np.random.Generator, size: int, cap: float | None
) -> Labels | None:
    """(n,) clusters from the named modalities alone, called by the ones of ``labels`` that they resemble; -1 for units that have none of them.
    None where they tell the units not apart."""
    part = cohort.only(others)
    known = np.flatnonzero(part.presence().any(axis=1).to_numpy(bool))
    if len(known) < 5 * k:
        return None
    try:
        joint = fit_joint_factors(part.take(known), size=size, cap=cap if len(others) > 1 else None)
    except ValueError:
        return None
    points, seen = see(joint, weights_of(joint)[0], part.take(known))
    points, known = points.take(np.flatnonzero(seen)), known[seen]
    made = nearest(points, fit_centres(points, k, STARTS, rng)[0])
    called = np.empty(k, dtype=np.int64)
    called[match(labels[known], made, k)] = np.arange(k)
    out = np.full(len(cohort), -1, dtype=np.int64)
    out[known] = called[made]
    return out


def kruskal_wallis(z: Array, labels: Labels) -> Array:
    """(q,) p-values of every column of z (n, q), NaN where a cell is unknown, between groups; corrected for ties. NaN where there is
    nothing to compare (Kruskal & Wallis 1952, JASA 47:583)."""
    from scipy.stats import chi2, rankdata

    known = ~np.isnan(z)
    rank = np.where(known, rankdata(z, axis=0, nan_policy="omit"), 0.0)
    n = known.sum(axis=0)
    mean = (n + 1) / 2
    total = np.where(known, np.square(rank - mean), 0.0).sum(axis=0)
    between, groups = np.zeros(z.shape[1]), np.zeros(z.shape[1])
    for g in np.unique(labels):
        own = known[labels == g].sum(axis=0)
        gap = rank[labels == g].sum(axis=0) / np.maximum(own, 1) - mean
        between += own * np.square(gap)
        groups += own > 0
    possible = (total > 0) & (groups > 1)
    h = (n - 1) * between / np.where(possible, total, 1.0)
    return np.where(possible, chi2.sf(h, np.maximum(groups - 1, 1)), np.nan)


def effect_sizes(z: Array, labels: Labels, k: int) -> Array:
    """(k, q) difference of a cluster's mean to that of the other units, in pooled standard deviations; NaN without two of each."""
    known, out = ~np.isnan(z), np.full((k, z.shape[1]), np.nan)
    x = np.where(known, z, 0.0)
    for g in range(k):
        inside = (labels == g)[:, None] & known
        outside = known & ~inside
        a, b = inside.sum(axis=0), outside.sum(axis=0)
        ma, mb = ((x * w).sum(axis=0) / np.maximum(c, 1) for w, c in ((inside, a), (outside, b)))
        squares = (np.square(x - ma) * inside).sum(axis=0) + (np.square(x - mb) * outside).sum(axis=0)
        sd = np.sqrt(squares / np.maximum(a + b - 2, 1))
        fine = (a > 1) & (b > 1) & (sd > 1e-12)
        out[g, fine] = (ma - mb)[fine] / sd[fine]
    return out
