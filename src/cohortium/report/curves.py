"""Curves counted from stored predictions: mean ROC, calibration, risk groups. The counting itself is metrics'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """A risk group: its Kaplan-Meier steps (of competing risks: Aalen-Johansen, rising) from time 0, 95% limits, who is in it."""

    name: str
    times: FloatArray
    steps: FloatArray
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
        """(len(at),) units under observation just before each time; at 0, those under observation from the start."""
        from cohortium.metrics import numbers_at_risk

        return numbers_at_risk(self.time, self.entry, at)


def mean_roc(scored: Scored) -> tuple[FloatArray, FloatArray] | None:
    """(false positive rate, true positive rate), averaged over folds at equal false positive rate.

    The area under the average equals the average of the areas, so the picture agrees with the estimate. Folds
    with one class only are left out; None when no fold has both.
    """
    from cohortium.metrics import roc_curve

    if scored.p is None or scored.code is None or len(scored.classes) != 2:
        return None
    fold_curves = []
    for repeat, fold in sorted(set(zip(scored.repeat.tolist(), scored.fold.tolist(), strict=True))):
        rows = (scored.repeat == repeat) & (scored.fold == fold)
        positive, p = scored.code[rows] == 1, scored.p[rows, 1]
        if positive.all() or not positive.any():
            continue
        fpr, tpr = roc_curve(positive, p)
        fold_curves.append(np.interp(_GRID, fpr, tpr))
    if not fold_curves:
        return None
    tpr = np.mean(fold_curves, axis=0)
    return np.concatenate([[0.0], _GRID]), np.concatenate([[0.0], tpr])


def calibration_classes(p: FloatArray, hit: NDArray[np.bool_], most: int = 10) -> Calibration:
    """At most ``most`` groups of similar prediction, with Wilson limits. p: (n,). hit: (n,)."""
    from cohortium.metrics import calibration_curve

    return _joined([calibration_curve(p[rows], hit[rows], bins=1) for rows in _groups(p, most)])


def _joined(parts: list[Any]) -> Calibration:
    """One curve of the groups, each counted by metrics on its own so that equal predictions stay together."""
    fields = ("predicted", "observed", "low", "high")
    return Calibration(*(np.concatenate([getattr(c, f) for c in parts]) for f in fields))


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
        if scored.time[rows].max() < horizon:
            continue
        times, survival, low, high = _kaplan_meier(scored.time[rows], scored.event[rows], scored.entry[rows])
        k = np.searchsorted(times, horizon, side="right") - 1
        out.append((float(risk[rows].mean()), 1 - survival[k], 1 - high[k], 1 - low[k]))
    return Calibration(*(np.asarray(x, float) for x in zip(*out, strict=True))) if out else None


def calibration_incidence(scored: Scored, horizon: float) -> Calibration | None:
    """Predicted incidence by ``horizon`` against Aalen-Johansen within groups of similar prediction; None as above."""
    from cohortium.metrics import incidence_at

    if scored.incidence is None or scored.times is None or scored.time is None or scored.cause is None:
        return None
    if horizon > scored.time.max():
        return None
    padded = np.concatenate([np.zeros((len(scored.incidence), 1)), scored.incidence], axis=1)
    risk = padded[:, np.searchsorted(scored.times, horizon, side="right")]
    out = []
    for rows in _groups(risk, most=5):
        if scored.time[rows].max() >= horizon:
            out.append((float(risk[rows].mean()), *incidence_at(scored.time[rows], scored.cause[rows], horizon)))
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
    """Kaplan-Meier, or incidence, of the thirds, low risk first; empty groups are left out."""
    if scored.risk is None or scored.time is None or scored.event is None or scored.entry is None:
        return []
    group = risk_groups(scored.risk, scored.repeat, scored.fold)
    out = []
    for i, name in enumerate(RISK_GROUPS):
        rows = group == i
        if rows.any():
            time, event, entry = scored.time[rows], scored.event[rows], scored.entry[rows]
            steps = _kaplan_meier(time, event, entry) if scored.cause is None else _incidence(time, scored.cause[rows])
            out.append(Stratum(name, *_thinned(steps), time, event, entry))
    return out


def log_rank_p(scored: Scored) -> float | None:
    """Log-rank test across the risk groups; None when there are fewer than two groups or no event."""
    from cohortium.metrics import logrank

    if scored.risk is None or scored.time is None or scored.event is None or scored.entry is None:
        return None
    if not scored.event.any():
        return None
    group = risk_groups(scored.risk, scored.repeat, scored.fold)
    return logrank(scored.time, scored.event, group, scored.entry) if len(np.unique(group)) > 1 else None


def _groups(p: FloatArray, most: int = 10) -> list[NDArray[np.intp]]:
    """Rows in groups of similar prediction, at least 20 in each where there are that many; ties stay together."""
    k = int(np.clip(len(p) // 20, 1, most))
    edges = np.unique(np.quantile(p, np.linspace(0, 1, k + 1)[1:-1]))
    group = np.searchsorted(edges, p, side="left")
    return [rows for g in range(len(edges) + 1) if len(rows := np.flatnonzero(group == g))]


def _incidence(time: FloatArray, cause: NDArray[np.int64]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(times, incidence of the cause of interest, low, high), begun at 0 and drawn out to the last time."""
    from cohortium.metrics import aalen_johansen

    times, *steps, _ = aalen_johansen(time, cause)
    whole = [np.concatenate([[0.0], x, x[-1:] if len(x) else [0.0]]) for x in steps]
    return np.concatenate([[0.0], times, [time.max()]]), whole[0], whole[1], whole[2]


def _thinned(
    curve: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """At most 300 steps, evenly spread, first and last kept: more cannot be seen and would swell the page."""
    n = len(curve[0])
    keep = np.unique(np.linspace(0, n - 1, min(n, _MOST_STEPS)).astype(int))
    times, survival, low, high = (x[keep] for x in curve)
    return times, survival, low, high


def _kaplan_meier(
    time: FloatArray, event: NDArray[np.bool_], entry: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(times, survival, low, high) as metrics counts them, begun at 0 and drawn out to the last time."""
    from cohortium.metrics import kaplan_meier

    times, *steps = kaplan_meier(time, event, entry)
    whole = [np.concatenate([[1.0], x, x[-1:] if len(x) else [1.0]]) for x in steps]
    return np.concatenate([[0.0], times, [time.max()]]), whole[0], whole[1], whole[2]
