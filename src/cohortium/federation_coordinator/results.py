"""From the end of a fit to records: coefficients per unit of their columns, standard errors, differences between sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri, stdtr, stdtrit

from cohortium.contracts.federation_results import Coefficient, FederatedResults, MessageRow, SiteRecord
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.fitting import size, total
from cohortium.federation_coordinator.newton import estimable, inverse
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.state import State, newton

Array = NDArray[np.float64]

EVENTS_PER_PARAMETER = 5
"""Fewer at a site, and the test of equal coefficients is not to be trusted: it is not given."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """coef: (q, K) per unit of a column; NaN where aliased. error: (q, K), NaN where there is none. intercepts: (K0,).
    freedom: of residuals for t, infinite for others."""

    coef: Array
    error: Array
    intercepts: Array
    freedom: float


def estimates(state: State) -> Estimates:
    """Of a fit that is done, in the units of the columns."""
    assert state.phase == "done"
    fit = newton(state)
    intercepts, k = size(state)
    keep, b = fit.kept > 0, fit.accepted
    coef = b[intercepts:].reshape(len(state.columns), k)
    variance = np.zeros((len(state.columns), k))
    freedom = np.inf
    if not state.plan.penalty:
        covariance = inverse(total(state, fit.best, b)[2], keep)
        variance = np.diag(covariance)[intercepts:].reshape(coef.shape).copy()
        if state.plan.kind == "continuous":
            freedom = sum(state.schemas[s].units for s in state.here) - int(keep.sum())
            # The last step moved the parameters by less than rounding: the loss is that at the end.
            variance *= 2 * sum(fit.best[s].loss for s in state.here) / max(freedom, 1)
    y_mean, y_sd = state.outcome
    kept = keep[intercepts:].reshape(coef.shape)
    if k > 1:  # the first class is the reference
        variance, kept = variance[:, 1:], kept[:, 1:]
        coef = coef[:, 1:] - coef[:, :1]
    start = b[:intercepts]
    start = start[1:] - start[0] if k > 1 else start
    raw = np.where(kept, coef * y_sd / state.sd[:, None], np.nan)
    level = start * y_sd + y_mean - state.mean @ np.nan_to_num(raw) if intercepts else np.zeros(0)
    error = np.sqrt(variance) * y_sd / state.sd[:, None]
    return Estimates(raw, np.where(kept & (error > 0), error, np.nan), level, freedom)


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of a fit that is done."""
    found = estimates(state)
    fit, plan = newton(state), state.plan
    i2, asked, equal = differences(state)
    others = state.classes[1:] if plan.kind == "multiclass" else ("",)
    names = others if plan.kind == "multiclass" else (state.classes[-1] if plan.kind == "binary" else plan.endpoint,)
    coefficients = [
        _coefficient(c.name, o, found, j, k, i2[j, k], int(asked[j, k]))
        for k, o in enumerate(others)
        for j, c in enumerate(state.columns)
    ]
    return FederatedResults(
        plan.study, plan.endpoint, plan.kind, plan, digest(encode(plan)), site_records(state), state.classes,
        state.classes[0] if plan.kind in ("binary", "multiclass") else "", coefficients,
        {n: float(x) for n, x in zip(names, found.intercepts, strict=False)}, float(fit.loss), state.round - 1, equal,
        list(state.notices), list(messages), list(seconds), engine, version,
        evaluation=evaluation(state),
    )  # fmt: skip


def _coefficient(column: str, outcome: str, found: Estimates, j: int, k: int, i2: float, sites: int) -> Coefficient:
    b, e = float(found.coef[j, k]), float(found.error[j, k])
    if not np.isfinite(b):
        return Coefficient(column, outcome, None)
    if not np.isfinite(e):
        return Coefficient(column, outcome, b)
    t, z = found.freedom, -abs(b / e)
    wide = float(stdtrit(t, 0.975) if np.isfinite(t) else ndtri(0.975)) * e
    p = 2 * float(stdtr(t, z) if np.isfinite(t) else ndtr(z))
    heterogeneity = float(i2) if np.isfinite(i2) else None
    return Coefficient(column, outcome, b, e, b - wide, b + wide, p, heterogeneity, sites)


def site_records(state: State) -> list[SiteRecord]:
    """Sites as the coordinator knew them."""
    out = []
    for s in state.sites:
        a = state.schemas.get(s)
        left = state.left.get(s, "")
        out.append(
            SiteRecord(s, None, None, (), left) if a is None else SiteRecord(s, a.units, a.patients, a.counts, left)
        )
    return out


def differences(state: State) -> tuple[Array, Array, float | None]:
    """I2 (q, K), the number of sites behind each, and p of the hypothesis that all sites have the same coefficients.

    Each site's own estimate is one Newton step from the common one (score test, Rao 1948), by sums that left anyway; columns
    that a site cannot estimate stay at the common value there. I2: Higgins & Thompson 2002, Stat Med 21:1539.
    """
    fit, (intercepts, k) = newton(state), size(state)
    q = len(state.columns)
    shape = (q, max(k - 1, 1))
    if state.plan.penalty or len(state.here) < 2:
        return np.full(shape, np.nan), np.zeros(shape), None
    linear = state.plan.kind == "continuous"
    moved, precise, ranks, score, rest, enough = [], [], 0, 0.0, 0.0, True
    for s in state.here:
        a, schema = fit.best[s], state.schemas[s]
        keep = estimable(a.hessian, np.arange(len(a.gradient))) & (fit.kept > 0)
        covariance = inverse(a.hessian, keep)
        step = -covariance @ a.gradient
        gain = -float(a.gradient @ step)
        # Linear models: the site's own residual variance, or differences between sites would hide in a common one.
        freedom = max(schema.units - int(keep.sum()), 1)
        own = max(2 * a.loss - gain, 1e-300) / freedom if linear else 1.0
        rest += own * freedom
        moved.append(step)
        precise.append(np.where(keep, 1 / np.maximum(np.diag(covariance) * own, 1e-300), 0.0))
        ranks += int(keep.sum())
        score += gain
        events = schema.counts[-1] if state.plan.kind == "survival" else min(schema.counts)
        enough &= events >= EVENTS_PER_PARAMETER * keep.sum()
    if linear:
        score /= rest / max(sum(state.schemas[s].units for s in state.here) - ranks, 1)
    d, w = np.array(moved), np.array(precise)
    n = (w > 0).sum(0)
    centre = (w * d).sum(0) / np.maximum(w.sum(0), 1e-300)
    heterogeneity = (w * (d - centre) ** 2).sum(0)
    i2 = np.where(n > 1, np.maximum(0.0, 1 - (n - 1) / np.maximum(heterogeneity, 1e-300)), np.nan)
    freedom = ranks - int(fit.kept.sum())
    p = float(chdtrc(freedom, max(score, 0.0))) if enough and freedom > 0 else None
    cut = slice(1, None) if k > 1 else slice(None)
    by = i2[intercepts:].reshape(q, k)[:, cut], n[intercepts:].reshape(q, k)[:, cut]
    return by[0], by[1].astype(float), p
