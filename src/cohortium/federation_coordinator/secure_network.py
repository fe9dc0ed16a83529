"""A network under secure aggregation: from opened sums to what its training needs.

All sites together are one site to :mod:`cohortium.federation_coordinator.network`: its update is the sum over sites of units times
their changes, divided by the sum of units. A part that fewer than the declared sites train is in no sum: it would show theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_network import HEAD, SHARED, AskUpdate, PartUpdate, SiteUpdate
from cohortium.contracts.federation_secure import AskParts, SealedQuestion, SiteNames
from cohortium.errors import FederationError
from cohortium.federation_coordinator import network as method
from cohortium.federation_coordinator.network_checking import names
from cohortium.federation_coordinator.network_state import declared, network
from cohortium.federation_coordinator.network_times import chosen
from cohortium.federation_coordinator.secure_state import NOBODY_KNOWS, TOGETHER, Lane
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

INNER = "patients kept from training"
"""Counted as modalities are: sites that have some."""

FIRST = 3
"""Round of the first look, as it is without secure aggregation: after schema and moments. One later where times are asked for."""

SLACK = 1e-6


def impossible(what: str, reason: str) -> FederationError:
    """The error of a sum that no sites can have."""
    return FederationError(f"The sites' {what} together cannot be: {reason}. {NOBODY_KNOWS}")


def question(lane: Lane, plan: str, round_: int) -> SealedQuestion:
    """Which parts sites train, or the network as it is now. Its round is that of the fit: a site's steps depend on it."""
    m = lane.model
    weight = m.moments[TOGETHER].weight
    ask = method.question(replace(m, round=FIRST + int(len(lane.times) > 0) + len(network(m).losses)))
    assert isinstance(ask, AskUpdate)
    ask = replace(ask, plan=plan)
    return SealedQuestion(lane.fold, weight, 0.0, AskParts(plan, round_, ask) if lane.stage == "parts" else ask)


def _modalities(q: AskUpdate) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.modality for c in q.columns))


def parts_length(q: AskUpdate) -> int:
    """Numbers that answer :class:`AskParts`."""
    m = len(_modalities(q))
    return m + 1 + m + 2


def update_length(q: AskUpdate, plan: FederationPlan) -> int:
    """Numbers that answer :class:`AskUpdate`: as :func:`cohortium.federation_site.secure_network.update_numbers` lays them out."""
    assert plan.network is not None
    n = plan.network
    varied = 2 if n.strategy == "scaffold" else 1
    m = len(_modalities(q))
    trained = sum(len(p.change) for p in q.parts) * varied if q.train else 0
    return m * (1 + n.width) + (1 if n.personal else 2) + trained + 4


def timed(lane: Lane, numbers: Array) -> Lane:
    """Events and exposure by step of the grid; they are looked at when there is a fit."""
    m = lane.model
    events, exposure = np.split(numbers, 2)
    total = float(m.schemas[TOGETHER].counts[-1])
    if (events < -SLACK).any() or abs(events.sum() - total) > SLACK * total or (exposure < -SLACK).any():
        raise impossible("counts by time", "they do not add up to the events")
    return replace(lane, times=numbers)


def ready(lane: Lane) -> Lane:
    """The fit before its first question; of survival its intervals are chosen."""
    m = lane.model
    fit = network(m)
    if fit.stage == "times":
        edges, base = chosen(*np.split(lane.times, 2), m.plan.least_events)
        m = replace(m, fit=replace(fit, stage="look", edges=edges, base=base))
    return replace(lane, stage="parts", model=m)


def parts_known(lane: Lane, numbers: Array, sites: Collection[str], least: int) -> Lane:
    """Columns of modalities that too few sites train are left out, and it is asked again; else the fit begins."""
    m = lane.model
    every = [n.removeprefix("modality:") for n in names(m) if n not in (SHARED, HEAD)]
    k = len(every)
    count, kept, sizes = numbers[:k], numbers[k], numbers[k + 1 :] / len(sites)
    whole = np.allclose(numbers, np.round(numbers), atol=SLACK) and np.allclose(sizes, np.round(sizes), atol=SLACK)
    if not whole or (numbers < 0).any() or (sizes < 1).any() or max(*count, kept) > len(sites):
        raise impossible("answers on the network's parts", "they are no counts of sites and numbers")
    if 0 < round(kept) < least:
        raise FederationError(
            f"Fewer than {least} sites are large enough to keep patients from training: the loss of those would be theirs. Set "
            "federation.network.inner to 0."
        )
    few = [n for n, c in zip(every, count, strict=True) if round(c) < least]
    if not few:
        trains = {n: round(float(c)) for n, c in zip(every, count, strict=True)} | {INNER: round(float(kept))}
        fit = replace(network(m), sizes=np.round(sizes))
        return replace(lane, stage="sums", model=replace(m, fit=fit), trains=trains, trained=tuple(sorted(sites)))
    stay = np.array([c.modality not in few for c in m.columns])
    if not stay.any():
        raise FederationError(f"No modality is trained by {least} sites or more: a sum would show a single one's.")
    notice = f"Modality {', '.join(map(repr, few))}: fewer than {least} sites have enough patients to train it; a sum would show theirs. Not used."
    m = replace(
        m, columns=tuple(c for c, s in zip(m.columns, stay, strict=True) if s), mean=m.mean[stay], sd=m.sd[stay],
        notices=(*m.notices, notice),
    )  # fmt: skip
    return replace(lane, model=m)


def thin_parts(
    lanes: Collection[Lane], inside: Collection[str], said: Mapping[str, SiteNames], least: int
) -> list[str]:
    """Parts that fewer than ``least`` of these sites may be training: who is gone is taken for one of them where it may have been."""
    out = []
    for lane in lanes:
        gone = set(lane.trained) - set(inside)
        for name, count in lane.trains.items():
            lost = [s for s in gone if name == INNER or any(f.modality == name for f in said[s].features)]
            if count and lost and count - len(lost) < least:
                out.append(name if name == INNER else f"modality '{name}'")
    return list(dict.fromkeys(out))


def trained(lane: Lane, numbers: Array) -> Lane:
    """The fit after an opened update."""
    m = lane.model
    m = method.advance(m, {TOGETHER: update_of(numbers, m)})
    stage = "sums" if m.phase != "done" else "held" if lane.fold >= 0 else "done"
    return replace(lane, stage=stage, model=m)


def update_of(numbers: Array, m: State) -> SiteUpdate:
    """The mean over sites, as the update of one. Raises :class:`FederationError` for a sum that cannot be."""
    fit, how = network(m), declared(m)
    train = fit.stage == "train"
    sizes = dict(zip(names(m), fit.sizes.astype(int), strict=True))
    at, parts = 0, []

    def take(n: int) -> Array:
        nonlocal at
        at += n
        return numbers[at - n : at]

    for name in [n for n in names(m) if not (how.personal and n == HEAD)]:
        units = float(take(1)[0])
        share = 1 / max(units, 1.0)
        centre = take(0 if name in (SHARED, HEAD) else how.width) * share
        change = take(sizes[name] if train else 0) * share
        variate = take(sizes[name] if train and how.strategy == "scaffold" else 0) * share
        _possible(units, change, m)
        parts.append(PartUpdate(name, round(units), change, variate, centre))
    loss, units, inner, inner_units = (float(x) for x in take(4))
    _counts_possible(units, inner_units, parts, m)
    if m.plan.kind != "continuous" and min(loss, inner) < -SLACK:
        raise impossible("losses", "they are negative")
    return SiteUpdate(TOGETHER, "", m.round, tuple(parts), fit.sizes, loss, round(units), inner, round(inner_units))


def _possible(units: float, change: Array, m: State) -> None:
    if abs(units - round(units)) > SLACK or units < m.plan.least_patients:
        raise impossible(
            "counts", f"a part of the network has fewer than {m.plan.least_patients} units, or no whole number"
        )
    if float(np.sqrt(change @ change)) > declared(m).clip * (1 + SLACK):  # each is no longer, nor is their mean
        raise impossible("updates", "their mean is longer than the declared clip")


def _counts_possible(units: float, inner_units: float, parts: Collection[PartUpdate], m: State) -> None:
    most = m.schemas[TOGETHER].units
    of_all = [p.units for p in parts if p.name in (SHARED, HEAD)]
    if (
        not 0 < units <= units + inner_units <= most + SLACK
        or inner_units < 0
        or any(n != round(units) for n in of_all)
    ):
        raise impossible("counts", "they do not fit the number of units")
    if any(p.units > round(units) for p in parts):
        raise impossible("counts", "they do not fit the number of units")
