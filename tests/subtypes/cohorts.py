"""Cohorts with planted clusters and without any."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame

NAMES = ("rna", "protein", "labs")


def cohort_of(
    blocks: dict[str, np.ndarray], have: np.ndarray | None = None, patients: list[str] | None = None
) -> Cohort:
    """have: (n, modalities) who has what; everybody everything by default."""
    n = len(next(iter(blocks.values())))
    ids = pd.Index([f"{i:04d}" for i in range(n)], dtype=object)
    have = np.ones((n, len(blocks)), dtype=bool) if have is None else have
    units = pd.DataFrame({"patient": ids if patients is None else patients}, index=ids)
    tables = {
        name: Table(ids[h], x[h], feature_frame([f"{name}_{j}" for j in range(x.shape[1])]))
        for (name, x), h in zip(blocks.items(), have.T, strict=True)
    }
    return Cohort(units, tables)


def planted(
    rng: np.random.Generator,
    n: int = 120,
    k: int = 3,
    apart: float = 6.0,
    features: int = 20,
    names: tuple[str, ...] = NAMES,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Modalities that tell of k clusters, and the labels; the first half of the features of each is noise."""
    label = np.arange(n) % k
    z = np.eye(k, 4)[label] * apart / np.sqrt(2) + rng.normal(size=(n, 4))
    blocks = {}
    for name in names:
        x = rng.normal(size=(n, features))
        x[:, features // 2 :] += z @ rng.normal(size=(4, features - features // 2)) * 0.6
        blocks[name] = x
    return blocks, label


def noise(
    rng: np.random.Generator, n: int = 100, features: int = 25, names: tuple[str, ...] = NAMES[:2]
) -> dict[str, np.ndarray]:
    """Modalities in which nothing has to do with anything."""
    return {m: rng.normal(size=(n, features)) for m in names}
