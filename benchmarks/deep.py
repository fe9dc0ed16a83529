"""Deep learners against plain ones on the same folds, cohort by cohort, and pooled.

usage: python benchmarks/deep.py [--cohorts hancock_os,coadread] [--deep attention | --joint graph] [--repeats 2] [--out runs]
[--jobs 2]
cohorts: hancock_os hancock_rfs, the eight of TCGA (own folds, so many of the ten repeats), coadread and stad (SurvPath,
disease-specific survival, the authors' folds), breast (3 x 5), covid (3 x 5). The first of --deep is the default that
the comparison is about; the others are exploratory. Plain learners are linear ones: with trees they are no better there.
With --joint it is about the first of these joint learners, against auto:plain and late. A name may be followed by settings:
graph:start=late.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import tcga
from breast import folders
from perfold import cost

import cohortium

HERE = Path(__file__).parent
DATA = (HERE / "../../shared/data").resolve()
SURVPATH = ("coadread", "stad")
COHORTS = ("hancock_os", "hancock_rfs", *tcga.COHORTS, *SURVPATH, "breast", "covid")

SURVPATH_STUDY = """\
name: {cohort}
title: Disease-specific survival, RNA of Reactome genes ({cohort})
cohort:
  units: {{file: units.csv, id: case_id}}
  modalities:
    clinical: {{file: units.csv, columns: [age, is_female]}}
    rna: {{file: {data}/{cohort}/rnaseq_reactome_genes.csv.gz, duplicates: mean}}
endpoints:
  dss: {{kind: survival, time: survival_months_dss, event: {{column: censorship_dss, equals: 0}}, time_unit: months, zero_times: exclude}}
reference: [clinical]
evaluation:
  design: file
  folds_file: {{file: {data}/{cohort}/splits_5foldcv.csv, id: case_id, fold: fold, part: part, test_value: {test}}}
"""

COVID_STUDY = """\
name: covid
title: Severity of COVID-19 from serum proteins and metabolites
cohort:
  units: {file: labels.csv, id: sample}
  modalities:
    proteins: {file: proteomics.csv.gz}
    metabolites: {file: metabolomics.csv.gz, transform: log2p1}
endpoints:
  group: {kind: multiclass, column: group}
reference: [proteins]
"""


def survpath(cohort: str, out: Path) -> Path:
    folder = out / cohort
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.read_csv(DATA / "tcga_survpath" / cohort / "metadata_survival.csv")
    frame.drop_duplicates("case_id").to_csv(folder / "units.csv", index=False)
    parts = pd.read_csv(DATA / "tcga_survpath" / cohort / "splits_5foldcv.csv")["part"].unique()
    test = next(p for p in parts if p != "train")
    (folder / "study.yaml").write_text(SURVPATH_STUDY.format(cohort=cohort, data=DATA / "tcga_survpath", test=test))
    return folder / "study.yaml"


def covid(out: Path) -> Path:
    folder, source = out / "covid", DATA / "covid_shen_proteomics_metabolomics"
    folder.mkdir(parents=True, exist_ok=True)
    labels = pd.read_csv(source / "labels_onehot.csv", index_col=0)
    names = {"Y01": "healthy", "Y02": "mild", "Y03": "severe"}
    group = labels[list(names)].idxmax(axis=1).map(names)
    pd.DataFrame({"sample": labels.index, "group": group.to_numpy()}).to_csv(folder / "labels.csv", index=False)
    for m in ("proteomics", "metabolomics"):
        (folder / f"{m}.csv.gz").write_bytes((source / f"{m}.csv.gz").read_bytes())
    (folder / "study.yaml").write_text(COVID_STUDY)
    return folder / "study.yaml"


def study_file(cohort: str, out: Path, repeats: int) -> Path:
    if cohort.startswith("hancock"):
        return HERE / "studies" / f"{cohort}.yaml"
    if cohort in SURVPATH:
        return survpath(cohort, out)
    if cohort == "breast":
        return folders(out)[0] / "study.yaml"
    if cohort == "covid":
        return covid(out)
    file = out / f"tcga_{cohort}_{repeats}.yaml"
    file.write_text(tcga.study_text(cohort, "own", "linear", tcga.fewer_folds(out, repeats)))
    return file


def differences(folder: Path, learner: str, other: str) -> dict[str, tuple[float, float, float, float, float]]:
    """endpoint -> mean difference, its corrected interval, standard error and p-value; of the headline metric."""
    from cohortium.metrics import nadeau_bengio, nadeau_bengio_p

    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[scores["metric"].isin(["harrell_c", "roc_auc"])]
    out = {}
    for endpoint, rows in scores.groupby("endpoint", sort=False):
        wide = rows.pivot_table(index=["repeat", "fold", "n_train", "n_test"], columns="learner", values="value")
        d = (wide[learner] - wide[other]).dropna()
        sizes = d.index.to_frame()[["n_train", "n_test"]].mean()
        value, low, high = nadeau_bengio(d.to_numpy(), sizes["n_train"], sizes["n_test"])
        se = np.sqrt((1 / len(d) + sizes["n_test"] / sizes["n_train"]) * d.var(ddof=1))
        p = nadeau_bengio_p(d.to_numpy(), sizes["n_train"], sizes["n_test"])
        out[endpoint] = (value, low, high, float(se), p)
    return out


def asked_for(text: str, key: str) -> list[dict[str, str]]:
    """Declarations of ``a,b:setting=value``; key: what the name stands for."""
    out = []
    for each in text.split(","):
        name, _, rest = each.partition(":")
        settings = dict(s.split("=") for s in rest.split(":") if s)
        out.append({key: name, "name": "_".join([name, *settings.values()]), **settings})
    return out


def main() -> None:
    from cohortium.metrics import random_effects
    from cohortium.schema.deep import DeepLearner
    from cohortium.schema.joint import JointLearner

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", default=",".join(COHORTS))
    parser.add_argument("--deep", default="attention")
    parser.add_argument("--joint", default="")
    parser.add_argument("--repeats", type=int, default=2, help="of the ten repeats of TCGA's own folds")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    added, pooled, blend = asked_for(args.joint or args.deep, "model" if args.joint else "fusion"), {}, {}
    kind, make = ("joint", JointLearner) if args.joint else ("deep", DeepLearner)
    names = [a["name"] for a in added]
    default = f"{kind}:{names[0]}"
    pairs = (
        [(default, "auto:plain"), (default, "late")]
        if args.joint
        else [(default, "auto:plain"), ("auto", "auto:plain")]
    )
    learners = {"learners": ["late", "auto:plain", "auto", *(f"joint:{n}" for n in names)]} if args.joint else {}
    for cohort in args.cohorts.split(","):
        study = cohortium.load_study(study_file(cohort, args.out, args.repeats))
        update = {"models": ["linear"], kind: [make.model_validate(a) for a in added], **learners}
        study = replace(study, spec=study.spec.model_copy(update=update))
        result = cohortium.run(study, args.out / f"{kind}_{cohort}_{'_'.join(names)}", jobs=args.jobs)
        board = result.leaderboard()
        board = board[board["metric"].isin(["harrell_c", "roc_auc"]) & ~board["learner"].str.startswith("single")]
        print(f"\n## {cohort}: {cost(result.folder)}", flush=True)
        print(board[["endpoint", "learner", "value", "low", "high"]].round(4).to_string(index=False))
        for what, kept, pair in zip((kind, "stack"), (pooled, blend), pairs, strict=True):
            for endpoint, (value, low, high, se, p) in differences(result.folder, *pair).items():
                kept[f"{cohort}/{endpoint}"] = (value, se, p)
                print(f"{what} {endpoint}: {pair[0]} - {pair[1]} {value:+.4f} ({low:+.4f} to {high:+.4f})", flush=True)
    for what, kept in ((" - ".join(pairs[0]), pooled), (" - ".join(pairs[1]), blend)):
        if len(kept) > 2:
            value, se, _ = map(np.array, zip(*kept.values(), strict=True))
            print(
                what, "pooled, random effects (mean, low, high, tau2, i2):", random_effects(value, np.maximum(se, 1e-4))
            )
    wins(pooled)


def wins(pooled: dict[str, tuple[float, float, float]]) -> None:
    """Cohorts in which the first learner wins or loses after Holm's correction."""
    from cohortium.metrics import holm

    for (k, (value, _, _)), p in zip(pooled.items(), holm([p for _, _, p in pooled.values()]), strict=True):
        if p < 0.05:
            print("wins" if value > 0 else "loses", k, f"Holm p {p:.3f}")
    print("points for the first:", sum(v > 0 for v, _, _ in pooled.values()), "of", len(pooled))


if __name__ == "__main__":
    main()
