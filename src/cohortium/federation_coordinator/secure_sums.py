"""From opened sums to what the fit needs: all sites together are one site to it, and no single one can be checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import AskSums, FederationPlan, SiteMoments, SiteSchema, SiteSums
from cohortium.contracts.federation_network import GRID, AskTimes, AskUpdate
from cohortium.contracts.federation_preparing import AskAssociation
from cohortium.contracts.federation_private import PRIVATE_QUESTIONS
from cohortium.contracts.federation_secure import AskBatches, AskHeld, AskParts, AskSpread, AskTotals, SealedQuestion
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import (
    checking,
    linear,
    protocol,
    secure_batches,
    secure_network,
    secure_private,
    selecting,
)
from cohortium.federation_coordinator.fitting import advance, fresh
from cohortium.federation_coordinator.methods import method_of
from cohortium.federation_coordinator.secure_state import NOBODY_KNOWS, TOGETHER, Lane
from cohortium.federation_coordinator.state import State, newton

Array = NDArray[np.float64]


def asked(lane: Lane, plan: str, round_: int) -> tuple[SealedQuestion, ...]:
    """What a fit needs next."""
    if lane.stage == "private":
        return (secure_private.question(lane, plan),)
    made = lane.model.plan
    if made.method == "network":
        # Times go with the counts: of no other set of sites than those.
        if lane.stage == "totals" and _has_times(made):
            return _asked(lane, plan, round_), SealedQuestion(lane.fold, 0.0, 0.0, AskTimes(plan, round_))
        if lane.stage in ("parts", "sums"):
            return (secure_network.question(lane, plan, round_),)
    return (_asked(lane, plan, round_),)


def _has_times(plan: FederationPlan) -> bool:
    return plan.kind == "survival" and plan.network is not None and plan.network.survival == "discrete_time"


def _asked(lane: Lane, plan: str, round_: int) -> SealedQuestion:
    m = lane.model
    s = m.schemas.get(TOGETHER)
    weight = m.moments[TOGETHER].weight if m.moments else 0.0
    events = (weight if m.plan.weighted else float(s.counts[-1])) if s is not None and s.counts else 0.0
    if lane.stage == "totals":
        return SealedQuestion(lane.fold, 0.0, 0.0, AskTotals(plan, round_, m.asked, m.classes))
    if lane.stage == "batches":
        return SealedQuestion(lane.fold, weight, events, AskBatches(plan, round_, m.asked))
    if lane.stage == "select":
        ask_ = replace(selecting.question(m), plan=plan, round=round_)
        return SealedQuestion(lane.fold, weight, events, ask_)
    if lane.stage == "spread":
        mean = m.moments[TOGETHER].mean
        ask = AskSpread(plan, round_, m.asked, mean, m.moments[TOGETHER].outcome_mean)
        return SealedQuestion(lane.fold, weight, events, ask)
    if lane.stage == "held":
        return SealedQuestion(lane.fold, weight, events, AskHeld(plan, round_, method_of(m).model(m), m.classes))
    return SealedQuestion(lane.fold, weight, events, replace(linear.question(m), plan=plan, round=round_))


def length(q: SealedQuestion, plan: FederationPlan) -> int:
    """How many numbers answer a question."""
    a = q.question
    if isinstance(a, PRIVATE_QUESTIONS):
        return secure_private.length(q, plan)
    if isinstance(a, AskTotals):
        return 4 + len(a.classes) + 2 * len(a.columns)
    if isinstance(a, AskSpread):
        return 1 + len(a.columns) * (2 if any(c.batches for c in a.columns) else 1)
    if isinstance(a, AskBatches):
        return secure_batches.batches_length(a, plan)
    if isinstance(a, AskAssociation):
        return secure_batches.association_length(a, plan)
    if isinstance(a, AskHeld):
        return 2 + 5 * ratios(plan.kind, len(a.classes))
    if isinstance(a, AskTimes):
        return 2 * (len(GRID) - 1)
    if isinstance(a, AskParts):
        return secure_network.parts_length(a.update)
    if isinstance(a, AskUpdate):
        return secure_network.update_length(a, plan)
    assert isinstance(a, AskSums)
    p = len(a.parameters)
    return 1 + p + p * (p + 1) // 2


def ratios(kind: str, classes: int) -> int:
    """Measures of an endpoint's kind, as :mod:`cohortium.federation_site.held` sends them."""
    return {"survival": 1, "continuous": 2, "binary": 4, "multiclass": classes}[kind]


def moved(lane: Lane, q: SealedQuestion, numbers: Array, shrunk: bool, sites: Collection[str], least: int) -> Lane:
    """A fit after a sum over ``sites``. shrunk: it is of fewer than the last one. least: sites that have to train a part. Raises :class:`FederationError`."""
    lane = replace(lane, dropped=lane.dropped or shrunk)
    if lane.stage == "private":
        return secure_private.moved(lane, numbers, sites)
    if isinstance(q.question, AskHeld):
        return replace(lane, stage="done", held=numbers)
    if isinstance(q.question, AskBatches):
        return secure_batches.taken_out(lane, numbers)
    if isinstance(q.question, AskAssociation):
        return secure_batches.selected(lane, numbers)
    if isinstance(q.question, AskTimes):
        return secure_network.timed(lane, numbers)
    if isinstance(q.question, AskParts):
        return secure_network.parts_known(lane, numbers, sites, least)
    if isinstance(q.question, AskUpdate):
        return secure_network.trained(lane, numbers)
    step = {"totals": _totals, "spread": _spread, "sums": _sums}[lane.stage]
    return step(lane, numbers, shrunk)


def _totals(lane: Lane, x: Array, shrunk: bool) -> Lane:
    m = lane.model
    k, q = len(m.classes), len(m.asked)
    units, patients, counts = int(x[0]), int(x[1]), tuple(int(n) for n in x[2 : 2 + k])
    weight, y = float(x[2 + k]), float(x[3 + k])
    count, sums = x[4 + k : 4 + k + q], x[4 + k + q :]
    schema = SiteSchema(TOGETHER, "", 0, units, patients, m.classes, counts if k else (units,), ())
    if reason := checking.wrong_schema(units, patients, schema.counts, m.classes, m):
        raise FederationError(f"The sites' counts together cannot be: {reason}. {NOBODY_KNOWS}")
    if not np.allclose(x[: 2 + k], np.round(x[: 2 + k]), atol=1e-6) or weight <= 0 or (count < 0).any():
        raise FederationError(f"The sites' counts together are no counts. {NOBODY_KNOWS}")
    mean = sums / np.maximum(count, 1e-300) * (count > 0)
    moments = SiteMoments(TOGETHER, "", 0, count, mean, np.zeros(q), weight, y / weight, 0.0)
    stage = "batches" if m.plan.harmonise else "spread"
    return replace(lane, stage=stage, model=replace(m, schemas={TOGETHER: schema}, moments={TOGETHER: moments}))


def _spread(lane: Lane, x: Array, shrunk: bool) -> Lane:
    m = lane.model
    before, q = m.moments[TOGETHER], len(m.asked)
    mean, squares = before.mean, x[1 : 1 + q]
    if (
        len(x) > 1 + q
    ):  # effects of sites were taken out: deviations are from a mean that is not quite that of what is left
        off = x[1 + q :] / np.maximum(before.count, 1e-300) * (before.count > 0)
        mean, squares = mean + off, np.maximum(squares - before.count * off**2, 0.0)
    moments = replace(before, outcome_squares=float(x[0]), mean=mean, squares=squares)
    if not shrunk and (reason := checking.wrong_moments(moments, m.schemas[TOGETHER].units, m)):
        raise FederationError(f"The sites' moments together cannot be: {reason}. {NOBODY_KNOWS}")
    if (x[: 1 + q] < 0).any():
        raise FederationError(f"The sites' squares together are negative. {NOBODY_KNOWS}")
    model = protocol._ready(replace(m, moments={TOGETHER: moments}))
    if model.plan.method == "network":
        return secure_network.ready(replace(lane, model=model))
    return replace(lane, stage="select" if model.phase == "select" else "sums", model=model)


def _sums(lane: Lane, x: Array, shrunk: bool) -> Lane:
    m = lane.model
    fit = newton(m)
    p = len(fit.asked)
    hessian = np.zeros((p, p))
    hessian[np.triu_indices(p)] = x[1 + p :]
    hessian = hessian + np.triu(hessian, 1).T
    sums = SiteSums(TOGETHER, "", m.round, float(x[0]), x[1 : 1 + p], hessian)
    if shrunk:  # a loss of other patients: the fit goes on from where it is, as if it began there
        m = replace(m, fit=replace(fresh(p), asked=fit.asked, tries=fit.tries))
    if lane.dropped and m.plan.kind == "continuous" and not m.plan.weighted:
        n = round(float(hessian[0, 0]))  # the intercept's curvature: units of those who are left
        m = replace(m, schemas={TOGETHER: replace(m.schemas[TOGETHER], units=n, counts=(n,))})
    # After a drop-out the counts of those who are left are not known, and must not be.
    reason = _wrong_form(sums) if lane.dropped else checking.wrong_sums(sums, m)
    if reason:
        raise FederationError(f"The sites' sums together cannot be: {reason}. {NOBODY_KNOWS}")
    m = advance(m, {TOGETHER: sums})
    stage = "sums" if m.phase != "done" else "held" if lane.fold >= 0 else "done"
    return replace(lane, stage=stage, model=m)


def _wrong_form(s: SiteSums) -> str:
    """What can be said of a sum of an unknown number of patients."""
    scale = float(np.abs(s.hessian).max(initial=0.0))
    if len(s.gradient) and np.linalg.eigvalsh(s.hessian)[0] < -checking.SLACK * max(scale, 1e-300):
        return "its Hessian is not that of a likelihood: it has negative curvature"
    return ""


def begun(plan: FederationPlan, fold: int, like: State) -> Lane:
    """A fit before its first question, with the columns and classes of another."""
    inner = replace(plan, quorum=1, folds=0, secure=None)
    start = protocol.begin(inner, (TOGETHER,))
    none = np.zeros(0)
    asked_ = tuple(replace(c, batches=()) for c in like.asked)
    return Lane(fold, "totals", replace(start, asked=asked_, classes=like.classes), False, "", none, none, {}, ())


def plan_digest(plan: FederationPlan) -> str:
    """By which sites know what they are asked for."""
    return digest(encode(plan))
