"""Do the intervals cover, and are equal learners called different too often?

usage: python benchmarks/intervals.py [--endpoint binary|survival] [--cohorts 500] [--jobs 2] [--seed 50000]

For each simulated cohort a fast ridge learner is evaluated by 3 x 5 stratified folds and the interval that
reports use (``from_folds``). Truth: the expected performance of that learner trained on a cohort of the
training folds' size, by scoring models of fresh training sets on a very large test set. Equal learners: the
same ridge on either of two exchangeable halves of the features, so that their expected performance is the
same and their predictions are not. Survival: exponential times, half of them censored, ridge Cox, Harrell's C.
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


class BinaryCase:
    """Logistic model; ROC-AUC."""

    metric, test_size, models = "roc_auc", 100_000, 200
    draw, fit = staticmethod(draw), staticmethod(ridge)

    @staticmethod
    def score(y: np.ndarray, risk: np.ndarray) -> float:
        return float(roc_auc_score(y, risk))

    @staticmethod
    def strata(y: np.ndarray) -> np.ndarray:
        return y


class SurvivalCase:
    """Proportional hazards, censored by an independent exponential time; y holds time and event."""

    metric, test_size, models = "harrell_c", 20_000, 100

    @staticmethod
    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        x, _ = draw(rng, n)
        beta = np.tile([SIGNAL, SIGNAL, -SIGNAL, SIGNAL, 0, 0, 0, 0, 0, 0], 2)
        death, lost = rng.exponential(np.exp(-x @ beta)), rng.exponential(1.0, n)
        return x, np.column_stack([np.minimum(death, lost), death <= lost])

    @staticmethod
    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from cohortium.heads.cox import Cox
        from cohortium.heads.newton import fit_ridge

        start = (np.zeros((x.shape[1], 1)), np.zeros(0))
        return fit_ridge(x, Cox(_outcome(y)), np.full(x.shape[1], 5.0), start)[0][:, 0]

    @staticmethod
    def score(y: np.ndarray, risk: np.ndarray) -> float:
        from cohortium.contracts import Survival
        from cohortium.metrics import score

        outcome = _outcome(y)
        return score("harrell_c", outcome, Survival(outcome.units, risk, np.ones(1), np.ones((len(y), 1))))

    @staticmethod
    def strata(y: np.ndarray) -> np.ndarray:
        return y[:, 1]


def _outcome(y: np.ndarray):
    from cohortium.contracts import SurvivalOutcome
    from cohortium.schema import Endpoint, EndpointKind

    units = np.arange(len(y)).astype(object)
    return SurvivalOutcome(Endpoint("os", EndpointKind.SURVIVAL), units, y[:, 0], y[:, 1] > 0, np.zeros(len(y)))


CASES = {"binary": BinaryCase, "survival": SurvivalCase}


def evaluate(
    name: str, seed: int, n: int
) -> tuple[tuple[float, float, float], tuple[float, float], dict[str, np.ndarray]]:
    case = CASES[name]
    rng = np.random.default_rng([seed, n])
    x, y = case.draw(rng, n)
    values = {h: [] for h in HALVES}
    for r in range(REPEATS):
        splits = StratifiedKFold(FOLDS, shuffle=True, random_state=seed * 10 + r).split(x, case.strata(y))
        for train, test in splits:
            for h, c in HALVES.items():
                values[h].append(case.score(y[test], x[test][:, c] @ case.fit(x[train][:, c], y[train])))
    sizes = {"n_train": n * (FOLDS - 1) / FOLDS, "n_test": n / FOLDS}
    e = from_folds(case.metric, values["all"], **sizes, n=n)
    d = paired_from_folds(case.metric, values["first"], values["second"], **sizes, n=n)
    return (e.value, e.low, e.high), (d.low, d.high), {h: np.array(v) for h, v in values.items()}


def truth(name: str, n: int) -> float:
    case, rng = CASES[name], np.random.default_rng(99)
    big_x, big_y = case.draw(rng, case.test_size)
    size = int(n * (FOLDS - 1) / FOLDS)
    return float(np.mean([case.score(big_y, big_x @ case.fit(*case.draw(rng, size))) for _ in range(case.models)]))


def main() -> None:
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", choices=list(CASES), default="binary")
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    print("| units | truth | mean estimate | covered | mean width | equal learners called different |")
    print("|---|---|---|---|---|---|")
    for n in (150, 600):
        t = truth(args.endpoint, n)
        found = Parallel(args.jobs)(delayed(evaluate)(args.endpoint, args.seed + s, n) for s in range(args.cohorts))
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
