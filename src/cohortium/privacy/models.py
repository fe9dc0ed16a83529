"""Models whose loss is a sum over patients: linear, logistic and multinomial regression, and discrete-time hazards for survival.

Arrays only; the site asks for gradients of its units, the coordinator for sizes, starting points and scores. n units, q columns
standardised (unknown: 0), K classes or intervals. Parameters: intercepts (one for each class, or interval), then coefficients: (q,), or
(q, K) by column for several classes.

Survival is cut into the declared intervals; the hazard of an interval has the log odds intercept + z b (Cox 1972, section 6; Singer &
Willett 1993, J Educ Stat 18:155). A unit censored within an interval is not counted in it, nor is one that enters in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Array = NDArray[np.float64]

LEAST_CURVATURE = 0.02
BINS = 8
"""Bins of scores in the evaluation."""

MOST_RESIDUAL = 2.0
"""Scaled errors of a continuous endpoint are cut to this in the evaluation."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """kind: of the endpoint. y: (n,) 0 and 1, codes, values scaled to -1 to 1, or events. time, entry: (n,) of survival. times: ends of
    intervals. classes: number of them."""

    kind: str
    y: Array
    time: Array
    entry: Array
    times: Sequence[float]
    classes: int


def intercepts(kind: str, times: Sequence[float], classes: int) -> int:
    """Number of them."""
    return {"survival": len(times), "multiclass": classes}.get(kind, 1)


def size(kind: str, q: int, times: Sequence[float], classes: int) -> int:
    """Parameters in all."""
    return classes * (1 + q) if kind == "multiclass" else intercepts(kind, times, classes) + q


def cells(kind: str, times: Sequence[float], classes: int) -> int:
    """Cells of the counts: classes; of survival an event in each interval, then censored after so many whole ones; else one."""
    return {"survival": 2 * len(times) + 1, "binary": 2, "multiclass": classes}.get(kind, 1)


def unit_cell(o: Outcomes) -> NDArray[np.int64]:
    """(n,) the cell of each unit: exactly one, so that a patient changes the counts by at most 1 in L2."""
    if o.kind == "continuous":
        return np.zeros(len(o.y), np.int64)
    if o.kind != "survival":
        return o.y.astype(np.int64)
    ends = np.asarray(o.times)
    k = len(ends)
    inside = np.searchsorted(ends, o.time, side="left")  # the interval (e[i-1], e[i]] that holds the time
    whole = np.searchsorted(ends, o.time, side="right")  # intervals that are over by then
    event = (o.y > 0) & (inside < k)
    return np.where(event, inside, k + whole).astype(np.int64)


def at_risk(counts: Array, k: int) -> tuple[Array, Array]:
    """Units at risk in, and events of, each of k intervals from counts (2 k + 1,)."""
    events, censored = counts[:k], counts[k:]
    later = np.cumsum(events[::-1])[::-1] + np.cumsum(censored[::-1])[::-1][1:]
    return later, events


def unit_gradients(z: Array, o: Outcomes, parameters: Array) -> Array:
    """(n, P) gradients of the negative log likelihood (of half the squared error, if continuous) of each unit."""
    n, q = z.shape
    if o.kind == "multiclass":
        x = np.hstack([np.ones((n, 1)), z])
        b = parameters.reshape(1 + q, o.classes)
        r = softmax(x @ b, axis=1) - np.eye(o.classes)[o.y.astype(int)]
        return np.asarray((x[:, :, None] * r[:, None, :]).reshape(n, -1))
    eta = z @ parameters[-q:] if q else np.zeros(n)
    if o.kind == "survival":
        k = len(o.times)
        cell = unit_cell(o)
        there = _there(o, cell)
        r = np.where(there, expit(eta[:, None] + parameters[:k]), 0.0) - ((np.arange(k) == cell[:, None]) & there)
        return np.hstack([r, r.sum(1)[:, None] * z])
    r = (eta + parameters[0] - o.y) if o.kind == "continuous" else expit(eta + parameters[0]) - o.y
    return np.hstack([r[:, None], r[:, None] * z])


def targets(o: Outcomes) -> tuple[Array, Array]:
    """(n, H) what the outputs of a network are held against, and (n, H) 1 where they are: events by interval and who was seen in it (as
    :func:`unit_gradients` counts), classes as 0 and 1, or the value."""
    if o.kind == "multiclass":
        return np.eye(o.classes)[o.y.astype(int)], np.ones((len(o.y), o.classes))
    if o.kind != "survival":
        return o.y[:, None], np.ones((len(o.y), 1))
    cell, k = unit_cell(o), len(o.times)
    there = _there(o, cell)
    return ((np.arange(k) == cell[:, None]) & there).astype(float), there.astype(float)


def _there(o: Outcomes, cell: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, k) whether a unit is at risk in an interval to the end."""
    k = len(o.times)
    last = np.where(cell < k, cell, cell - k - 1)  # last interval at risk in
    first = np.searchsorted(np.concatenate([[0.0], o.times[:-1]]), o.entry, side="left")
    which = np.arange(k)
    return np.asarray((which >= first[:, None]) & (which <= last[:, None]))


def start(kind: str, q: int, times: Sequence[float], classes: int, counts: Array) -> tuple[Array, float, float]:
    """Parameters to start from (no column says anything), curvature of the mean loss there, and the number of patients; all from noisy counts."""
    found = np.zeros(size(kind, q, times, classes))
    some = np.maximum(counts, 0.5)
    n = max(float(counts.sum()), 1.0)
    if kind == "survival":
        k = len(times)
        risk, events = at_risk(some, k)
        p = np.clip(events / np.maximum(risk, 1.0), 1e-3, 0.999)
        found[:k] = np.log(p / (1 - p))
        curvature = float((risk * p * (1 - p)).sum()) / n
    elif kind == "multiclass":
        p = some / some.sum()
        found[: len(p)] = np.log(p) - np.log(p).mean()
        curvature = float((p * (1 - p)).max())
    elif kind == "binary":
        p1 = float(np.clip(some[1] / some.sum(), 0.01, 0.99))
        found[0] = np.log(p1 / (1 - p1))
        curvature = p1 * (1 - p1)
    else:
        curvature = 1.0
    return found, max(curvature, LEAST_CURVATURE), n


def linear(z: Array, kind: str, parameters: Array, classes: int) -> Array:
    """Scores: (n,) without the intercepts of intervals, or (n, K) of classes. Direction: of survival, higher is riskier."""
    n, q = z.shape
    if kind == "multiclass":
        return np.hstack([np.ones((n, 1)), z]) @ parameters.reshape(1 + q, classes)
    eta = z @ parameters[len(parameters) - q :]
    return np.asarray(eta if kind == "survival" else eta + parameters[0])


def score_rows(z: Array, o: Outcomes, parameters: Array, grid: Array) -> tuple[Array, float]:
    """:func:`score_rows_of` of the scores that these parameters give."""
    return score_rows_of(linear(z, o.kind, parameters, o.classes), o, grid)


def score_rows_of(said: Array, o: Outcomes, grid: Array) -> tuple[Array, float]:
    """Each unit's part in the evaluation (n, d), and the L2 norm that none is above. said: scores, as of :func:`linear`.

    Classes and survival: the cell of score and outcome, by bins between ``grid`` (of several classes: by the predicted class). Values: one, value,
    its square, squared error; all cut to -1 to 1 or 0 to 1.
    """
    if o.kind == "continuous":
        y = np.clip(o.y, -1.0, 1.0)
        error = np.clip((y - said) / MOST_RESIDUAL, -1.0, 1.0)
        return np.column_stack([np.ones(len(y)), y, y * y, error * error]), 2.0
    outcome, m = unit_cell(o), cells(o.kind, o.times, o.classes)
    if o.kind == "multiclass":
        at, bins = said.argmax(1), o.classes
    else:
        at, bins = np.searchsorted(grid, said, side="left"), len(grid) + 1
    out = np.zeros((len(said), bins * m))
    out[np.arange(len(said)), at * m + outcome] = 1.0
    return out, 1.0
