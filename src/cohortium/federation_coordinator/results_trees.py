"""From boosted trees to records: what they gained by column, their losses, the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cohortium.contracts.federation_results import FederatedResults, FederatedTrees, Importance, MessageRow
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.boosting import Boosting, boosting, n_scores, plan_of
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.results import site_records
from cohortium.federation_coordinator.state import State


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of trees that are done."""
    plan, found = state.plan, trees_of(state)
    return FederatedResults(
        plan.study, plan.endpoint, plan.kind, plan, digest(encode(plan)), site_records(state), state.classes,
        state.classes[0] if plan.kind in ("binary", "multiclass") else "", [], {}, found.losses[-1] if found.losses else 0.0,
        state.round - 1, None, list(state.notices), list(messages), list(seconds), engine, version,
        evaluation=evaluation(state), trees=found,
    )  # fmt: skip


def trees_of(state: State) -> FederatedTrees:
    """The records of the trees."""
    fit, k = boosting(state), n_scores(state)
    number = len(fit.values) // k
    names = [c.name for c in state.columns]
    return FederatedTrees(
        number, number < plan_of(state).rounds, importance(fit, names), *_losses(fit, state), fit.held, fit.off, names,
        [[float(e) for e in row if np.isfinite(e)] for row in fit.edges], *(x.tolist() for x in (fit.base, fit.splits, fit.values)),
    )  # fmt: skip


def importance(fit: Boosting, names: Sequence[str]) -> list[Importance]:
    """Columns that some split uses, those that gained most first."""
    gains, uses = fit.gains.sum(0), fit.uses.sum(0)
    whole = max(float(gains.sum()), 1e-300)
    order = sorted(np.flatnonzero(uses), key=lambda j: (-gains[j], names[j]))
    return [Importance(names[j], float(gains[j]) / whole, int(uses[j])) for j in order]


def _losses(fit: Boosting, state: State) -> tuple[list[float], list[float]]:
    """Per unit, or event, of those trained on; per unit of those held out, whose events are not told."""
    units = sum(state.schemas[s].units for s in state.here) - fit.held
    events = sum(state.schemas[s].counts[-1] for s in state.here) if state.plan.kind == "survival" else units
    return (fit.losses / max(events, 1)).tolist(), (fit.held_losses / fit.held).tolist() if fit.held else []
