"""Do the intervals cover, and are equal learners called different too often?

usage: python benchmarks/intervals.py [--cohorts 500] [--jobs 2] [--seed 50000]

For each simulated cohort a fast ridge learner is evaluated by 3 x 5 stratified folds and the interval that
reports use (``from_folds``). Truth: the expected performance of that learner trained on a cohort of the
training folds' size, by scoring models of fresh training sets on a very large test set. Equal learners: the
same ridge on either of two exchangeable halves of the features, so that their expected performance is the
same and their predictions are not.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from cohortium.metrics import from_folds, paired_from_folds

P, SIGNAL, REPEATS, FOLDS = 20, 0.35, 3, 5


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(n, P))
    beta = np.tile([SIGNAL, SIGNAL, -SIGNAL, SIGNAL, 0, 0, 0, 0, 0, 0], 2)
    return x, (rng.random(n) < expit(x @ beta - 0.5)).astype(int)


def ridge(x: np.ndarray, y: np.ndarray, penalty: float = 5.0) -> np.ndarray:
    """Coefficients of a ridge logistic regression by three Newton steps from zero."""
    z = np.column_stack([x, np.ones(len(x))])
    b = np.zeros(z.shape[1])
    lam = np.full(z.shape[1], penalty)
    lam[-1] = 0
    for _ in range(4):
        p = expit(z @ b)
        b -= np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + np.diag(lam), z.T @ (p - y) + lam * b)
    return b[:-1]


HALVES = {"all": np.arange(P), "first": np.arange(P // 2), "second": np.arange(P // 2, P)}


def evaluate(seed: int, n: int) -> tuple[tuple[float, float, float], tuple[float, float], dict[str, np.ndarray]]:
    rng = np.random.default_rng([seed, n])
    x, y = draw(rng, n)
    values = {h: [] for h in HALVES}
    for r in range(REPEATS):
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed * 10 + r).split(x, y):
            for h, c in HALVES.items():
                values[h].append(roc_auc_score(y[test], x[test][:, c] @ ridge(x[train][:, c], y[train])))
    sizes = {"n_train": n * (FOLDS - 1) / FOLDS, "n_test": n / FOLDS}
    e = from_folds("roc_auc", values["all"], **sizes, n=n)
    d = paired_from_folds("roc_auc", values["first"], values["second"], **sizes, n=n)
    return (e.value, e.low, e.high), (d.low, d.high), {h: np.array(v) for h, v in values.items()}


def truth(n: int) -> float:
    rng = np.random.default_rng(99)
    big_x, big_y = draw(rng, 100_000)
    size = int(n * (FOLDS - 1) / FOLDS)
    return float(np.mean([roc_auc_score(big_y, big_x @ ridge(*draw(rng, size))) for _ in range(200)]))


def main() -> None:
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    print("| units | true AUC | mean estimate | covered | mean width | equal learners called different |")
    print("|---|---|---|---|---|---|")
    for n in (150, 600):
        t = truth(n)
        found = Parallel(args.jobs)(delayed(evaluate)(args.seed + s, n) for s in range(args.cohorts))
        low, high = np.array([f[0][1] for f in found]), np.array([f[0][2] for f in found])
        called = np.mean([not f[1][0] <= 0 <= f[1][1] for f in found])
        mean = np.mean([f[0][0] for f in found])
        print(
            f"| {n} | {t:.4f} | {mean:.4f} | {np.mean((low <= t) & (t <= high)):.1%} | {np.mean(high - low):.3f} "
            f"| {called:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
