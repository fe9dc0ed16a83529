"""One p-value for each group, given all other features: what knockoffs cannot give when few groups matter.

The distilled conditional randomization test (Liu, Katsevich, Janson & Ramdas 2022, Biometrika 109:277): what the other features
say of the outcome is taken from it, and what they say of the group is taken from the group; under the hypothesis the two
remainders are uncorrelated, and the group's has a known distribution, whatever the model of the outcome.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.discovery.contrast import lasso_fit, lasso_refit
from cohortium.discovery.knockoffs import KnockoffModel

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Rows = NDArray[np.intp]


def conditional_p(
    x: Array, latent: Array, fresh: Rows, model: KnockoffModel, response: Array, groups: Codes, rng: np.random.Generator
) -> Array:
    """(groups,) p-values. x: (n, q) what the lasso sees, 0 where absent. latent: (n, q) what the covariates leave of the
    normal scores, NaN where absent. fresh: rows that test; the others only tell what to take from the outcome."""
    m = int(groups.max()) + 1
    parts, p = _remainders(latent[fresh], model), np.ones(m)
    for k in range(response.shape[1]):
        y = response[:, k] - response[:, k].mean()
        y = y / max(float(y.std()), 1e-12)
        fit = lasso_fit(x, y, rng)
        shared = y - x @ fit.coef
        active = np.unique(groups[fit.coef != 0])
        for g in range(m):
            at = np.flatnonzero(groups == g)
            left = y - x @ lasso_refit(fit, x, y, at) if g in active else shared
            p[g] = min(p[g], _chi_square(parts, at, left[fresh]))
    return np.minimum(p * response.shape[1], 1.0)


def _remainders(latent: Array, model: KnockoffModel) -> list[tuple[Rows, Rows, Array, Array]]:
    """For each pattern of presence: rows, columns, white columns without what other groups say of them (n, q), and the
    precision matrix."""
    out = []
    patterns, at = np.unique(np.isnan(latent), axis=0, return_inverse=True)
    for k, absent in enumerate(patterns):
        o, rows = np.flatnonzero(~absent), np.flatnonzero(at.ravel() == k)
        if not len(o):
            continue
        precision = np.linalg.inv(model.r[np.ix_(o, o)])
        z = latent[np.ix_(rows, o)] @ model.whiten[np.ix_(o, o)]
        out.append((rows, o, z @ precision, precision))
    return out


def _chi_square(parts: list[tuple[Rows, Rows, Array, Array]], at: Rows, left: Array) -> float:
    """The group's remainder against the outcome's. With precision P, the remainder of columns g is (z P)_g P_gg^-1, with
    covariance P_gg^-1."""
    from scipy.stats import chi2

    u, v = np.zeros(len(at)), np.zeros((len(at), len(at)))
    for rows, o, scored, precision in parts:
        own = np.flatnonzero(np.isin(o, at))
        if not len(own):
            continue
        cov = np.linalg.inv(precision[np.ix_(own, own)])
        u += cov @ (scored[:, own].T @ left[rows])
        v += cov * float(left[rows] @ left[rows])
    if not v.any():
        return 1.0
    return float(chi2.sf(u @ np.linalg.solve(v, u), len(at)))
