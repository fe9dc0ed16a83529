"""Cox partial likelihood of a site with Efron's ties, delayed entry, case weights and strata: loss, gradient, Hessian.

Efron 1977, JASA 72:557; weights as R's ``survival::coxph`` has them: tied events count by their mean weight. Cost: O(n q^2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cox_sums(
    z: Array,
    time: Array,
    event: Array,
    entry: Array,
    weight: Array,
    stratum: NDArray[np.int64],
    parameters: Array,
    diagonal: bool = False,
) -> tuple[float, Array, Array]:
    """Negative log partial likelihood and its derivatives, summed over strata. A unit is at risk at t when entry < t <= time.
    diagonal: of the Hessian the diagonal (q,) alone; cost O(n q)."""
    q = z.shape[1]
    loss, gradient, hessian = 0.0, np.zeros(q), np.zeros(q if diagonal else (q, q))
    for s in np.unique(stratum):
        rows = stratum == s
        f, g, h = _stratum(z[rows], time[rows], event[rows] > 0, entry[rows], weight[rows], parameters, diagonal)
        loss, gradient, hessian = loss + f, gradient + g, hessian + h
    return loss, gradient, hessian


def _stratum(
    z: Array, time: Array, event: NDArray[np.bool_], entry: Array, weight: Array, b: Array, diagonal: bool
) -> tuple[float, Array, Array]:
    q = z.shape[1]
    if not event.any():
        return 0.0, np.zeros(q), np.zeros(q if diagonal else (q, q))
    eta = z @ b
    shift = float(eta.max())
    r = weight * np.exp(eta - shift)
    times, at = np.unique(time[event], return_inverse=True)
    m = len(times)
    tied = np.bincount(at, minlength=m)
    average = np.bincount(at, weight[event], m) / tied
    risk, risk_z = (
        _over_risk_sets(r[:, None], time, entry, times)[:, 0],
        _over_risk_sets(r[:, None] * z, time, entry, times),
    )
    dead, dead_z = np.bincount(at, r[event], m), np.zeros((m, q))
    np.add.at(dead_z, at, (r[:, None] * z)[event])
    # One row for each event: the l-th of d tied ones sees the risk set less l/d of those that die at that time.
    step = np.repeat(np.arange(m), tied)
    part = (np.arange(len(step)) - np.repeat(np.cumsum(tied) - tied, tied)) / tied[step]
    phi = np.maximum(risk[step] - part * dead[step], 1e-300)
    mean_z = (risk_z[step] - part[:, None] * dead_z[step]) / phi[:, None]
    w = average[step]
    loss = float(w @ (np.log(phi) + shift)) - float(weight[event] @ eta[event])
    gradient = w @ mean_z - weight[event] @ z[event]
    # First term of the Hessian: every unit's z z' times its weight in all the risk sets it is in.
    hazard = np.bincount(step, w / phi, m)
    cumulative = np.concatenate([[0.0], np.cumsum(hazard)])
    inside = (
        cumulative[np.searchsorted(times, time, side="right")] - cumulative[np.searchsorted(times, entry, side="right")]
    )
    own = r * inside
    own[event] -= r[event] * np.bincount(step, w * part / phi, m)[at]
    if diagonal:
        return loss, gradient, own @ z**2 - w @ mean_z**2
    hessian = (z * own[:, None]).T @ z - (mean_z * w[:, None]).T @ mean_z
    return loss, gradient, (hessian + hessian.T) / 2


def cox_derivatives(eta: Array, time: Array, event: Array, entry: Array, weight: Array) -> tuple[float, Array, Array]:
    """Of one stratum: negative log partial likelihood, and its first and second derivatives (n,) by each unit's score ``eta`` (n,)."""
    dead = event > 0
    if not dead.any():
        return 0.0, np.zeros(len(eta)), np.zeros(len(eta))
    shift = float(eta.max())
    r = weight * np.exp(eta - shift)
    times, at = np.unique(time[dead], return_inverse=True)
    m = len(times)
    tied = np.bincount(at, minlength=m)
    step = np.repeat(np.arange(m), tied)
    part = (np.arange(len(step)) - np.repeat(np.cumsum(tied) - tied, tied)) / tied[step]
    risk = _over_risk_sets(r[:, None], time, entry, times)[:, 0]
    phi = np.maximum(risk[step] - part * np.bincount(at, r[dead], m)[step], 1e-300)
    w = (np.bincount(at, weight[dead], m) / tied)[step]
    loss = float(w @ (np.log(phi) + shift)) - float(weight[dead] @ eta[dead])
    until, since = np.searchsorted(times, time, side="right"), np.searchsorted(times, entry, side="right")

    def inside(x: Array) -> Array:
        """Sums over the event times at which a unit is at risk."""
        whole = np.concatenate([[0.0], np.cumsum(np.bincount(step, x, m))])
        return np.asarray(whole[until] - whole[since])

    first, second = inside(w / phi), inside(w / phi**2)
    # Of d tied events the l-th sees those who die then only by 1 - l/d.
    first[dead] -= np.bincount(step, w * part / phi, m)[at]
    second[dead] -= np.bincount(step, w * part * (2 - part) / phi**2, m)[at]
    own = r * first
    gradient = own - weight * dead
    return loss, gradient, np.maximum(own - r * r * second, 0.0)


def _over_risk_sets(x: Array, time: Array, entry: Array, times: Array) -> Array:
    """(m, q) sums of x (n, q) over {i: entry_i < t <= time_i} at each of ``times``."""

    def from_on(key: Array) -> Array:
        order = np.argsort(key, kind="stable")
        tail = np.vstack([np.cumsum(x[order][::-1], axis=0)[::-1], np.zeros((1, x.shape[1]))])
        return np.asarray(tail[np.searchsorted(key[order], times, side="left")])

    sums = from_on(time)
    return sums - from_on(entry) if (entry > 0).any() else sums
