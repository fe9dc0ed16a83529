"""A private study under secure aggregation: only sums over sites of their noisy answers are opened.

All sites together are one site to :mod:`cohortium.federation_coordinator.private`. Its noise is that of all of them: each adds what
is enough by itself, so that a sum of n has the root of n times as much, as it has without secure aggregation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_private import (
    AskPrivateCounts,
    AskPrivateGradient,
    SitePrivateCounts,
    SitePrivateGradient,
    SitePrivateScores,
)
from cohortium.contracts.federation_secure import SealedQuestion
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import private
from cohortium.federation_coordinator.private_state import fit_of, privacy_of
from cohortium.federation_coordinator.secure_state import NOBODY_KNOWS, TOGETHER, Lane
from cohortium.privacy import models
from cohortium.privacy.planned import classes_of, columns_of

Array = NDArray[np.float64]


def begun(plan: FederationPlan) -> Lane:
    """The fit before its first question. Raises :class:`FederationError`."""
    none = np.zeros(0)
    start = private.begin(replace(plan, quorum=1, secure=None), (TOGETHER,))
    return Lane(-1, "private", start, False, "", none, none, {}, ())


def question(lane: Lane, plan: str) -> SealedQuestion:
    """Its round is that of the fit: the same question is the same release."""
    return SealedQuestion(-1, 0.0, 0.0, replace(private.question(lane.model), plan=plan))


def length(q: SealedQuestion, plan: FederationPlan) -> int:
    """Numbers that answer it."""
    p, a = privacy_of(plan), q.question
    classes = classes_of(plan.kind, plan.classes)
    cells = models.cells(plan.kind, p.times, classes)
    if isinstance(a, AskPrivateCounts):
        return 1 + len(p.columns) + cells + (3 * len(columns_of(p)) if p.moments else 0)
    if isinstance(a, AskPrivateGradient):
        return len(a.parameters)
    return {"continuous": 4, "multiclass": classes**2}.get(plan.kind, models.BINS * cells)


def moved(lane: Lane, numbers: Array, sites: Collection[str]) -> Lane:
    """The fit after a sum over ``sites``. Raises :class:`FederationError`."""
    m, p = lane.model, privacy_of(lane.model.plan)
    own = digest(encode(m.plan))
    m = replace(m, fit=replace(fit_of(m), summed=len(sites)))
    if m.phase == "counts":
        k = len(p.columns)
        cells = models.cells(m.plan.kind, p.times, classes_of(m.plan.kind, m.plan.classes))
        system, has = numbers[0], tuple(int(i) for i in np.flatnonzero(np.round(numbers[1 : 1 + k]) > 0))
        source = "system" if round(float(system)) == len(sites) else "seed"
        counts, moments = numbers[1 + k : 1 + k + cells], numbers[1 + k + cells :]
        answer: object = SitePrivateCounts(TOGETHER, own, m.round, source, has, counts, moments)
    elif m.phase == "gradient":
        answer = SitePrivateGradient(TOGETHER, own, m.round, numbers)
    else:
        answer = SitePrivateScores(TOGETHER, own, m.round, numbers)
    if reason := private.wrong(answer, m):
        raise FederationError(f"The sites' noisy sums together cannot be: {reason}. {NOBODY_KNOWS}")
    m = private.step(m, {TOGETHER: answer})
    return replace(lane, model=m, stage="done" if m.phase == "done" else "private")
