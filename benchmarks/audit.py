"""Twenty clean studies that no audit may accuse: every kind of endpoint, missing modalities, several units a patient.

usage: python benchmarks/audit.py [--studies 20] [--out runs] [--jobs 2]

Planted leaks, and which trial catches which, are in tests/study/test_auditing.py and tests/checks/test_prepared.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import cohortium
from cohortium.study import audit
from cohortium.testing import simulate_cohort
from cohortium.testing.files import write_study_folder

KINDS = ("binary", "multiclass", "ordinal", "continuous", "survival")


def write(folder: Path, seed: int) -> Path:
    """A simulated cohort as files, and a study of fast learners on it."""
    rng, kind = np.random.default_rng([seed, 0xC1EA]), KINDS[seed % len(KINDS)]
    s = simulate_cohort(
        rng, 160, {"labs": 6, "rna": 60, "protein": 20}, kind, signal=float(seed % 3), missing={"rna": 0.2, "protein": 0.4},
        missing_cells=0.02, units_per_patient=1 + seed % 2, presence_effect=0.5 * (seed % 2),
    )  # fmt: skip
    settings = {"reference": ["labs"], "models": ["linear"], "preset": "quick", "presence_as_predictor": seed % 4 == 3,
                "evaluation": {"folds": 3, "repeats": 1, "inner_folds": 3}, "seed": seed}  # fmt: skip
    return write_study_folder(s, folder, settings=settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    accused, models, seconds = 0, 0, 0.0
    for seed in range(args.studies):
        study = write(args.out / f"clean{seed}", seed)
        found = audit(cohortium.run(study, jobs=args.jobs).folder, jobs=args.jobs)
        accused += bool(found.accused)
        models += sum(t.trial == "model" and t.verdict == "clean" for t in found.trials)
        seconds += found.seconds
        worst = max((p.shuffled or 0) - p.chance for p in found.permuted)
        print(
            f"{seed} {KINDS[seed % len(KINDS)]}: accused {found.accused or 'nobody'}; furthest above chance {worst:+.3f}",
            flush=True,
        )
    print(f"{args.studies} clean studies: {accused} accused; {models} models the same to the bit; {seconds:.0f} s")


if __name__ == "__main__":
    main()
