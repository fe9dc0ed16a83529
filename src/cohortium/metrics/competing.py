"""Competing risks: what came by when (Aalen-Johansen), and how well it was predicted.

The cause of interest is cause 1 of the outcome. Who had another event is known never to have it: no case, but a control
from that event on. Weights are one over the probability of being uncensored, from the training fold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import CompetingOutcome, CumulativeIncidence
from cohortium.metrics.calibration import FEWEST_EVENTS, NUMBERS, Calibrated, with_curve
from cohortium.metrics.concordance import pairs
from cohortium.metrics.kaplan_meier import Censoring, at_risk_counts
from cohortium.metrics.registry import NotEstimable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_AT_ONCE = 4_000_000


def aalen_johansen(
    time: Floats, cause: Ints, of: int = 1, level: float = 0.95
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Cumulative incidence of cause ``of`` (Aalen & Johansen 1978, Scand J Stat 5:141). time, cause: (n,), cause 0 = censored.

    Returns times (m,) of events of any cause, incidence just after each, its lower and upper limits on the scale of
    log(-log) (Choudhury 2002, Stat Med 21:1129), and its variance by the delta method (Gaynor 1993, JASA 88:400).
    """
    from scipy.stats import norm

    times, d, own, r = _counts(np.asarray(time, float), np.asarray(cause), of)
    s = np.concatenate([[1.0], np.cumprod(1.0 - d / r)])[:-1]
    f = np.cumsum(s * own / r)
    left = r > d
    a = np.where(left, d / (r * np.where(left, r - d, 1.0)), 0.0)
    b, c = s**2 * own * (r - own) / r**3, s * own / r**2
    sums = [np.cumsum(x) for x in (a, f * a, f * f * a, b, c, f * c)]
    var = f * f * sums[0] - 2 * f * sums[1] + sums[2] + sums[3] - 2 * (f * sums[4] - sums[5])
    var = np.maximum(var, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = norm.ppf(0.5 + level / 2) * np.sqrt(var) / (f * np.abs(np.log(f)))
        low, high = f ** np.exp(half), f ** np.exp(-half)
    flat = (f <= 0) | (f >= 1)
    return times, f, np.where(flat, f, low), np.where(flat, f, high), var


def _counts(time: Floats, cause: Ints, of: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Times (m,) of events, events of any cause and of cause ``of`` at each, and units at risk."""
    times, inverse = np.unique(time[cause > 0], return_inverse=True)
    d = np.bincount(inverse, minlength=len(times)).astype(np.float64)
    own = np.bincount(inverse, weights=(cause[cause > 0] == of).astype(np.float64), minlength=len(times))
    return times, d, np.asarray(own, np.float64), at_risk_counts(time, np.full(len(time), -np.inf), times)


def incidence_at(time: Floats, cause: Ints, horizon: float, of: int = 1) -> tuple[float, float, float]:
    """Aalen-Johansen at one time, and its 95% interval."""
    times, f, low, high, _ = aalen_johansen(time, cause, of)
    k = int(np.searchsorted(times, horizon, side="right"))
    return (0.0, 0.0, 0.0) if k == 0 else (float(f[k - 1]), float(low[k - 1]), float(high[k - 1]))


def incidence_pseudo_values(time: Floats, cause: Ints, horizon: float) -> Floats:
    """(n,) jackknife pseudo-values n F - (n - 1) F_without_i of the incidence by ``horizon`` (Klein & Andersen 2005,
    Biometrics 61:223); the mean is Aalen-Johansen's estimate."""
    time, cause = np.asarray(time, float), np.asarray(cause)
    n = len(time)
    times, d, own, r = _counts(time, cause, 1)
    keep = times <= horizon
    times, d, own, r = times[keep], d[keep], own[keep], r[keep]
    if not len(times):
        return np.zeros(n)

    def total(d: Floats, own: Floats, r: Floats) -> Floats:
        some = np.maximum(r, 1.0)
        s = np.cumprod(1.0 - d / some, axis=-1)
        before = np.concatenate([np.ones((*s.shape[:-1], 1)), s[..., :-1]], axis=-1)
        return np.asarray((before * own / some).sum(axis=-1), np.float64)

    # Censored between the same two event times, units leave the same gap.
    key = np.where(cause > 0, np.searchsorted(times, time), np.searchsorted(times, time, side="right") - 0.5)
    key = np.where((cause > 0) & (time > horizon), len(times) + 0.5, key)
    kinds, first, of = np.unique(np.stack([key, cause]), axis=1, return_index=True, return_inverse=True)
    without = np.empty(kinds.shape[1])
    for part in np.array_split(np.arange(len(first)), max(1, len(first) * len(times) // _AT_ONCE + 1)):
        t, c = time[first[part], None], cause[first[part], None]
        gone = (times[None, :] == t) & (c > 0)
        without[part] = total(d - gone, own - (gone & (c == 1)), r - (times[None, :] <= t))
    return np.asarray(n * total(d, own, r) - (n - 1) * without[of.ravel()], np.float64)


def _check_horizon(outcome: CompetingOutcome, horizon: float, censoring: Censoring) -> None:
    if not (outcome.time > horizon).any() and (outcome.cause == 0).any():
        raise NotEstimable("nobody in the test fold is followed beyond the horizon")
    if censoring.at(np.array([horizon]))[0] <= 0:
        raise NotEstimable("nobody in the training fold is followed beyond the horizon")


def _weights(outcome: CompetingOutcome, times: Floats, censoring: Censoring) -> Floats:
    """(n, m) 1/G of what is known of each unit at each time: its event, or that it has none yet; 0 once censored."""
    came = (outcome.time[:, None] <= times) & (outcome.cause > 0)[:, None]
    free = outcome.time[:, None] > times
    with np.errstate(divide="ignore"):
        event, still = 1.0 / censoring.before(outcome.time)[:, None], 1.0 / censoring.at(times)[None, :]
    return np.where(came, event, np.where(free, still, 0.0))


def cause_auc_t(
    outcome: CompetingOutcome, prediction: CumulativeIncidence, horizon: float, censoring: Censoring
) -> float:
    """AUC at a horizon: the cause of interest by then against everybody known not to have had it, those with another event
    by then among them (Blanche 2013, Stat Med 32:5381)."""
    _check_horizon(outcome, horizon, censoring)
    at = np.array([horizon])
    w, x = _weights(outcome, at, censoring)[:, 0], prediction.at(at)[:, 0]
    case = outcome.event & (outcome.time <= horizon)
    control = ~case & (w > 0)
    if not case.any() or not control.any():
        raise NotEstimable("no event of interest, or nobody without it, at the horizon")
    order = np.argsort(x[control], kind="stable")
    ranked, sums = x[control][order], np.concatenate([[0.0], np.cumsum(w[control][order])])
    below = sums[np.searchsorted(ranked, x[case], side="left")]
    upto = sums[np.searchsorted(ranked, x[case], side="right")]
    return float(w[case] @ (below + upto) / 2 / (w[case].sum() * sums[-1]))


def cause_brier_at(outcome: CompetingOutcome, incidence: Floats, times: Floats, censoring: Censoring) -> Floats:
    """(m,) Brier scores at ``times`` of incidences (n, m) (Schoop 2011, Biom J 53:88)."""
    case = (outcome.time[:, None] <= times) & outcome.event[:, None]
    return np.asarray((_weights(outcome, times, censoring) * (case - incidence) ** 2).mean(axis=0), np.float64)


def cause_brier_t(
    outcome: CompetingOutcome, prediction: CumulativeIncidence, horizon: float, censoring: Censoring
) -> float:
    """Brier score at a horizon; 0 is best."""
    _check_horizon(outcome, horizon, censoring)
    at = np.array([horizon])
    return float(cause_brier_at(outcome, prediction.at(at), at, censoring)[0])


def cause_integrated_brier(
    outcome: CompetingOutcome, prediction: CumulativeIncidence, censoring: Censoring, tau: float | None
) -> float:
    """Brier score averaged over time from 0 to tau by the trapezoidal rule on a grid of 100 times."""
    last = float(np.nextafter(outcome.time.max(), 0))
    end = last if tau is None else min(tau, last)
    grid = np.linspace(0, end, 101)[1:]
    if censoring.at(grid[-1:])[0] <= 0:
        raise NotEstimable("nobody in the training fold is followed up to tau")
    b = cause_brier_at(outcome, prediction.at(grid), grid, censoring)
    return float(np.trapezoid(np.concatenate([[0.0], b]), np.concatenate([[0.0], grid])) / end)


def wolbers_c(
    outcome: CompetingOutcome, prediction: CumulativeIncidence, censoring: Censoring, tau: float | None = None
) -> float:
    """Concordance for the cause of interest (Wolbers 2014, Biostatistics 15:526); 0.5 is chance, larger is better.

    A unit with the cause of interest at t <= tau should have a higher risk than who is still without any event then, and
    than who had another event before or at t. Pairs are weighted by 1/(G(t-) G(t)) and 1/(G(t-) G(s-)), s the other's event;
    tied risks count one half. Cost O(n^1.5).
    """
    time, cause, risk = outcome.time, outcome.cause, prediction.risk
    rows = np.flatnonzero(outcome.event & (time <= tau if tau is not None else True))
    others = np.flatnonzero((cause > 1) & (time <= time[rows].max(initial=0.0)))
    g, after = censoring.before(time), censoring.at(time[rows])
    below, tied, longer = pairs(outcome.any_cause, risk, rows)
    if (g[rows] <= 0).any() or (g[others] <= 0).any() or (after[longer > 0] <= 0).any():
        raise NotEstimable("an event lies beyond the follow-up of the training fold; give an earlier tau")
    others = others[np.argsort(time[others], kind="stable")]
    prefix = np.searchsorted(time[others], time[rows], side="right")
    under, same, every = _weighted_prefix(risk[others], 1.0 / g[others], prefix, risk[rows])
    w = 1.0 / g[rows]
    a = w * np.where(longer > 0, 1.0 / np.where(after > 0, after, 1.0), 0.0)
    total = float(a @ longer + w @ every)
    if total <= 0:
        raise NotEstimable("no two units can be compared: no event of interest with anybody to compare it with")
    return float(a @ (below + 0.5 * tied) + w @ (under + 0.5 * same)) / total


def _weighted_prefix(
    ranked: Floats, weight: Floats, prefix: NDArray[np.intp], risk: Floats
) -> tuple[Floats, Floats, Floats]:
    """For each risk (m,): the weight among the first ``prefix`` of ``ranked`` (k,) that is lower, that is the same, and all.

    Whole blocks are counted by bisection, the last one directly.
    """
    below, tied, size = np.zeros(len(risk)), np.zeros(len(risk)), 2048
    for start in range(0, len(ranked) + 1, size):
        here = np.flatnonzero((prefix >= start) & (prefix < start + size))
        if not len(here):
            continue
        order = np.argsort(ranked[:start], kind="stable")
        sums = np.concatenate([[0.0], np.cumsum(weight[:start][order])])
        low, high = (sums[np.searchsorted(ranked[:start][order], risk[here], side=s)] for s in ("left", "right"))
        block, w = ranked[start : start + size], weight[start : start + size]
        inside = np.arange(start, start + len(block))[None, :] < prefix[here, None]
        below[here] = low + (inside & (block < risk[here, None])) @ w
        tied[here] = high - low + (inside & (block == risk[here, None])) @ w
    return below, tied, np.concatenate([[0.0], np.cumsum(weight)])[prefix]


def calibrate_incidence(
    outcome: CompetingOutcome, prediction: CumulativeIncidence, horizon: float, at: Floats
) -> Calibrated:
    """Calibration of the predicted incidence by ``horizon``.

    Expected over observed: mean prediction over Aalen-Johansen. Smooth curve: of pseudo-values. There are no slope and
    intercept: both rest on one hazard (van Geloven 2022, BMJ 377:e069249, for what takes their place).
    """
    p = prediction.at(np.array([horizon]))[:, 0]
    if outcome.time.max(initial=0.0) < horizon:
        why = "nobody of the test fold is followed to the horizon"
        nothing = dict.fromkeys(NUMBERS, float("nan"))
        return Calibrated(**nothing, curve=np.full(len(at), np.nan), reasons=dict.fromkeys(NUMBERS, why))
    made: dict[str, float] = {}
    reasons = dict.fromkeys(("slope", "intercept"), "not defined with competing risks")
    case = outcome.event & (outcome.time <= horizon)
    if min(case.sum(), (~case).sum()) < FEWEST_EVENTS:
        reasons["expected_observed"] = (
            f"fewer than {FEWEST_EVENTS} events, or units without one, by the horizon in the test fold"
        )
    else:
        made["expected_observed"] = float(p.mean() / incidence_at(outcome.time, outcome.cause, horizon)[0])
    pseudo = incidence_pseudo_values(outcome.time, outcome.cause, horizon)
    return with_curve(made, reasons, p, pseudo, (pseudo - p) ** 2, at)
