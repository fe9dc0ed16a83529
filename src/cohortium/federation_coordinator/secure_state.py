"""Where a study with secure aggregation stands: sums, and masked numbers that cannot be read; nothing of a single site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_secure import SealedQuestion, SiteNames, SiteSealed
from cohortium.federation_coordinator.state import State

TOGETHER = "all sites"
"""The one site that the fit sees."""

NOBODY_KNOWS = "Which site it is cannot be told with secure aggregation; each site's own log may say."


@dataclass(frozen=True)
class Lane:
    """A fit: of all patients (fold -1), or of those outside a fold. stage: ``totals``, ``spread``, of a network ``parts``, ``sums``; of a fold then
    ``held``; ``done``. model: the protocol of its method with all sites as one. dropped: whether a site dropped out after the counts were opened.
    failed: why there is no fit. held: sums of measures of those in the fold. Of a network: times: events and exposure by step of the grid; trains: modality ->
    sites that train it, when ``trained`` were in the sum."""

    fold: int
    stage: str
    model: State
    dropped: bool
    failed: str
    held: NDArray[np.float64]
    times: NDArray[np.float64]
    trains: dict[str, int]
    trained: tuple[str, ...]


@dataclass(frozen=True)
class SecureState:
    """phase: ``schema``, then ``seal`` and ``open`` in turn, ``done``. asks: what is sealed now; invited: by whom. sealed: what they sent;
    inside: those whose sum is being opened; tries: how often that was asked. opened: sites of the last sum that was opened, the first
    one's number in first. fewest: of any. sums: how many were. dropped: sites that were in a sum before, and are gone. evaluation: why there is none."""

    plan: FederationPlan
    sites: tuple[str, ...]
    round: int
    phase: str
    names: dict[str, SiteNames]
    lanes: tuple[Lane, ...]
    asks: tuple[SealedQuestion, ...]
    invited: tuple[str, ...]
    sealed: dict[str, SiteSealed]
    inside: tuple[str, ...]
    tries: int
    opened: tuple[str, ...]
    first: int
    fewest: int
    sums: int
    dropped: tuple[str, ...]
    left: dict[str, str]
    notices: tuple[str, ...]
    evaluation: str

    @property
    def here(self) -> tuple[str, ...]:
        """Sites that take part, in order."""
        return tuple(s for s in self.sites if s not in self.left)
