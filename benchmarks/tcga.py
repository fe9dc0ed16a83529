"""Eight TCGA cohorts, overall survival: own folds (10 x 5, for inference) or the authors' five (for comparison).

usage: python benchmarks/tcga.py --folds own|authors [--cohorts blca,brca] [--models linear,trees] [--out runs]
Each cohort is a run folder of its own: a killed benchmark goes on where it was, and cohorts can be shared out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from perfold import against, cost, harrell, per_fold

import cohortium

HERE = Path(__file__).parent
DATA = (HERE / "../../shared/data/tcga_porpoise").resolve()
BASE = (HERE / "../../shared/baselines/tcga_os").resolve()
COHORTS = ("blca", "brca", "gbmlgg", "hnsc", "kirc", "lusc", "paad", "ucec")
PUBLISHED = ("blca", "gbmlgg", "kirc", "paad", "hnsc")

STUDY = """\
name: tcga_{cohort}
title: Does RNA, copy number or mutation add to age and sex for overall survival ({cohort})?
cohort:
  units: {{file: {data}/{cohort}/clinical.csv, id: case_id}}
  modalities:
    clinical: {{file: {data}/{cohort}/clinical.csv, columns: [{columns}]}}
{others}
endpoints:
  os: {{kind: survival, time: survival_months, event: event, time_unit: months, zero_times: exclude}}
reference: [clinical]
models: [{models}]
evaluation:
  design: file
  folds_file: {folds}
"""


def fewer_folds(out: Path, repeats: int) -> Path:
    """The file of own folds, cut to its first repeats when fewer are wanted."""
    if repeats >= 10:
        return BASE / "folds.csv.gz"
    frame = pd.read_csv(BASE / "folds.csv.gz", dtype=str)
    cut = (out / f"folds_{repeats}.csv").resolve()
    frame[frame["repeat"].astype(int) < frame["repeat"].astype(int).min() + repeats].to_csv(cut, index=False)
    return cut


def study_text(cohort: str, folds: str, models: str, own_folds: Path) -> str:
    sexes = pd.read_csv(DATA / cohort / "clinical.csv")["is_female"].nunique()
    others = [
        f"    {m}: {{file: {DATA}/{cohort}/{m}.csv.gz}}"
        for m in ("rnaseq", "cnv", "mut")
        if (DATA / cohort / f"{m}.csv.gz").exists()
    ]
    own = f"{{file: {own_folds}, id: case_id, fold: fold, repeat: repeat, where: {{cohort: {cohort}}}}}"
    authors = f"{{file: {DATA}/{cohort}/splits_5foldcv.csv, id: case_id, fold: fold, part: part, test_value: val}}"
    return STUDY.format(
        cohort=cohort,
        data=DATA,
        columns="age, is_female" if sexes > 1 else "age",
        others="\n".join(others),
        models=models,
        folds=own if folds == "own" else authors,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", choices=["own", "authors"], required=True)
    parser.add_argument("--cohorts", default=",".join(COHORTS))
    parser.add_argument("--models", default="linear,trees")
    parser.add_argument("--repeats", type=int, default=10, help="own folds: so many of the ten repeats")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    rivals = pd.read_csv(BASE / "cindex.csv")
    pooled, means = [], {}
    for cohort in args.cohorts.split(","):
        folder = args.out / f"tcga_{cohort}_{args.folds}_{args.models.replace(',', '_')}"
        file = folder.with_suffix(".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        if args.repeats < 10:
            folder = folder.with_name(f"{folder.name}_{args.repeats}x5")
        file.write_text(study_text(cohort, args.folds, args.models, fewer_folds(args.out, args.repeats)))
        result = cohortium.run(file, folder, jobs=args.jobs)
        ours = per_fold(folder, "os", harrell)
        means[cohort] = ours.mean()
        r = rivals[(rivals["cohort"] == cohort) & (rivals["split"] == args.folds)]
        r = r.pivot_table(index=["repeat", "fold"], columns="learner", values="harrell_c")
        best = "ridge_cox:age+sex+rna_15pc" if cohort != "ucec" else "ridge_cox:age+sex"
        n = result.results.cohort.n_units
        print(
            f"{cohort}: {cost(folder)}; auto {ours['auto'].mean():.3f}, rival {r[best].mean():.3f}; auto - rival "
            f"{against(ours['auto'], r[best], n * 0.8, n * 0.2)}",
            flush=True,
        )
        d = (ours["auto"] - r[best]).dropna().to_numpy()
        pooled.append((d.mean(), np.sqrt((1 / len(d) + 0.25) * d.var(ddof=1))))
        for row in result.results.added_value:
            both = [
                next((e for e in es if e.metric == "harrell_c"), None) for es in (row.left_out, row.added_to_reference)
            ]
            text = [
                "-" if e is None or e.value is None else f"{e.value:+.3f} ({e.low:+.3f} to {e.high:+.3f})" for e in both
            ]
            print(f"   {row.modality}: left out {text[0]}; added to the reference {text[1]}")
    print(pd.DataFrame(means).round(3).to_string())
    if all(c in means for c in PUBLISHED):
        print("mean over the five published cohorts:", round(float(np.mean([means[c]["auto"] for c in PUBLISHED])), 4))
    if len(pooled) > 2:
        from cohortium.metrics import random_effects

        print(
            "auto - rival, random effects (mean, low, high, tau2, i2):",
            random_effects(*map(np.array, zip(*pooled, strict=True))),
        )


if __name__ == "__main__":
    main()
