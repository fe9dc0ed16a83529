"""Federated trees beside boosting on all rows in one place, and each site's own; only a simulation can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import FederatedResults, PooledTrees, SitePerformance
from cohortium.errors import FederationError

if TYPE_CHECKING:
    from cohortium.federation_coordinator import State
    from cohortium.federation_site import Feature, Site

Array = NDArray[np.float64]


def compared_trees(
    found: FederatedResults, state: State, sites: Mapping[str, Site], plan: FederationPlan
) -> FederatedResults:
    """The results with differences from boosting on all rows, and the performance of each site's own trees, beside them."""
    from cohortium.federation_coordinator.performance import alone_performance, with_own
    from cohortium.study.federating import asking, drive

    reasons: dict[str, str] = {}
    own: list[SitePerformance] = []
    if plan.folds:
        alone = replace(plan, quorum=1)
        for name in state.here:
            try:
                own += alone_performance(drive(alone, {name: asking(sites[name], alone)}).state)
            except FederationError as e:
                reasons[name] = str(e)
    assert found.trees is not None
    records = [replace(s, local_reason=reasons.get(s.site, "")) for s in found.sites]
    evaluation = found.evaluation if found.evaluation is None else with_own(found.evaluation, own)
    trees = replace(found.trees, pooled=pooled_trees(state, sites))
    return replace(found, sites=records, evaluation=evaluation, trees=trees)


def pooled_trees(state: State, sites: Mapping[str, Site]) -> PooledTrees:
    """Boosting on all rows as one site, a stratum for each: with the same rule of small counts, and without."""
    from cohortium.federation_coordinator.trees import model
    from cohortium.federation_site.boosting import scores_by
    from cohortium.federation_site.trees import held_rows

    one = together(state, sites)
    mine = scores_by(one, state.plan, model(state), groups=False)
    held = np.concatenate([held_rows(sites[n], state.plan) for n in state.here])
    found = []
    for least in (state.plan.least_cell, 1):
        plan, fitted = _boosted(state, one, least, held)
        found.append(scores_by(one, plan, model(fitted), groups=False))
    same, plain = (float(np.abs(f - mine).max(initial=0.0)) for f in found)
    varies = mine.std() > 0 and found[1].std() > 0
    alike = float(np.corrcoef(mine.ravel(), found[1].ravel())[0, 1]) if varies else None
    return PooledTrees(same, plain, float(mine.std(0).mean()), alike)


def _boosted(state: State, one: Site, least: int, held: NDArray[np.bool_]) -> tuple[FederationPlan, State]:
    """Trees on all rows, with the bins of the federated ones, and the rows that were held out there."""
    from cohortium.contracts.federation_wire import digest, encode
    from cohortium.federation_coordinator.boosting import boosting, fresh
    from cohortium.federation_coordinator.protocol import question, step
    from cohortium.federation_site import answer
    from cohortium.federation_site.trials import take

    here = [state.schemas[s] for s in state.here]
    plan = replace(state.plan, quorum=1, least_cell=least, folds=0)
    counts = {c: sum(n for a in here for k, n in zip(a.classes, a.counts, strict=True) if k == c) for c in one.classes}
    schema = replace(
        here[0], site="all", plan=digest(encode(plan)), units=len(one), patients=one.patients(), classes=one.classes,
        counts=tuple(counts.values()) if one.classes else (len(one),),
    )  # fmt: skip
    several = [state.moments[s] for s in state.here]
    moments = replace(
        several[0], site="all", weight=sum(m.weight for m in several), outcome_mean=state.outcome[0],
        outcome_squares=state.outcome[1] ** 2 * sum(m.weight for m in several),
    )  # fmt: skip
    s = replace(
        state, plan=plan, sites=("all",), left={}, phase="fit", schemas={"all": schema}, moments={"all": moments}, trials=(), round=1,
    )  # fmt: skip
    s = replace(s, fit=replace(fresh(s), grid=np.zeros((0, 0)), edges=boosting(state).edges))
    mine = [
        (np.flatnonzero((one.stratum == g) & ~held), np.flatnonzero((one.stratum == g) & held))
        for g in np.unique(one.stratum)
    ]
    one.folds["parts", plan] = [(take(one, a), take(one, b) if len(b) else None) for a, b in mine]
    while s.phase != "done":
        s = step(s, {"all": answer(one, plan, question(s))})
    return plan, s


def together(state: State, sites: Mapping[str, Site]) -> Site:
    """All rows of the sites that took part, with the columns as they were federated."""
    from cohortium.federation_site import Site
    from cohortium.federation_site.encoding import columns_of

    here = [sites[n] for n in state.here]
    x = np.vstack([columns_of(s, state.columns, state.plan.least_cell) for s in here])
    stratum = np.repeat(np.arange(len(here)), [len(s) for s in here])
    who = [s.patient + 0 for s in here]
    for i in range(1, len(who)):
        who[i] = who[i] + who[i - 1].max() + 1
    y = [s.y for s in here]
    if state.plan.kind == "multiclass":
        y = [np.array([state.classes.index(c) for c in s.classes])[s.y.astype(int)].astype(float) for s in here]
    parts = [[s.weight for s in here], y, [s.time for s in here], [s.entry for s in here]]
    weight, outcome, time, entry = (np.concatenate(p) for p in parts)
    return Site(
        "all", _features(state, x), np.concatenate(who), weight, stratum, outcome, state.classes, time, entry,
    )  # fmt: skip


def _features(state: State, x: Array) -> tuple[Feature, ...]:
    """Features whose columns are those of the state, from the columns' values x (n, q)."""
    from cohortium.federation_site import Feature

    at: dict[tuple[str, str], list[int]] = {}
    for j, c in enumerate(state.columns):
        at.setdefault((c.modality, c.feature), []).append(j)
    out = []
    for (modality, name), own in at.items():
        c = state.columns[own[0]]
        values = x[:, own[0]]
        if c.kind == "level":
            # Columns that never vary are not among those of the state: their level is not told from the first one.
            code = sum((c.levels.index(state.columns[j].level) * (x[:, j] == 1) for j in own), np.zeros(len(x)))
            values = np.where(np.isnan(values), np.nan, code)
        out.append(Feature(modality, name, c.kind, c.levels, "", "", values))
    return tuple(out)
