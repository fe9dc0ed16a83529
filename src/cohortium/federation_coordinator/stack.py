"""A stack of federated models, as a method: its parts are federated fits of their own, all in the same rounds, each once with all units and once without
each fold of every site's; then weights are fitted to scores by models that had not seen the unit, on sums. See ``docs/federation_stack.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, FitQuestion, Withdrawn
from cohortium.contracts.federation_stack import (
    AskStackMoments,
    AskStackParts,
    AskStackSums,
    PartModel,
    PartQuestion,
    SiteParts,
    SiteStackMoments,
    SiteStackSums,
    StackModel,
    intercepts,
    part_plan,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator.checking_stack import wrong_parts, wrong_score_moments, wrong_stack_sums
from cohortium.federation_coordinator.results_stack import results
from cohortium.federation_coordinator.stack_state import Lane, Stacking, n_scores, stack_of, stacking
from cohortium.federation_coordinator.state import State
from cohortium.federation_coordinator.weighing import described, neutral, weighed

__all__ = ["advance", "answered_by", "check", "grid", "model", "progress", "question", "restarts", "results", "start"]

WIDE = 4.0
"""Bins of scores reach so many standard deviations to both sides of their mean."""

progress = Stacking
restarts = True
"""A site that is left out takes its sums with it: parts and weights begin anew, and are those of the others."""


def start(state: State) -> Stacking:
    """All fits at their first question."""
    from cohortium.federation_coordinator import protocol  # which imports the methods

    lanes = tuple(
        Lane(p, k, protocol.begin(part_plan(state.plan, p), state.here), "")
        for p in range(len(stack_of(state).parts))
        for k in range(-1, stack_of(state).folds)
    )
    none = np.zeros(0)
    return Stacking(lanes, {}, none, np.zeros((0, 0)), none, none, np.inf, none, 0.0, 1.0, {}, none, 0)


def question(state: State) -> FitQuestion:
    """What parts ask, then moments of their scores, then sums of the fit of weights."""
    from cohortium.federation_coordinator import protocol

    fit, plan = stacking(state), digest(encode(state.plan))
    if fit.fitting:
        open_ = [t for t in fit.lanes if not t.failed and t.state.phase != "done"]
        return AskStackParts(
            plan, state.round,
            tuple(PartQuestion(t.part, t.fold, replace(protocol.question(t.state), plan=plan)) for t in open_),
        )  # fmt: skip
    if not fit.moments:
        return AskStackMoments(plan, state.round, models_of(state, True), state.classes, state.outcome)
    return AskStackSums(
        plan, state.round, models_of(state, True), state.classes, state.outcome, fit.mean, fit.cov, fit.asked
    )


def models_of(state: State, folds: bool) -> tuple[PartModel, ...]:
    """The models of all parts: without a fold each, or of all units."""
    from cohortium.federation_coordinator.methods import method_of

    fit = stacking(state)
    some = [t for t in fit.lanes if t.part in fit.parts and (t.fold >= 0) == folds]
    return tuple(PartModel(t.part, t.fold, method_of(t.state).model(t.state)) for t in some)


def answered_by(state: State) -> type:
    """What sites answer in this phase."""
    fit = stacking(state)
    return SiteParts if fit.fitting else SiteStackSums if fit.moments else SiteStackMoments


def check(state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    fit = stacking(state)
    if fit.fitting:
        found = {s: wrong_parts(a, state) for s, a in answers.items()}
        return {s: reason for s, reason in found.items() if reason}
    return wrong_stack_sums(answers, state) if fit.moments else wrong_score_moments(answers, state)


def advance(state: State, answers: Any) -> State:
    """The state after a round. Raises :class:`FederationError`."""
    fit = stacking(state)
    if fit.fitting:
        return _parts(state, answers)
    return weighed(state, answers) if fit.moments else described(state, answers)


def _parts(state: State, answers: Mapping[str, SiteParts]) -> State:
    """All fits of parts after a round, by their own protocol. A site that withdraws from a part does so from all fits of it; one whose answer is
    refused by any fit is left out of the study."""
    from cohortium.federation_coordinator import protocol

    said = {(s, p.part, p.fold): p.answer for s, a in answers.items() for p in a.parts}
    gone = {(s, part): a.reason for (s, part, _), a in said.items() if isinstance(a, Withdrawn)}
    refused: dict[str, str] = {}
    lanes = []
    for t in stacking(state).lanes:
        if t.failed or t.state.phase == "done":
            lanes.append(t)
            continue
        own, told = digest(encode(t.state.plan)), {}
        for s in t.state.here:
            a = said.get((s, t.part, t.fold))
            reason = gone.get((s, t.part))
            told[s] = Withdrawn(s, own, t.state.round, reason) if reason or a is None else replace(a, plan=own)
        try:
            after = protocol.step(t.state, told)
        except FederationError as e:
            lanes.append(replace(t, failed=str(e)))
            continue
        for s in set(after.left) - set(t.state.left):
            if (s, t.part) not in gone:
                refused[s] = f"{after.left[s]} (part '{stack_of(state).parts[t.part].name}')"
        lanes.append(replace(t, state=after))
    if refused:
        return protocol.without(state, refused)
    after = replace(state, fit=replace(stacking(state), lanes=tuple(lanes)))
    return after if stacking(after).fitting else _fitted(after)


def _fitted(state: State) -> State:
    """With notices of parts that have no fit. Raises :class:`FederationError` where none is left."""
    fit, parts = stacking(state), stack_of(state).parts
    notices, lost = list(state.notices), {}
    for t in fit.lanes:
        if not t.failed and state.plan.kind == "multiclass" and t.state.classes != state.classes:
            lost[t.part] = "its units are not of all classes"
        if t.failed:
            lost.setdefault(t.part, t.failed)
    notices += [
        f"Part '{parts[p].name}' of the stack has no fit and is left out: {why}" for p, why in sorted(lost.items())
    ]
    lanes = tuple(replace(t, failed=t.failed or lost.get(t.part, "")) for t in fit.lanes)
    if len(lost) == len(parts):
        raise FederationError(f"No part of the stack has a fit. {' '.join(dict.fromkeys(lost.values()))}")
    return replace(state, fit=replace(fit, lanes=lanes), notices=tuple(notices))


def model(state: State) -> StackModel:
    """The fitted model, as it is sent to be scored."""
    fit = stacking(state)
    return StackModel(
        models_of(state, False), state.classes, state.outcome, fit.mean, fit.cov, fit.accepted, neutral(state)
    )


def grid(state: State, bins: int) -> NDArray[np.float64]:
    """(bins - 1,) edges of scores, on the scale of log odds; empty where no classes are scored."""
    if state.plan.kind == "multiclass":
        return np.linspace(-2 * WIDE, 2 * WIDE, bins - 1)
    if state.plan.kind != "binary":
        return np.zeros(0)
    fit = stacking(state)
    w = fit.accepted[intercepts(state.plan.kind, n_scores(state)) :]
    centre, spread = fit.accepted[0] + w @ fit.mean, max(float(np.sqrt(w @ fit.cov @ w)), 1e-3)
    return np.asarray(centre + spread * np.linspace(-WIDE, WIDE, bins - 1))
