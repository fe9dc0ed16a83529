"""Do predicted probabilities hold: slope, intercept, expected over observed, and the smooth curve with its gaps.

Of classes against what was seen; of survival, by a horizon, against Kaplan-Meier, pseudo-values and counted events.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.metrics.kaplan_meier import at_risk_counts, kaplan_meier, pseudo_values
from cohortium.metrics.registry import NotEstimable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NUMBERS = ("slope", "intercept", "expected_observed", "ici", "e50", "e90", "ici_by_chance")
FEWEST_EVENTS, FEWEST_UNITS = 5, 20
"""Events and units without one that a slope or ratio needs, units that a smooth curve needs, in one fold."""
_MOST_POINTS, _MOST_AT = 2000, 100


@dataclass(frozen=True, eq=False)
class Calibrated:
    """One learner's calibration in one set of units; NaN where not estimable, with the reason by name.

    slope: below 1, predictions are too extreme. intercept: calibration in the large on the log-odds scale (survival: log
    hazard), above 0 too low. expected_observed: expected over observed events, above 1 too high. ici, e50, e90: mean,
    median and 90th percentile of the distance between predictions and the smooth curve; ici_by_chance: the mean that
    a perfectly calibrated model would show among so few. curve: smooth observed probability at the points asked for,
    NaN outside the predictions' range.
    """

    slope: float
    intercept: float
    expected_observed: float
    ici: float
    e50: float
    e90: float
    ici_by_chance: float
    curve: Floats
    reasons: dict[str, str] = field(default_factory=dict)


def calibrate_classes(y: Bools, p: Floats, at: Floats) -> Calibrated:
    """Calibration of probabilities p (n,) of a class against y (n,), with the smooth curve at ``at`` (m,)."""
    y = np.asarray(y, bool)
    made: dict[str, float] = {}
    reasons: dict[str, str] = {}
    events = int(min(y.sum(), (~y).sum()))
    if events < FEWEST_EVENTS:
        why = f"fewer than {FEWEST_EVENTS} units with or without the outcome in the test fold"
        reasons = dict.fromkeys(NUMBERS[:3], why)
    else:
        made["expected_observed"] = float(p.mean() / y.mean())
        try:
            made["intercept"] = calibration_in_the_large(y, p)
            made["slope"] = calibration_line(y, p)[1]
        except NotEstimable as e:
            reasons["slope"] = str(e)
    return with_curve(made, reasons, p, y.astype(np.float64), p * (1 - p), at)


def calibrate_survival(outcome: SurvivalOutcome, prediction: Survival, horizon: float, at: Floats) -> Calibrated:
    """Calibration of the predicted probability of an event by ``horizon``.

    Slope: Cox regression, follow-up ended at the horizon, on the complementary log-log of the prediction (Royston &
    Altman 2013, BMC Med Res Methodol 13:33). Intercept: log of events over predicted cumulative hazard up to each unit's
    end of follow-up (Crowson 2016, Stat Methods Med Res 25:1692). Expected over observed: mean prediction over one minus
    Kaplan-Meier. Smooth curve: of pseudo-values (Andersen & Pohar Perme 2010, Stat Methods Med Res 19:71).
    """
    p = 1.0 - prediction.at(np.array([horizon]))[:, 0]
    entry = outcome.entry if outcome.entry.any() else None
    made: dict[str, float] = {}
    event = outcome.event & (outcome.time <= horizon)
    if outcome.time.max(initial=0.0) < horizon:
        why = "nobody of the test fold is followed to the horizon"
        nothing = dict.fromkeys(NUMBERS, float("nan"))
        return Calibrated(**nothing, curve=np.full(len(at), np.nan), reasons=dict.fromkeys(NUMBERS, why))
    reasons: dict[str, str] = {}
    if min(event.sum(), (~event).sum()) < FEWEST_EVENTS:
        why = f"fewer than {FEWEST_EVENTS} events, or units without one, by the horizon in the test fold"
        reasons = dict.fromkeys(NUMBERS[:3], why)
    else:
        time = np.minimum(outcome.time, horizon)
        times, s, _, _ = kaplan_meier(outcome.time, outcome.event, entry)
        seen = 1.0 - s[np.searchsorted(times, horizon, side="right") - 1]
        made["expected_observed"] = float(p.mean() / seen)
        made["intercept"] = float(np.log(event.sum() / _expected(prediction, time, outcome.entry)))
        try:
            made["slope"] = cox_slope(time, event, outcome.entry, np.log(-np.log(np.clip(1 - p, 1e-6, 1 - 1e-6))))
        except NotEstimable as e:
            reasons["slope"] = str(e)
    pseudo = 1.0 - pseudo_values(outcome.time, outcome.event, horizon, entry)
    return with_curve(made, reasons, p, pseudo, (pseudo - p) ** 2, at)


def _expected(prediction: Survival, time: Floats, entry: Floats) -> float:
    """Events that are expected while each unit is under observation: the sum of predicted cumulative hazards."""
    rows = np.arange(len(time))

    def cumulative(t: Floats) -> Floats:
        k = np.searchsorted(prediction.times, t, side="right")
        s = np.where(k > 0, prediction.survival[rows, np.maximum(k - 1, 0)], 1.0)
        return np.asarray(-np.log(np.maximum(s, 1e-6)), np.float64)

    return float(max((cumulative(time) - cumulative(np.minimum(entry, time))).sum(), 1e-12))


def with_curve(
    made: dict[str, float], reasons: dict[str, str], p: Floats, y: Floats, variance: Floats, at: Floats
) -> Calibrated:
    """The rest: y is what each unit showed, variance of each y were the predictions right."""
    values, curve = dict.fromkeys(NUMBERS, float("nan")) | made, np.full(len(at), np.nan)
    if len(p) < FEWEST_UNITS or len(np.unique(p)) < 5:
        why = f"fewer than {FEWEST_UNITS} units, or than 5 different predictions, in the test fold"
        return Calibrated(**values, curve=curve, reasons=reasons | dict.fromkeys(NUMBERS[3:], why))
    x, mean, var = _thinned(p, y, variance)
    own = np.unique(x)
    if len(own) > 2 * _MOST_AT:
        own = np.unique(np.quantile(x, np.linspace(0, 1, _MOST_AT)))
    weights = loess_weights(x, own)
    smooth = np.clip(weights @ mean, 0.0, 1.0)
    gap = np.abs(p - np.interp(p, own, smooth))
    away, sd = np.abs(weights @ x - own), np.sqrt(weights**2 @ var)
    values |= {"ici": float(gap.mean()), "e50": float(np.quantile(gap, 0.5)), "e90": float(np.quantile(gap, 0.9))}
    values["ici_by_chance"] = float(np.interp(p, own, _folded(away, sd)).mean())
    inside = (at >= x.min()) & (at <= x.max())
    curve[inside] = np.clip(loess_weights(x, at[inside]) @ mean, 0.0, 1.0)
    return Calibrated(**values, curve=curve, reasons=reasons)


def _folded(mean: Floats, sd: Floats) -> Floats:
    """Mean of the absolute value of a normal variable."""
    from scipy.stats import norm

    z = mean / np.maximum(sd, 1e-12)
    return np.asarray(sd * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + mean * (1 - 2 * norm.cdf(-z)), np.float64)


def _thinned(p: Floats, y: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean prediction, mean outcome and its variance in at most 2,000 equal parts in order of the prediction."""
    if len(p) <= _MOST_POINTS:
        return p, y, variance
    order = np.argsort(p, kind="stable")
    begin = np.linspace(0, len(p), _MOST_POINTS, endpoint=False).astype(int)
    size = np.diff(np.append(begin, len(p)))
    total = [np.add.reduceat(v[order], begin) for v in (p, y, variance)]
    return total[0] / size, total[1] / size, total[2] / size**2


def loess_weights(x: Floats, at: Floats, span: float = 0.75) -> Floats:
    """(m, n) weights with which local quadratic regression (Cleveland 1979, JASA 74:829) at ``at`` (m,) sums y (n,)."""
    n = len(x)
    q = min(n, max(4, int(np.floor(n * span + 1e-5))))
    away = x[None, :] - at[:, None]
    reach = np.partition(np.abs(away), q - 1, axis=1)[:, q - 1 : q]
    # Where the nearest are all the same prediction, the next one that differs marks the window.
    other = np.where(np.abs(away) > 1e-12, np.abs(away), np.inf).min(axis=1, keepdims=True)
    reach = np.where(reach > 1e-12, reach, np.where(np.isfinite(other), 1.001 * other, 1.0))
    d = away / reach
    w = np.clip(1 - np.abs(d) ** 3, 0, None) ** 3
    basis = np.stack([np.ones_like(d), d, d * d])
    moments = np.einsum("amn,bmn,mn->mab", basis, basis, w, optimize=True)
    first = np.linalg.pinv(moments, rcond=1e-10, hermitian=True)[:, 0, :]
    return np.asarray(np.einsum("ma,amn->mn", first, basis) * w, np.float64)


def calibration_line(y: Bools, p: Floats) -> tuple[float, float]:
    """Calibration intercept and slope: logistic regression of y on logit(p) (Cox 1958, Biometrika 45:562). Ideal: 0, 1.

    Raises :class:`NotEstimable` where predictions do not vary or separate the classes.
    """
    x = _logit(p)
    if np.ptp(x) < 1e-9:
        raise NotEstimable("predictions do not vary in the test fold")
    a, b = _logistic(np.column_stack([np.ones(len(x)), x]), np.asarray(y, bool), np.zeros(len(x)))
    return float(a), float(b)


def calibration_in_the_large(y: Bools, p: Floats) -> float:
    """Intercept of the logistic regression of y with logit(p) as offset (Steyerberg 2010, Epidemiology 21:128). Ideal: 0."""
    return float(_logistic(np.ones((len(p), 1)), np.asarray(y, bool), _logit(p))[0])


def _logit(p: Floats) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(np.clip(p, 1e-6, 1 - 1e-6)), np.float64)


def _logistic(x: Floats, y: Bools, offset: Floats) -> Floats:
    """Coefficients by Newton's method with halved steps."""
    from scipy.special import expit, log_expit

    sign, b = np.where(y, 1.0, -1.0), np.zeros(x.shape[1])

    def loss(b: Floats) -> float:
        return float(-log_expit(sign * (offset + x @ b)).sum())

    now = loss(b)
    for _ in range(50):
        m = expit(offset + x @ b)
        step = np.linalg.lstsq((x * (m * (1 - m))[:, None]).T @ x, x.T @ (y - m), rcond=None)[0]
        while loss(b + step) > now + 1e-12 and np.abs(step).max() > 1e-12:
            step = step / 2
        b, now = b + step, loss(b + step)
        if np.abs(b).max() > 50 or now < 1e-6:
            break
        if np.abs(step).max() < 1e-10:
            return np.asarray(b, np.float64)
    raise NotEstimable("predictions separate those with the outcome from those without in the test fold")


def cox_slope(time: Floats, event: Bools, entry: Floats, x: Floats) -> float:
    """Log hazard ratio of one variable x (n,) by Cox regression, Efron's ties.

    Raises :class:`NotEstimable` where x does not vary or orders the events perfectly.
    """
    if np.ptp(x) < 1e-9:
        raise NotEstimable("predictions do not vary in the test fold")
    x, begin = x - x.mean(), np.where(entry > 0, entry, -np.inf)
    times, at, d = np.unique(time[event], return_inverse=True, return_counts=True)
    of, share = np.repeat(np.arange(len(times)), d), np.concatenate([np.arange(k) / k for k in d])
    assert (at_risk_counts(time, begin, times) >= d).all()
    late, early = np.argsort(time), np.argsort(begin)
    left, entered = np.searchsorted(time[late], times, side="left"), np.searchsorted(begin[early], times, side="left")

    def sums(v: Floats) -> Floats:
        """Of v over those at risk, less the share of the tied ones, for every event."""
        gone = np.concatenate([[0.0], np.cumsum(v[late])])[left]
        came = np.concatenate([[0.0], np.cumsum(v[early])])[entered]
        tied = np.bincount(at, weights=v[event], minlength=len(times))
        return np.asarray((came - gone)[of] - share * tied[of], np.float64)

    b = 0.0
    for _ in range(100):
        e = np.exp(b * x - np.max(b * x))
        s0, s1, s2 = sums(e), sums(e * x), sums(e * x * x)
        mean = s1 / s0
        information = float((s2 / s0 - mean**2).sum())
        step = float(np.clip((x[event].sum() - mean.sum()) / max(information, 1e-12), -1.0, 1.0))
        b += step
        if abs(b) > 50 or information < 1e-9:
            break
        if abs(step) < 1e-10:
            return b
    raise NotEstimable("predictions order the events of the test fold perfectly")
