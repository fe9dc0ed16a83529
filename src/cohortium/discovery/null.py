"""The model without any candidate feature: what the declared covariates say of an outcome, and what is left to explain.

Everything here is a function of outcomes and covariates only, so that knockoffs may use its residuals as a response.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import ClassOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.heads.cox import Cox
from cohortium.heads.families import Family, Gaussian, family_of
from cohortium.heads.newton import fit_ridge
from cohortium.schema import EndpointKind

Array = NDArray[np.float64]

TINY = 1e-6
"""Ridge penalty of covariates: where they separate the classes, estimates stay finite."""


@dataclass(frozen=True, eq=False)
class NullModel:
    """outcome, covariates (n, c): what it was fitted to. family, eta (n, 1), theta: the fit.

    residual: (n, K) response minus expectation on the scale of the score: of survival the martingale residual, of several
    classes one column each.
    """

    outcome: Outcome
    covariates: Array
    family: Family
    eta: Array
    theta: Array
    residual: Array

    def __len__(self) -> int:
        return len(self.residual)

    @property
    def effective(self) -> int:
        """What precision follows: events of survival, the smallest class, else units."""
        return effective_size(self.outcome)


def effective_size(outcome: Outcome) -> int:
    """Events of a survival outcome, units of the smallest of two classes (of more: outside the largest), else units."""
    if isinstance(outcome, SurvivalOutcome):
        return int(outcome.event.sum())
    if isinstance(outcome, ClassOutcome):
        counts = np.bincount(outcome.codes, minlength=len(outcome.endpoint.classes))
        return int(counts.sum() - counts.max())
    return len(outcome)


def fit_null(outcome: Outcome, covariates: Array | None = None) -> NullModel:
    """covariates: (n, c) complete, standardised columns; none by default."""
    c = np.zeros((len(outcome), 0)) if covariates is None else independent_columns(covariates)
    family = family_of(outcome)
    start = (np.zeros((c.shape[1], family.n_scores)), family.start())
    b, theta = fit_ridge(c, family, np.full(c.shape[1], TINY), start, tol=1e-12, max_iter=200)
    eta = c @ b
    residual = -family.value_grad(eta, theta)[1]
    return NullModel(outcome, c, family, eta, theta, residual)


def independent_columns(c: Array) -> Array:
    """Columns that are not sums of others, in their order: a level of each code repeats what the others say."""
    keep = list[int]()
    basis = np.ones((len(c), 1)) / np.sqrt(max(len(c), 1))
    for j in range(c.shape[1]):
        rest = c[:, j] - basis @ (basis.T @ c[:, j])
        rest -= basis @ (basis.T @ rest)
        norm = float(np.linalg.norm(rest))
        if norm > 1e-6 * max(float(np.linalg.norm(c[:, j])), 1e-12):
            keep.append(j)
            basis = np.column_stack([basis, rest / norm])
    return c[:, keep]


def residualised(x: Array, null: NullModel) -> Array:
    """x (n, q) without what the covariates, and an intercept, say of it linearly."""
    basis = np.column_stack([np.ones(len(x)), null.covariates])
    q, _ = np.linalg.qr(basis)
    return x - q @ (q.T @ x)


def information(null: NullModel, x: Array) -> tuple[Array, Array]:
    """Score (q,) and efficient information (q,) of each column of x (n, q) at the null model, for kinds with one score.

    The information is what remains after covariates and nuisance parameters (Rao 1948, Proc Camb Phil Soc 44:50).
    """
    product = null.family.hvp(null.eta, null.theta)
    score = x.T @ null.residual[:, 0]
    columns, k = null.covariates, len(null.theta)
    crossed, inner = list[Array](), list[Array]()
    for j in range(columns.shape[1] + k):
        u = columns[:, [j]] if j < columns.shape[1] else np.zeros((len(x), 1))
        v = np.eye(k)[j - columns.shape[1]] if j >= columns.shape[1] else np.zeros(k)
        r, t = product(u, v)
        crossed.append(r[:, 0])
        inner.append(np.concatenate([columns.T @ r[:, 0], t]))
    total = _curvature(null, x)
    if crossed:
        a, m = x.T @ np.column_stack(crossed), np.array(inner)
        total = total - np.einsum("ij,ij->i", a, np.linalg.lstsq(m, a.T, rcond=1e-10)[0].T)
    return score, np.maximum(total, 0.0)


def _curvature(null: NullModel, x: Array) -> Array:
    """(q,) x' H x of every column."""
    if not isinstance(null.family, Cox):
        return (x * x).T @ null.family.diagonal(null.eta, null.theta)
    family = null.family
    w, s0, _ = family._terms(null.eta)
    hazard = w * family.sets.spread(family.sets.deaths / s0)
    out = (x * x).T @ hazard
    weight = family.sets.deaths / s0**2
    for j in range(x.shape[1]):
        out[j] -= weight @ family.sets.sums(w * x[:, j]) ** 2
    return out


def is_gaussian(null: NullModel) -> bool:
    """Whether exact t-tests apply."""
    return isinstance(null.family, Gaussian) and isinstance(null.outcome, ValueOutcome)


def is_multiclass(null: NullModel) -> bool:
    return null.outcome.endpoint.kind is EndpointKind.MULTICLASS


def hessian(family: Family, design: Array, eta: Array, theta: Array) -> Array:
    """Observed information of (coefficients of design (n, d), theta)."""
    product, d, k = family.hvp(eta, theta), design.shape[1], len(theta)
    out = np.zeros((d + k, d + k))
    for j in range(d + k):
        u = design[:, [j]] if j < d else np.zeros((len(design), 1))
        r, t = product(u, np.eye(k)[j - d] if j >= d else np.zeros(k))
        out[j] = np.concatenate([design.T @ r[:, 0], t])
    return out
