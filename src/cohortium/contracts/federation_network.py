"""Messages of a network that is trained across sites.

A network is a list of parts: ``modality:<name>`` (its encoder, its linear path and its row in the fusion), ``shared`` (the rest of
the fusion) and ``head`` (what makes outputs). Weights travel as what was added to the start, which every site draws from the
plan's seed for itself: the coordinator adds and averages vectors, and need not know what they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cohortium.contracts.federation import Column, FitAnswer, FitQuestion, FloatArray, Model

SHARED, HEAD = "shared", "head"

GRID = np.concatenate([[0.0], 2.0 ** (np.arange(-40, 81) / 4)])
"""Times at which a bin may begin or end, in the endpoint's unit: four to a doubling, the same for every study, so that no
edge is a patient's."""


def of_modality(name: str) -> str:
    """The part of a modality."""
    return f"modality:{name}"


def on_grid(edges: FloatArray, events: FloatArray, exposure: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Events and exposure (G - 1,) by step of :data:`GRID`, taken as spread evenly within bins (b,) between edges (b + 1,) of it."""
    width = np.diff(GRID)
    n, x = np.zeros(len(width)), np.zeros(len(width))
    for low, high, here, spent in zip(edges[:-1], edges[1:], events, exposure, strict=True):
        inside = (GRID[:-1] >= low) & (GRID[1:] <= high)
        n[inside] += here * width[inside] / (high - low)
        x[inside] += spent * width[inside] / (high - low)
    return n, x


@dataclass(frozen=True)
class Part:
    """A part of a network. change: (p,) what was added to its start. centre: (width,) mean embedding of those who have the
    modality, which is taken from embeddings; of other parts, and where it is not known yet, empty."""

    name: str
    change: FloatArray
    centre: FloatArray


@dataclass(frozen=True)
class AskTimes(FitQuestion):
    """When were events, roughly? Bins are made of steps of :data:`GRID`."""

    plan: str
    round: int


@dataclass(frozen=True)
class SiteTimes(FitAnswer):
    """Events by bin of time. edges: (b + 1,) of :data:`GRID`; later events count in the last bin. events, exposure: (b,)."""

    site: str
    plan: str
    round: int
    edges: FloatArray
    events: FloatArray
    exposure: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "edges": "ends of bins of time, steps of a fixed grid merged until each bin holds the declared number of patients with an event",
        "events": "events by bin",
        "exposure": "time under observation by bin, summed over units",
    }
    EXPOSES: ClassVar[str] = (
        "when events were, in bins of at least the declared patients on a grid of four steps to a doubling; no time of a patient"
    )


@dataclass(frozen=True)
class AskUpdate(FitQuestion):
    """Train this network on your patients and say how it changed. columns, classes, mean, sd, outcome: as in
    :class:`cohortium.contracts.federation.AskSums`. edges: (K + 1,) of intervals of survival, else empty. base: (H,) start of the
    outputs' intercepts. train: 0 when only losses and mean embeddings are asked for. parts: of the network; one that is not named is
    at its start. previous, variate: of SCAFFOLD the network of the round before, at which a site computes its control variate again, and
    the mean of the sites' variates; else empty."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    outcome: tuple[float, float]
    edges: FloatArray
    base: FloatArray
    train: int
    parts: tuple[Part, ...]
    previous: tuple[Part, ...]
    variate: tuple[Part, ...]


@dataclass(frozen=True)
class PartUpdate:
    """What a site's patients did to a part. units: behind it. change: (p,), empty where nothing was trained. variate: (p,) gradient of
    the mean loss at the network that was asked about (SCAFFOLD), else empty. centre: (width,) mean embedding there."""

    name: str
    units: int
    change: FloatArray
    variate: FloatArray
    centre: FloatArray


@dataclass(frozen=True)
class SiteUpdate(FitAnswer):
    """How a network changed by training on a site's patients. sizes: (parts,) numbers of every part of the network. loss, units: of
    training units; inner_loss, inner_units: of those kept from training."""

    site: str
    plan: str
    round: int
    parts: tuple[PartUpdate, ...]
    sizes: FloatArray
    loss: float
    units: int
    inner_loss: float
    inner_units: int

    LEAVES: ClassVar[dict[str, str]] = {
        "parts": "for each part of the network that the site trains: units behind it (at least the declared patients), change of its "
        "weights by the site's steps, with SCAFFOLD the gradient of its loss, and mean embedding of a modality",
        "sizes": "number of weights of each part",
        "loss": "sum of losses of the site's training units, before the steps",
        "units": "number of training units",
        "inner_loss": "sum of losses of units kept from training",
        "inner_units": "their number",
    }
    EXPOSES: ClassVar[str] = (
        "a sum of gradients over the site's patients and steps: patients' values can be inverted from it, the more so the fewer a step has; "
        "that a column is known to nobody; rates of the outcome"
    )


@dataclass(frozen=True)
class NetworkModel(Model):
    """A trained network, as it is sent to be scored; fields as in :class:`AskUpdate`."""

    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    outcome: tuple[float, float]
    edges: FloatArray
    base: FloatArray
    parts: tuple[Part, ...]


NETWORK_ANSWERS: tuple[type, ...] = (SiteTimes, SiteUpdate)
