"""NKI70 (144 patients): does the 70-gene signature add to clinical variables? The signature was made on some of them.

usage: python benchmarks/nki70.py [--out runs] [--jobs 2]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from perfold import cost

import cohortium

DATA = (Path(__file__).parent / "../../shared/data/pip_oncodatasets").resolve()
CLINICAL = ["Diam", "N", "ER", "Grade", "Age"]
STUDY = """\
name: nki70
title: Does the 70-gene signature add to clinical variables (NKI70)?
cohort:
  units: {file: outcomes.csv, id: patient}
  modalities:
    clinical: {file: clinical.csv, levels: {Grade: [Well diff, Intermediate, Poorly diff]}}
    genes: {file: genes.csv}
endpoints:
  metastasis: {kind: survival, time: time, event: event, time_unit: years}
reference: [clinical]
"""


def write(folder: Path) -> Path:
    """The cohort as files with ids, and its study file."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.read_csv(DATA / "breast_cancer_nki70.csv")
    frame.insert(0, "patient", [f"N{i:03d}" for i in range(len(frame))])
    frame[["patient", "time", "event"]].to_csv(folder / "outcomes.csv", index=False)
    frame[["patient", *CLINICAL]].to_csv(folder / "clinical.csv", index=False)
    frame.drop(columns=["time", "event", *CLINICAL]).to_csv(folder / "genes.csv", index=False)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    study = cohortium.load_study(write(args.out / "nki70"))
    for finding in cohortium.check(study):
        print(finding.grade, finding.name)
    result = cohortium.run(study, args.out / "nki70_run", jobs=args.jobs)
    print(cost(result.folder))
    board = result.leaderboard()
    print(
        board.loc[board["metric"] == "harrell_c", ["learner", "value", "low", "high"]].round(3).to_string(index=False)
    )
    for row in result.results.leaderboard:
        if row.learner == "auto":
            print("auto - reference:", next(e for e in row.versus.reference if e.metric == "harrell_c"))


if __name__ == "__main__":
    main()
