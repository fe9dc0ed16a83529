"""A cohort as files in which four modalities tell of three factors; proteins are lacked by a third of the patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

STUDY = """\
name: factors
cohort:
  units: {file: units.csv, id: patient_id}
  modalities:
    labs: {file: labs.csv, kinds: {stage: nominal}}
    rna: {file: rna.csv}
    protein: {file: protein.csv}
    notes: {shape: texts, file: notes.csv, id: patient_id, columns: [text]}
endpoints:
  response: {kind: binary, column: response, positive: yes}
design: {site: hospital}
models: [linear]
preset: quick
evaluation: {folds: 3, inner_folds: 3}
"""
FIXED = "evaluation: {folds: 3, inner_folds: 3}"


def write(folder: Path, n: int = 140, seed: int = 0, study: str = STUDY) -> Path:
    """Write the files and give the study file's path. The last patient has no modality, the first three no outcome."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ids = [f"{i:04d}" for i in range(n)]
    z = factors(n, seed)

    def features(p: int, name: str, noise: float = 1.0) -> pd.DataFrame:
        x = z @ rng.normal(size=(3, p)) * 0.8 + noise * rng.normal(size=(n, p))
        return pd.DataFrame(x.round(3), columns=[f"{name}{j}" for j in range(p)])

    def save(frame: pd.DataFrame, have: np.ndarray, name: str) -> None:
        frame.insert(0, "patient_id", ids)
        have[-1] = False
        frame[have].to_csv(folder / f"{name}.csv", index=False)

    labs = features(6, "lab")
    labs["crp"] = np.exp(labs.pop("lab5") * 1.5).round(3)
    labs.loc[rng.random(n) < 0.1, "lab0"] = np.nan
    labs["sex"] = np.where(rng.random(n) < 0.5, "f", "m")
    labs["stage"] = np.array(["I", "II", "III"])[np.digitize(z[:, 0], [-0.5, 0.5])]
    save(labs, np.ones(n, dtype=bool), "labs")
    save(features(20, "g"), rng.random(n) < 0.9, "rna")
    protein = features(12, "p")
    protein["marker"] = np.exp(protein.pop("p11")).round(3)
    protein["positive"] = np.where(z[:, 1] + rng.normal(size=n) * 0.5 > 0, "yes", "no")
    protein["fixed"] = 1.0
    save(protein, rng.random(n) < 0.67, "protein")
    words = np.where(z[:, 0] > 0, "unwell since days", "in good health today")
    save(pd.DataFrame({"text": words}), rng.random(n) < 0.8, "notes")
    response = np.where(z[:, 0] + rng.normal(size=n) > 0, "yes", "no").astype(object)
    response[:3] = ""
    part = np.where(np.arange(n) % 4 == 0, "test", "train")
    units = {"patient_id": ids, "response": response, "hospital": rng.choice(["north", "south"], size=n), "part": part}
    pd.DataFrame(units).to_csv(folder / "units.csv", index=False)
    file = folder / "study.yaml"
    file.write_text(study)
    return file


def factors(n: int = 140, seed: int = 0) -> np.ndarray:
    """(n, 3) the planted factors of :func:`write`."""
    return np.random.default_rng([seed, 1]).normal(size=(n, 3))
