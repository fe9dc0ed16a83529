"""Curves for the eye: ROC and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    horizon: float | None = None,
    bins: int = 10,
) -> Calibration:
    """Observed against predicted in equally filled bins of p (n,).

    Classes: y (n,) with Wilson intervals. Survival: p is the predicted probability of an event by ``horizon``
    and the observed one is 1 - Kaplan-Meier of the bin.
    """
    rows = _bins(p, bins)
    predicted, observed, low, high = [], [], [], []
    for b in rows:
        predicted.append(p[b].mean())
        if y is not None:
            n, m = len(b), y[b].mean()
            z2 = 1.959964**2
            centre = (m + z2 / (2 * n)) / (1 + z2 / n)
            half = np.sqrt(m * (1 - m) / n + z2 / (4 * n * n)) * 1.959964 / (1 + z2 / n)
            observed.append(m), low.append(centre - half), high.append(centre + half)
            continue
        assert time is not None and event is not None and horizon is not None
        t, s, lo, hi = kaplan_meier(time[b], event[b])
        k = int(np.searchsorted(t, horizon, side="right"))
        at = (1.0, 1.0, 1.0) if k == 0 else (s[k - 1], lo[k - 1], hi[k - 1])
        observed.append(1 - at[0]), low.append(1 - at[2]), high.append(1 - at[1])
    return Calibration(*(np.array(v) for v in (predicted, observed, low, high)), np.array([len(b) for b in rows]))


def calibration_line(y: NDArray[np.bool_], p: Floats) -> tuple[float, float]:
    """Calibration intercept and slope: logistic regression of y on logit(p) (Cox 1958). Ideal: 0 and 1."""
    from scipy.special import logit
    from sklearn.linear_model import LogisticRegression

    x = logit(np.clip(p, 1e-6, 1 - 1e-6))[:, None]
    fit = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(x, y)
    return float(fit.intercept_[0]), float(fit.coef_[0, 0])
