"""Processor time and memory of learners on one training part, against its size, with the exponent of each curve.

usage: python benchmarks/costs.py [patients,features,modalities,instances] [--learners late,deep:attention,joint:factors] [--most 1e9]
patients: 200 to 20,000, two tables of 50. features: 1,000 to 60,000 of 300 patients, beside a table of 5. modalities: 2 to 12 of
20 features, 500 patients, a third of the cells of each absent. instances: 10 to 10,000 of 16 features a bag, 200 patients, seen by
gated attention. Each point in a process of its own, on one thread: a whole learner, its choices on 5 inner folds
included (binary endpoint, quick preset, linear plain learners). What a learner shares with ``late`` is not counted for
it again. Exponents by least squares on logarithms: seconds ~ size^exponent.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

SIZES = {
    "patients": (200, 500, 1000, 2000, 5000, 10_000, 20_000),
    "features": (1000, 3000, 10_000, 30_000, 60_000),
    "modalities": (2, 4, 8, 12),
    "instances": (10, 100, 1000, 10_000),
}
LEARNERS = ("late", "deep:attention", "joint:factors", "joint:cca")


def cohort(axis: str, size: int):
    from cohortium.testing import simulate_cohort

    rng = np.random.default_rng(0)
    if axis == "patients":
        return simulate_cohort(rng, size, {"a": 50, "b": 50}, "binary", missing={"b": 0.3})
    if axis == "features":
        return simulate_cohort(rng, 300, {"clinical": 5, "genes": size}, "binary", missing={"genes": 0.2})
    if axis == "modalities":
        names = [f"m{k}" for k in range(size)]
        return simulate_cohort(rng, 500, dict.fromkeys(names, 20), "binary", missing=dict.fromkeys(names[1:], 0.33))
    return bags(rng, size)


def bags(rng: np.random.Generator, size: int, n: int = 200):
    from cohortium.testing import rare_instances

    return rare_instances(rng, n, instances=(size, size))


def measured(axis: str, size: int, learner: str) -> dict[str, float]:
    """Seconds of processor time of the learner beside ``late``, and the peak memory of the process, in this process."""
    from cohortium.learners import DeepSpec, JointSpec, LearnerConfig
    from cohortium.learners.suite import Suite
    from cohortium.testing import simulated_fold

    s = cohort(axis, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spec = DeepSpec("attention", bags="abmil" if axis == "instances" else "summary")
    config = LearnerConfig(models=("linear",), preset="quick", deep=(spec,), joint=(JointSpec("factors"), JointSpec("cca", model="cca")))  # fmt: skip
    suite = Suite(config, simulated_fold(s, np.arange(len(s.cohort)), inner=5))
    begin = time.process_time()
    suite.finish("late")
    if learner != "late":
        begin = time.process_time()
        suite.finish(learner)
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_mb": peak / 1024, "data_mb": before / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axes", nargs="?", default=",".join(SIZES))
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument("--most", type=float, default=1e9, help="largest size")
    parser.add_argument("--one", nargs=3, metavar=("AXIS", "SIZE", "LEARNER"))
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measured(args.one[0], int(args.one[1]), args.one[2])))
        return
    for axis in args.axes.split(","):
        for learner in args.learners.split(","):
            found = []
            for size in [s for s in SIZES[axis] if s <= args.most]:
                made = subprocess.run([sys.executable, __file__, "--one", axis, str(size), learner], capture_output=True, text=True, check=True)  # fmt: skip
                found.append((size, json.loads(made.stdout.splitlines()[-1])))
            x = np.log([s for s, _ in found])
            slopes = [np.polyfit(x, np.log([f[k] for _, f in found]), 1)[0] for k in ("seconds", "peak_mb")]
            last = np.log(found[-1][1]["seconds"] / found[-2][1]["seconds"]) / (x[-1] - x[-2])
            points = ", ".join(f"{s:,}: {f['seconds']:.1f} s {f['peak_mb']:.0f} MB" for s, f in found)
            print(f"{axis} {learner}: {points}; time ^{slopes[0]:.2f} (last step ^{last:.2f}), memory ^{slopes[1]:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
