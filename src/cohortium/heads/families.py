"""Likelihoods of the endpoint kinds, each with exact gradient and Hessian products.

Every family sees scores ``eta`` (n, K) and nuisance parameters ``theta`` (intercepts, thresholds):

- ``value_grad(eta, theta) -> (f, d f/d eta (n, K), d f/d theta)``; f = negative log likelihood, summed;
- ``hvp(eta, theta) -> function (u (n, K), v) -> Hessian times (u, v)``;
- ``unit_loss(eta) -> (n,)`` losses for choosing between models, additive over units;
- ``start() -> theta`` of the null model; ``to_prediction(units, eta, theta)``.

A family is bound to the outcome of one training fold and is not changed by use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logsumexp, softmax

from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    Outcome,
    Prediction,
    Probabilities,
    SurvivalOutcome,
    ValueOutcome,
    Values,
)
from cohortium.schema import Endpoint, EndpointKind

Array = NDArray[np.float64]
Hvp = Callable[[Array, Array], tuple[Array, Array]]


class Family(Protocol):
    """Likelihood of one outcome; see the module."""

    endpoint: Endpoint
    n: int
    n_scores: int

    def start(self) -> Array: ...
    def value_grad(self, eta: Array, theta: Array) -> tuple[float, Array, Array]: ...
    def hvp(self, eta: Array, theta: Array) -> Hvp: ...
    def diagonal(self, eta: Array, theta: Array) -> Array:
        """(n,) diagonal of the Hessian in eta; families with one score only."""
        ...

    def unit_loss(self, eta: Array, theta: Array) -> Array: ...
    def take(self, rows: NDArray[np.intp]) -> Family: ...
    def finish(self, eta: Array, theta: Array) -> dict[str, Any]:
        """What ``predict`` needs beside eta: JSON-able, arrays as leaves."""
        ...


class Binary:
    """Bernoulli with logit link; theta: intercept (1,)."""

    n_scores = 1

    def __init__(self, outcome: ClassOutcome) -> None:
        self.outcome, self.endpoint, self.n = outcome, outcome.endpoint, len(outcome)
        self.y = outcome.codes.astype(np.float64)

    def start(self) -> Array:
        p = (self.y.sum() + 0.5) / (self.n + 1)
        return np.array([np.log(p / (1 - p))])

    def value_grad(self, eta: Array, theta: Array) -> tuple[float, Array, Array]:
        m = eta[:, 0] + theta[0]
        f = -(self.y * log_expit(m) + (1 - self.y) * log_expit(-m)).sum()
        g = expit(m) - self.y
        return float(f), g[:, None], np.array([g.sum()])

    def hvp(self, eta: Array, theta: Array) -> Hvp:
        p = expit(eta[:, 0] + theta[0])
        w = np.maximum(p * (1 - p), 1e-10)

        def product(u: Array, v: Array) -> tuple[Array, Array]:
            r = w * (u[:, 0] + v[0])
            return r[:, None], np.array([r.sum()])

        return product

    def diagonal(self, eta: Array, theta: Array) -> Array:
        p = expit(eta[:, 0] + theta[0])
        return np.maximum(p * (1 - p), 1e-6)

    def unit_loss(self, eta: Array, theta: Array) -> Array:
        m = eta[:, 0] + theta[0]
        return -(self.y * log_expit(m) + (1 - self.y) * log_expit(-m))

    def take(self, rows: NDArray[np.intp]) -> Binary:
        return Binary(self.outcome.take(rows))

    def finish(self, eta: Array, theta: Array) -> dict[str, Any]:
        return {"theta": theta}


class Multinomial:
    """Softmax over K classes, symmetric scores; theta: intercepts (K,)."""

    def __init__(self, outcome: ClassOutcome) -> None:
        self.outcome, self.endpoint, self.n = outcome, outcome.endpoint, len(outcome)
        self.n_scores = len(outcome.endpoint.classes)
        self.y = np.eye(self.n_scores)[outcome.codes]

    def start(self) -> Array:
        p = (self.y.sum(0) + 0.5) / (self.n + 0.5 * self.n_scores)
        t = np.log(p)
        return t - t.mean()

    def value_grad(self, eta: Array, theta: Array) -> tuple[float, Array, Array]:
        m = eta + theta
        f = (logsumexp(m, axis=1) - (self.y * m).sum(1)).sum()
        g = softmax(m, axis=1) - self.y
        return float(f), g, g.sum(0)

    def hvp(self, eta: Array, theta: Array) -> Hvp:
        p = softmax(eta + theta, axis=1)

        def product(u: Array, v: Array) -> tuple[Array, Array]:
            t = u + v
            r = p * (t - (p * t).sum(1, keepdims=True)) + 1e-10 * t
            return r, r.sum(0)

        return product

    def diagonal(self, eta: Array, theta: Array) -> Array:
        raise TypeError("a multinomial has no diagonal; fit one class against the rest")

    def unit_loss(self, eta: Array, theta: Array) -> Array:
        m = eta + theta
        return logsumexp(m, axis=1) - (self.y * m).sum(1)

    def take(self, rows: NDArray[np.intp]) -> Multinomial:
        return Multinomial(self.outcome.take(rows))

    def finish(self, eta: Array, theta: Array) -> dict[str, Any]:
        return {"theta": theta}


class ProportionalOdds:
    """Cumulative logit (McCullagh 1980, JRSS B 42:109): P(Y <= k) = expit(theta_k - eta); theta (K-1,) increasing.

    Classes that a training fold lacks keep their threshold next to the neighbour's.
    """

    n_scores = 1

    def __init__(self, outcome: ClassOutcome) -> None:
        self.outcome, self.endpoint, self.n = outcome, outcome.endpoint, len(outcome)
        self.y = outcome.codes
        self.k = len(outcome.endpoint.classes)

    def start(self) -> Array:
        counts = np.bincount(self.y, minlength=self.k) + 0.5
        c = np.cumsum(counts)[:-1] / counts.sum()
        return np.log(c / (1 - c))

    def _edges(self, eta: Array, theta: Array) -> tuple[Array, Array]:
        t = np.concatenate([[-np.inf], theta, [np.inf]])
        return t[self.y + 1] - eta[:, 0], t[self.y] - eta[:, 0]

    def _parts(self, eta: Array, theta: Array) -> tuple[Array, Array, Array, Array, Array]:
        a, b = self._edges(eta, theta)
        p = np.maximum(expit(a) - expit(b), 1e-300)
        fa, fb = expit(a) * expit(-a), expit(b) * expit(-b)
        return p, fa, fb, fa * (1 - 2 * expit(a)), fb * (1 - 2 * expit(b))

    def value_grad(self, eta: Array, theta: Array) -> tuple[float, Array, Array]:
        if (np.diff(theta) <= 0).any():
            return np.inf, np.zeros_like(eta), np.zeros_like(theta)
        p, fa, fb, _, _ = self._parts(eta, theta)
        ga, gb = -fa / p, fb / p
        return float(-np.log(p).sum()), -(ga + gb)[:, None], self._scatter(ga, gb)

    def _scatter(self, ga: Array, gb: Array) -> Array:
        full = np.bincount(self.y + 1, ga, self.k + 1) + np.bincount(self.y, gb, self.k + 1)
        return full[1:-1]

    def hvp(self, eta: Array, theta: Array) -> Hvp:
        p, fa, fb, da, db = self._parts(eta, theta)
        haa = -(da / p - (fa / p) ** 2)
        hbb = db / p + (fb / p) ** 2
        hab = -(fa / p) * (fb / p)

        def product(u: Array, v: Array) -> tuple[Array, Array]:
            w = np.concatenate([[0.0], v, [0.0]])
            ua, ub = w[self.y + 1] - u[:, 0], w[self.y] - u[:, 0]
            ra, rb = haa * ua + hab * ub, hab * ua + hbb * ub
            return -(ra + rb)[:, None], self._scatter(ra, rb)

        return product

    def diagonal(self, eta: Array, theta: Array) -> Array:
        p, fa, fb, da, db = self._parts(eta, theta)
        h = -(da / p - (fa / p) ** 2) + db / p + (fb / p) ** 2 - 2 * (fa / p) * (fb / p)
        return np.maximum(h, 1e-6)

    def unit_loss(self, eta: Array, theta: Array) -> Array:
        return -np.log(self._parts(eta, theta)[0])

    def take(self, rows: NDArray[np.intp]) -> ProportionalOdds:
        return ProportionalOdds(self.outcome.take(rows))

    def finish(self, eta: Array, theta: Array) -> dict[str, Any]:
        return {"theta": theta}


class Gaussian:
    """Squared error on values standardised by the training fold; theta: intercept (1,), in standard units."""

    n_scores = 1

    def __init__(self, outcome: ValueOutcome, centre: float | None = None, scale: float | None = None) -> None:
        self.outcome, self.endpoint, self.n = outcome, outcome.endpoint, len(outcome)
        self.centre = float(outcome.values.mean()) if centre is None else centre
        self.scale = float(outcome.values.std() or 1.0) if scale is None else scale
        self.y = (outcome.values - self.centre) / self.scale

    def start(self) -> Array:
        return np.array([self.y.mean()])

    def value_grad(self, eta: Array, theta: Array) -> tuple[float, Array, Array]:
        r = eta[:, 0] + theta[0] - self.y
        return float(0.5 * r @ r), r[:, None], np.array([r.sum()])

    def hvp(self, eta: Array, theta: Array) -> Hvp:
        def product(u: Array, v: Array) -> tuple[Array, Array]:
            r = u[:, 0] + v[0]
            return r[:, None], np.array([r.sum()])

        return product

    def diagonal(self, eta: Array, theta: Array) -> Array:
        return np.ones(self.n)

    def unit_loss(self, eta: Array, theta: Array) -> Array:
        return 0.5 * (eta[:, 0] + theta[0] - self.y) ** 2

    def take(self, rows: NDArray[np.intp]) -> Gaussian:
        return Gaussian(self.outcome.take(rows), self.centre, self.scale)

    def finish(self, eta: Array, theta: Array) -> dict[str, Any]:
        return {"theta": theta, "centre": self.centre, "scale": self.scale}


def family_of(outcome: Outcome) -> Family:
    """The likelihood for an outcome."""
    if isinstance(outcome, SurvivalOutcome):
        from cohortium.heads.cox import Cox

        return Cox(outcome)
    if isinstance(outcome, CompetingOutcome):
        from cohortium.heads.competing import CauseSpecific, FineGray

        return CauseSpecific(outcome) if outcome.endpoint.model == "cause_specific" else FineGray(outcome)
    if isinstance(outcome, ValueOutcome):
        return Gaussian(outcome)
    kinds: dict[EndpointKind, type[Binary] | type[Multinomial] | type[ProportionalOdds]] = {
        EndpointKind.BINARY: Binary,
        EndpointKind.MULTICLASS: Multinomial,
        EndpointKind.ORDINAL: ProportionalOdds,
    }
    return kinds[outcome.endpoint.kind](outcome)


def to_prediction(endpoint: Endpoint, units: NDArray[np.object_], eta: Array, finish: dict[str, Any]) -> Prediction:
    """The typed prediction of scores ``eta`` (n, K), given what :meth:`Family.finish` returned."""
    theta = np.asarray(finish["theta"], dtype=np.float64)
    if endpoint.kind is EndpointKind.SURVIVAL:
        from cohortium.heads.cox import survival_prediction

        return survival_prediction(units, eta, finish)
    if endpoint.kind is EndpointKind.COMPETING_RISKS:
        from cohortium.heads.competing import incidence_prediction

        return incidence_prediction(units, eta, finish)
    if endpoint.kind is EndpointKind.CONTINUOUS:
        return Values(units, (eta[:, 0] + theta[0]) * finish["scale"] + finish["centre"])
    if endpoint.kind is EndpointKind.BINARY:
        p = expit(eta[:, 0] + theta[0])
        return Probabilities(units, endpoint.classes, np.column_stack([1 - p, p]))
    if endpoint.kind is EndpointKind.MULTICLASS:
        return Probabilities(units, endpoint.classes, softmax(eta + theta, axis=1))
    cumulative = np.column_stack([expit(theta[None, :] - eta), np.ones(len(eta))])
    p = np.diff(cumulative, axis=1, prepend=0.0)
    return Probabilities(units, endpoint.classes, p)
