"""A graph of similar patients against plain learners and a network without neighbours, where communities share their outcome.

usage: python benchmarks/graph.py [--patients 200,300,600] [--seeds 5] [--axes 20] [--apart 5] [--neighbours 15] [--jobs 2]
Two tables of 40 features; 2 × axes communities, both ends of a direction with the same outcome, so that linear models are at chance;
a fifth of the patients lack the second table and 5% of the labels are turned (best AUC 0.95). AUC on 300 further patients, mean over
seeds and its standard error; ``lacking``: of those who lack the second table. joint:alone and deep:network start at
the base rate, joint:graph at the late fusion. On real cohorts: deep.py --joint graph.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from cohortium.learners import DeepSpec, JointSpec, LearnerConfig, fit_all
from cohortium.testing import patient_communities, simulated_fold

TEST = 300
NAMES = ("early:linear", "early:trees", "late", "auto:plain", "deep:network", "joint:graph", "joint:alone")


def one(patients: int, seed: int, axes: int, apart: float, neighbours: int) -> dict[str, tuple[float, float, float]]:
    """learner -> AUC, that of patients without the second table, and seconds."""
    s = patient_communities(np.random.default_rng([seed, patients]), patients + TEST, axes=axes, apart=apart, features=40)  # fmt: skip
    graph = JointSpec("graph", model="graph", neighbours=neighbours)
    specs = (graph, JointSpec("alone", model="graph", neighbours=neighbours, start="null"))
    config = LearnerConfig(preset="quick", joint=specs, deep=(DeepSpec("network", fusion="gated", start="null"),))
    test = np.arange(patients, patients + TEST)
    lacks, out, codes = ~s.cohort.presence()["b"].to_numpy()[test], {}, s.outcome.codes[test]
    for name in NAMES:  # each with a store of its own: seconds are then those of the learner with all that it needs
        begin = time.perf_counter()
        p = fit_all(config, simulated_fold(s, np.arange(patients), inner=5), [name])[name]
        seconds = time.perf_counter() - begin
        score = p.predict(s.cohort.take(test)).p[:, 1]
        out[name] = (roc_auc_score(codes, score), roc_auc_score(codes[lacks], score[lacks]), seconds)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", default="200,300,600")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--axes", type=int, default=20)
    parser.add_argument("--apart", type=float, default=5.0)
    parser.add_argument("--neighbours", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    from joblib import Parallel, delayed

    for n in map(int, asked.patients.split(",")):
        task = delayed(one)
        runs = Parallel(asked.jobs)(task(n, s, asked.axes, asked.apart, asked.neighbours) for s in range(asked.seeds))
        for name in NAMES:
            v = np.array([r[name] for r in runs])
            mean, se = v.mean(axis=0), v.std(axis=0, ddof=1) / np.sqrt(len(v))
            print(f"{n:5} {name:14} {mean[0]:.3f} ± {se[0]:.3f}  lacking {mean[1]:.3f} ± {se[1]:.3f}  {mean[2]:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
