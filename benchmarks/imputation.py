"""Imputation of a whole modality, scored where it was hidden on purpose, against mean, nearest neighbours and ridge.

usage: python benchmarks/imputation.py [--cases breast,hancock] [--methods factors] [--folds 5] [--out runs] [--jobs 2]
breast: protein (142) from mRNA and miRNA of the 150 patients of breast.TCGA who have all three; hancock: blood counts from the
other twelve modalities. Nothing is tuned here: settings are the defaults.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from breast import folders

import cohortium

HERE = Path(__file__).parent
SHOWN = ("method", "correlation", "correlation_low", "correlation_high", "lower_quartile", "upper_quartile",
         "difference", "difference_low", "difference_high", "r2", "rmse", "coverage", "width")  # fmt: skip


def case(name: str, out: Path) -> tuple[Path, str]:
    if name == "breast":
        return folders(out)[0] / "study.yaml", "protein"
    return HERE / "studies" / "hancock_os.yaml", "blood"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="breast,hancock")
    parser.add_argument("--methods", default="factors", help="beside the baselines, with commas between")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    for name in args.cases.split(","):
        study, target = case(name, args.out)
        for method in args.methods.split(","):
            begin = time.perf_counter()
            found = cohortium.impute(study, target, method=method, folds=args.folds, jobs=args.jobs)
            print(f"\n## {name}: {target}, {method}, {args.folds} folds, {time.perf_counter() - begin:.0f} s")
            print(found.scores[list(SHOWN)].round(3).to_string(index=False), flush=True)
            for note in found.notes:
                print("note:", note)
            wide = found.features.pivot(index="feature", columns="method", values="correlation")
            if len(wide) <= 30:
                print(wide.round(3).to_string())


if __name__ == "__main__":
    main()
