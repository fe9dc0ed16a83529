"""A study as files in which three modalities tell of planted clusters, and survival differs between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.subtypes.cohorts import NAMES, noise, planted

STUDY = """\
name: kinds
cohort:
  units: {file: units.csv, id: patient_id}
  modalities:
    rna: {file: rna.csv}
    protein: {file: protein.csv}
    labs: {file: labs.csv}
endpoints:
  survival: {kind: survival, time: months, event: died, time_unit: months}
  response: {kind: binary, column: response, positive: yes}
  score: {kind: continuous, column: score}
primary: survival
design: {site: hospital}
models: [linear]
"""


def write(folder: Path, n: int = 120, clusters: bool = True, seed: int = 0) -> Path:
    """Write the files and give the study file's path. A fifth lacks each modality, the last patient all of them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    blocks, label = planted(rng, n) if clusters else (noise(rng, n, 20, NAMES), np.zeros(n, dtype=int))
    ids = np.array([f"{i:03d}" for i in range(n)])
    for j, (name, x) in enumerate(blocks.items()):
        have = rng.random(n) > 0.2
        have[-1] = False
        have[: n - 1 : 3] |= j == 0
        frame = pd.DataFrame(x.round(4), columns=[f"{name}_{k}" for k in range(x.shape[1])])
        frame.insert(0, "patient_id", ids)
        frame[have].to_csv(folder / f"{name}.csv", index=False)
    time = rng.exponential(size=n) * np.array([10.0, 30.0, 90.0])[label]
    units = {
        "patient_id": ids,
        "months": np.minimum(time, 60).round(2) + 0.1,
        "died": (time < 60).astype(int),
        "response": np.where(rng.random(n) < 0.5, "yes", "no"),
        "score": rng.normal(size=n).round(3) + label,
        "hospital": rng.choice(["north", "south"], size=n),
        "truth": label,
    }
    pd.DataFrame(units).to_csv(folder / "units.csv", index=False)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"
