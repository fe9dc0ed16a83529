"""Product-limit estimates, with delayed entry: a unit is at risk at t when entry < t <= time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import SurvivalOutcome

Floats = NDArray[np.float64]


def at_risk_counts(time: Floats, entry: Floats, at: Floats) -> Floats:
    """(m,) number of units with entry < t <= time at each t of ``at``."""
    left = np.searchsorted(np.sort(time), at, side="left")
    entered = np.searchsorted(np.sort(entry), at, side="left")
    return (entered - left).astype(np.float64)


def _table(time: Floats, event: NDArray[np.bool_], entry: Floats | None) -> tuple[Floats, Floats, Floats]:
    begin = np.full(len(time), -np.inf) if entry is None else np.asarray(entry, dtype=np.float64)
    times, deaths = np.unique(time[event], return_counts=True)
    return times, deaths.astype(np.float64), at_risk_counts(time, begin, times)


def kaplan_meier(
    time: Floats, event: NDArray[np.bool_], entry: Floats | None = None, level: float = 0.95
) -> tuple[Floats, Floats, Floats, Floats]:
    """Kaplan & Meier 1958, JASA 53:457, with log-log intervals (Greenwood).

    Returns times (m,) of events, survival just after each, and its lower and upper limits.
    """
    from scipy.stats import norm

    times, d, r = _table(np.asarray(time, float), np.asarray(event, bool), entry)
    s = np.cumprod(1.0 - d / np.maximum(r, d))
    with np.errstate(divide="ignore", invalid="ignore"):
        var = np.cumsum(d / (r * np.maximum(r - d, 1e-300)))
        half = norm.ppf(0.5 + level / 2) * np.sqrt(var) / np.abs(np.log(s))
        low, high = s ** np.exp(half), s ** np.exp(-half)
    flat = (s <= 0) | (s >= 1)
    low, high = np.where(flat, s, low), np.where(flat, s, high)
    return times, np.asarray(s, np.float64), np.asarray(low, np.float64), np.asarray(high, np.float64)


def pseudo_values(time: Floats, event: NDArray[np.bool_], horizon: float, entry: Floats | None = None) -> Floats:
    """(n,) jackknife pseudo-values n S - (n - 1) S_without_i of survival at ``horizon`` (Andersen 2003, Biometrika 90:15).

    A unit of whom nothing is censored before the horizon has 0 or 1; the mean is Kaplan-Meier's estimate.
    """
    time, event = np.asarray(time, float), np.asarray(event, bool)
    begin = np.full(len(time), -np.inf) if entry is None else np.asarray(entry, float)
    times, d, r = _table(time, event, begin)
    keep = times <= horizon
    times, d, r = times[keep], d[keep], r[keep]

    def running(left: Floats, of: Floats) -> tuple[Floats, Floats]:
        """Sums of log factors and numbers of factors that are zero, up to each time; nobody at risk is a factor of one."""
        factor = np.where(of > 0, left / np.maximum(of, 1), 1.0)
        logs = np.log(np.where(factor > 0, factor, 1.0))
        return np.append(0.0, np.cumsum(logs)), np.append(0.0, np.cumsum(factor <= 0))

    n, whole, without = len(time), running(r - d, r), running(r - 1 - d, r - 1)
    a, b = np.searchsorted(times, begin, side="right"), np.searchsorted(times, time, side="right")
    died = event & (time <= horizon)
    # In the time of its own event a unit takes an event away with it.
    b = np.where(died, b - 1, b)
    own = np.minimum(b, len(times) - 1) if len(times) else np.zeros(n, int)
    logs, zeros = (
        w[-1] - (w[np.maximum(b, a)] - w[a]) + v[np.maximum(b, a)] - v[a] for w, v in zip(whole, without, strict=True)
    )
    if len(times):
        for out, w, v in zip((logs, zeros), whole, running(r - d, r - 1), strict=True):
            out += np.where(died, np.diff(v)[own] - np.diff(w)[own], 0.0)
    total = 0.0 if whole[1][-1] else float(np.exp(whole[0][-1]))
    return np.asarray(n * total - (n - 1) * np.where(zeros > 0, 0.0, np.exp(logs)), np.float64)


def nelson_aalen(time: Floats, event: NDArray[np.bool_], entry: Floats | None = None) -> tuple[Floats, Floats]:
    """Times (m,) of events and cumulative hazard (Aalen 1978, Ann Stat 6:701)."""
    times, d, r = _table(np.asarray(time, float), np.asarray(event, bool), entry)
    return times, np.cumsum(d / r)


def numbers_at_risk(time: Floats, entry: Floats | None, at: Floats) -> NDArray[np.int64]:
    """(m,) units at risk at each t of ``at``; at t = 0 everybody without delayed entry."""
    begin = np.full(len(time), -np.inf) if entry is None else np.where(np.asarray(entry) > 0, entry, -np.inf)
    return at_risk_counts(np.asarray(time, float), begin, np.asarray(at, float)).astype(np.int64)


def median_follow_up(outcome: SurvivalOutcome) -> float | None:
    """Median follow-up by reverse Kaplan-Meier (Schemper & Smith 1996, Control Clin Trials 17:343); None when not reached."""
    times, s, _, _ = kaplan_meier(outcome.time, ~outcome.event, outcome.entry if outcome.entry.any() else None)
    below = np.flatnonzero(s <= 0.5)
    return float(times[below[0]]) if len(below) else None


def restricted_mean(
    time: Floats, event: NDArray[np.bool_], tau: float, entry: Floats | None = None, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean time without the event of the first ``tau``: the area under Kaplan-Meier, and its interval (Greenwood's variance,
    as R's ``survfit`` with ``rmean``; Royston & Parmar 2013, BMC Med Res Methodol 13:152)."""
    from scipy.stats import norm

    times, d, r = _table(np.asarray(time, float), np.asarray(event, bool), entry)
    keep = times < tau
    times, d, r = times[keep], d[keep], r[keep]
    s = np.r_[1.0, np.cumprod(1.0 - d / np.maximum(r, d))]
    pieces = s * np.diff(np.r_[0.0, times, tau])
    area = float(pieces.sum())
    after = area - np.cumsum(pieces)[:-1]
    dies = r > d
    variance = float((np.square(after[dies]) * d[dies] / (r[dies] * (r[dies] - d[dies]))).sum())
    half = float(norm.ppf(0.5 + level / 2)) * float(np.sqrt(variance))
    return area, max(area - half, 0.0), min(area + half, float(tau))


def logrank(time: Floats, event: NDArray[np.bool_], group: NDArray[np.int64], entry: Floats | None = None) -> float:
    """P-value of the log-rank test between groups (Mantel 1966)."""
    from scipy.stats import chi2

    codes = np.unique(group, return_inverse=True)[1]
    k = int(codes.max()) + 1
    begin = np.full(len(time), -np.inf) if entry is None else entry
    times = np.unique(time[event])
    r = np.stack([at_risk_counts(time[codes == g], begin[codes == g], times) for g in range(k)])
    d = np.stack([[np.sum(event & (codes == g) & (time == t)) for t in times] for g in range(k)]).astype(float)
    rt, dt = r.sum(0), d.sum(0)
    observed_less = (d - r * dt / rt).sum(axis=1)
    factor = dt * np.where(rt > 1, (rt - dt) / np.maximum(rt - 1, 1), 0.0)
    p = r / rt
    v = np.diag((factor * p).sum(1)) - (factor * p) @ p.T
    z = observed_less[:-1]
    statistic = float(z @ np.linalg.pinv(v[:-1, :-1]) @ z)
    return float(chi2.sf(statistic, k - 1))


@dataclass(frozen=True, eq=False)
class Censoring:
    """Kaplan-Meier estimate G of staying uncensored. times (m,), survival (m,) just after each."""

    times: Floats
    survival: Floats

    def before(self, t: Floats) -> Floats:
        """G(t-): probability of being uncensored just before t."""
        k = np.searchsorted(self.times, t, side="left")
        return np.concatenate([[1.0], self.survival])[k]

    def at(self, t: Floats) -> Floats:
        """G(t)."""
        k = np.searchsorted(self.times, t, side="right")
        return np.concatenate([[1.0], self.survival])[k]


def censoring_distribution(outcome: SurvivalOutcome) -> Censoring:
    """G of a (training) outcome. At tied times events come before censorings, so a unit that dies at t is not
    at risk of being censored at t."""
    time, censored = outcome.time, ~outcome.event
    times, c = np.unique(time[censored], return_counts=True)
    begin = np.where(outcome.entry > 0, outcome.entry, -np.inf)
    r = at_risk_counts(time, begin, times)
    died = np.searchsorted(np.sort(time[outcome.event]), times, side="right") - np.searchsorted(
        np.sort(time[outcome.event]), times, side="left"
    )
    return Censoring(times, np.asarray(np.cumprod(1.0 - c / np.maximum(r - died, c)), np.float64))
