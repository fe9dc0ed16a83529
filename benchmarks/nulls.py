"""Permuted labels: every learner at chance, as a mean over permutations.

usage: python benchmarks/nulls.py [--permutations 20] [--models linear,trees] [--cohorts hancock,kirc] [--jobs 2]
hancock: recurrence, five tables. kirc: TCGA kidney, death yes or no from age and sex, mutations and RNA.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.contracts import ClassOutcome, Fold
from cohortium.learners import LearnerConfig, fit_all, predict_all
from cohortium.metrics import score
from cohortium.resampling import inner, nested
from cohortium.schema.declare import BinarySpec, Condition, ModalitySource, UnitsSource
from cohortium.sources import read_cohort, read_outcome

DATA = (Path(__file__).parent / "../../shared/data").resolve()


def hancock():
    root = DATA / "hancock"
    units = UnitsSource(file="targets.csv", id="patient_id")
    names = ("clinical", "pathological", "blood", "icd_codes", "tma_cell_density")
    read = read_cohort(units, {n: ModalitySource(file=f"{n}.csv") for n in names}, root)
    spec = BinarySpec(kind="binary", column="recurrence", positive="yes")
    return read.cohort, read_outcome("recurrence", spec, read.raw_units, root)[0], ("clinical", "pathological")


def kirc():
    root = DATA / "tcga_porpoise" / "kirc"
    units = UnitsSource(file="clinical.csv", id="case_id")
    modalities = {
        "clinical": ModalitySource(file="clinical.csv", columns=["age", "is_female"]),
        "mut": ModalitySource(file="mut.csv.gz"),
        "rnaseq": ModalitySource(file="rnaseq.csv.gz"),
    }
    read = read_cohort(units, modalities, root)
    spec = BinarySpec(kind="binary", positive=Condition(column="event", equals=1))
    return read.cohort, read_outcome("death", spec, read.raw_units, root)[0], ("clinical",)


COHORTS = {"hancock": hancock, "kirc": kirc}


def one(name: str, permutation: int, split_index: int, models: tuple[str, ...]) -> dict[str, float]:
    cohort, outcome, reference = COHORTS[name]()
    rng = np.random.default_rng([7, permutation])
    shuffled: ClassOutcome = replace(outcome, codes=rng.permutation(outcome.codes))
    split = nested(shuffled, cohort.groups(), 1, 5, permutation)[split_index]
    train = shuffled.take(split.train)
    groups = np.arange(len(train))
    fold = Fold(cohort.take(split.train), train, groups, inner(train, groups, 5, 0), permutation, f"{split_index}")
    config = LearnerConfig(reference=reference, models=models, probes=False)
    predictions = predict_all(fit_all(config, fold), cohort.take(split.test))
    return {n: score("roc_auc", shuffled.take(split.test), p) for n, p in predictions.items()}


def main() -> None:
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--models", default="linear,trees")
    parser.add_argument("--cohorts", default="hancock,kirc")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    for name in args.cohorts.split(","):
        tasks = [(name, p, k, tuple(args.models.split(","))) for p in range(args.permutations) for k in range(5)]
        frame = pd.DataFrame(Parallel(args.jobs)(delayed(one)(*t) for t in tasks))
        frame["permutation"] = np.repeat(np.arange(args.permutations), 5)
        means = frame.groupby("permutation").mean()
        table = pd.DataFrame({"mean_auc": means.mean(), "se": means.std(ddof=1) / np.sqrt(len(means))})
        print(f"## {name}, {args.models}, {args.permutations} permutations")
        print(table.round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()
