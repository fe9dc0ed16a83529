"""Late fusion: a weighted sum of out-of-fold scores that re-weights what is there.

The weights are non-negative and shrunk towards one common weight, so that with little evidence the stack
is the scaled mean of its inputs (Wolpert 1992; Breiman 1996, Mach Learn 24:49 for non-negativity). A score
that a unit lacks is replaced by its expectation given the scores that the unit has (Gaussian, shrunken
covariance), which moves the weight of a missing input to the inputs that carry the same information.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.heads.families import Family
from cohortium.heads.newton import fit_theta, neutral_score

Array = NDArray[np.float64]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]

FAINT = 0.1
"""Weights of a fold that sum to less than this share of the whole's have no proportions worth keeping."""

PENALTIES = (1e6, 100.0, 20.0, 4.0)
"""Penalty on differences between weights, strongest (equal weights) first."""


@dataclass(frozen=True, eq=False)
class Fill:
    """Moments (d,), (d, d) of the scores, to complete missing ones."""

    mean: Array
    cov: Array

    @staticmethod
    def fit(flat: Array) -> Fill:
        """From scores (n, d) with NaN; pairwise-available moments, correlations shrunk by a tenth."""
        seen = ~np.isnan(flat)
        count = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, flat, 0.0).sum(0) / count
        centred = np.where(seen, flat - mean, 0.0)
        pairs = np.maximum(seen.T.astype(float) @ seen.astype(float), 1.0)
        cov = (centred.T @ centred) / pairs
        var = np.diag(cov).copy()
        cov = 0.9 * cov
        np.fill_diagonal(cov, var + 1e-8)
        return Fill(mean, cov)

    def complete(self, flat: Array) -> Array:
        """(n, d) with every NaN replaced by its conditional expectation."""
        out = flat.copy()
        missing = np.isnan(flat)
        rows = np.flatnonzero(missing.any(axis=1))
        if not len(rows):
            return out
        patterns, inverse = np.unique(missing[rows], axis=0, return_inverse=True)
        for k, gone in enumerate(patterns):
            at = rows[inverse.ravel() == k]
            if gone.all():
                out[at] = self.mean
                continue
            there = ~gone
            a = self.cov[np.ix_(there, there)]
            ridge = 1e-3 * np.trace(a) / len(a)
            w = np.linalg.solve(a + ridge * np.eye(len(a)), self.cov[np.ix_(there, gone)])
            out[np.ix_(at, gone)] = self.mean[gone] + (flat[np.ix_(at, there)] - self.mean[there]) @ w
        return out


@dataclass(frozen=True, eq=False)
class StackFit:
    """weights (B,) >= 0, how to complete missing scores, the penalty they were fitted with, and the score (K,) of units
    that lack every input."""

    weights: Array
    fill: Fill
    penalty: float
    neutral: Array

    def combine(self, scores: Array) -> Array:
        """(n, K) from scores (n, B, K) with NaN where an input is absent."""
        n, b, k = scores.shape
        out = np.einsum("nbk,b->nk", self.fill.complete(scores.reshape(n, b * k)).reshape(n, b, k), self.weights)
        out[np.isnan(scores).all(axis=(1, 2))] = self.neutral
        return out

    def state(self) -> dict[str, Any]:
        return {
            "weights": self.weights,
            "mean": self.fill.mean,
            "cov": self.fill.cov,
            "penalty": self.penalty,
            "neutral": self.neutral,
        }

    @staticmethod
    def restore(state: dict[str, Any]) -> StackFit:
        fill = Fill(np.asarray(state["mean"]), np.asarray(state["cov"]))
        return StackFit(np.asarray(state["weights"]), fill, float(state["penalty"]), np.asarray(state["neutral"]))


def fit_stack(scores: Array, family: Family, penalty: float) -> StackFit:
    """Fit weights on out-of-fold scores (n, B, K); units that lack every input say nothing of the weights."""
    n, b, k = scores.shape
    some = ~np.isnan(scores).all(axis=(1, 2))
    if not some.any():
        return StackFit(np.zeros(b), Fill(np.zeros(b * k), np.eye(b * k)), penalty, np.zeros(k))
    if not some.all():
        scores, family = scores[some], family.take(np.flatnonzero(some))
        n = len(scores)
    fill = Fill.fit(scores.reshape(n, b * k))
    z = fill.complete(scores.reshape(n, b * k)).reshape(n, b, k)
    if penalty >= 1e5:
        w, theta = fit_slope(z.sum(axis=1), family)
        weights = np.full(b, w)
    else:
        weights, theta = _fit_weights(z, family, penalty)
    return StackFit(weights, fill, penalty, neutral_score(family, np.einsum("nbk,b->nk", z, weights), theta))


def _fit_weights(z: Array, family: Family, penalty: float) -> tuple[Array, Array]:
    """Weights (B,) of complete scores (n, B, K), and theta."""
    from scipy.optimize import minimize

    n, b, k = z.shape
    theta = fit_theta(family, np.zeros((n, k)))
    # Distance from the common weight; a further weak pull to zero keeps dead inputs out.
    spread = np.eye(b) - 1.0 / b

    def objective(v: Array) -> tuple[float, Array]:
        w, t = v[:b], v[b:]
        f, g_eta, g_theta = family.value_grad(np.einsum("nbk,b->nk", z, w), t)
        d = spread @ w
        value = f + 0.5 * penalty * float(d @ d) + 0.5 * float(w @ w) / b
        g = np.einsum("nbk,nk->b", z, g_eta) + penalty * d + w / b
        return (value if np.isfinite(value) else 1e300) / n, np.concatenate([g, g_theta]) / n

    start = np.concatenate([np.full(b, 1.0 / b), theta])
    bounds = [(0.0, None)] * b + [(None, None)] * len(theta)
    fit = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200, "ftol": 1e-10}
    )
    return fit.x[:b], fit.x[b:]


def fit_slope(total: Array, family: Family, offset: Array | None = None) -> tuple[float, Array]:
    """The one weight >= 0 of scores (n, K) beside a fixed offset (n, K), and theta, by bounded minimisation."""
    from scipy.optimize import minimize

    base = np.zeros_like(total) if offset is None else offset
    theta = fit_theta(family, base)

    def objective(v: Array) -> tuple[float, Array]:
        f, g_eta, g_theta = family.value_grad(base + total * v[0], v[1:])
        return (f if np.isfinite(f) else 1e300) / family.n, np.concatenate(
            [[(g_eta * total).sum()], g_theta]
        ) / family.n

    bounds = [(0.0, None)] + [(None, None)] * len(theta)
    fit = minimize(
        objective,
        np.concatenate([[0.3], theta]),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 100, "ftol": 1e-11},
    )
    return float(fit.x[0]), fit.x[1:]


@dataclass(frozen=True, eq=False)
class Stacked:
    """A stack and what inner folds say of it. oof: (n, K) its out-of-fold scores for the next stack, on one scale. honest:
    (n, K) those to judge it by, whose weights saw nothing of the unit at all. loss: mean loss of the honest ones."""

    stack: StackFit
    oof: Array
    honest: Array
    loss: float


def stack_out_of_fold(
    scores: Array, family: Family, inner: tuple[Split, ...], penalties: tuple[float, ...] = PENALTIES
) -> Stacked:
    """Choose the penalty on inner folds and fit.

    The inputs of a fold's test rows never enter the proportions of the weights that combine them. The sum of the weights is
    fitted fold by fold for the honest scores; for those handed on it is that of the stack on all rows: fitted
    fold by fold it would be large exactly where the other folds' scores came out small, and stacks of stacks would drive the folds'
    scales apart, by half as much again at each level of three folds. Judged by the one sum, noise would look better than it is.
    """
    best: Stacked | None = None
    for penalty in penalties:
        whole = fit_stack(scores, family, penalty)
        honest, out = (np.zeros((scores.shape[0], scores.shape[2])) for _ in range(2))
        for train, test in inner:
            part = fit_stack(scores[train], family.take(train), penalty)
            honest[test] = part.combine(scores[test])
            out[test] = _on_the_scale_of(whole, part).combine(scores[test])
        loss = float(family.unit_loss(honest, fit_theta(family, honest)).mean())
        if best is None or loss < best.loss - 1e-9:
            best = Stacked(whole, out, honest, loss)
    assert best is not None
    return best


def _on_the_scale_of(whole: StackFit, part: StackFit) -> StackFit:
    """The part with its weights summing to the whole's; in equal shares where its own are nearly nothing and have no proportions."""
    ours, its = float(whole.weights.sum()), float(part.weights.sum())
    if its < FAINT * ours:
        return replace(part, weights=np.full(len(part.weights), ours / len(part.weights)))
    return replace(part, weights=part.weights * (ours / its)) if its > 0 else part
