"""Forests and boosted trees for every endpoint, through LightGBM.

Censored outcomes: with H0 the null cumulative hazard lived through by a unit (its expected events) and d
its event, boosting fits the Poisson likelihood of d with exposure H0 and log link (hazard boosting;
LeBlanc & Crowley 1992, Biometrics 48:411, for the trees). Forests average trees that fit the deviance
residual of the null model, the symmetric transform of d - H0 (Therneau, Grambsch & Fleming 1990,
Biometrika 77:147; Keles & Segal 2002, Stat Med 21:313): its leaf means are bounded, so that small leaves
without events do not run away as the logarithm of a relative risk does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import logit

from cohortium.heads.cox import Cox
from cohortium.heads.families import Array, Binary, Family, Gaussian, Multinomial, ProportionalOdds

FOREST_LEAVES = (0.03, 0.01, 0.004)
"""Forest path: smallest leaf as a share of the units, never under 8 (3 after the first point)."""

SEARCH_SHARE = 0.5
"""Share of a forest's trees that the inner folds grow: they choose a leaf, they do not predict."""

TREE_ROWS = 4000
"""A tree of a forest is grown on at most so many units: with at most 64 leaves more would cost time and add nothing."""

BOOST_ROUNDS = (10, 20, 40, 70, 110, 160, 230, 320)
"""Boosting path: number of rounds."""


def _common(seed: int) -> dict[str, Any]:
    return {
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "seed": seed,
        "boost_from_average": False,
        "max_bin": 63,
        "feature_pre_filter": False,
        "min_sum_hessian_in_leaf": 1e-6,
        "zero_as_missing": False,
        "use_missing": False,
    }


def _train(
    params: dict[str, Any], x: Array, y: Array, rounds: int, weight: Array | None = None, init: Array | None = None
) -> str:
    """Train and give the model as text."""
    import lightgbm as lgb

    data = lgb.Dataset(x, label=y, weight=weight, init_score=init, params=params, free_raw_data=True)
    booster = lgb.train(params, data, num_boost_round=rounds)
    return str(booster.model_to_string())


@lru_cache(maxsize=16)
def _load(text: str) -> Any:
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


def leaf_means(text: str, x: Array) -> Array:
    """(n,) mean over the trees of a forest given as text.

    LightGBM averages a forest's trees only in ``predict``; its raw score is their sum.
    """
    return np.asarray(_load(text).predict(np.ascontiguousarray(x), num_threads=1), dtype=np.float64)


def raw_scores(text: str, x: Array, rounds: int | None = None) -> Array:
    """(n,) or (n, K) raw scores of boosted trees given as text."""
    return np.asarray(
        _load(text).predict(np.ascontiguousarray(x), raw_score=True, num_iteration=rounds or -1, num_threads=1),
        dtype=np.float64,
    )


@dataclass(frozen=True)
class Forest:
    """A fitted forest: one LightGBM text per score, the link that makes scores of leaf means, and what
    out-of-fold scores say they must be multiplied by."""

    texts: tuple[str, ...]
    link: str
    base: tuple[float, ...]
    slope: float = 1.0

    def scores(self, x: Array) -> Array:
        """(n, K) link-scale scores of features (n, q)."""
        out = []
        for text, base in zip(self.texts, self.base, strict=True):
            m = leaf_means(text, x)
            if self.link == "logit":
                m = logit(np.clip(base + m, 0.005, 0.995)) - logit(np.clip(base, 0.005, 0.995))
            out.append(m)
        return self.slope * np.column_stack(out)


@dataclass
class ForestPath:
    """Forest along :data:`FOREST_LEAVES`. x: (n, q) complete features. trees: number of trees."""

    x: Array
    family: Family
    seed: int
    trees: int = 200
    points: dict[int, Forest] = field(default_factory=dict)

    length = len(FOREST_LEAVES)

    def at(self, k: int) -> Forest:
        """The forest at point k of the path."""
        if k not in self.points:
            leaf = max(int(np.ceil(FOREST_LEAVES[k] * self.family.n)), 8 if k == 0 else 3)
            self.points[k] = self._fit(leaf)
        return self.points[k]

    def _fit(self, leaf: int) -> Forest:
        q = self.x.shape[1]
        params = {
            **_common(self.seed),
            "boosting": "rf",
            "objective": "regression",
            "bagging_freq": 1,
            "bagging_fraction": min(0.632, TREE_ROWS / self.family.n),
            "feature_fraction_bynode": min(1.0, max(np.sqrt(q), 3.0) / max(q, 1)),
            "min_data_in_leaf": leaf,
            "num_leaves": 64,
            "lambda_l2": 0.0,
        }
        f = self.family
        if isinstance(f, Cox):
            return Forest((_train(params, self.x, deviance_residual(f), self.trees),), "identity", (0.0,))
        if isinstance(f, Gaussian):
            return Forest((_train(params, self.x, f.y - f.y.mean(), self.trees),), "identity", (0.0,))
        if isinstance(f, ProportionalOdds):
            y = f.y - f.y.mean()
            return Forest((_train(params, self.x, y / (y.std() or 1.0), self.trees),), "identity", (0.0,))
        indicator = f.y[:, None] if isinstance(f, Binary) else f.y  # type: ignore[attr-defined]
        means = indicator.mean(0)
        texts = tuple(_train(params, self.x, indicator[:, k] - means[k], self.trees) for k in range(indicator.shape[1]))
        return Forest(texts, "logit", tuple(map(float, means)))


def deviance_residual(f: Cox) -> Array:
    """(n,) signed root of each unit's share of the null model's deviance; positive: died sooner than expected."""
    expected = np.maximum(f.exposure, 1e-3)
    martingale = f.d - expected
    return np.sign(martingale) * np.sqrt(np.maximum(-2.0 * (martingale + f.d * np.log(expected)), 0.0))


@dataclass(frozen=True)
class Boosted:
    """Boosted trees cut at a number of rounds; slope as for forests."""

    text: str
    rounds: int
    scale: float
    n_scores: int
    slope: float = 1.0

    def scores(self, x: Array) -> Array:
        """(n, K) link-scale scores of features (n, q)."""
        m = raw_scores(self.text, x, self.rounds) * (self.scale * self.slope)
        m = m.reshape(len(x), self.n_scores)
        return m - m.mean(axis=1, keepdims=True) if self.n_scores > 1 else m


@dataclass
class BoostPath:
    """Boosting along :data:`BOOST_ROUNDS`. offset: (n, K) scores to start from (not part of the result)."""

    x: Array
    family: Family
    seed: int
    offset: Array | None = None
    rate: float = 0.04
    leaves: int = 6
    points: list[Boosted] = field(default_factory=list)
    _growing: tuple[Any, float] | None = None

    length = len(BOOST_ROUNDS)

    def at(self, k: int) -> Boosted:
        """The boosted trees at point k of the path; no more rounds are grown than have been asked for."""
        if self._growing is None:
            self._growing = self._begin()
        booster, scale = self._growing
        while len(self.points) <= k:
            rounds = BOOST_ROUNDS[len(self.points)]
            # It ends where no leaf can be split: an iteration without a tree is not counted, and none would ever follow.
            while booster.current_iteration() < rounds and not booster.update():
                pass
            text = str(booster.model_to_string(num_iteration=rounds))
            self.points.append(Boosted(text, rounds, scale, self.family.n_scores))
        return self.points[k]

    def _begin(self) -> tuple[Any, float]:
        """A booster without trees yet, and what its raw scores are multiplied by."""
        import lightgbm as lgb

        f = self.family
        params = {
            **_common(self.seed),
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "lambda_l2": 2.0,
            "min_data_in_leaf": max(8, int(0.02 * f.n)),
            "feature_fraction_bynode": 0.3,
            "bagging_freq": 1,
            "bagging_fraction": 0.7,
        }
        start = np.zeros((f.n, f.n_scores)) if self.offset is None else self.offset
        y, weight, init, scale = self._target(f, start, params)
        data = lgb.Dataset(self.x, label=y, weight=weight, init_score=init, params=params, free_raw_data=True)
        return lgb.Booster(params=params, train_set=data), scale

    def _target(
        self, f: Family, start: Array, params: dict[str, Any]
    ) -> tuple[Array, Array | None, Array | None, float]:
        """Label, weight, initial score and scale; the objective goes into ``params``."""
        if isinstance(f, Cox):
            weight = np.maximum(f.exposure, 1e-3)
            b = np.log(max(f.d.sum(), 0.5) / (weight * np.exp(start[:, 0])).sum())
            params["objective"] = "poisson"
            return f.d / weight, weight, start[:, 0] + b, 1.0
        if isinstance(f, Gaussian):
            params["objective"] = "regression"
            rest = f.y - start[:, 0]
            return rest, None, np.full(f.n, rest.mean()), 1.0
        if isinstance(f, ProportionalOdds):
            params["objective"] = "regression"
            y = f.y - f.y.mean()
            return y / (y.std() or 1.0) - start[:, 0] * 0.5, None, None, 2.0
        if isinstance(f, Binary):
            params["objective"] = "binary"
            return f.y, None, start[:, 0] + f.start()[0], 1.0
        assert isinstance(f, Multinomial)
        params.update(objective="multiclass", num_class=f.n_scores)
        return f.outcome.codes.astype(float), None, (start + f.start()).ravel(order="F"), 1.0
