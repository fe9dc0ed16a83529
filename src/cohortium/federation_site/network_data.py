"""A site's patients as a network sees them: standardised columns by modality, who has which, who is trained on."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FeatureSchema, FederationPlan
from cohortium.contracts.federation_network import GRID, AskUpdate, NetworkModel, SiteTimes
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.shaping import scaled
from cohortium.federation_site.site import Site
from cohortium.resampling.dealing import deal

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

CLIP = 6.0
"""Standardised values are clipped here, as those of the project's networks are: one outlying cell cannot carry a patient."""


def network_of(plan: FederationPlan) -> NetworkPlan:
    """What the plan says of the network."""
    assert plan.network is not None
    return plan.network


@dataclass(frozen=True, eq=False)
class Seen:
    """x: per modality (m, d) of units that have it, at ``where`` (m,). present: (n, M). train, inner: units that are trained on, and
    kept from it. mine: (M,) modalities that enough of the training patients have."""

    modalities: tuple[str, ...]
    x: tuple[Array, ...]
    where: tuple[Rows, ...]
    present: NDArray[np.bool_]
    train: Rows
    inner: Rows
    mine: NDArray[np.bool_]


def modalities_of(columns: tuple[Column, ...]) -> tuple[str, ...]:
    """In the order of their columns."""
    return tuple(dict.fromkeys(c.modality for c in columns))


def enough_of(site: Site, features: tuple[FeatureSchema, ...], least: int) -> tuple[FeatureSchema, ...]:
    """Features of modalities that at least ``least`` patients of the site have; of others it says nothing."""
    known: dict[str, NDArray[np.bool_]] = {}
    for f in site.features:
        known[f.modality] = known.get(f.modality, np.zeros(len(site), bool)) | ~np.isnan(f.values)
    mine = {m for m, rows in known.items() if site.patients(rows) >= least}
    return tuple(f for f in features if f.modality in mine)


def seen(site: Site, plan: FederationPlan, q: AskUpdate | NetworkModel) -> Seen:
    """The site's patients under a question's columns and scale. Not to be changed."""
    key = ("network", q.columns, q.mean.tobytes(), q.sd.tobytes(), plan.least_cell, network_of(plan))
    if key not in site.folds:
        site.folds[key] = _seen(site, plan, q)
    found: Seen = site.folds[key]
    return found


def _seen(site: Site, plan: FederationPlan, q: AskUpdate | NetworkModel) -> Seen:
    known = columns_of(site, q.columns, plan.least_cell)
    z = np.clip(np.nan_to_num(scaled(site, plan, q.columns, q.mean, q.sd)), -CLIP, CLIP)
    names = modalities_of(q.columns)
    x, where, present = [], [], np.zeros((len(site), len(names)), bool)
    for j, m in enumerate(names):
        at = np.array([i for i, c in enumerate(q.columns) if c.modality == m])
        present[:, j] = ~np.isnan(known[:, at]).all(1)
        rows = np.flatnonzero(present[:, j])
        x.append(z[np.ix_(rows, at)])
        where.append(rows)
    some = present.any(1)
    kept = _inner(site, plan, some)
    train = np.flatnonzero(some & ~kept)
    of_train = np.isin(np.arange(len(site)), train)
    mine = np.array([site.patients(of_train & p) >= plan.least_patients for p in present.T])
    return Seen(names, tuple(x), tuple(where), present, train, np.flatnonzero(kept), mine)


def _inner(site: Site, plan: FederationPlan, some: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) who is kept from training; nobody where either part would be too small."""
    n, none = network_of(plan), np.zeros(len(site), bool)
    k = round(1 / n.inner) if n.inner else 0
    if k < 2 or site.patients(some) < k:
        return none
    strata = site.y.astype(np.int64) if site.classes else np.zeros(len(site), np.int64)
    fold = deal(strata, site.patient, k, [], np.random.default_rng([n.seed, number(site.name), number("inner")]))
    kept = some & (fold == 0)
    if min(site.patients(kept), site.patients(some & ~kept)) < plan.least_patients:
        return none
    return kept


def number(text: str) -> int:
    """A seed of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def round_seed(site: Site, plan: FederationPlan, round_: int) -> int:
    """Of a site's steps in a round."""
    drawn = np.random.SeedSequence([network_of(plan).seed, number(site.name), round_])
    return int(drawn.generate_state(1)[0])


def times_of(site: Site, least: int) -> tuple[Array, Array, Array]:
    """Edges, events and exposure of bins of time, each with at least ``least`` patients who had the event.

    The last bin ends where ``least`` of its patients are reached; who had the event later counts there too, so that no edge tells
    of a single late patient. Edges are steps of :data:`GRID`.
    """
    at = np.searchsorted(GRID, site.time, side="left")
    event = site.y > 0
    edges, begin = [0], 0
    for g in range(1, len(GRID)):
        inside = event & (at > begin) & (at <= g)
        if site.patients(inside) < least:
            continue
        edges.append(g)
        begin = g
        if site.patients(event & (at > g)) < least:
            break
    ends = GRID[edges]
    upper = np.r_[ends[1:-1], np.inf]
    events = np.array(
        [float((event & (site.time > a) & (site.time <= b)).sum()) for a, b in zip(ends[:-1], upper, strict=True)]
    )
    exposure = [
        float(np.maximum(np.minimum(site.time, b) - np.maximum(site.entry, a), 0).sum())
        for a, b in itertools.pairwise(ends)
    ]
    return ends, events, np.array(exposure)


def site_times(site: Site, plan: FederationPlan, round_: int, own: str) -> SiteTimes:
    """The answer to :class:`cohortium.contracts.federation_network.AskTimes`."""
    return SiteTimes(site.name, own, round_, *times_of(site, plan.least_events))
