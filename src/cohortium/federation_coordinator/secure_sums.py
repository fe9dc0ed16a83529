"""From opened sums to what the fit needs: all sites together are one site to it, and no single one can be checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import AskSums, FederationPlan, SiteMoments, SiteSchema, SiteSums
from cohortium.contracts.federation_secure import (
    AskHeld,
    AskSpread,
    AskTotals,
    SealedQuestion,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import checking, linear, protocol
from cohortium.federation_coordinator.fitting import advance, fresh
from cohortium.federation_coordinator.secure_state import TOGETHER, Lane
from cohortium.federation_coordinator.state import State, newton

Array = NDArray[np.float64]

NOBODY_KNOWS = "Which site it is cannot be told with secure aggregation; each site's own log may say."


def asked(lane: Lane, plan: str, round_: int) -> SealedQuestion:
    """What a fit needs next."""
    m = lane.model
    s = m.schemas.get(TOGETHER)
    weight = m.moments[TOGETHER].weight if m.moments else 0.0
    events = (weight if m.plan.weighted else float(s.counts[-1])) if s is not None and s.counts else 0.0
    if lane.stage == "totals":
        return SealedQuestion(lane.fold, 0.0, 0.0, AskTotals(plan, round_, m.asked, m.classes))
    if lane.stage == "spread":
        mean = m.moments[TOGETHER].mean
        ask = AskSpread(plan, round_, m.asked, mean, m.moments[TOGETHER].outcome_mean)
        return SealedQuestion(lane.fold, weight, events, ask)
    if lane.stage == "held":
        return SealedQuestion(lane.fold, weight, events, AskHeld(plan, round_, linear.model(m), m.classes))
    return SealedQuestion(lane.fold, weight, events, replace(linear.question(m), plan=plan, round=round_))


def length(q: SealedQuestion, plan: FederationPlan) -> int:
    """How many numbers answer a question."""
    a = q.question
    if isinstance(a, AskTotals):
        return 4 + len(a.classes) + 2 * len(a.columns)
    if isinstance(a, AskSpread):
        return 1 + len(a.columns)
    if isinstance(a, AskHeld):
        return 2 + 5 * ratios(plan.kind, len(a.classes))
    assert isinstance(a, AskSums)
    p = len(a.parameters)
    return 1 + p + p * (p + 1) // 2


def ratios(kind: str, classes: int) -> int:
    """Measures of an endpoint's kind, as :mod:`cohortium.federation_site.held` sends them."""
    return {"survival": 1, "continuous": 2, "binary": 4, "multiclass": classes}[kind]


def moved(lane: Lane, numbers: Array, shrunk: bool) -> Lane:
    """A fit after a sum. shrunk: it is of fewer sites than the last one. Raises :class:`FederationError`."""
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
    return replace(lane, stage="spread", model=replace(m, schemas={TOGETHER: schema}, moments={TOGETHER: moments}))


def _spread(lane: Lane, x: Array, shrunk: bool) -> Lane:
    m = lane.model
    moments = replace(m.moments[TOGETHER], outcome_squares=float(x[0]), squares=x[1:])
    if not shrunk and (reason := checking.wrong_moments(moments, m.schemas[TOGETHER].units, m)):
        raise FederationError(f"The sites' moments together cannot be: {reason}. {NOBODY_KNOWS}")
    if (x < 0).any():
        raise FederationError(f"The sites' squares together are negative. {NOBODY_KNOWS}")
    model = protocol._ready(replace(m, moments={TOGETHER: moments}))
    return replace(lane, stage="sums", model=model, dropped=lane.dropped or shrunk)


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
    lane = replace(lane, dropped=lane.dropped or shrunk)
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
    return Lane(fold, "totals", replace(start, asked=like.asked, classes=like.classes), False, "", np.zeros(0))


def plan_digest(plan: FederationPlan) -> str:
    """By which sites know what they are asked for."""
    return digest(encode(plan))
