"""Where a private fit stands between two rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_private import SitePrivateCounts, SitePrivateScores
from cohortium.contracts.private_plan import PrivacyPlan
from cohortium.federation_coordinator.state import Progress, State
from cohortium.privacy.schedule import Schedule, schedule


@dataclass(frozen=True)
class Released(Progress):
    """What every private study has. counts: noisy, by site. scores: noisy counts of those held out, by site."""

    counts: dict[str, SitePrivateCounts]
    scores: dict[str, SitePrivateScores]


@dataclass(frozen=True)
class PrivateFit(Released):
    """parameters: (P,) asked about now; average: (P,) of the last steps so far, averaged: how many. steps: made. curvature: of the mean loss at the
    start. summed: sites in one answer, with secure aggregation, where all together are one."""

    parameters: NDArray[np.float64]
    average: NDArray[np.float64]
    averaged: int
    steps: int
    curvature: float
    summed: int = 1


def summed(state: State) -> int:
    """Sites in one answer of a private study."""
    return state.fit.summed if isinstance(state.fit, PrivateFit) else 1


def noise_of(state: State) -> Schedule:
    """mu of each release of a linear fit by its noise: that of a sum of n sites is the root of n times that of one."""
    made, louder = schedule(privacy_of(state.plan)), math.sqrt(fit_of(state).summed)
    each = {n: getattr(made, n) / louder for n in ("counts", "moments", "gradient", "scores")}
    return replace(made, **each)


@dataclass(frozen=True)
class PrivateNetworking(Released):
    """base: (H,) start of the outputs' intercepts. done: rounds. sizes: part -> numbers in it, as the first round showed. change: of each part now;
    average: of the last rounds so far, averaged: how many. first, second: moments of FedAdam. silent: site -> rounds without an answer.
    last: site -> digest of its last update."""

    base: NDArray[np.float64]
    done: int
    sizes: dict[str, int]
    change: dict[str, NDArray[np.float64]]
    average: dict[str, NDArray[np.float64]]
    averaged: int
    first: dict[str, NDArray[np.float64]]
    second: dict[str, NDArray[np.float64]]
    silent: dict[str, int]
    last: dict[str, str]


def released(state: State) -> Released:
    """The noisy counts of a private study."""
    assert isinstance(state.fit, Released)
    return state.fit


def networking(state: State) -> PrivateNetworking:
    """The progress of a private network."""
    assert isinstance(state.fit, PrivateNetworking)
    return state.fit


def fit_of(state: State) -> PrivateFit:
    """The progress of a private fit."""
    assert isinstance(state.fit, PrivateFit)
    return state.fit


def privacy_of(plan: FederationPlan) -> PrivacyPlan:
    """The plan's privacy; it has one here."""
    assert plan.privacy is not None
    return plan.privacy
