"""Small real data as whole studies: COVID-19 sera (Shen 2020), glioma with three tiles, Synthea in OMOP 5.4.

usage: python benchmarks/small.py [covid_shen] [glioma_tiles] [synthea] [--out runs]
Each is laid out beside a copy of its study file where labels have to be made, run with --preset quick, and told: who is in
it, what they have, and the leaderboard.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from perfold import cost

import cohortium

HERE = Path(__file__).resolve().parent
DATA = (HERE / "../../shared/data").resolve()


def laid_out(name: str, folder: Path) -> Path:
    """A copy of the study file that names the data where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (HERE / "studies" / f"{name}.yaml").read_text(encoding="utf-8")
    (folder / "study.yaml").write_text(text.replace("../../../shared/data", str(DATA)), encoding="utf-8")
    return folder / "study.yaml"


def covid_shen(folder: Path) -> Path:
    """labels.csv: one column of classes."""
    study = laid_out("covid_shen", folder)
    labels = pd.read_csv(DATA / "covid_shen_proteomics_metabolomics" / "labels_onehot.csv", index_col="sample_id")
    assert (labels.sum(axis=1) == 1).all()
    group = labels.idxmax(axis=1).map({"Y01": "healthy", "Y02": "mild", "Y03": "severe"})
    group.rename("group").to_csv(folder / "labels.csv")
    return study


def glioma_tiles(folder: Path) -> Path:
    """Runs as it is."""
    return HERE / "studies" / "glioma_tiles.yaml"


def synthea(folder: Path) -> Path:
    """people.csv: age and sex, the day that is looked at, and what happened afterwards to those still observed."""
    study, d, seen = laid_out("synthea", folder), DATA / "synthea27nj_omop54", pd.Timestamp("2015-01-01")
    person = pd.read_parquet(d / "person.parquet").set_index("person_id")
    names = pd.read_parquet(d / "concept.parquet").set_index("concept_id")["concept_name"]
    conditions = pd.read_parquet(d / "condition_occurrence.parquet")
    later = pd.to_datetime(conditions["condition_start_date"]) >= seen
    it = conditions["condition_concept_id"].map(names) == "Viral sinusitis"
    until = pd.to_datetime(
        pd.read_parquet(d / "observation_period.parquet").groupby("person_id")["observation_period_end_date"].max()
    )
    people = pd.DataFrame(
        {"seen": seen.isoformat(), "age": 2015 - person["year_of_birth"], "woman": person["gender_concept_id"] == 8532}
    )
    people["sinusitis"] = people.index.isin(conditions.loc[later & it, "person_id"]).astype(int)
    people["sinusitis"] = people["sinusitis"].where(until.reindex(people.index) >= seen).astype("Int64")
    people.to_csv(folder / "people.csv")
    return study


STUDIES: dict[str, Callable[[Path], Path]] = {
    "covid_shen": covid_shen,
    "glioma_tiles": glioma_tiles,
    "synthea": synthea,
}


def told(name: str, result: cohortium.study.RunResult) -> None:  # type: ignore[name-defined]
    """Counts and the leaderboard."""
    cohort = result.results.cohort
    print(f"== {name}: {cohort.n_units} units of {cohort.n_patients} patients; {cost(result.folder)}")
    for m in cohort.modalities:
        print(f"   {m.name}: {m.n_units} units, {m.n_features} features")
    for e in cohort.endpoints:
        print(f"   {e.name}: {e.n_units} units, {e.n_events or e.classes}, left out {e.excluded}")
    board = result.leaderboard()
    for (endpoint, metric), part in board.groupby(["endpoint", "metric"], sort=False):
        if metric in ("roc_auc", "harrell_c", "roc_auc_ovr", "balanced_accuracy"):
            for row in part.itertuples():
                score = (
                    "-"
                    if row.value is None or pd.isna(row.value)
                    else f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})"
                )
                print(
                    f"   {endpoint} {metric} {row.learner}{' *' if row.headline else ''}: {score}{' ' + str(row.reason) if row.reason else ''}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*STUDIES, []], default=[])
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    for name in args.names or STUDIES:
        study = cohortium.load_study(STUDIES[name](args.out / name))
        for finding in cohortium.check(study):
            print(finding.grade, finding.name, finding.message)
        told(name, cohortium.run(study, args.out / f"{name}_run", preset="quick", jobs=args.jobs, resume=False))


if __name__ == "__main__":
    main()
