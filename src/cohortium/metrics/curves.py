"""Curves for the eye: ROC and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.metrics.intervals import wilson
from cohortium.metrics.kaplan_meier import kaplan_meier

Floats = NDArray[np.float64]


def roc_curve(y: NDArray[np.bool_], p: Floats) -> tuple[Floats, Floats]:
    """False- and true-positive rates, from (0, 0) to (1, 1)."""
    from sklearn.metrics import roc_curve as curve

    fpr, tpr, _ = curve(y, p)
    return fpr, tpr


@dataclass(frozen=True, eq=False)
class Calibration:
    """Per bin: mean prediction, observed frequency with its 95% interval, units."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def _bins(p: Floats, bins: int) -> list[NDArray[np.intp]]:
    order = np.argsort(p, kind="stable")
    return [b for b in np.array_split(order, min(bins, max(1, len(p) // 10))) if len(b)]


def calibration_curve(
    p: Floats,
    y: NDArray[np.bool_] | None = None,
    *,
    time: Floats | None = None,
    event: NDArray[np.bool_] | None = None,
    cause: NDArray[np.int64] | None = None,
    horizon: float | None = None,
    bins: int = 10,
) -> Calibration:
    """Observed against predicted in equally filled bins of p (n,).

    Classes: y (n,) with Wilson intervals. Survival: p is the predicted probability of an event by ``horizon``
    and the observed one is 1 - Kaplan-Meier of the bin; with cause (n,) it is Aalen-Johansen's incidence of cause 1.
    """
    from cohortium.metrics.competing import incidence_at

    rows = _bins(p, bins)
    if time is not None and cause is not None and horizon is not None:
        table = [incidence_at(time[b], cause[b], horizon) for b in rows]
    else:
        table = [
            wilson(y[b].sum(), len(b)) if y is not None else _by_horizon(time[b], event[b], horizon)  # type: ignore[index, arg-type]
            for b in rows
        ]
    observed, low, high = (np.array(column) for column in zip(*table, strict=True))
    n = np.array([len(b) for b in rows], dtype=np.int64)
    return Calibration(np.array([p[b].mean() for b in rows]), observed, low, high, n)


def _by_horizon(time: Floats, event: NDArray[np.bool_], horizon: float) -> tuple[float, float, float]:
    """Probability of an event by the horizon, 1 - Kaplan-Meier, and its interval."""
    t, s, low, high = kaplan_meier(time, event)
    k = int(np.searchsorted(t, horizon, side="right"))
    return (0.0, 0.0, 0.0) if k == 0 else (float(1 - s[k - 1]), float(1 - high[k - 1]), float(1 - low[k - 1]))
