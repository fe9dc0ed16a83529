"""The simulated hospital's folder, whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cohortium.errors import DataError
from cohortium.testing.hospital.cells import write_cells
from cohortium.testing.hospital.images import write_ct, write_tiles
from cohortium.testing.hospital.molecules import write_protein, write_rna, write_variants
from cohortium.testing.hospital.people import AGE_EFFECT, EFFECTS, FAMILIES, Array, People, draw_people
from cohortium.testing.hospital.records import write_notes, write_records

Writer = Callable[[People, Path, np.random.Generator], dict[str, Any]]

WRITERS: dict[str, Writer] = {
    "rna": write_rna, "protein": write_protein, "variants": write_variants, "cells": write_cells, "ct": write_ct,
    "tiles": write_tiles, "records": write_records, "notes": write_notes,
}  # fmt: skip


def write_hospital(
    folder: Path, patients: int = 300, seed: int = 0, only: tuple[str, ...] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Path:  # fmt: skip
    """Write a cohort of so many patients into a new folder.

    only: modalities to write (default all). Returns the folder. Raises :class:`DataError` when it is there and not
    empty, and :class:`MissingExtra` when a format's package is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already and is not empty. Give a new folder.")
    if only is None or "ct" in only:
        from cohortium._optional import require

        # Asked for before anything is written: the packages are the same for every cohort.
        require("pydicom", extra="imaging", purpose="Writing DICOM series")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as e:
        raise DataError(f"{folder} cannot be written: {e.strerror}. Give a folder that can.") from e
    try:
        people = draw_people(patients, np.random.default_rng([seed, 1]))
        people.table.to_csv(part / "patients.csv")
        carried = {}
        for k, (name, write) in enumerate(WRITERS.items()):
            if only is None or name in only:
                progress(name)
                # A stream for each modality: leaving one out does not change the others.
                carried[name] = write(people, part, np.random.default_rng([seed, 2, k]))
        _truth(people, carried, seed, part / "truth.json")
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def _truth(people: People, carried: dict[str, Any], seed: int, file: Path) -> None:
    relapse = (people.table["relapse"] == "yes").to_numpy()
    families = {}
    for family, members in FAMILIES.items():
        score = sum((EFFECTS[m] * people.driver[m] for m in members if m in EFFECTS), np.zeros(len(relapse)))
        families[family] = round(auc(relapse, np.asarray(score)), 4)
    truth = {
        "seed": seed,
        "patients": len(relapse),
        "outcome": "relapse: logistic in the causes below; death: hazard grows with the same log odds",
        "effects_per_sd": EFFECTS | {"protein": 0.0, "age": AGE_EFFECT},
        "best_auc": round(auc(relapse, people.logit), 4),
        "best_auc_of_family": families,
        "modalities": carried,
        "families": {f: list(m) for f, m in FAMILIES.items()},
    }
    file.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def auc(positive: np.ndarray, score: Array) -> float:
    """Area under the ROC curve by ranks (no ties expected)."""
    rank = np.argsort(np.argsort(score)) + 1.0
    n = positive.sum()
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))
