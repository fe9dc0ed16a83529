"""What the corrected interval promises, by simulation with a learner that costs nothing.

``benchmarks/intervals.py`` measures the same with ridge regression and more cohorts.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from cohortium.metrics import from_folds, nadeau_bengio, paired_from_folds

P, N, REPEATS, FOLDS, COHORTS = 8, 150, 3, 5, 200


def auc(y: np.ndarray, s: np.ndarray) -> float:
    r, m = rankdata(s), y.sum()
    return float((r[y].sum() - m * (m + 1) / 2) / (m * (len(y) - m)))


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % 2 == 0
    return rng.normal(size=(n, P)) + 0.3 * y[:, None], y


def direction(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x[y].mean(axis=0) - x[~y].mean(axis=0)


def cross_validated(seed: int) -> tuple[list[float], list[float], list[float]]:
    """Fold values of the learner on all features, and on either of two exchangeable halves."""
    rng = np.random.default_rng([3, seed])
    x, y = draw(rng, N)
    out: tuple[list[float], list[float], list[float]] = ([], [], [])
    for _ in range(REPEATS):
        fold = np.empty(N, dtype=int)
        for c in (True, False):
            fold[y == c] = rng.permutation((y == c).sum()) % FOLDS
        for f in range(FOLDS):
            a, b = fold != f, fold == f
            for values, columns in zip(out, (slice(0, P), slice(0, P // 2), slice(P // 2, P)), strict=True):
                values.append(auc(y[b], x[b][:, columns] @ direction(x[a][:, columns], y[a])))
    return out


def test_intervals_cover_and_equal_learners_are_rarely_called_different():
    rng = np.random.default_rng(9)
    big_x, big_y = draw(rng, 20_000)
    size = N * (FOLDS - 1) // FOLDS
    truth = np.mean([auc(big_y, big_x @ direction(*draw(rng, size))) for _ in range(60)])
    sizes = {"n_train": size, "n_test": N // FOLDS, "n": N}
    covered = different = 0
    for seed in range(COHORTS):
        values, first, second = cross_validated(seed)
        e = from_folds("roc_auc", values, **sizes)
        d = paired_from_folds("roc_auc", first, second, **sizes)
        covered += e.low <= truth <= e.high
        different += not d.low <= 0 <= d.high
    # Three standard errors of 200 draws around the promised 95% and 5%.
    assert covered / COHORTS > 0.90
    assert different / COHORTS < 0.10


def test_repeats_do_not_buy_degrees_of_freedom():
    rng = np.random.default_rng(1)
    values = rng.normal(0.7, 0.05, 25)
    _, low, high = nadeau_bengio(values, 80, 20)
    s = values.std(ddof=1)
    assert high - low == pytest.approx(2 * 2.570582 * s * np.sqrt(1 / 25 + 0.25), rel=1e-5)
    _, low5, high5 = nadeau_bengio(values[:5], 80, 20)
    assert high5 - low5 == pytest.approx(2 * 2.776445 * values[:5].std(ddof=1) * np.sqrt(1 / 5 + 0.25), rel=1e-5)


def test_limits_stay_within_what_the_metric_can_be():
    e = from_folds("roc_auc", [1.0, 0.9, 1.0, 0.95, 1.0], 80, 20, n=100)
    assert e.high == 1.0 and e.low < e.value < 1.0
    d = paired_from_folds("roc_auc", [0.1, 0.5], [0.9, 0.5], 80, 20, n=100)
    assert d.low < -1, "a difference is not cut"
