"""HANCOCK: overall survival on the rivals' folds, against the rivals fold by fold.

usage: python benchmarks/hancock.py [--models linear,trees] [--out runs] [--jobs 2]
--all: recurrence-free survival and recurrence (binary) from the same tables too, on default folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from perfold import against, cost, harrell, per_fold, with_models

import cohortium

HERE = Path(__file__).parent
RIVALS = HERE / "../../shared/baselines/hancock_os/cindex.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="linear,trees")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    models = args.models.split(",")
    args.out.mkdir(exist_ok=True, parents=True)
    tag = "_".join(models)
    names = ["hancock_os", "hancock_rfs"] if args.all else ["hancock_os"]
    for name in names:
        study = with_models(cohortium.load_study(HERE / "studies" / f"{name}.yaml"), models)
        result = cohortium.run(study, args.out / f"{name}_{tag}", jobs=args.jobs)
        print(f"\n## {name}, {tag}: {cost(result.folder)}")
        board = result.leaderboard()
        headline = board[board["metric"].isin(["harrell_c", "roc_auc"])]
        print(headline[["endpoint", "learner", "value", "low", "high"]].round(4).to_string(index=False))
        if name == "hancock_os":
            rivals = pd.read_csv(RIVALS).pivot_table(index=["repeat", "fold"], columns="learner", values="harrell_c")
            ours = per_fold(result.folder, "os", harrell)
            for rival in rivals:
                print(f"auto - {rival}: {against(ours['auto'], rivals[rival], 504, 126)}")


if __name__ == "__main__":
    main()
