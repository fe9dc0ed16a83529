"""From a stack that is done to records: its parts, their weights, who has them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from cohortium.contracts.federation_results import FederatedResults, FederatedStack, MessageRow, StackedPart
from cohortium.contracts.federation_stack import intercepts
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.results import site_records
from cohortium.federation_coordinator.stack_state import n_scores, stack_of, stacking
from cohortium.federation_coordinator.state import State


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of a stack that is done."""
    plan, found = state.plan, stack_record(state)
    said = [n for t in stacking(state).lanes if t.fold < 0 and not t.failed for n in t.state.notices]
    notices = [*state.notices, *(n for n in dict.fromkeys(said) if n not in state.notices and "left out" not in n)]
    return FederatedResults(
        plan.study, plan.endpoint, plan.kind, plan, digest(encode(plan)), site_records(state), state.classes,
        state.classes[0] if plan.kind in ("binary", "multiclass") else "", [], {}, float(stacking(state).loss),
        state.round - 1, None, notices, list(messages), list(seconds), engine, version,
        evaluation=evaluation(state), stack=found,
    )  # fmt: skip


def stack_record(state: State) -> FederatedStack:
    """The records of the stack."""
    from cohortium.federation_coordinator.stack import model  # which imports this file

    fit, k = stacking(state), n_scores(state)
    t = intercepts(state.plan.kind, k)
    weight = dict(zip(fit.parts, fit.accepted[t:], strict=True))
    place = {p: j for j, p in enumerate(fit.parts)}
    sd = np.sqrt(np.diag(fit.cov).reshape(-1, k).mean(1))
    parts = []
    for i, p in enumerate(stack_of(state).parts):
        lane = next(x for x in fit.lanes if (x.part, x.fold) == (i, -1))
        if i not in place:
            parts.append(StackedPart(p.name, p.method, list(p.modalities), None, None, None, [], lane.failed))
            continue
        units = round(sum(float(fit.moments[s].count[place[i] * k, place[i] * k]) for s in state.here))
        parts.append(
            StackedPart(
                p.name,
                p.method,
                list(p.modalities),
                float(weight[i]),
                float(sd[place[i]]),
                units,
                list(lane.state.here),
                "",
            )
        )
    correlation = fit.cov / np.sqrt(np.outer(np.diag(fit.cov), np.diag(fit.cov))) / 0.9
    between = correlation[::k, ::k] if k == 1 else np.zeros((0, 0))
    np.fill_diagonal(between, 1.0)
    counted = sum(float(fit.moments[s].units[0]) for s in state.here)
    return FederatedStack(
        parts, stack_of(state).folds, stack_of(state).penalty, counted, fit.accepted[:t].tolist(), between.tolist(), json.loads(encode(model(state))),
    )  # fmt: skip
