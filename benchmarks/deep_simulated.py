"""Networks on simulated cohorts in which it is known where the outcome lies.

usage: python benchmarks/deep_simulated.py pairs|bags|events [--seeds 5] [--patients 500] [--cases rare,mean,null] [--jobs 2]
pairs: sign, product: of a feature of one modality and a feature of another, fused in several ways, from nothing.
bags: rare: 2 of 100 to 200 instances are shifted, means and standard deviations are alike; large: 2 of 300 to 500; mean:
the outcome lies in the means of bags of 3 to 25; asked: a table says which kind of instances counts; null: nowhere. events: order: which of two codes comes a day before
the other; counts: the outcome lies in how often codes come and in their values; null: nowhere. AUC on 400 further
patients, mean over seeds and its standard error; late: plain late fusion of summaries; auto: with the first network.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from cohortium.learners import DeepSpec, LearnerConfig, fit_all
from cohortium.testing import (
    asked_instances,
    between_modalities,
    followed_codes,
    rare_instances,
    simulate_cohort,
    simulated_fold,
)
from cohortium.testing.simulate import Simulated

TEST = 400
NAMES = {
    "pairs": ("attention", "gated", "tensor", "experts"),
    "bags": ("summary", "mean", "abmil", "set_transformer", "cross_attention"),
    "events": ("summary", "codes", "transformer"),
}
CASES = {
    "pairs": ("sign", "product"),
    "bags": ("rare", "large", "mean", "asked", "null"),
    "events": ("order", "counts", "null"),
}


def cohort(shape: str, case: str, n: int, seed: int) -> Simulated:
    rng = np.random.default_rng([seed, n])
    if shape == "pairs":
        return between_modalities(rng, n, sign=case == "sign")
    if case == "rare":
        return rare_instances(rng, n)
    if case == "large":
        return rare_instances(rng, n, instances=(300, 500), shift=5.0)
    if case == "asked":
        return asked_instances(rng, n)
    if case == "order":
        return followed_codes(rng, n)
    sizes, shapes = {"labs": 6, "many": 20}, {"many": {"bags": "bag", "events": "events"}[shape]}
    return simulate_cohort(rng, n, sizes, "binary", signal=0.0 if case == "null" else 1.5, missing={"many": 0.2}, shapes=shapes)  # fmt: skip


def one(shape: str, case: str, patients: int, seed: int, name: str) -> dict[str, float]:
    s = cohort(shape, case, patients + TEST, seed)
    spec = (
        DeepSpec("x", fusion=name, start="null")
        if shape == "pairs"
        else DeepSpec("x", **{shape: name}, **({"start": "null"} if case == "asked" else {}))
    )
    config = LearnerConfig(models=("linear",), preset="quick", deep=(spec,))
    train, test = np.arange(patients), np.arange(patients, patients + TEST)
    begin = time.perf_counter()
    found = fit_all(config, simulated_fold(s, train, inner=5), ["late", "deep:x", "auto"])
    seconds = time.perf_counter() - begin
    out = s.cohort.take(test)
    auc = {k: float(roc_auc_score(s.outcome.codes[test], p.predict(out).p[:, 1])) for k, p in found.items()}
    return auc | {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=NAMES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--cases", default="")
    parser.add_argument("--encoders", default="")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    from joblib import Parallel, delayed

    names = asked.encoders.split(",") if asked.encoders else NAMES[asked.shape]
    for case in asked.cases.split(",") if asked.cases else CASES[asked.shape]:
        for name in names:
            task = delayed(one)
            runs = Parallel(asked.jobs)(task(asked.shape, case, asked.patients, s, name) for s in range(asked.seeds))
            parts = [f"{case:7} {name:16}"]
            for key in ("late", "deep:x", "auto"):
                v = np.array([r[key] for r in runs])
                parts.append(f"{key} {v.mean():.3f} ± {v.std(ddof=1) / np.sqrt(len(v)):.3f}")
            print("  ".join(parts), f" {np.mean([r['seconds'] for r in runs]):.0f} s", flush=True)


if __name__ == "__main__":
    main()
