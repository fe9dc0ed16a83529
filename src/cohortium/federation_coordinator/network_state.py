"""Where the training of a network across sites stands between two rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_network import Part
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.federation_coordinator.state import Progress, State

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Networking(Progress):
    """stage: ``times`` (of survival), ``look`` (losses and mean embeddings of the start), ``train``, ``close`` (the same at the end).
    done: rounds of training. edges, base: as in :class:`cohortium.contracts.federation_network.AskUpdate`. sizes: numbers of each
    part. change, centre: of each part now; previous, previous_centre: of the round before, with ``variate`` for SCAFFOLD. first,
    second: moments of FedAdam. losses, inner: (rounds,) mean losses of the network that each round asked about; NaN where nobody kept patients from
    training. best: round whose network is the answer, where that is chosen by inner loss; best_change, best_centre: it. have: site -> part ->
    units. silent: site -> rounds without an answer. last: site -> digest of its last answer."""

    stage: str
    done: int
    edges: Array
    base: Array
    sizes: Array
    change: dict[str, Array]
    centre: dict[str, Array]
    previous: dict[str, Array]
    previous_centre: dict[str, Array]
    variate: dict[str, Array]
    first: dict[str, Array]
    second: dict[str, Array]
    losses: Array
    inner: Array
    best: int
    best_change: dict[str, Array]
    best_centre: dict[str, Array]
    have: dict[str, dict[str, int]]
    silent: dict[str, int]
    last: dict[str, str]


def begun(stage: str, base: Array) -> Networking:
    """Before the first question."""
    none = np.zeros(0)
    return Networking(stage, 0, none, base, none, {}, {}, {}, {}, {}, {}, {}, none, none, -1, {}, {}, {}, {}, {})


def network(state: State) -> Networking:
    """The progress of a network."""
    assert isinstance(state.fit, Networking)
    return state.fit


def declared(state: State) -> NetworkPlan:
    """What the plan says of the network."""
    assert state.plan.network is not None
    return state.plan.network


def parts(change: dict[str, Array], centre: dict[str, Array]) -> tuple[Part, ...]:
    """As they are sent; in order of their names."""
    none = np.zeros(0)
    return tuple(Part(n, change.get(n, none), centre.get(n, none)) for n in sorted(change))
