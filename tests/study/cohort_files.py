"""A small cohort as files: a unit table and two modalities, one of them incomplete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

STUDY = """\
name: demo
cohort:
  units: {file: units.csv, id: patient_id}
  modalities:
    clinical: {file: clinical.csv}
    rna: {file: rna.csv}
endpoints:
  response: {kind: binary, column: response, positive: yes}
  os: {kind: survival, time: days, event: {column: status, equals: dead}, time_unit: days}
reference: [clinical]
models: [linear]
learners: [late]
preset: quick
evaluation: {folds: 3, inner_folds: 3, metrics: [roc_auc, brier, harrell_c, auc_t]}
"""


def write(folder: Path, n: int = 120, seed: int = 0, study: str = STUDY, first: int = 0) -> Path:
    """Write the files and give the study file's path. first: number of the first patient."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ids = [f"{first + i:04d}" for i in range(n)]
    x, y = rng.normal(size=(n, 3)).round(4), rng.normal(size=(n, 10)).round(4)
    died = rng.exponential(300 * np.exp(-x[:, 0] - 0.5 * y[:, 0]))
    lost = rng.exponential(600, size=n)
    units = pd.DataFrame(
        {
            "patient_id": ids,
            "days": np.minimum(died, lost).round(1) + 1,
            "status": np.where(died <= lost, "dead", "alive"),
            "response": np.where(x[:, 0] + rng.normal(size=n) > 0, "yes", "no"),
            "hospital": rng.choice(["north", "south", "west"], size=n),
            "part": np.where(np.arange(n) % 3 == 0, "test", "train"),
            "family": [f"F{i // 2}" for i in range(n)],
        }
    )
    units.loc[units.index[:4], "response"] = ""
    units.to_csv(folder / "units.csv", index=False)
    clinical = pd.DataFrame(x, columns=["age", "size", "grade"]).assign(sex=rng.choice(["f", "m"], size=n))
    clinical.insert(0, "patient_id", ids)
    clinical.to_csv(folder / "clinical.csv", index=False)
    rna = pd.DataFrame(y, columns=[f"g{i}" for i in range(10)])
    rna.insert(0, "patient_id", ids)
    rna[rng.random(n) < 0.75].to_csv(folder / "rna.csv", index=False)
    file = folder / "study.yaml"
    file.write_text(study)
    return file
