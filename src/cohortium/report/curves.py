"""Curves counted from stored predictions: mean ROC, calibration, risk groups. The counting itself is metrics'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.report.folder import Scored

FloatArray = NDArray[np.float64]
RISK_GROUPS = ("low", "middle", "high")
_GRID = np.linspace(0, 1, 101)
_MOST_STEPS = 300


@dataclass(frozen=True, eq=False)
class Calibration:
    """Groups of similar prediction: mean predicted and observed probability (g,), 95% limits of the observed."""

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class Stratum:
    """A risk group: its Kaplan-Meier steps (from time 0), 95% limits, and who is in it."""

    name: str
    times: FloatArray
    survival: FloatArray
    low: FloatArray
    high: FloatArray
    time: FloatArray
    event: NDArray[np.bool_]
    entry: FloatArray

    @property
    def n(self) -> int:
        return len(self.time)

    @property
    def last(self) -> float:
        """Last time under observation."""
        return float(self.time.max())

    def at_risk(self, at: FloatArray) -> NDArray[np.int64]:
        """(len(at),) units under observation just before each time."""
        return np.array([(((self.entry < t) | (t == 0)) & (self.time >= t)).sum() for t in at], np.int64)


def mean_roc(scored: Scored) -> tuple[FloatArray, FloatArray] | None:
    """(false positive rate, true positive rate), averaged over folds at equal false positive rate.

    The area under the average equals the average of the areas, so the picture agrees with the estimate. Folds
    with one class only are left out; None when no fold has both.
    """
    if scored.p is None or scored.code is None or len(scored.classes) != 2:
        return None
    fold_curves = []
    for repeat, fold in sorted(set(zip(scored.repeat.tolist(), scored.fold.tolist(), strict=True))):
        rows = (scored.repeat == repeat) & (scored.fold == fold)
        positive, p = scored.code[rows] == 1, scored.p[rows, 1]
        if positive.all() or not positive.any():
            continue
        fpr, tpr = _roc(positive, p)
        fold_curves.append(np.interp(_GRID, fpr, tpr))
    if not fold_curves:
        return None
    tpr = np.mean(fold_curves, axis=0)
    return np.concatenate([[0.0], _GRID]), np.concatenate([[0.0], tpr])


def _roc(positive: NDArray[np.bool_], p: FloatArray) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(-p, kind="stable")
    hits, y = p[order], positive[order]
    last = np.r_[hits[1:] != hits[:-1], True]
    tpr = np.cumsum(y)[last] / y.sum()
    fpr = np.cumsum(~y)[last] / (~y).sum()
    return np.r_[0.0, fpr], np.r_[0.0, tpr]


def calibration_classes(p: FloatArray, hit: NDArray[np.bool_], most: int = 10) -> Calibration:
    """At most ``most`` groups of similar prediction, with Wilson limits. p: (n,). hit: (n,)."""
    predicted, observed, low, high = [], [], [], []
    for rows in _groups(p, most):
        n, k = len(rows), int(hit[rows].sum())
        predicted.append(float(p[rows].mean()))
        observed.append(k / n)
        centre, half = _wilson(k, n)
        low.append(centre - half)
        high.append(centre + half)
    return Calibration(*(np.asarray(x, float) for x in (predicted, observed, low, high)))


def calibration_survival(scored: Scored, horizon: float) -> Calibration | None:
    """Predicted risk by ``horizon`` against one minus Kaplan-Meier within groups of similar prediction.

    None when there are no curves, or nobody is followed that long.
    """
    if scored.survival is None or scored.times is None or scored.time is None or scored.event is None:
        return None
    if horizon > scored.time.max() or scored.entry is None:
        return None
    padded = np.concatenate([np.ones((len(scored.survival), 1)), scored.survival], axis=1)
    risk = 1 - padded[:, np.searchsorted(scored.times, horizon, side="right")]
    out = []
    for rows in _groups(risk, most=5):
        times, survival, low, high = _kaplan_meier(scored.time[rows], scored.event[rows], scored.entry[rows])
        if scored.time[rows].max() < horizon:
            continue
        k = np.searchsorted(times, horizon, side="right") - 1
        out.append((float(risk[rows].mean()), 1 - survival[k], 1 - high[k], 1 - low[k]))
    return Calibration(*(np.asarray(x, float) for x in zip(*out, strict=True))) if out else None


def risk_groups(risk: FloatArray, repeat: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) 0, 1, 2: thirds of the risk within each fold, lowest first. Ties share a group."""
    group = np.zeros(len(risk), np.int64)
    for key in sorted(set(zip(repeat.tolist(), fold.tolist(), strict=True))):
        rows = np.flatnonzero((repeat == key[0]) & (fold == key[1]))
        cuts = np.quantile(risk[rows], [1 / 3, 2 / 3])
        group[rows] = (risk[rows][:, None] > cuts[None, :]).sum(axis=1)
    return group


def risk_strata(scored: Scored) -> list[Stratum]:
    """Kaplan-Meier of the thirds, low risk first; empty groups are left out."""
    if scored.risk is None or scored.time is None or scored.event is None or scored.entry is None:
        return []
    group = risk_groups(scored.risk, scored.repeat, scored.fold)
    out = []
    for i, name in enumerate(RISK_GROUPS):
        rows = group == i
        if rows.any():
            time, event, entry = scored.time[rows], scored.event[rows], scored.entry[rows]
            out.append(Stratum(name, *_thinned(*_kaplan_meier(time, event, entry)), time, event, entry))
    return out


def log_rank_p(scored: Scored) -> float | None:
    """Log-rank test across the risk groups; None when there are fewer than two groups or no event."""
    if scored.risk is None or scored.time is None or scored.event is None or not scored.event.any():
        return None
    group = risk_groups(scored.risk, scored.repeat, scored.fold)
    return _log_rank(scored.time, scored.event, group, scored.entry) if len(np.unique(group)) > 1 else None


def _groups(p: FloatArray, most: int = 10) -> list[NDArray[np.intp]]:
    """Rows in groups of similar prediction, at least 20 in each where there are that many; ties stay together."""
    k = int(np.clip(len(p) // 20, 1, most))
    edges = np.unique(np.quantile(p, np.linspace(0, 1, k + 1)[1:-1]))
    group = np.searchsorted(edges, p, side="left")
    return [rows for g in range(len(edges) + 1) if len(rows := np.flatnonzero(group == g))]


def _wilson(k: int, n: int) -> tuple[float, float]:
    """Centre and half-width of the 95% score interval (Wilson 1927, JASA 22:209)."""
    z = 1.959964
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * float(np.sqrt(k * (n - k) / n + z * z / 4))
    return centre, half


def _thinned(
    times: FloatArray, survival: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """At most 300 steps, evenly spread, first and last kept: more cannot be seen and would swell the page."""
    if len(times) <= _MOST_STEPS:
        return times, survival, low, high
    keep = np.unique(np.linspace(0, len(times) - 1, _MOST_STEPS).astype(int))
    return times[keep], survival[keep], low[keep], high[keep]


def _kaplan_meier(
    time: FloatArray, event: NDArray[np.bool_], entry: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(times from 0, survival, low, high), log-log limits."""
    at = np.unique(time[event])
    risk = np.array([((entry < t) & (time >= t)).sum() for t in at], float)
    died = np.array([((time == t) & event).sum() for t in at], float)
    s = np.cumprod(1 - died / risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = 1.959964 * np.sqrt(np.cumsum(died / (risk * (risk - died)))) / np.log(s)
        low, high = s ** np.exp(-half), s ** np.exp(half)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, s)
    times = np.concatenate([[0.0], at, [time.max()]])
    return times, *(np.concatenate([[1.0], x, x[-1:] if len(x) else [1.0]]) for x in (s, low, high))


def _log_rank(time: FloatArray, event: NDArray[np.bool_], group: NDArray[np.int64], entry: FloatArray) -> float:
    from scipy.stats import chi2

    k = int(group.max()) + 1
    diff, cov = np.zeros(k), np.zeros((k, k))
    for t in np.unique(time[event]):
        risk = (entry < t) & (time >= t)
        n = np.bincount(group[risk], minlength=k).astype(float)
        d = np.bincount(group[(time == t) & event], minlength=k).astype(float)
        N, D = n.sum(), d.sum()
        diff += d - D * n / N
        if N > 1:
            cov += D * (N - D) / (N - 1) * (np.diag(n) / N - np.outer(n, n) / N**2)
    stat = float(diff[1:] @ np.linalg.pinv(cov[1:, 1:]) @ diff[1:])
    return float(chi2.sf(stat, k - 1))
