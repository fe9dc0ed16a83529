"""Concordance and time-dependent accuracy of survival predictions.

Direction: risk grows with hazard. Tied risks count one half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.metrics.kaplan_meier import Censoring
from cohortium.metrics.registry import NotEstimable

Floats = NDArray[np.float64]


def concordance(
    outcome: SurvivalOutcome, risk: Floats, weight: Floats | None = None, tau: float | None = None
) -> float:
    """Harrell's C (Harrell 1996, Stat Med 15:361); with ``weight`` per event, Uno's.

    A pair is comparable when one unit has an event at t <= tau and the other lives longer, or is censored at
    t, and has entered before t. Cost O(n^1.5) without delayed entry, O(events × n) with it.
    """
    event = outcome.event & (outcome.time <= tau) if tau is not None else outcome.event
    rows = np.flatnonzero(event)
    count = _pairs_delayed if (outcome.entry > 0).any() else pairs
    below, tied, comparable = count(outcome, risk, rows)
    w = np.ones(len(rows)) if weight is None else weight[rows]
    total = float(w @ comparable)
    if total <= 0:
        raise NotEstimable("no two units can be compared: no event with anybody still under observation")
    return float(w @ (below + 0.5 * tied)) / total


def pairs(outcome: SurvivalOutcome, risk: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Per event of ``rows``: comparable units with a lower risk, with the same, and all of them.

    In order of falling time, censored before dead at equal times, the units comparable with an event are a
    prefix. Whole blocks of it are counted by bisection, the last one directly.
    """
    order = np.lexsort((outcome.event, -outcome.time))
    time, ranked = outcome.time[order], risk[order]
    first_at = np.searchsorted(-time, -outcome.time[rows], side="left")
    censored = np.concatenate([[0], np.cumsum(~outcome.event[order])])
    last_at = np.searchsorted(-time, -outcome.time[rows], side="right")
    prefix = first_at + (censored[last_at] - censored[first_at])
    below, tied = np.zeros(len(rows)), np.zeros(len(rows))
    size = 2048
    for start in range(0, len(order), size):
        here = np.flatnonzero((prefix >= start) & (prefix < start + size))
        if not len(here):
            continue
        r = risk[rows[here]]
        before = np.sort(ranked[:start])
        low = np.searchsorted(before, r, side="left")
        below[here], tied[here] = low, np.searchsorted(before, r, side="right") - low
        block = ranked[start : start + size]
        inside = np.arange(start, start + len(block))[None, :] < prefix[here, None]
        below[here] += (inside & (block[None, :] < r[:, None])).sum(1)
        tied[here] += (inside & (block[None, :] == r[:, None])).sum(1)
    return below, tied, prefix.astype(np.float64)


def _pairs_delayed(outcome: SurvivalOutcome, risk: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """As :func:`pairs`, for units that come under observation late: each event against everybody."""
    time, event, entry = outcome.time, outcome.event, outcome.entry
    parts = []
    for block in np.array_split(rows, max(1, len(rows) * len(time) // 4_000_000 + 1)):
        t, r = time[block, None], risk[block, None]
        longer = (time[None, :] > t) | ((time[None, :] == t) & ~event[None, :])
        comparable = longer & (entry[None, :] < t)
        parts.append(np.stack([(comparable & (risk < r)).sum(1), (comparable & (risk == r)).sum(1), comparable.sum(1)]))
    below, tied, all_ = np.concatenate(parts, axis=1).astype(np.float64)
    return below, tied, all_


def harrell_c(outcome: SurvivalOutcome, prediction: Survival, tau: float | None = None) -> float:
    """Harrell's C; 0.5 is chance, larger is better."""
    return concordance(outcome, prediction.risk, tau=tau)


def uno_c(outcome: SurvivalOutcome, prediction: Survival, censoring: Censoring, tau: float | None = None) -> float:
    """Uno's C (Uno 2011, Stat Med 30:1105): events weighted by 1/G(t-)^2, G from the training fold."""
    g = censoring.before(outcome.time)
    usable = outcome.event & (outcome.time <= tau if tau is not None else True)
    if (g[usable] <= 0).any():
        raise NotEstimable("an event lies beyond the follow-up of the training fold; give an earlier tau")
    weight = np.where(usable, 1.0 / np.where(usable, g, 1.0) ** 2, 0.0)
    return concordance(outcome, prediction.risk, weight=weight, tau=tau)


def _check_horizon(outcome: SurvivalOutcome, horizon: float, censoring: Censoring) -> None:
    if horizon >= outcome.time.max():
        raise NotEstimable("nobody in the test fold is followed beyond the horizon")
    if censoring.at(np.array([horizon]))[0] <= 0:
        raise NotEstimable("nobody in the training fold is followed beyond the horizon")


def auc_t(outcome: SurvivalOutcome, prediction: Survival, horizon: float, censoring: Censoring) -> float:
    """Cumulative/dynamic AUC at a horizon (Uno 2007, JASA 102:527; Hung & Chiang 2010): event by then against
    event-free then, by the predicted probability of an event by then; cases weighted by 1/G(t-)."""
    _check_horizon(outcome, horizon, censoring)
    present = outcome.entry < horizon
    case = outcome.event & (outcome.time <= horizon) & present
    control = (outcome.time > horizon) & present
    if not case.any() or not control.any():
        raise NotEstimable("no event, or nobody left, at the horizon")
    w = 1.0 / censoring.before(outcome.time[case])
    x = 1.0 - prediction.at(np.array([horizon]))[:, 0]
    a, b = x[case, None], x[None, control]
    return float((w @ ((a > b) + 0.5 * (a == b)).sum(1)) / (w.sum() * control.sum()))


def brier_at(outcome: SurvivalOutcome, survival: Floats, times: Floats, censoring: Censoring) -> Floats:
    """(m,) Brier scores at ``times`` of survival (n, m) (Graf 1999, Stat Med 18:2529)."""
    g_event = censoring.before(outcome.time)
    g_time = censoring.at(times)
    died = (outcome.time[:, None] <= times) & outcome.event[:, None]
    alive = outcome.time[:, None] > times
    with np.errstate(divide="ignore", invalid="ignore"):
        w = np.where(died, 1.0 / g_event[:, None], np.where(alive, 1.0 / g_time, 0.0))
    return np.asarray((w * (alive - survival) ** 2).mean(axis=0))


def brier_t(outcome: SurvivalOutcome, prediction: Survival, horizon: float, censoring: Censoring) -> float:
    """Brier score at a horizon; 0 is best."""
    _check_horizon(outcome, horizon, censoring)
    at = np.array([horizon])
    return float(brier_at(outcome, prediction.at(at), at, censoring)[0])


def integrated_brier(outcome: SurvivalOutcome, prediction: Survival, censoring: Censoring, tau: float | None) -> float:
    """Brier score averaged over time from 0 to tau by the trapezoidal rule on a grid of 100 times."""
    end = (
        float(np.nextafter(outcome.time.max(), 0))
        if tau is None
        else min(tau, float(np.nextafter(outcome.time.max(), 0)))
    )
    if end <= 0:
        raise NotEstimable("no follow-up")
    grid = np.linspace(0, end, 101)[1:]
    if censoring.at(grid[-1:])[0] <= 0:
        raise NotEstimable("nobody in the training fold is followed up to tau")
    b = brier_at(outcome, prediction.at(grid), grid, censoring)
    return float(np.trapezoid(np.concatenate([[0.0], b]), np.concatenate([[0.0], grid])) / end)
