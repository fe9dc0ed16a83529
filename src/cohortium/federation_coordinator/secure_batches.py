"""ComBat and selection under secure aggregation: from opened sums to columns.

As :mod:`cohortium.federation_coordinator.harmonising` and ``selecting``, of sums alone. A column of which effects are taken out carries
``("", mean, spread)``: each site finds its own shift and factor by them, and tells nobody.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_preparing import AskAssociation, SiteAssociation
from cohortium.contracts.federation_results import Preparing, SelectedColumn
from cohortium.contracts.federation_secure import AskBatches
from cohortium.errors import FederationError
from cohortium.federation_coordinator import selecting
from cohortium.federation_coordinator.harmonising import FEWEST_FEATURES
from cohortium.federation_coordinator.secure_state import NOBODY_KNOWS, TOGETHER, Lane, SecureState

Array = NDArray[np.float64]

BY_COLUMN = 6


def batches_length(q: AskBatches, plan: FederationPlan) -> int:
    """Numbers that answer it."""
    return sum(1 + BY_COLUMN * len(_at(q.columns, t)) for t in plan.harmonise)


def _at(columns: tuple, table: str) -> list[int]:  # type: ignore[type-arg]
    return [j for j, c in enumerate(columns) if c.modality == table and c.kind == "numeric"]


def taken_out(lane: Lane, numbers: Array) -> Lane:
    """The fit with columns that say by which mean and spread each site takes out its own effect."""
    m = lane.model
    columns, mean, used = list(m.asked), m.moments[TOGETHER].mean.copy(), 0
    for table in m.plan.harmonise:
        at = np.array(_at(m.asked, table), dtype=np.intp)
        own = numbers[used : (used := used + 1 + BY_COLUMN * len(at))]
        size, (weight, sums, squares, still, part, known) = own[0], own[1:].reshape(BY_COLUMN, len(at))
        if min(size, *weight, *squares, *still, *part, *known, 0.0) < 0:
            raise FederationError(f"The sites' sums behind harmonisation together are negative. {NOBODY_KNOWS}")
        varies = np.round(still) == 0
        whole = not np.round(part[varies]).any()
        total = m.moments[TOGETHER].count[at]
        centre = sums / np.maximum(weight, 1)
        scale = np.sqrt(squares / np.maximum(total - (0 if whole else 1), 1))
        keep = np.flatnonzero(varies & (scale > 0) & (np.round(known) > 1))
        if len(keep) < FEWEST_FEATURES or size < 3:
            continue
        for k in keep:
            columns[at[k]] = replace(columns[at[k]], batches=(("", float(centre[k]), float(scale[k])),))
            mean[at[k]] = centre[k]  # deviations are asked for from here
    moments = replace(m.moments[TOGETHER], mean=mean)
    return replace(lane, stage="spread", model=replace(m, asked=tuple(columns), moments={TOGETHER: moments}))


def association_length(q: AskAssociation, plan: FederationPlan) -> int:
    """Numbers that answer it."""
    groups, wide = _shape(plan.kind, len(q.classes))
    return groups + (wide + 1) * len(q.columns)


def _shape(kind: str, classes: int) -> tuple[int, int]:
    """Weights, and sums of a column."""
    groups = classes if kind in ("binary", "multiclass") else 1
    return groups, 2 if kind == "continuous" else groups


def selected(lane: Lane, numbers: Array) -> Lane:
    """The fit of the columns with the highest score. Raises :class:`FederationError`."""
    from cohortium.federation_coordinator.protocol import _start

    m = lane.model
    at = selecting.to_select(m)
    groups, wide = _shape(m.plan.kind, len(m.classes))
    sums = numbers[groups : groups + wide * len(at)].reshape(len(at), wide)
    answer = SiteAssociation(TOGETHER, "", m.round, numbers[:groups], sums, numbers[groups + wide * len(at) :])
    # After a drop-out the counts of those who are left are not known.
    reason = "" if lane.dropped else selecting.check(m, {TOGETHER: answer}).get(TOGETHER, "")
    if reason or (numbers[:groups] < 0).any() or (answer.squares < 0).any():
        raise FederationError(f"The sites' sums together cannot be: {reason or 'counts are negative'}. {NOBODY_KNOWS}")
    return replace(lane, stage="sums", model=_start(selecting.by_association(m, {TOGETHER: answer})))


def preparing(state: SecureState) -> Preparing | None:
    """What was chosen; of effects of sites nothing is known."""
    m = state.lanes[0].model
    if not m.chosen:
        return None
    fits = [n.model for n in state.lanes[1:] if not n.failed]
    chosen = [
        SelectedColumn(c.column, c.score, c.freedom, c.p, sum(c.column in {o.column for o in f.chosen} for f in fits))
        for c in m.chosen
    ]
    return Preparing(m.plan.select.by if m.plan.select else "", m.candidates, chosen, len(fits), [])
