"""Newton's method with conjugate gradients for penalised likelihoods in a rotated basis.

The features are expected in the basis of their singular vectors (columns orthogonal), where the Hessian
is nearly diagonal: a diagonal preconditioner makes a handful of conjugate-gradient steps enough, and a
step costs O(n r) instead of O(n r^2 + r^3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.heads.families import Array, Family


def probe_curvature(family: Family, eta: Array, theta: Array) -> float:
    """Mean diagonal of the Hessian in eta, by one product with a fixed sign vector."""
    u = np.where(np.arange(eta.size) % 2 == 0, 1.0, -1.0).reshape(eta.shape)
    r, _ = family.hvp(eta, theta)(u, np.zeros_like(theta))
    return max(float((u * r).sum()) / eta.size, 1e-6)


def fit_ridge(
    z: Array,
    family: Family,
    penalty: Array,
    start: tuple[Array, Array],
    offset: Array | None = None,
    tol: float = 1e-7,
    max_iter: int = 50,
) -> tuple[Array, Array]:
    """Minimise ``loss(offset + z b, theta) + 1/2 sum(penalty * b^2)``.

    z: (n, r). penalty: (r,) > 0. start: b (r, K) and theta. tol: on the fall of the objective by a
    step, relative to n. Returns (b, theta).
    """
    b, theta = start[0].copy(), start[1].copy()
    lam = penalty[:, None]
    col = (z * z).sum(0)[:, None]
    base = np.zeros((family.n, family.n_scores)) if offset is None else offset
    eta = base + z @ b
    f, g_eta, g_theta = family.value_grad(eta, theta)
    f += 0.5 * float((lam * b * b).sum())
    for _ in range(max_iter):
        g_b = z.T @ g_eta + lam * b
        curvature = probe_curvature(family, eta, theta)
        precondition = (1.0 / (curvature * col + lam), 1.0 / (curvature * family.n / max(len(theta), 1)))
        d_b, d_theta = _solve(z, family, lam, eta, theta, g_b, g_theta, precondition)
        step, z_d = 1.0, z @ d_b
        slope = float((g_b * d_b).sum() + g_theta @ d_theta)
        while True:
            b1, theta1, eta1 = b + step * d_b, theta + step * d_theta, eta + step * z_d
            f1, g1, gt1 = family.value_grad(eta1, theta1)
            f1 += 0.5 * float((lam * b1 * b1).sum())
            if f1 <= f + 1e-4 * step * slope or step < 1e-8:
                break
            step *= 0.5
        if not f1 < f:
            break
        fall = f - f1
        b, theta, eta, f, g_eta, g_theta = b1, theta1, eta1, f1, g1, gt1
        if fall < tol * family.n:
            break
    return b, theta


def _solve(
    z: Array,
    family: Family,
    lam: Array,
    eta: Array,
    theta: Array,
    g_b: Array,
    g_theta: Array,
    precondition: tuple[Array, float],
) -> tuple[Array, Array]:
    """Conjugate gradients for the Newton step, to a residual of a hundredth (inexact Newton)."""
    product = family.hvp(eta, theta)
    shape, r = g_b.shape, g_b.size

    def multiply(x: NDArray[np.float64]) -> NDArray[np.float64]:
        u = x[:r].reshape(shape)
        h_eta, h_theta = product(z @ u, x[r:])
        return np.concatenate([(z.T @ h_eta + lam * u).ravel(), h_theta])

    m = np.concatenate([np.broadcast_to(precondition[0], shape).ravel(), np.full(len(g_theta), precondition[1])])
    residual = -np.concatenate([g_b.ravel(), g_theta])
    x = np.zeros_like(residual)
    y = m * residual
    p = y.copy()
    rho = residual @ y
    goal = 1e-4 * rho
    for _ in range(60):
        if rho <= max(goal, 1e-30):
            break
        q = multiply(p)
        alpha = rho / max(p @ q, 1e-300)
        x += alpha * p
        residual -= alpha * q
        y = m * residual
        rho, last = residual @ y, rho
        p = y + (rho / last) * p
    return x[:r].reshape(shape), x[r:]


def neutral_score(family: Family, eta: Array, theta: Array) -> Array:
    """(K,) the score of a unit of which nothing is known: its prediction is the base rate.

    That is the constant at which the loss over all outcomes is least, theta given; for censored times, where theta
    is the baseline, the one at which the expected number of events stays what it is. family, eta: (n, K) scores of
    units of which something is known; the others' outcomes do not count, or lacking a modality would predict. The mean of eta would not do: of skewed or two-humped scores it is no base rate.
    """
    from cohortium.heads.competing import CauseSpecific
    from cohortium.heads.cox import Cox
    from cohortium.heads.families import ProportionalOdds

    if not eta.any():  # nothing is known of anybody
        return np.zeros(family.n_scores)
    if isinstance(family, Cox):
        hazard = family.exposure @ np.exp(np.clip(eta[:, 0], -30, 30))
        return np.array([np.log(max(hazard, 1e-12) / max(family.exposure.sum(), 1e-12))])
    if isinstance(family, CauseSpecific):
        return np.concatenate([neutral_score(p, eta[:, [k]], theta) for k, p in enumerate(family.parts)])
    if isinstance(family, ProportionalOdds):
        from scipy.optimize import minimize_scalar

        constant = np.ones((family.n, 1))
        found = minimize_scalar(lambda c: family.value_grad(c * constant, theta)[0], bounds=(-30, 30), method="bounded")
        return np.array([float(found.x)])
    return fit_theta(family, np.zeros((family.n, family.n_scores))) - theta


def fit_theta(family: Family, eta: Array, theta: Array | None = None) -> Array:
    """The nuisance parameters that fit fixed scores best."""
    theta = family.start() if theta is None else theta
    if not len(theta):
        return theta
    return fit_ridge(np.zeros((family.n, 0)), family, np.zeros(0), (np.zeros((0, family.n_scores)), theta), offset=eta)[
        1
    ]
