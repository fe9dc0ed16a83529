"""Intervals of estimates.

Repeated folds overlap in their training sets, so the variance over folds is too small by far; the corrected
resampled t interval (Nadeau & Bengio 2003, Mach Learn 52:239; Bouckaert & Frank 2004) adds the ratio of
test to training size: var = (1/J + n_test/n_train) s^2. Their J-1 degrees of freedom are too many when
repeats reuse the same patients (Bouckaert 2003, ICML: calibrate the degrees of freedom): here they are at most
the number of folds of one repeat, K = 1 + n_train/n_test. ``benchmarks/intervals.py`` measures what that gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.estimates import Estimate

Floats = NDArray[np.float64]

LOW_POWER = 10
"""Fewer folds than this: the interval is marked low-powered."""


def nadeau_bengio(
    values: Sequence[float] | Floats, n_train: float | Floats, n_test: float | Floats, level: float = 0.95
) -> tuple[float, float | None, float | None]:
    """Mean of J per-fold values and its corrected interval; None bounds with fewer than two values.

    n_train, n_test: per fold or common. NaN values (not estimable) are left out. Degrees of freedom:
    min(J - 1, K) with K = 1 + n_train/n_test folds in a repeat.
    """
    from scipy.stats import t

    mean, se, df = _corrected(values, n_train, n_test)
    if se is None:
        return mean, None, None
    half = float(t.ppf(0.5 + level / 2, df)) * se
    return mean, mean - half, mean + half


def nadeau_bengio_p(values: Sequence[float] | Floats, n_train: float | Floats, n_test: float | Floats) -> float | None:
    """Two-sided p-value of a mean of zero by the same t; None with fewer than two values."""
    from scipy.stats import t

    mean, se, df = _corrected(values, n_train, n_test)
    if se is None:
        return None
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / se, df))


def _corrected(
    values: Sequence[float] | Floats, n_train: float | Floats, n_test: float | Floats
) -> tuple[float, float | None, int]:
    """Mean, corrected standard error (None with fewer than two values), degrees of freedom."""
    v = np.asarray(values, dtype=np.float64)
    v = v[~np.isnan(v)]
    j = len(v)
    if j < 2:
        return float(v[0]) if j else float("nan"), None, 0
    ratio = float(np.mean(np.asarray(n_test, dtype=float) / np.asarray(n_train, dtype=float)))
    df = min(j - 1, max(1, round(1.0 + 1.0 / ratio)))
    return float(v.mean()), float(np.sqrt((1.0 / j + ratio) * v.var(ddof=1))), df


def holm(p: Sequence[float]) -> Floats:
    """(m,) p-values corrected for being the smallest of m (Holm 1979, Scand J Stat 6:65)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    out = np.empty(len(values))
    out[order] = np.minimum(stepped, 1.0)
    return out


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """(m,) p-values corrected for the false discovery rate; NaN stays NaN and is not counted (Benjamini & Hochberg 1995, JRSS B 57:289)."""
    values = np.asarray(p, dtype=np.float64)
    out, known = np.full(len(values), np.nan), np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    scaled = values[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def wilson(k: float, n: float) -> tuple[float, float, float]:
    """Frequency of k in n > 0, and its 95% interval (Wilson 1927, JASA 22:209)."""
    m, z2 = k / n, 1.959964**2
    centre = (m + z2 / (2 * n)) / (1 + z2 / n)
    half = float(np.sqrt(m * (1 - m) / n + z2 / (4 * n * n))) * 1.959964 / (1 + z2 / n)
    return float(m), float(centre - half), float(centre + half)


def from_folds(
    metric: str,
    values: Sequence[float] | Floats,
    n_train: float | Floats,
    n_test: float | Floats,
    *,
    n: int,
    n_events: int | None = None,
    horizon: float | None = None,
    reason: str | None = None,
    method: str = "nadeau_bengio",
) -> Estimate:
    """An Estimate of per-fold values; NaN marks folds where the metric is not estimable, ``reason`` says why."""
    value, low, high = nadeau_bengio(values, n_train, n_test)
    low, high = _within(metric, method, low, high)
    v = np.asarray(values, dtype=np.float64)
    lost = int(np.isnan(v).sum())
    if lost == len(v):
        return Estimate(
            metric, None, n=n, n_events=n_events, horizon=horizon, reason=reason or "not estimable in any fold"
        )
    note = None if not lost else f"not estimable in {lost} of {len(v)} folds: {reason or 'unknown'}"
    return Estimate(metric, value, low, high, n, n_events, method, horizon, note, len(v) - lost < LOW_POWER)


def _within(metric: str, method: str, low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """Limits of a metric (not of a difference) cut at the metric's own bounds."""
    from cohortium.metrics.registry import METRICS

    if low is None or high is None or method.endswith("paired") or metric not in METRICS:
        return low, high
    least, most = METRICS[metric].bounds
    return max(low, least), min(high, most)


def paired_from_folds(
    metric: str,
    a: Sequence[float] | Floats,
    b: Sequence[float] | Floats,
    n_train: float | Floats,
    n_test: float | Floats,
    *,
    n: int,
    n_events: int | None = None,
    horizon: float | None = None,
    reason: str | None = None,
) -> Estimate:
    """Estimate of a - b on the folds that have both."""
    d = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return from_folds(
        metric,
        d,
        n_train,
        n_test,
        n=n,
        n_events=n_events,
        horizon=horizon,
        reason=reason,
        method="nadeau_bengio_paired",
    )


def bootstrap_patients(
    statistic: Callable[[NDArray[np.intp]], float],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    n_boot: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Value and percentile interval of ``statistic(rows)`` when patients (all their rows) are drawn with replacement.

    groups: (n,) patient code of each row. Draws on which the statistic is not estimable are drawn again, up to
    twice as many in all.
    """
    from cohortium.metrics.registry import NotEstimable

    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][0] - 1))
    members = np.split(order, starts[1:])
    value = statistic(np.arange(len(groups)))
    draws: list[float] = []
    for _ in range(2 * n_boot):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        try:
            draws.append(statistic(rows))
        except NotEstimable:
            continue
        if len(draws) == n_boot:
            break
    if len(draws) < n_boot // 2:
        raise NotEstimable("too few patients: most bootstrap samples have no estimate")
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return value, float(low), float(high)


def _placements(y: NDArray[np.bool_], p: Floats) -> tuple[float, Floats, Floats]:
    from scipy.stats import rankdata

    from cohortium.metrics.registry import NotEstimable

    a, b = p[y], p[~y]
    m, n = len(a), len(b)
    if min(m, n) < 2:
        raise NotEstimable("an interval of the AUC needs two units of either class")
    ranks = rankdata(np.concatenate([a, b]))
    v10 = (ranks[:m] - rankdata(a)) / n
    v01 = 1.0 - (ranks[m:] - rankdata(b)) / m
    return float(v10.mean()), v10, v01


def delong(y: NDArray[np.bool_], p: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """ROC-AUC with its interval on the logit scale (DeLong 1988, Biometrics 44:837).

    Where the classes are parted without exception no variance is seen: the interval is Newcombe's. Raises
    :class:`NotEstimable` with fewer than two units of a class.
    """
    from scipy.special import expit, logit
    from scipy.stats import norm

    auc, v10, v01 = _placements(np.asarray(y, bool), p)
    var = v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)
    if auc in (0.0, 1.0):
        return auc, *_newcombe(auc, len(v10), len(v01), level)
    if var == 0:  # one prediction for all: a half, of whatever sample
        return auc, auc, auc
    half = norm.ppf(0.5 + level / 2) * np.sqrt(var) / (auc * (1 - auc))
    return auc, float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def _newcombe(auc: float, m: int, n: int, level: float) -> tuple[float, float]:
    """Interval of an AUC from its value and the class sizes alone (Newcombe 2006, Stat Med 25:559, method 5)."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, half = float(norm.ppf(0.5 + level / 2)), (m + n) / 2 - 1

    def away(a: float) -> float:
        """Distance of ``auc`` from a possible true value, in its standard errors, less z."""
        var = a * (1 - a) * (1 + half * ((1 - a) / (2 - a) + a / (1 + a))) / (m * n)
        return abs(auc - a) - z * float(np.sqrt(var))

    low = 0.0 if auc <= 0 else float(brentq(away, 0.0, auc - 1e-9))
    high = 1.0 if auc >= 1 else float(brentq(away, auc + 1e-9, 1.0))
    return low, high


def delong_paired(
    y: NDArray[np.bool_], p1: Floats, p2: Floats, level: float = 0.95
) -> tuple[float, float, float, float]:
    """Difference of two AUCs on the same units, its interval and p-value (DeLong 1988). Raises as :func:`delong`."""
    from scipy.stats import norm

    y = np.asarray(y, bool)
    a1, x1, z1 = _placements(y, p1)
    a2, x2, z2 = _placements(y, p2)
    se = float(np.sqrt((x1 - x2).var(ddof=1) / len(x1) + (z1 - z2).var(ddof=1) / len(z1)))
    d = a1 - a2
    if se == 0:
        return d, d, d, 1.0 if d == 0 else 0.0
    half = float(norm.ppf(0.5 + level / 2)) * se
    return d, d - half, d + half, float(2 * norm.sf(abs(d) / se))


def random_effects(values: Floats, ses: Floats, level: float = 0.95) -> tuple[float, float, float, float, float]:
    """Random-effects mean, interval, tau^2 and I^2.

    tau^2 by Paule & Mandel 1982; interval by Hartung & Knapp 2001, Stat Med 20:3875, not narrower than the
    fixed-effect one (Jackson 2017).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri, stdtrit  # those of scipy.stats, which takes a second to import

    y, v = np.asarray(values, float), np.asarray(ses, float) ** 2
    k = len(y)

    def excess(tau2: float) -> float:
        w = 1 / (v + tau2)
        m = (w @ y) / w.sum()
        return float(w @ (y - m) ** 2 - (k - 1))

    tau2 = 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, 1e3 * (y.var() + v.max()) + 1e-12))
    w = 1 / (v + tau2)
    mean = float((w @ y) / w.sum())
    q = float(w @ (y - mean) ** 2) / (k - 1)
    half = max(
        float(stdtrit(k - 1, 0.5 + level / 2)) * np.sqrt(q / w.sum()),
        float(ndtri(0.5 + level / 2)) * np.sqrt(1 / w.sum()),
    )
    w0 = 1 / v
    cochran = float(w0 @ (y - (w0 @ y) / w0.sum()) ** 2)
    return mean, mean - half, mean + half, tau2, max(0.0, (cochran - (k - 1)) / cochran) if cochran > 0 else 0.0
