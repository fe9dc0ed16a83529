"""breast.TCGA (mixOmics): trained with protein, tested where nobody has protein.

usage: python benchmarks/breast.py [--out runs] [--jobs 2]
First the command-line way: a study on the 150 training patients, then external validation on the 70 test
patients. Then, cross-validated on the training patients with protein hidden in every test fold: is training
with protein worse than training without?
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from perfold import cost

import cohortium
from cohortium.contracts import Fold
from cohortium.learners import LearnerConfig, fit_all, predict_all
from cohortium.metrics import nadeau_bengio, score
from cohortium.resampling import inner, nested

DATA = (Path(__file__).parent / "../../shared/data/breast_tcga_mixomics").resolve()
STUDY = """\
name: breast_tcga
title: PAM50 subtype from mRNA, miRNA and protein
cohort:
  units: {file: labels.csv, id: sample_id}
  modalities:
    mrna: {file: mrna.csv.gz}
    mirna: {file: mirna.csv.gz}
    protein: {file: protein.csv.gz}
endpoints:
  subtype: {kind: multiclass, column: subtype}
reference: [mrna]
"""


def folders(out: Path) -> tuple[Path, Path]:
    made = []
    for part in ("train", "test"):
        folder = out / f"breast_{part}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / f"labels_{part}.csv", folder / "labels.csv")
        for m in ("mrna", "mirna", "protein"):
            if (DATA / f"{m}_{part}.csv.gz").exists():
                shutil.copy(DATA / f"{m}_{part}.csv.gz", folder / f"{m}.csv.gz")
        made.append(folder)
    (made[0] / "study.yaml").write_text(STUDY)
    return made[0], made[1]


def one_fold(cohort, outcome, split) -> dict[str, float]:
    """Balanced accuracy of ``auto`` where protein is hidden in the test fold, trained with and without it."""
    train = outcome.take(split.train)
    splits = inner(train, np.arange(len(train)), 5, 0)
    test = cohort.take(split.test).only(["mrna", "mirna"])
    out = {}
    for name, names in (("with", ["mrna", "mirna", "protein"]), ("without", ["mrna", "mirna"])):
        key = f"breast/{split.repeat}/{split.fold}"
        fold = Fold(cohort.take(split.train).only(names), train, np.arange(len(train)), splits, 0, key)
        config = LearnerConfig(reference=("mrna",), probes=False)
        p = predict_all(fit_all(config, fold, ["auto"]), test)["auto"]
        out[name] = score("balanced_accuracy", outcome.take(split.test), p)
    return out


def main() -> None:
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    train, test = folders(args.out)
    result = cohortium.run(train / "study.yaml", args.out / "breast_run", jobs=args.jobs)
    print(cost(result.folder))
    for e in cohortium.validate(result.folder, test)["subtype"]:
        print(f"test patients, no protein: {e.metric} {e.value:.4f} ({e.low:.4f} to {e.high:.4f})")
    study = cohortium.load_study(train / "study.yaml")
    from cohortium.study import load_data

    data = load_data(study)
    outcome = data.outcomes["subtype"]
    splits = nested(outcome, data.cohort.groups(), 3, 5, 0)
    rows = Parallel(args.jobs)(delayed(one_fold)(data.cohort, outcome, s) for s in splits)
    frame = pd.DataFrame(rows)
    d = nadeau_bengio((frame["with"] - frame["without"]).to_numpy(), 120, 30)
    print(
        f"protein hidden in test folds: trained with {frame['with'].mean():.4f}, without {frame['without'].mean():.4f}, "
        f"difference {d[0]:+.4f} ({d[1]:+.4f} to {d[2]:+.4f})"
    )


if __name__ == "__main__":
    main()
