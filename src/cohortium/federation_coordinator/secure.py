"""The linear protocol under secure aggregation: the same Newton steps on one answer, which is the sum over sites.

Every round of the fit is two here: sites seal their numbers, then those who sealed open the sum. A site that drops out before
it sealed is in no sum; one that drops out after it is in this one and in none after it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cohortium.contracts.federation import AskSchema, FederationPlan, SiteSchema
from cohortium.contracts.federation_secure import (
    AskOpen,
    AskSealed,
    SiteNames,
    SiteOpening,
    SiteSealed,
    content_of,
    form_of,
)
from cohortium.errors import FederationError
from cohortium.federation_coordinator import checking, protocol, secure_private
from cohortium.federation_coordinator.agreeing import agree
from cohortium.federation_coordinator.agreeing_modalities import agree_by_modality
from cohortium.federation_coordinator.secure_names import not_shared, shared_by
from cohortium.federation_coordinator.secure_network import thin_parts
from cohortium.federation_coordinator.secure_state import SecureState
from cohortium.federation_coordinator.secure_sums import asked, begun, length, moved, plan_digest
from cohortium.masking import MaskError, Sealed, from_fixed, threshold, unmask

MOST_TRIES = 3
"""Times that sites are asked to open a sum, each time without those whose boxes could not be read."""

GONE = "a site dropped out: counts without it would show its own"


def least_sites(plan: FederationPlan) -> int:
    """Sites that have to know a column or a class."""
    assert plan.secure is not None
    return plan.secure.least_sites


def fewest(plan: FederationPlan) -> int:
    """Sites that a sum is of, at least."""
    assert plan.secure is not None
    return max(plan.secure.least_sites, plan.quorum)


ROBUST = (
    "where updates of networks are combined robustly (median, trimmed mean, Krum) single updates have to be compared, which is what secure "
    "aggregation hides: the two exclude each other. Sites cut the norm of their change before it is masked instead"
)


BOTH = (
    "under secure aggregation each site takes out its own effect, shrunken over all columns of a table: select would leave it some of them. Take one of "
    "select and harmonise: combat out"
)


def refused(plan: FederationPlan) -> str:
    """Why a plan cannot go through secure aggregation; empty where it can."""
    if plan.method not in ("linear", "network", "private_linear"):
        return f"Secure aggregation knows linear models and networks, not method '{plan.method}'."
    if plan.select is not None and plan.harmonise:
        return BOTH[:1].upper() + BOTH[1:] + "."
    if plan.network is not None and plan.network.aggregate != "mean":
        return f"{ROBUST[:1].upper()}{ROBUST[1:]}."
    if plan.network is not None and not plan.network.clip > 0:
        return "Under secure aggregation nobody can see an update that is too long: federation.network.clip has to be above 0."
    return ""


def begin(plan: FederationPlan, sites: Sequence[str]) -> SecureState:
    """The state before the first question. Raises :class:`FederationError` for too few sites."""
    if reason := refused(plan):
        raise FederationError(reason)
    if len(sites) < fewest(plan):
        raise FederationError(
            f"Secure aggregation needs at least {fewest(plan)} sites, and there are {len(sites)}: of a sum of two, each of them "
            "knows the other's part."
        )
    # A private study has no round of names: those of levels would tell of patients.
    phase, lanes = ("schema", ()) if plan.privacy is None else ("seal", (secure_private.begun(plan),))
    return SecureState(
        plan, tuple(sorted(sites)), 1, phase, {}, lanes, (), (), {}, (), 0, (), 0, len(sites), 0, (), {}, (), ""
    )


def question(state: SecureState) -> Any:
    """What all sites that are here are asked now."""
    plan = plan_digest(state.plan)
    if state.phase == "schema":
        return AskSchema(plan, state.round)
    if state.phase == "seal":
        return AskSealed(plan, state.round, state.here, _asks(state))
    absent = set(state.invited) - set(state.inside)
    own = tuple(b for s in state.inside for b in state.sealed[s].boxes if b.receiver in state.inside)
    pairs = tuple(b for s in state.inside for b in state.sealed[s].pair_boxes if absent and b.receiver in state.inside)
    return AskOpen(plan, state.round, content_of(state.asks), state.invited, state.inside, own, pairs)


def _asks(state: SecureState) -> tuple[Any, ...]:
    """The main fit first; when it is done those of the folds, all together."""
    plan = plan_digest(state.plan)
    return tuple(q for n in _open_lanes(state) for q in asked(n, plan, state.round))


def _open_lanes(state: SecureState) -> list[Any]:
    open_ = [n for n in state.lanes if n.stage != "done" and not n.failed]
    raw = [
        n for n in open_ if n.stage in ("totals", "batches", "spread")
    ]  # their numbers take more bits: not in one sum with others
    return raw or [n for n in open_ if n.stage in ("parts", "select", "sums")] or open_


def step(state: SecureState, answers: Mapping[str, Any]) -> SecureState:
    """The state after a round. answers: of the sites that answered; the others are left out.

    Raises :class:`FederationError` when fewer sites than the quorum are left, a sum cannot be opened or cannot be, or the fit has no finite answer.
    """
    kind = {"schema": SiteNames, "seal": SiteSealed, "open": SiteOpening}[state.phase]
    plan = plan_digest(state.plan)
    asking = state.inside if state.phase == "open" else state.here
    left: dict[str, str] = {}
    for site in asking:
        if site not in answers:
            left[site] = protocol.SILENT
        elif reason := checking.wrong_envelope(answers[site], kind, plan, state):  # type: ignore[arg-type]
            left[site] = reason
    good = {s: answers[s] for s in asking if s not in left}
    after: Any = {"schema": _schemas, "seal": _sealed, "open": _opened}[state.phase]
    return replace(after(state, good, left), round=state.round + 1)


def _leave(state: SecureState, left: Mapping[str, str], enough: bool = True) -> SecureState:
    """The state without these sites. enough: whether too few left is an error now."""
    named = {s: f"round {state.round}: {reason}" for s, reason in sorted(left.items()) if s in state.here}
    notices = tuple(f"Site '{s}' was left out in {reason}." for s, reason in named.items())
    state = replace(state, left={**state.left, **named}, notices=(*state.notices, *notices))
    if enough and len(state.here) < fewest(state.plan):
        raise FederationError(
            f"{len(state.here)} of {len(state.sites)} sites are left, and a sum has to be of {fewest(state.plan)}, by the study's "
            f"quorum and for secure aggregation. Left out: {protocol._by_reason(state.left)}."
        )
    return state


def _schemas(state: SecureState, good: dict[str, SiteNames], left: dict[str, str]) -> SecureState:
    plan = plan_digest(state.plan)
    schemas = {s: SiteSchema(s, plan, 1, 0, 0, a.classes, (), a.features) for s, a in good.items()}
    start = replace(protocol.begin(state.plan, state.sites), schemas=schemas)
    classes, other = protocol._classes(start)
    left |= other
    least = least_sites(state.plan)
    schemas, thin = shared_by({s: a for s, a in schemas.items() if s not in left}, least)
    if state.plan.network is None:
        columns, disagreeing, notices = agree(schemas, state.plan.least_cell)
    else:
        shared = tuple(
            m for m in state.plan.modalities if any(f.modality == m for a in schemas.values() for f in a.features)
        )
        columns, disagreeing, notices = agree_by_modality(schemas, shared, state.plan.least_cell)
    notices = [*thin, *notices]
    _classes_shared(state.plan.kind, classes, schemas, least)
    state = _leave(replace(state, names=good), left | disagreeing)
    if not columns:
        raise FederationError("The sites share no feature that varies. Compare the names of their features.")
    lane = begun(state.plan, -1, replace(start, asked=columns, classes=classes))
    small = [s for s in state.here if state.names[s].folds]
    why = f"site '{small[0]}' cannot have folds: {state.names[small[0]].folds}" if small else ""
    return replace(
        state,
        phase="seal",
        lanes=(lane,),
        notices=(*state.notices, *notices),
        evaluation=why if state.plan.folds else "",
    )


def _classes_shared(kind: str, classes: Sequence[str], schemas: Mapping[str, SiteSchema], least: int) -> None:
    for c in classes if kind == "multiclass" else ():
        if (n := sum(c in a.classes for a in schemas.values())) < least:
            raise FederationError(
                f"Class '{c}' is known to {n} of the sites; a sum has to be of {least}, or it would show a single one's counts."
            )


def _sealed(state: SecureState, good: dict[str, SiteSealed], left: dict[str, str]) -> SecureState:
    asks = _asks(state)
    numbers, content = sum(length(q, state.plan) for q in asks), content_of(asks)
    words, _ = form_of(asks, state.plan)
    for site, a in good.items():
        if reason := wrong_sealed(a, content, state.here, numbers, words):
            left[site] = reason
    kept = {s: a for s, a in good.items() if s not in left}
    invited = state.here
    state = _leave(state, left)
    if _would_show(asks, state, kept):
        return _ended(state)
    _still_shared(state, sorted(kept))
    return replace(state, phase="open", asks=asks, invited=invited, sealed=kept, inside=tuple(sorted(kept)), tries=0)


def _would_show(asks: Sequence[Any], state: SecureState, inside: Collection[str]) -> bool:
    """Whether sums of folds would be of fewer sites than those of all: taken from them, they are the missing site's own."""
    return any(q.fold >= 0 for q in asks) and bool(set(state.opened) - set(inside))


def _ended(state: SecureState) -> SecureState:
    """The study ends with the fit, its evaluation not opened."""
    return replace(state, phase="done", asks=(), sealed={}, evaluation=GONE)


def _still_shared(state: SecureState, inside: Sequence[str]) -> None:
    """Before a sum is opened: every column of it has to be known at enough of its sites."""
    if state.plan.privacy is not None:
        return  # each site's own noisy sum may be seen: it is what a private study releases
    least = least_sites(state.plan)
    thin = not_shared(state.lanes[0].model.asked, {s: state.names[s] for s in inside}, least)
    if state.plan.network is not None:
        thin += thin_parts([n for n in state.lanes if not n.failed], inside, state.names, least)
    if thin:
        raise FederationError(
            f"Of the sites that are left fewer than {least} know {', '.join(thin)}: sums would show a single one's. "
            "Leave that feature out, or wait for the others."
        )


def wrong_sealed(a: SiteSealed, content: str, invited: Sequence[str], numbers: int, words: int) -> str:
    """What can be seen of a sealed answer: what it is to, and its size. Nothing of what is in it."""
    if a.content != content or a.sites != tuple(invited):
        return "it sealed something else than what was asked: a repeated message"
    if a.numbers != numbers or len(a.pairs) != len(invited) - 1:
        return "it sealed another number of numbers"
    try:
        size = len(base64.b64decode(a.masked, validate=True))
        boxes = [[(b.sender, b.receiver) for b in some] for some in (a.boxes, a.pair_boxes)]
    except (binascii.Error, ValueError):
        return "what it sealed is no base64"
    if size != 8 * words * numbers:
        return "it sealed another number of numbers"
    if any(sorted(some) != [(a.site, s) for s in invited] for some in boxes):
        return "it did not give each site its share"
    return ""


def _opened(state: SecureState, good: dict[str, SiteOpening], left: dict[str, str]) -> SecureState:
    content = content_of(state.asks)
    for site, a in good.items():
        if a.content != content or a.inside != state.inside:
            left[site] = "it opened another sum than what was asked: a repeated message"
    good = {s: a for s, a in good.items() if s not in left}
    bad = _unreadable(good)
    if bad and state.tries < MOST_TRIES:
        state = _leave(
            state, dict.fromkeys(bad, "its shares cannot be read by others: another key, or a damaged message")
        )
        inside = tuple(s for s in state.inside if s not in bad)
        if _would_show(state.asks, state, inside):
            return _ended(state)
        _still_shared(state, inside)
        return replace(state, inside=inside, tries=state.tries + 1)
    for site, a in good.items():
        if a.unreadable:
            left[site] = f"it cannot read the shares of '{a.unreadable[0]}', which others can"
    told = {state.invited.index(s) + 1: _told(a) for s, a in good.items() if s not in left and s in state.invited}
    try:
        numbers = _sum(state, told)
    except MaskError as e:
        need = threshold(len(state.invited))
        said = f" Left out: {protocol._by_reason({**state.left, **left})}." if left or state.left else ""
        raise FederationError(
            f"The sum of round {state.round - 1} cannot be opened: shares of {need} of its {len(state.invited)} sites are needed "
            f"({e}).{said}"
        ) from e
    return _advanced(_leave(state, left, enough=False), numbers)


def _unreadable(good: Mapping[str, SiteOpening]) -> set[str]:
    """Sites whose shares most others cannot read; what one alone says against another is not believed."""
    named = [s for t, a in good.items() for s in set(a.unreadable) - {t}]
    return {s for s in named if 2 * named.count(s) > len(set(good) - {s})}


def _told(a: SiteOpening) -> dict[tuple[str, str], bytes]:
    out: dict[tuple[str, str], bytes] = {}
    for s in a.shares:
        try:
            out[s.of, s.other] = base64.b64decode(s.text, validate=True)
        except (binascii.Error, ValueError):
            continue
    return out


def _sum(state: SecureState, told: Mapping[int, Mapping[tuple[str, str], bytes]]) -> Any:
    words, bits = form_of(state.asks, state.plan)
    sealed = {
        s: Sealed(base64.b64decode(a.masked), a.own, a.pairs, {}, {})
        for s, a in state.sealed.items() if s in state.inside
    }  # fmt: skip
    numbers = sum(length(q, state.plan) for q in state.asks)
    return from_fixed(unmask(state.invited, sealed, told, (words, numbers)), bits)


def _advanced(state: SecureState, numbers: Any) -> SecureState:
    """All fits that were asked about, a step further."""
    gone = tuple(s for s in state.opened if s not in state.inside)
    lanes = {n.fold: n for n in state.lanes}
    main = {q.fold for q in state.asks} == {-1}
    at = 0
    for q in state.asks:
        own = numbers[at : (at := at + length(q, state.plan))]
        lane = lanes[q.fold]
        if lane.failed:
            continue
        try:
            lanes[q.fold] = moved(lane, q, own, bool(gone), state.inside, least_sites(state.plan))
        except FederationError as e:
            if main:
                raise
            lanes[q.fold] = replace(lane, failed=str(e))
    state = replace(
        state, phase="seal", lanes=tuple(lanes.values()), asks=(), sealed={}, opened=state.inside, sums=state.sums + 1,
        first=state.first or len(state.inside), fewest=min(state.fewest, len(state.inside)), dropped=(*state.dropped, *gone),
    )  # fmt: skip
    return _next(state)


def _next(state: SecureState) -> SecureState:
    """On to the folds when the fit is done, and to the end when they are."""
    lost = set(state.opened) - set(state.here)
    if len(state.lanes) == 1 and state.lanes[0].stage == "done" and state.plan.folds and not state.evaluation:
        if state.dropped or lost:
            state = replace(state, evaluation=GONE)
        else:
            folds = tuple(begun(state.plan, k, state.lanes[0].model) for k in range(state.plan.folds))
            return replace(state, lanes=(*state.lanes, *folds))
    if len(state.lanes) > 1 and (state.dropped or lost) and _open_lanes(state):
        return replace(state, phase="done", evaluation=GONE)
    if not _open_lanes(state):
        return replace(state, phase="done")
    if len(state.here) < fewest(state.plan):
        raise FederationError(
            f"{len(state.here)} of {len(state.sites)} sites are left, and a sum has to be of {fewest(state.plan)}. Left out: "
            f"{protocol._by_reason(state.left)}."
        )
    return state
