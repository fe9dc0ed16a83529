"""From calibrations to records: intercept and slope at each site, and of all together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from cohortium.contracts.federation_results import CalibrationLine, SitePerformance
from cohortium.federation_coordinator.state import Calibration, State

Array = NDArray[np.float64]

KINDS = ("binary", "survival", "continuous")
DESIGNS = ("leave_one_site_out", "folds")
METRICS = ("calibration_intercept", "calibration_slope")


def metrics(kind: str) -> tuple[str, ...]:
    """Of a kind of endpoint."""
    return () if kind not in KINDS else METRICS[1:] if kind == "survival" else METRICS


def site_lines(state: State) -> list[SitePerformance]:
    """Intercept and slope of each site, by design."""
    rows = []
    for design in DESIGNS:
        found = next((c for c in state.calibration if c.design == design), None)
        if not any(bool(t.without) == (design == DESIGNS[0]) for t in state.trials):
            continue
        for metric in metrics(state.plan.kind):
            rows += [_at_site(state, found, design, metric, s) for s in state.here]
    return rows


def _at_site(state: State, c: Calibration | None, design: str, metric: str, site: str) -> SitePerformance:
    mine = [t for t in state.trials if (t.without == site if design == DESIGNS[0] else not t.without)]
    scores = [t.scores[site] for t in mine if site in t.scores]
    units = sum(a.units for a in scores)
    events = sum(a.counts[-1] for a in scores) if state.plan.kind != "continuous" else 0
    missing = next(
        (t.unscored.get(site) or t.state.left.get(site, "").partition(": ")[2] or t.failed for t in mine), ""
    )
    reason = missing or "it has no scores"
    if c is not None:
        reason = c.gone.get(site) or c.failed.get(site) or ("" if site in c.who else reason)
    if reason or c is None:
        return SitePerformance(design, metric, site, None, units=units, events=events, reason=reason)
    value, error, low, high = estimate(state, c, c.who.index(site), metric)
    return SitePerformance(design, metric, site, value, error, low, high, units=units, events=events)


def estimate(state: State, c: Calibration, i: int, metric: str) -> tuple[float, float, float, float]:
    """Value, standard error and 95% interval (Wald; t of a continuous endpoint) of one fit."""
    k, kind = METRICS.index(metric), state.plan.kind
    quantile, scale = float(ndtri(0.975)), 1.0
    if kind == "continuous":
        who = c.who[i]
        every = [t.scores[s].units for t in state.trials if bool(t.without) == (c.design == DESIGNS[0])
                 for s in ((who,) if who else c.who[1:]) if s in t.scores]  # fmt: skip
        freedom = max(sum(every) - 2, 1)
        quantile, scale = float(stdtrit(freedom, 0.975)), 2 * c.loss[i] / freedom
    value, error = float(c.best[i, k]), float(np.sqrt(scale * covariance(c, i, kind)[k, k]))
    half = quantile * error
    return value, error, value - half, value + half


def whole_lines(state: State) -> list[CalibrationLine]:
    """Of all sites together, by design."""
    out = []
    for c in state.calibration:
        n = len(c.who) - 1
        reason = c.failed.get("", "") or ("" if n else "no site has scores")
        if reason:
            out.append(CalibrationLine(c.design, n, reason=reason))
            continue
        found = [estimate(state, c, 0, m) for m in metrics(state.plan.kind)]
        slope = found[-1]
        intercept = found[0] if len(found) > 1 else (None,) * 4
        out.append(CalibrationLine(c.design, n, *intercept, *slope))
    return out


def covariance(c: Calibration, i: int, kind: str) -> Array:
    """(2, 2) inverse of the information at the end of a fit."""
    h = c.curvature[i]
    if kind == "survival":
        return np.array([[0.0, 0.0], [0.0, 1 / h[2]]])
    return np.asarray(np.linalg.inv(np.array([[h[0], h[1]], [h[1], h[2]]])))
