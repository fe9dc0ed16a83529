"""Second-order group knockoffs of features that some units lack.

A knockoff of a feature is made without looking at the outcome, and is exchangeable with it given all other features: what
the outcome does not depend on cannot be told from its knockoff (Candès et al. 2018, JRSS B 80:551). Here the features are
taken for a Gaussian copula; groups of look-alikes are swapped whole (Dai & Barber 2016, ICML). A unit that lacks a modality
gets knockoffs of what it has, from the same joint distribution; what it lacks is absent from original and knockoff alike,
so that nothing is imputed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Margins:
    """Normal scores of every column and the way back to its own levels.

    latent: (n, q), ties broken at random, NaN where absent. levels: column -> (cuts, values) of those with ties.
    """

    latent: Array
    levels: dict[int, tuple[Array, Array]]

    def seen(self, latent: Array) -> Array:
        """Latent values (m, q) as the columns can take them."""
        out = latent.copy()
        for j, (cuts, values) in self.levels.items():
            known = ~np.isnan(latent[:, j])
            out[known, j] = values[np.searchsorted(cuts, latent[known, j], side="right")]
        return out


def normal_scores(x: Array, rng: np.random.Generator) -> Margins:
    """x: (n, q), NaN where a unit lacks the modality."""
    from scipy.special import ndtri

    latent, levels = np.full(x.shape, np.nan), dict[int, tuple[Array, Array]]()
    for j in range(x.shape[1]):
        rows = np.flatnonzero(~np.isnan(x[:, j]))
        v, n = x[rows, j], len(rows)
        rank = np.empty(n)
        rank[np.lexsort((rng.random(n), v))] = np.arange(n)
        z = ndtri((rank + 0.5) / n)
        latent[rows, j] = z
        distinct, code, counts = np.unique(v, return_inverse=True, return_counts=True)
        if len(distinct) < n:
            values = np.bincount(code, weights=z) / counts
            levels[j] = (ndtri(np.cumsum(counts)[:-1] / n), values)
    return Margins(latent, levels)


@dataclass(frozen=True, eq=False)
class KnockoffModel:
    """Joint distribution of the columns in the space where every group is white.

    whiten, colour: (q, q) block-diagonal, there and back. r: (q, q) correlations there, shrunk. s: (q,) how far a knockoff
    may be from its original (between 0, a copy, and 2). shrinkage: share of the correlations between groups that was given
    up as noise.
    """

    whiten: Array
    colour: Array
    r: Array
    s: Array
    shrinkage: float

    def sample(self, latent: Array, rng: np.random.Generator) -> Array:
        """Knockoffs of rows (n, q), pattern by pattern of what is there."""
        out = np.full(latent.shape, np.nan)
        noise = rng.standard_normal(latent.shape)
        patterns, at = np.unique(np.isnan(latent), axis=0, return_inverse=True)
        for k, absent in enumerate(patterns):
            o, rows = np.flatnonzero(~absent), np.flatnonzero(at.ravel() == k)
            if not len(o):
                continue
            r, s = self.r[np.ix_(o, o)], self.s[o]
            z = latent[np.ix_(rows, o)] @ self.whiten[np.ix_(o, o)]
            shift = np.linalg.solve(r, np.diag(s))
            cov = 2 * np.diag(s) - s[:, None] * shift
            made = z - z @ shift + noise[np.ix_(rows, o)] @ _root(cov).T
            out[np.ix_(rows, o)] = made @ self.colour[np.ix_(o, o)]
        return out


def fit_knockoffs(latent: Array, groups: Codes) -> KnockoffModel:
    """latent: (n, q) normal scores or what covariates leave of them, NaN where absent. groups: (q,), each within a modality."""
    q = latent.shape[1]
    x = np.nan_to_num(latent)
    there = (~np.isnan(latent)).astype(np.float64)
    whiten, colour = np.zeros((q, q)), np.zeros((q, q))
    for g in np.unique(groups):
        at = np.flatnonzero(groups == g)
        own = x[np.ix_(there[:, at[0]] > 0, at)]
        values, vectors = np.linalg.eigh(_within(own))
        whiten[np.ix_(at, at)] = (vectors / np.sqrt(values)) @ vectors.T
        colour[np.ix_(at, at)] = (vectors * np.sqrt(values)) @ vectors.T
    z = x @ whiten
    pairs = np.maximum(there.T @ there, 1.0)
    r = (z.T @ z) / pairs
    scale = np.sqrt(np.diag(r))
    r /= np.outer(scale, scale)
    shrinkage = _intensity(r, pairs)
    r *= 1.0 - shrinkage
    np.fill_diagonal(r, 1.0)
    least = float(np.linalg.eigvalsh(r)[0]) if q else 1.0
    if least < 0.05:  # pairwise estimates need not belong together: towards independence until they do
        share = (0.05 - least) / (1.0 - least)
        r *= 1.0 - share
        np.fill_diagonal(r, 1.0)
        shrinkage = 1.0 - (1.0 - shrinkage) * (1.0 - share)
    return KnockoffModel(whiten / scale, scale[:, None] * colour, r, _spread(r), shrinkage)


def _within(x: Array) -> Array:
    """Covariance of one group's columns, shrunk (Ledoit & Wolf 2004, J Multivar Anal 88:365)."""
    from sklearn.covariance import ledoit_wolf

    if x.shape[1] == 1:
        return np.array([[max(float(np.mean(x * x)), 1e-12)]])
    cov = np.asarray(ledoit_wolf(x, assume_centered=True)[0])
    return cov + 1e-3 * np.mean(np.diag(cov)) * np.eye(len(cov))


def _intensity(r: Array, pairs: Array) -> float:
    """Share by which correlations are shrunk to zero (Schäfer & Strimmer 2005, SAGMB 4:32), each with its own n."""
    upper = np.triu_indices(len(r), 1)
    total = float((r[upper] ** 2).sum())
    if not total:
        return 1.0
    return float(min(1.0, ((1 - r[upper] ** 2) ** 2 / pairs[upper]).sum() / total))


def _spread(r: Array, rounds: int = 60) -> Array:
    """s that makes original and knockoff hardest to rebuild from each other (MVR; Spector & Janson 2022, Ann Stat 50:252):
    at the optimum s_j^-2 is the diagonal of (2 r - diag s)^-2, reached by damped steps from the equicorrelated one."""
    q = len(r)
    least = float(np.linalg.eigvalsh(r)[0]) if q else 1.0
    s = np.full(q, min(1.0, 2 * least) * 0.98)
    for _ in range(rounds):
        inverse = np.linalg.inv(2 * r - np.diag(s))
        goal = 1.0 / np.sqrt(np.einsum("ij,ji->i", inverse, inverse))
        step = np.sqrt(s * goal) - s
        share = 1.0
        while share > 1e-3 and not _positive(2 * r - np.diag(s + share * step), 1e-4):
            share /= 2
        if share <= 1e-3:
            break
        s = s + share * step
        if np.abs(step).max() < 5e-3:
            break
    return s


def _positive(m: Array, least: float) -> bool:
    try:
        np.linalg.cholesky(m - least * np.eye(len(m)))
    except np.linalg.LinAlgError:
        return False
    return True


def _root(cov: Array) -> Array:
    """A root of a covariance; where it is singular, of its nearest one."""
    cov = (cov + cov.T) / 2
    try:
        return np.asarray(np.linalg.cholesky(cov + 1e-10 * np.eye(len(cov))))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(cov)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
