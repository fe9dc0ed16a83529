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
class PrivateFit(Progress):
    """counts: noisy, by site. parameters: (P,) asked about now; average: (P,) of the last steps so far, averaged: how many. steps: made.
    curvature: of the mean loss at the start. scores: noisy counts of those held out, by site. summed: sites in one answer, with secure aggregation,
    where all together are one."""

    counts: dict[str, SitePrivateCounts]
    parameters: NDArray[np.float64]
    average: NDArray[np.float64]
    averaged: int
    steps: int
    curvature: float
    scores: dict[str, SitePrivateScores]
    summed: int = 1


def noise_of(state: State) -> Schedule:
    """mu of each release by its noise: that of a sum of n sites is the root of n times that of one."""
    made, louder = schedule(privacy_of(state.plan)), math.sqrt(fit_of(state).summed)
    each = {n: getattr(made, n) / louder for n in ("counts", "moments", "gradient", "scores")}
    return replace(made, **each)


def fit_of(state: State) -> PrivateFit:
    """The progress of a private fit."""
    assert isinstance(state.fit, PrivateFit)
    return state.fit


def privacy_of(plan: FederationPlan) -> PrivacyPlan:
    """The plan's privacy; it has one here."""
    assert plan.privacy is not None
    return plan.privacy
