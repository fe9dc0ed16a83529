"""MedMNIST, official test sets: a frozen network under linear learners, beside plain descriptors.

usage: python benchmarks/medmnist.py [--out runs] [--jobs 1] [--only breastmnist]
The network (EfficientNet-Lite0, ImageNet) never saw these images, and nothing is chosen by the test images. Bars, fixed
before the first run: AUC of ``single:network`` at least .85 (BreastMNIST) and .93 (PneumoniaMNIST).
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from perfold import cost

import cohortium

DATA = (Path(__file__).parent / "../../shared/data/medmnist_small").resolve()
STUDIES = Path(__file__).parent / "studies"
BARS = {"breastmnist": 0.85, "pneumoniamnist": 0.93}


def write(name: str, folder: Path) -> Path:
    """The images, a unit table with labels and official split, and the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DATA / f"{name}_28.npz", folder / "images.npz")
    shutil.copyfile(STUDIES / f"{name}.yaml", folder / "study.yaml")
    with np.load(folder / "images.npz") as z:
        frames = [
            pd.DataFrame({"image": [f"{s}_images/{i}" for i in range(len(y))], "label": y.ravel(), "split": s})
            for s in ("train", "val", "test")
            for y in [z[f"{s}_labels"]]
        ]
    pd.concat(frames).to_csv(folder / "units.csv", index=False)
    return folder / "study.yaml"


def speed(study: Any) -> None:
    """Images per second of each encoder on one core, with nothing in the cache; then all from the cache."""
    from cohortium.sources.images.reader import ImagesReader

    shutil.rmtree(study.folder / ".cohortium_cache", ignore_errors=True)
    units = pd.read_csv(study.folder / "units.csv", dtype=str).set_index("image")
    units = pd.DataFrame({"patient": units.index}, index=units.index)
    for name, source in study.spec.cohort.modalities.items():
        for again in ("new", "kept"):
            begin, cpu = time.perf_counter(), time.process_time()
            ImagesReader(name, source, study.folder, units).read()
            wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
            print(
                f"{name}, {again}: {len(units) / wall:,.1f} images a second ({len(units) / cpu:,.1f} of processor time)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", choices=list(BARS))
    args = parser.parse_args()
    for name in [args.only] if args.only else BARS:
        study = cohortium.load_study(write(name, args.out / name))
        speed(study)
        for finding in cohortium.check(study):
            print(finding.grade, finding.name, finding.message)
        result = cohortium.run(study, args.out / f"{name}_run", jobs=args.jobs, resume=False)
        print(cost(result.folder))
        for row in result.results.leaderboard:
            auc = next(e for e in row.estimates if e.metric == "roc_auc")
            print(f"{name} {row.learner}: AUC {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f}) {auc.method}")
            for e in row.versus.reference if row.versus else []:
                if e.metric == "roc_auc" and e.value is not None:
                    print(
                        f"{name} {row.learner} - reference: {e.value:+.4f} ({e.low:+.4f} to {e.high:+.4f}) {e.method}"
                    )
            if row.learner == "single:network":
                print(f"{name} bar {BARS[name]}: {'met' if auc.value >= BARS[name] else 'MISSED'}")


if __name__ == "__main__":
    main()
