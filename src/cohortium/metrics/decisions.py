"""Net benefit of treating those whose predicted probability reaches a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import CompetingOutcome, TimeOutcome

Floats = NDArray[np.float64]


def net_benefit(y: NDArray[np.bool_], p: Floats, thresholds: Floats) -> Floats:
    """(m,) true positives per unit less false positives times the odds of the threshold (Vickers & Elkin 2006, Med Decis
    Making 26:565). y: (n,). p: (n,), treated where at or above the threshold (m,); ones for all."""
    treated = p[:, None] >= thresholds[None, :]
    right = (treated & np.asarray(y, bool)[:, None]).mean(axis=0)
    return np.asarray(right - (treated.mean(axis=0) - right) * thresholds / (1 - thresholds), np.float64)


def net_benefit_by(outcome: TimeOutcome, p: Floats, thresholds: Floats, horizon: float) -> Floats:
    """(m,) the same of events by ``horizon``: their share among the treated is one minus Kaplan-Meier (Vickers 2008, BMC Med
    Inform Decis Mak 8:53), with competing risks Aalen-Johansen's incidence of the cause of interest. p: (n,) predicted
    probability of an event by then.

    NaN where none of the treated is followed that long. To treat nobody has no benefit and no harm.
    """
    treated = p[:, None] >= thresholds[None, :]
    share = treated.mean(axis=0)
    had, left = _shares_of(outcome, treated, horizon)
    last = np.where(treated, outcome.time[:, None], 0.0).max(axis=0)
    right = share * np.where((last < horizon) & (left > 0), np.nan, had)
    made = right - (share - right) * thresholds / (1 - thresholds)
    return np.asarray(np.where(share > 0, made, 0.0), np.float64)


def _shares_of(outcome: TimeOutcome, members: NDArray[np.bool_], horizon: float) -> tuple[Floats, Floats]:
    """(m,) who had the event by the horizon, and who had none of any cause, of each column's members (n, m)."""
    begin = np.where(outcome.entry > 0, outcome.entry, -np.inf)
    any_event = (outcome.cause > 0) if isinstance(outcome, CompetingOutcome) else outcome.event
    times = np.unique(outcome.time[any_event & (outcome.time <= horizon)])
    if not len(times):
        return np.zeros(members.shape[1]), np.ones(members.shape[1])

    def running(key: Floats, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(k, m) members among ``rows`` whose key is before each time."""
        order = np.flatnonzero(rows)[np.argsort(key[rows], kind="stable")]
        counts = np.concatenate([np.zeros((1, members.shape[1]), np.int64), np.cumsum(members[order], axis=0)])
        return np.asarray(counts[np.searchsorted(key[order], np.append(times, np.inf), side="left")], np.int64)

    every = np.ones(len(outcome), bool)
    at_risk = np.maximum((running(begin, every) - running(outcome.time, every))[:-1], 1)
    # Between one event time and the next nobody dies: what died before the next, less what died before, died at it.
    died = np.diff(running(outcome.time, any_event & (outcome.time <= horizon)), axis=0)
    left = np.cumprod(1.0 - died / at_risk, axis=0)
    if not isinstance(outcome, CompetingOutcome):
        return np.asarray(1.0 - left[-1], np.float64), np.asarray(left[-1], np.float64)
    own = np.diff(running(outcome.time, outcome.event & (outcome.time <= horizon)), axis=0)
    before = np.concatenate([np.ones((1, members.shape[1])), left[:-1]])
    return np.asarray((before * own / at_risk).sum(axis=0), np.float64), np.asarray(left[-1], np.float64)
