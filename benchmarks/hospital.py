"""The simulated hospital, seed after seed: does fusion win, do planted families add, does the planted null not?

usage: python benchmarks/hospital.py [--seeds 20] [--patients 600] [--first 0] [--jobs 2] [--out runs/hospital]
Each seed: simulate, init, read as proposed, then linear learners on 2 x 5 folds. What a family adds is what late fusion
loses without its modalities, on the same folds, with the interval that reports use; so is what protein adds, which causes
nothing. Seeds that are done are not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import cohortium
from cohortium.metrics import nadeau_bengio

REPEATS, FOLDS = 2, 5


def read(folder: Path):
    """Cohort and outcome of the proposed study."""
    from cohortium.study.data import load_data

    data = load_data(cohortium.load_study(folder / "study.yaml"))
    return data.cohort, data.outcomes["relapse"]


def fold_aucs(cohort, outcome, train, test, seed: int, families: dict[str, list[str]]) -> dict[str, float]:
    """AUC in one test fold: every learner, late fusion without each family and of it alone, without protein, reference with it."""
    from cohortium.contracts import Fold
    from cohortium.learners import LearnerConfig
    from cohortium.learners.suite import Suite
    from cohortium.resampling import inner

    part = outcome.take(train)
    groups = np.arange(len(train))
    fold = Fold(cohort.take(train), part, groups, inner(part, groups, 5, seed), seed, f"hospital/{seed}")
    suite = Suite(LearnerConfig(reference=("patients",), models=("linear",)), fold)
    new, y, memo, out = cohort.take(test), outcome.codes[test], {}, {}

    def auc(fitted, rows=slice(None)) -> float:
        eta = suite.stack({"it": fitted}, True, (1e6,)).node.scores(new, memo)
        return float(roc_auc_score(y[rows], np.nan_to_num(eta)[rows, 0]))

    for m in suite.modalities:
        out[f"single:{m}"] = auc(suite.single(m))
    for name in ("reference", "best_single", "early", "late", "priority", "auto"):
        out[name] = auc(suite.part(name))
    for family, members in families.items():
        names = tuple(m for m in suite.modalities if m not in members)
        out[f"without:{family}"] = auc(suite.late(names, suite.late_penalty()))
        own = tuple(m for m in suite.modalities if m in members)
        alone = suite.late(own, suite.late_penalty())
        out[f"family:{family}"] = auc(alone)
        have = new.presence()[list(own)].any(axis=1).to_numpy()
        out[f"family:{family}, of whom it is known"] = auc(alone, have)
    out["without:protein"], out["with:protein"] = auc(suite.part("without:protein")), auc(suite.part("with:protein"))
    return out


def one(seed: int, patients: int, out: Path) -> dict:
    from cohortium.cli.proposing import write_proposal
    from cohortium.resampling import nested
    from cohortium.testing.hospital import write_hospital

    folder, begin = out / f"data_{seed}", time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    write_hospital(folder, patients, seed)
    write_proposal(folder, "relapse", force=True)
    truth = json.loads((folder / "truth.json").read_text())
    cohort, outcome = read(folder)
    families = {f: [("meds" if m == "records" else m) for m in ms] for f, ms in truth["families"].items()}
    splits = nested(outcome, np.arange(len(outcome)), REPEATS, FOLDS, seed)
    rows = [fold_aucs(cohort, outcome, np.asarray(s.train), np.asarray(s.test), seed, families) for s in splits]
    scores, n = pd.DataFrame(rows), len(outcome)

    def paired(a: str, b: str) -> list[float]:
        return list(map(float, nadeau_bengio((scores[a] - scores[b]).to_numpy(), 0.8 * n, 0.2 * n)))

    shutil.rmtree(folder)
    return {
        "seed": seed,
        "best": truth["best_auc"],
        "learners": scores.mean().to_dict(),
        "families": {f: paired("late", f"without:{f}") for f in families},
        "protein": {"left out": paired("late", "without:protein"), "added": paired("with:protein", "reference")},
        "seconds": time.perf_counter() - begin,
    }


def saved(seed: int, patients: int, out: Path) -> dict:
    """What was found for a seed, now or before."""
    file = out / f"seed_{seed}_{patients}.json"
    if not file.exists():
        file.write_text(json.dumps(one(seed, patients, out), indent=1))
    return json.loads(file.read_text())


def main() -> None:
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/hospital"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = range(args.first, args.first + args.seeds)
    done = Parallel(args.jobs)(delayed(saved)(s, args.patients, args.out) for s in seeds)
    frame = pd.DataFrame([f["learners"] for f in done])
    singles = frame[[c for c in frame if c.startswith("single:")]]
    for f, best in zip(done, singles.idxmax(axis=1), strict=True):
        adds = ", ".join(f"{k} {v[0]:+.3f} ({v[1]:+.3f} to {v[2]:+.3f})" for k, v in f["families"].items())
        print(f"seed {f['seed']}: auto {f['learners']['auto']:.3f} of {f['best']:.3f} possible; {best} "
              f"{f['learners'][best]:.3f}; {adds}; {f['seconds']:.0f} s")  # fmt: skip
    print(f"auto beats every single modality in {(frame['auto'] > singles.max(axis=1)).sum()} of {len(done)} seeds")
    for family in done[0]["families"]:
        up, shown = (sum(f["families"][family][k] > 0 for f in done) for k in (0, 1))
        print(f"{family}: adds in {up}, interval above zero in {shown} of {len(done)}")
    for what in done[0]["protein"]:
        covers = sum(f["protein"][what][1] <= 0 <= f["protein"][what][2] for f in done)
        print(f"protein {what}: interval covers zero in {covers} of {len(done)}")
    print(frame.mean().round(3).to_string())


if __name__ == "__main__":
    main()
