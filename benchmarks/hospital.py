"""The simulated hospital, seed after seed: does fusion win, do planted families add, does the planted null not?

usage: python benchmarks/hospital.py [--seeds 20] [--patients 600] [--first 0] [--jobs 2] [--out runs/hospital]
Each seed: simulate, init, run as proposed with linear learners on 2 x 5 folds; then once more without each family, on the
same folds. A family adds when auto loses without it; its corrected interval tells whether that is shown.
Seeds that are done are not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import cohortium
from cohortium.metrics import nadeau_bengio


def study_of(folder: Path):
    """The proposed study, on fewer folds and linear learners."""
    study = cohortium.load_study(folder / "study.yaml")
    evaluation = study.spec.evaluation.model_copy(update={"repeats": 2, "folds": 5, "inner_folds": 5})
    object.__setattr__(evaluation, "__pydantic_fields_set__", {"repeats", "folds", "inner_folds"})
    spec = study.spec.model_copy(update={"models": ["linear"], "evaluation": evaluation})
    object.__setattr__(spec, "__pydantic_fields_set__", {*study.spec.model_fields_set, "models", "evaluation"})
    return replace(study, spec=spec)


def without(study, names: list[str]):
    """The study without some modalities, and without the probes of added value."""
    kept = {n: m for n, m in study.spec.cohort.modalities.items() if n not in names}
    cohort = study.spec.cohort.model_copy(update={"modalities": kept})
    return replace(study, spec=study.spec.model_copy(update={"cohort": cohort, "learners": ["auto"]}))


def aucs(run: Path, learner: str) -> np.ndarray:
    scores = pd.read_parquet(run / "scores.parquet")
    rows = scores[(scores["learner"] == learner) & (scores["metric"] == "roc_auc")]
    return rows.sort_values(["repeat", "fold"])["value"].to_numpy()


def one(seed: int, patients: int, out: Path, jobs: int) -> dict:
    from cohortium.cli.proposing import write_proposal
    from cohortium.testing.hospital import write_hospital

    folder, begin = out / f"data_{seed}", time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    write_hospital(folder, patients, seed)
    write_proposal(folder, "relapse", force=True)
    truth = json.loads((folder / "truth.json").read_text())
    study = study_of(folder)
    whole = out / f"run_{seed}"
    result = cohortium.run(study, whole, jobs=jobs)
    found = {"seed": seed, "best": truth["best_auc"], "auto": aucs(whole, "auto").mean()}
    found["singles"] = {n: aucs(whole, f"single:{n}").mean() for n in study.spec.cohort.modalities}
    n = result.results.cohort.n_units
    found["families"] = {}
    for family, members in truth["families"].items():
        part = out / f"run_{seed}_without_{family}"
        cohortium.run(without(study, members), part, jobs=jobs)
        d = aucs(whole, "auto") - aucs(part, "auto")
        found["families"][family] = list(map(float, nadeau_bengio(d, 0.8 * n, 0.2 * n)))
        shutil.rmtree(part)
    null = next(r for r in result.results.added_value if r.modality == "protein")
    for what, estimates in (("left_out", null.left_out), ("added", null.added_to_reference)):
        e = next(e for e in estimates if e.metric == "roc_auc")
        found[f"protein_{what}"] = [e.value, e.low, e.high]
    found["seconds"] = time.perf_counter() - begin
    shutil.rmtree(folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/hospital"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    done = []
    for seed in range(args.first, args.first + args.seeds):
        file = args.out / f"seed_{seed}_{args.patients}.json"
        if not file.exists():
            file.write_text(json.dumps(one(seed, args.patients, args.out, args.jobs), indent=1))
        f = json.loads(file.read_text())
        done.append(f)
        best = max(f["singles"], key=f["singles"].get)
        adds = ", ".join(f"{k} {v[0]:+.3f} ({v[1]:+.3f} to {v[2]:+.3f})" for k, v in f["families"].items())
        print(
            f"seed {seed}: auto {f['auto']:.3f} of {f['best']:.3f} possible; best single {best} {f['singles'][best]:.3f}; {adds}; "
            f"protein {f['protein_left_out'][0]:+.3f}; {f['seconds']:.0f} s",
            flush=True,
        )
    wins = sum(f["auto"] > max(f["singles"].values()) for f in done)
    print(f"fusion beats every single modality in {wins} of {len(done)} seeds")
    for family in done[0]["families"]:
        up = sum(f["families"][family][0] > 0 for f in done)
        shown = sum(f["families"][family][1] > 0 for f in done)
        print(f"{family}: adds in {up}, interval above zero in {shown} of {len(done)}")
    for what in ("protein_left_out", "protein_added"):
        covers = sum(f[what][1] <= 0 <= f[what][2] for f in done)
        print(f"{what}: interval covers zero in {covers} of {len(done)}")
    singles = pd.DataFrame([f["singles"] for f in done])
    print(singles.mean().round(3).to_string())


if __name__ == "__main__":
    main()
