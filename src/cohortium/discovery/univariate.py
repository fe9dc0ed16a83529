"""Every feature by itself, adjusted for the declared covariates: score tests for all, fitted effects for those shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import ClassOutcome, Outcome
from cohortium.discovery.features import Features
from cohortium.discovery.null import (
    Array,
    NullModel,
    fit_null,
    hessian,
    independent_columns,
    information,
    is_gaussian,
    is_multiclass,
)
from cohortium.heads.families import family_of
from cohortium.heads.newton import fit_ridge
from cohortium.metrics import benjamini_hochberg

Z95 = 1.959963984540054
CHUNK = 2000

FLAT = 1e-9
"""A feature with less information than this share of its size is a sum of covariates."""

SEPARATED = 12.0
"""A fitted effect beyond this many units of the score per standard deviation has no finite estimate."""


@dataclass(frozen=True, eq=False)
class Univariate:
    """One entry for every feature. effect, low, high: on the scale of the score for one standard deviation of the feature,
    or for a feature of two values for the higher against the lower. scale: what one unit of effect is in encoded units.
    fitted: maximum likelihood, else one step from the null model. n: units. p, q: NaN where nothing could be tested.
    test: name. level: of several classes the one in which the feature stands out most, else "".
    """

    effect: Array
    low: Array
    high: Array
    p: Array
    q: Array
    n: NDArray[np.int64]
    scale: Array
    fitted: NDArray[np.bool_]
    level: NDArray[np.object_]
    test: str


def univariate(outcome: Outcome, features: Features, covariates: Array | None = None) -> Univariate:
    """Score tests (Rao 1948), for values exact t-tests, for several classes F-tests of the feature on the class; each on the
    units that have the modality. They need no fit, so that neither separation nor tens of thousands of features hurt."""
    q = len(features)
    columns = {k: np.full(q, np.nan) for k in ("effect", "low", "high", "p", "scale")}
    n, level = np.zeros(q, dtype=np.int64), np.full(q, "", dtype=object)
    test = ""
    for m in features.modalities:
        at = features.columns(m)
        if not len(at):
            continue
        rows = np.flatnonzero(~np.isnan(features.x[:, at[0]]))
        n[at] = len(rows)
        own = outcome.take(rows)
        if not testable(own):
            continue
        null = fit_null(own, None if covariates is None else covariates[rows])
        for start in range(0, len(at), CHUNK):
            some = at[start : start + CHUNK]
            x, scale = unit_scale(features.x[np.ix_(rows, some)])
            columns["scale"][some] = scale
            made, test, names = _test(null, x)
            for key, values in made.items():
                columns[key][some] = values
            if names is not None:
                level[some] = names
    fitted = np.full(q, test == "t")
    return Univariate(**columns, q=benjamini_hochberg(columns["p"]), n=n, fitted=fitted, level=level, test=test)


def testable(outcome: Outcome) -> bool:
    """Whether units differ in the outcome at all."""
    from cohortium.contracts import SurvivalOutcome, ValueOutcome

    if len(outcome) < 3:
        return False
    if isinstance(outcome, SurvivalOutcome):
        return bool(outcome.event.any())
    return bool(np.ptp(outcome.values if isinstance(outcome, ValueOutcome) else outcome.codes) > 0)


def unit_scale(x: Array) -> tuple[Array, Array]:
    """x (n, q) centred and divided by (q,): its standard deviation, of two values their difference."""
    low, high = x.min(axis=0), x.max(axis=0)
    two = ((x == low) | (x == high)).all(axis=0)
    sd = x.std(axis=0)
    scale = np.where(two, high - low, sd)
    scale = np.where(scale > 0, scale, 1.0)
    return (x - x.mean(axis=0)) / scale, scale


def _test(null: NullModel, x: Array) -> tuple[dict[str, Array], str, NDArray[np.object_] | None]:
    from scipy.stats import chi2

    if is_multiclass(null):
        return _classes(null, x)
    score, info = information(null, x)
    flat = info <= FLAT * np.maximum((x * x).sum(axis=0), 1e-12)
    info = np.where(flat, np.nan, info)
    if is_gaussian(null):
        return _t_test(null, score, info), "t", None
    effect, se = score / info, 1 / np.sqrt(info)
    made = {"effect": effect, "low": effect - Z95 * se, "high": effect + Z95 * se}
    return made | {"p": chi2.sf(score**2 / info, 1)}, "score", None


def _t_test(null: NullModel, score: Array, info: Array) -> dict[str, Array]:
    from scipy.stats import t

    family = null.family
    df = len(null) - 2 - null.covariates.shape[1]
    effect = score / info
    rest = np.maximum(float((null.residual**2).sum()) - score**2 / info, 1e-300)
    se = np.sqrt(rest / max(df, 1) / info)
    half, unit = t.ppf(0.975, max(df, 1)) * se, family.scale  # type: ignore[attr-defined]
    p = 2 * t.sf(np.abs(effect / se), max(df, 1)) if df > 0 else np.full(len(effect), np.nan)
    return {"effect": effect * unit, "low": (effect - half) * unit, "high": (effect + half) * unit, "p": p}


def _classes(null: NullModel, x: Array) -> tuple[dict[str, Array], str, NDArray[np.object_]]:
    """The feature on the class: F-test given covariates; effect: the class that stands out most, against the others, in
    units of the feature."""
    from scipy.stats import f, t

    assert isinstance(null.outcome, ClassOutcome)
    codes, classes = null.outcome.codes, null.outcome.endpoint.classes
    base, _ = np.linalg.qr(np.column_stack([np.ones(len(x)), null.covariates]))
    z = x - base @ (base.T @ x)
    used = [k for k in range(len(classes)) if (codes == k).any()]
    dummies = np.column_stack([(codes == k).astype(np.float64) for k in used])
    free = dummies - base @ (base.T @ dummies)
    u, s, _ = np.linalg.svd(free, full_matrices=False)
    u = u[:, s > 1e-8 * max(float(s[0]), 1e-12)]
    total, between = (z * z).sum(axis=0), ((u.T @ z) ** 2).sum(axis=0)
    df1, df2 = u.shape[1], len(x) - base.shape[1] - u.shape[1]
    within = np.maximum(total - between, 1e-300)
    p = f.sf(between / df1 / (within / df2), df1, df2) if df2 > 0 and df1 else np.full(x.shape[1], np.nan)
    norm = np.maximum((free * free).sum(axis=0), 1e-12)
    each = (free.T @ z) / norm[:, None]
    top = np.abs(each * np.sqrt(norm)[:, None]).argmax(axis=0)
    at = np.arange(x.shape[1])
    effect = each[top, at]
    se = np.sqrt(np.maximum(total - effect**2 * norm[top], 0) / max(df2, 1) / norm[top])
    half = t.ppf(0.975, max(df2, 1)) * se
    names = np.array([classes[used[k]] for k in top], dtype=object)
    flat = total <= FLAT * np.maximum((x * x).sum(axis=0), 1e-12)
    made = {"effect": effect, "low": effect - half, "high": effect + half, "p": p}
    return {k: np.where(flat, np.nan, v) for k, v in made.items()}, "F", names


def with_fits(
    found: Univariate, outcome: Outcome, features: Features, covariates: Array | None, which: NDArray[np.intp]
) -> Univariate:
    """Effects of the features ``which`` by maximum likelihood, with Wald intervals; NaN where the estimate is not finite.

    p-values stay those of the score tests."""
    if found.test != "score":
        return found
    effect, low, high, fitted = (v.copy() for v in (found.effect, found.low, found.high, found.fitted))
    for j in which:
        if np.isnan(found.p[j]):
            continue
        rows = np.flatnonzero(~np.isnan(features.x[:, j]))
        x = features.x[rows, j]
        c = None if covariates is None else covariates[rows]
        b, se = fit_one((x - x.mean()) / found.scale[j], outcome.take(rows), c)
        effect[j], low[j], high[j], fitted[j] = b, b - Z95 * se, b + Z95 * se, True
    return replace(found, effect=effect, low=low, high=high, fitted=fitted)


def fit_one(x: Array, outcome: Outcome, covariates: Array | None) -> tuple[float, float]:
    """Maximum-likelihood coefficient of x (n,) beside the covariates and its standard error; NaN where it runs away."""
    c = np.zeros((len(x), 0)) if covariates is None else covariates
    if c.shape[1]:
        c = independent_columns(c)
    design = np.column_stack([x, c])
    family = family_of(outcome)
    start = (np.zeros((design.shape[1], 1)), family.start())
    b, theta = fit_ridge(design, family, np.full(design.shape[1], 1e-7), start, tol=1e-12, max_iter=100)
    if abs(b[0, 0]) * x.std() > SEPARATED:
        return np.nan, np.nan
    variance = np.linalg.pinv(hessian(family, design, design @ b, theta), rcond=1e-12)[0, 0]
    if not np.isfinite(variance) or variance <= 0 or np.sqrt(variance) * x.std() > SEPARATED:
        return np.nan, np.nan
    return float(b[0, 0]), float(np.sqrt(variance))
