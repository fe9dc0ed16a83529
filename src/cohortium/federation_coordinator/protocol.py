"""The protocol: a question to all sites, their answers, and what follows from them.

Phases: ``schema`` (which features), ``moments`` (standardisation, and effects of sites taken out), ``select`` (of many columns those
that are fitted, where the plan says so), ``prepare`` (unknown cells and skewed columns, likewise), ``fit`` (the rounds of the plan's method). A
site that is left out after the first phase takes its moments with it and the fit of a method that ``restarts`` begins anew: the
result is that of the remaining sites, as if it had never taken part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import (
    Answer,
    AskMoments,
    AskSchema,
    FederationPlan,
    Question,
    SiteMoments,
    SiteSchema,
)
from cohortium.contracts.federation_preparing import SiteAssociation
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import checking, private, private_network, selecting, shaping
from cohortium.federation_coordinator.agreeing import agree
from cohortium.federation_coordinator.agreeing_modalities import agree_by_modality
from cohortium.federation_coordinator.harmonising import harmonised
from cohortium.federation_coordinator.methods import method_of
from cohortium.federation_coordinator.scaling import other_units, outcome_scale, scaled, unlike_columns
from cohortium.federation_coordinator.state import State

PRIVATE: dict[str, Any] = {"private_linear": private, "private_network": private_network}
"""Methods with a protocol of their own: features are declared, schema and moments are not asked for."""

SILENT = "it did not answer in time"
PHASES = ("schema", "moments", "select", "prepare", "fit")
"""Of the main fit."""

MOST_NAMED = 5


def begin(plan: FederationPlan, sites: Sequence[str]) -> State:
    """The state before the first question. sites: names of all that may take part; their order does not matter."""
    if plan.method in PRIVATE:
        return PRIVATE[plan.method].begin(plan, sites)  # type: ignore[no-any-return]
    none = np.zeros(0)
    return State(plan, tuple(sorted(sites)), 1, "schema", {}, (), {}, {}, (), (), (), none, none, (0.0, 1.0), None)


def joined(state: State, sites: Collection[str]) -> State:
    """The state with sites that were left out because they were silent, and are there now: the fit begins anew with them, as if they had been
    there from the start. Each may come so once. Bins of a
    common baseline stay unions of those before. As it was, where nobody may come: after the main fit, in a private study (what was
    answered is spent), and where a fit does not begin anew."""
    come = sorted(s for s in sites if state.left.get(s, "").endswith(SILENT) and s not in state.late)
    if not come or state.phase not in PHASES or state.plan.method in PRIVATE or not method_of(state).restarts:
        return state
    said = tuple(f"Site '{s}' was there from round {state.round} on: the fit began anew with it." for s in come)
    return replace(
        state, phase="schema", schemas={}, asked=(), moments={}, columns=(), chosen=(), candidates=0,
        left={s: reason for s, reason in state.left.items() if s not in come}, late=(*state.late, *come),
        notices=(*(n for n in state.notices if n.startswith("Site '")), *said),
    )  # fmt: skip


def question(state: State) -> Question:
    """What all sites that are here are asked now."""
    plan = digest(encode(state.plan))
    if state.phase == "schema":
        return AskSchema(plan, state.round)
    if state.phase == "moments":
        return AskMoments(plan, state.round, state.asked)
    if state.phase == "select":
        return selecting.question(state)
    if state.phase == "prepare":
        return shaping.question(state)
    return method_of(state).question(state)


def step(state: State, answers: Mapping[str, Answer]) -> State:
    """The state after a round. answers: of the sites that answered; the others are left out.

    Raises :class:`FederationError` when fewer sites than the quorum are left, or the fit has no finite answer.
    """
    kinds = {"schema": SiteSchema, "moments": SiteMoments, "select": SiteAssociation}
    own = shaping if state.phase == "prepare" else method_of(state)
    kind = kinds.get(state.phase) or own.answered_by(state)
    plan = digest(encode(state.plan))
    left: dict[str, str] = {}
    for site in state.here:
        if site not in answers:
            left[site] = SILENT
        elif reason := checking.wrong_envelope(answers[site], kind, plan, state):
            left[site] = reason
    good = {s: a for s, a in answers.items() if s in state.here and s not in left}
    after = {"schema": _schemas, "moments": _moments, "select": _select, "prepare": _prepare, "fit": _fit}[state.phase]
    state = after(state, good, left)
    return replace(state, round=state.round + 1)


def _leave(state: State, left: Mapping[str, str]) -> State:
    """The state without these sites; raises when the quorum is lost."""
    named = {s: f"round {state.round}: {reason}" for s, reason in sorted(left.items())}
    notices = tuple(f"Site '{s}' was left out in {reason}." for s, reason in named.items())
    state = replace(state, left={**state.left, **named}, notices=(*state.notices, *notices))
    if len(state.here) < state.plan.quorum:
        said = _by_reason(state.left)
        raise FederationError(
            f"{len(state.here)} of {len(state.sites)} sites are left, and the study declares a quorum of "
            f"{state.plan.quorum}. Left out: {said}."
        )
    return state


def without(state: State, left: Mapping[str, str]) -> State:
    """The fit anew, without these sites."""
    return _ready(_leave(state, left))


def _by_reason(left: Mapping[str, str]) -> str:
    """Who was left out and why; where many were for the same reason, how many."""
    sites: dict[str, list[str]] = {}
    for s, reason in left.items():
        sites.setdefault(reason, []).append(s)
    named = {
        r: ", ".join(f"'{n}'" for n in who) if len(who) <= MOST_NAMED else f"{len(who)} sites"
        for r, who in sites.items()
    }
    return "; ".join(f"{who} in {r}" for r, who in named.items())


def _schemas(state: State, good: dict[str, SiteSchema], left: dict[str, str]) -> State:
    for site, a in good.items():
        if reason := checking.wrong_schema(a.units, a.patients, a.counts, a.classes, state):
            left[site] = reason
    state = replace(state, schemas={s: a for s, a in good.items() if s not in left})
    classes, other = _classes(state)
    left |= other
    schemas = {s: a for s, a in state.schemas.items() if s not in left}
    if state.plan.network is not None or state.plan.stack is not None:
        columns, disagreeing, notices = agree_by_modality(
            schemas, state.plan.modalities, state.plan.least_cell, "encoder" if state.plan.stack is None else "model"
        )
    else:
        columns, disagreeing, notices = agree(schemas, state.plan.least_cell)
    state = _leave(replace(state, classes=classes), left | disagreeing)
    if not columns:
        raise FederationError("The sites share no feature that varies. Compare the names of their features.")
    return replace(state, phase="moments", asked=columns, notices=(*state.notices, *notices))


def _classes(state: State) -> tuple[tuple[str, ...], dict[str, str]]:
    """The classes of the endpoint, and sites that have others. Of several classes the union, in the study's order if given."""
    said = {s: a.classes for s, a in state.schemas.items()}
    if state.plan.kind == "multiclass":
        every = sorted({c for classes in said.values() for c in classes})
        known = state.plan.classes or tuple(every)
        return known, {
            s: "it has a class that the study does not declare" for s, c in said.items() if set(c) - set(known)
        }
    if not said:
        return (), {}
    usual = Counter(said.values()).most_common(1)[0][0]
    return usual, {
        s: "its endpoint has other classes than elsewhere: other coding" for s, c in said.items() if c != usual
    }


def _moments(state: State, good: dict[str, SiteMoments], left: dict[str, str]) -> State:
    for site, a in good.items():
        if reason := checking.wrong_moments(a, state.schemas[site].units, state):
            left[site] = reason
    moments = {s: good[s] for s in state.here if s in good and s not in left}
    left |= other_units(moments, state.asked)
    return _ready(replace(_leave(state, left), moments={s: m for s, m in moments.items() if s not in left}))


def _ready(state: State) -> State:
    """Standardised by the sites that are here; what comes next at its start."""
    moments = {s: state.moments[s] for s in state.here}
    asked, adjusted = harmonised(state.plan.harmonise, state.asked, moments)
    mean, sd, varies = scaled(adjusted)
    unlike = unlike_columns(moments, state.asked)
    gone = _unused(state, "is the same everywhere", "are the same everywhere", ~varies)
    gone += _unused(state, "is of another size at some site", "are of another size at some site", varies & unlike)
    varies &= ~unlike
    columns = tuple(c for c, v in zip(asked, varies, strict=True) if v)
    if not columns:
        raise FederationError("No column varies at the sites that are left.")
    outcome = outcome_scale(moments)
    if state.plan.kind == "continuous" and outcome[1] <= 0:
        raise FederationError("The endpoint has the same value everywhere.")
    state = replace(
        state, phase="fit", columns=columns, mean=mean[varies], sd=sd[varies], outcome=outcome,
        notices=(*state.notices, *gone), chosen=(), candidates=0, prepared=None,
    )  # fmt: skip
    if state.plan.stack is not None or not len(selecting.to_select(state)):
        return _start(state)
    if state.plan.select is not None and state.plan.select.by == "variance":
        return _start(selecting.by_variance(state))
    return replace(state, phase="select")


def _unused(state: State, one: str, several: str, which: NDArray[np.bool_]) -> tuple[str, ...]:
    """A notice of columns that are left out; of many only some are named."""
    names = [c.name for c, w in zip(state.asked, which, strict=True) if w]
    if len(names) > MOST_NAMED:
        shown = ", ".join(f"'{n}'" for n in names[:MOST_NAMED])
        said = [f"{len(names)} columns {several}, and are not used: {shown} and {len(names) - MOST_NAMED} more."]
    else:
        said = [f"Column '{n}' {one}: not used." for n in names]
    return tuple(n for n in said if n not in state.notices)


def _start(state: State) -> State:
    """The method's first round, or those of preparing before it."""
    if state.plan.stack is None and state.prepared is None and shaping.wanted(state):
        return shaping.begin(state)
    state = replace(state, phase="fit")
    return replace(state, fit=method_of(state).start(state))


def _select(state: State, good: dict[str, SiteAssociation], left: dict[str, str]) -> State:
    """The columns that are fitted; where a site is left out the others are standardised, and asked, anew."""
    left |= selecting.check(state, good)
    return _ready(_leave(state, left)) if left else _start(selecting.by_association(state, good))


def _prepare(state: State, good: dict[str, Answer], left: dict[str, str]) -> State:
    """A round of preparing; where a site is left out it begins anew."""
    left |= shaping.check(state, good)
    if left:
        return _ready(_leave(state, left))
    state = shaping.advance(state, good)
    return state if state.phase == "prepare" else _start(state)


def _fit(state: State, good: dict[str, Answer], left: dict[str, str]) -> State:
    method = method_of(state)
    left |= method.check(state, good)
    left = _unforgiven(state, good, left)
    if left:
        state = _leave(state, left)
        if method.restarts:
            return _ready(state)
    return method.advance(state, {s: a for s, a in good.items() if s not in left})


def _unforgiven(state: State, good: Mapping[str, Answer], left: dict[str, str]) -> dict[str, str]:
    """Who is left out: not a silent site that may come back, as long as those that answered are a quorum without it."""
    forgives = getattr(method_of(state), "forgives", None)
    if forgives is None or len([s for s in good if s not in left]) < state.plan.quorum:
        return left
    return {s: reason for s, reason in left.items() if reason != SILENT or not forgives(state, s)}
