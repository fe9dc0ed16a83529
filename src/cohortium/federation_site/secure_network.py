"""What a site seals of a network: which parts it trains, events by time, and its update as sums.

Sums are of units times what the site would say for itself, so that the sum over sites divided by that of units is the mean of those who
have the part. A site that lacks a part, or has too few patients with it, adds zeros to everything about it. Nobody can look
inside a sum: change, control variate, mean embedding and losses are cut to bounds here, before they are masked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_network import (
    HEAD,
    SHARED,
    AskTimes,
    AskUpdate,
    PartUpdate,
    SiteUpdate,
    of_modality,
    on_grid,
)
from cohortium.contracts.federation_secure import AskParts
from cohortium.federation_site.network import At, update, wrong
from cohortium.federation_site.network_data import modalities_of, network_of, times_of
from cohortium.federation_site.refusing import RefusedError
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]

LARGEST_CENTRE = 100.0
"""No embedding has an entry beyond this: those of trained networks are of the size of one."""

LARGEST_LOSS = 100.0
"""Of a unit, in the mean over a site's."""


def sent_parts(plan: FederationPlan, q: AskUpdate) -> tuple[str, ...]:
    """Parts of which sums are sealed, in their order: of modalities, of all, and the head unless heads are the sites' own."""
    every = (*map(of_modality, modalities_of(q.columns)), SHARED)
    return every if network_of(plan).personal else (*every, HEAD)


def times_numbers(site: Site, plan: FederationPlan, q: AskTimes) -> Array:
    """Events and exposure (2 (G - 1),) by step of the grid: those of the bins that the site would name without secure aggregation, each of at
    least the declared events, spread evenly over their steps. Their sum is made of these alone and tells no more."""
    if plan.kind != "survival" or plan.network is None:
        raise RefusedError("it was asked for times that its study does not have")
    return np.concatenate(on_grid(*times_of(site, plan.least_events)))


def parts_numbers(site: Site, plan: FederationPlan, q: AskParts) -> Array:
    """1 for each modality that enough of the training patients have, 1 where patients are kept from training, numbers of each part."""
    if reason := wrong(site, plan, q.update):
        raise RefusedError(reason)
    try:
        here = At(site, plan, q.update)
    except ValueError as e:
        raise RefusedError(str(e)) from e
    sizes = [float(here.layout.sizes[n]) for n in here.layout.names]
    return np.concatenate([here.data.mine.astype(float), [float(len(here.data.inner) > 0)], sizes])


def update_numbers(site: Site, plan: FederationPlan, q: AskUpdate, own: str) -> tuple[Array, list[str]]:
    """Of each part units, units x mean embedding, units x change, units x variate; then loss, units, inner loss, inner units. And what
    was cut, in words."""
    how = network_of(plan)
    if not how.clip > 0:
        raise RefusedError(
            "its study declares no norm to which updates are cut, and nobody could see one that is too long"
        )
    found = update(site, plan, q, own)
    if not isinstance(found, SiteUpdate):
        raise RefusedError(found.reason)
    bound = how.clip / how.rate  # along a longer variate one step would be longer than a whole update may be
    cut = _cut_already(found.parts, how.clip)
    variate = _shrunken([p.variate for p in found.parts], bound)
    cut += [f"a control variate longer than {bound:g}"] if variate < 1 else []
    sizes = {p.name: len(p.change) for p in q.parts}
    mine = {p.name: p for p in found.parts}
    parts = []
    for name in sent_parts(plan, q):
        if q.train and name not in sizes:
            raise RefusedError("the question has parts of another network")
        size = sizes[name] if q.train else 0
        centre = how.width if name not in (SHARED, HEAD) else 0
        varied = size if how.strategy == "scaffold" else 0
        p = mine.get(name)
        if p is None:
            parts.append(np.zeros(1 + centre + size + varied))
            continue
        within = np.clip(p.centre, -LARGEST_CENTRE, LARGEST_CENTRE)
        cut += ["a mean embedding"] if (within != p.centre).any() else []
        parts.append(np.concatenate([[p.units], p.units * within, p.units * p.change, p.units * variate * p.variate]))
        if len(parts[-1]) != 1 + centre + size + varied:
            raise RefusedError("the question has parts of another network")
    loss, inner = (
        min(x, LARGEST_LOSS * n) for x, n in ((found.loss, found.units), (found.inner_loss, found.inner_units))
    )
    cut += ["a loss"] if (loss, inner) != (found.loss, found.inner_loss) else []
    return np.concatenate([*parts, [loss, found.units, inner, found.inner_units]]), cut


def _cut_already(parts: Sequence[PartUpdate], clip: float) -> list[str]:
    """The change was shrunken where it was made; its norm is then the declared one."""
    norm = float(np.sqrt(sum(float(p.change @ p.change) for p in parts)))
    return [f"a change longer than {clip:g}"] if norm >= clip * (1 - 1e-9) else []


def _shrunken(several: Sequence[Array], bound: float) -> float:
    """By what vectors are multiplied so that together they are no longer than ``bound``."""
    norm = float(np.sqrt(sum(float(x @ x) for x in several)))
    return min(1.0, bound / max(norm, 1e-300))
