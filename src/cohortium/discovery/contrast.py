"""How much more an outcome says of features than of their knockoffs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

PATH = np.geomspace(1.0, 0.02, 30)
"""Penalties of the lasso as shares of the one that leaves nothing."""

FOLDS, STRIDE = 5, 5


@dataclass(frozen=True, eq=False)
class Lasso:
    """coef: (q,). penalty: the cross-validated one. gram, xy: of the columns it saw."""

    coef: Array
    penalty: float
    gram: Array
    xy: Array


def contrast(x: Array, copies: Array, response: Array, groups: Codes, rng: np.random.Generator) -> Array:
    """W (groups,): size of a group's lasso coefficients minus that of its knockoffs'; above zero where the features win.

    x, copies: (n, q), 0 where absent. response: (n, K) residuals of the null model. The penalty is chosen by
    cross-validation on features and knockoffs together. Swapping a group with its knockoffs turns the sign of its W and
    changes nothing else, which is all that control of false discoveries asks for.
    """
    q = x.shape[1]
    both = np.hstack([x, copies])
    # One scale for a feature and its knockoff.
    scale = np.sqrt(((both * both).mean(axis=0)[:q] + (both * both).mean(axis=0)[q:]) / 2)
    both = both / np.tile(np.where(scale > 0, scale, 1.0), 2)
    fold = rng.permutation(len(x)) % FOLDS
    size = np.zeros(2 * q)
    for k in range(response.shape[1]):
        y = response[:, k] / max(float(response[:, k].std()), 1e-12)
        size += np.abs(_chosen(both, y - y.mean(), fold).coef)
    total = np.zeros((2, int(groups.max()) + 1))
    np.add.at(total[0], groups, size[:q])
    np.add.at(total[1], groups, size[q:])
    return np.asarray(total[0] - total[1])


def lasso(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """(q,) coefficients of y (n,) on standardised x (n, q) at the cross-validated penalty."""
    sd = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
    return _chosen(z, (y - y.mean()) / max(float(y.std()), 1e-12), rng.permutation(len(x)) % FOLDS).coef


def lasso_fit(x: Array, y: Array, rng: np.random.Generator) -> Lasso:
    """The lasso of y (n,), centred, on x (n, q) at the cross-validated penalty."""
    return _chosen(x, y, rng.permutation(len(x)) % FOLDS)


def lasso_refit(fit: Lasso, x: Array, y: Array, without: NDArray[np.intp]) -> Array:
    """(q,) coefficients at the same penalty when the columns ``without`` are not there."""
    rest = np.delete(np.arange(x.shape[1]), without)
    coef = np.zeros(x.shape[1])
    part = np.ix_(rest, rest)
    coef[rest] = _path(x[:, rest], y, fit.gram[part], fit.xy[rest], np.array([fit.penalty]), fit.coef[rest])[:, -1]
    return coef


def _chosen(x: Array, y: Array, fold: Codes) -> Lasso:
    """The lasso at the penalty with the least error in folds."""
    gram, xy, n = x.T @ x, x.T @ y, len(x)
    top = float(np.abs(xy).max()) / n
    if top <= 0:
        return Lasso(np.zeros(x.shape[1]), top, gram, xy)
    outside = [fold == f for f in range(FOLDS)]
    parts = [(x[~o], y[~o], gram - x[o].T @ x[o], xy - x[o].T @ y[o]) for o in outside]
    last: list[Array | None] = [None] * FOLDS
    error = np.full(len(PATH), np.inf)
    for start in range(0, len(PATH), STRIDE):
        here = slice(start, start + STRIDE)
        error[here] = 0.0
        for f, (o, part) in enumerate(zip(outside, parts, strict=True)):
            path = _path(*part, top * PATH[here], last[f])
            error[here] += ((y[o][:, None] - x[o] @ path) ** 2).sum(axis=0)
            last[f] = path[:, -1].copy()
        if int(np.argmin(error)) < start:  # the weaker penalties cost most, and are not needed
            break
    best = int(np.argmin(error))
    return Lasso(_path(x, y, gram, xy, top * PATH[: best + 1], None)[:, -1], float(top * PATH[best]), gram, xy)


def _path(x: Array, y: Array, gram: Array, xy: Array, alphas: Array, start: Array | None) -> Array:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lasso_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(
            lasso_path(
                x, y, alphas=alphas, precompute=gram, Xy=xy, coef_init=start, check_input=False, max_iter=300, tol=1e-4
            )[1]
        )
