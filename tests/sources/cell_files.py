"""Small files of single cells with a planted truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from cohortium.schema.cells import CellsSource
from cohortium.schema.declare import UnitsSource
from cohortium.sources import ReadResult, read_cohort

TYPES = ("B cells", "NK cells", "T cells")


def simulated(n: int = 12, genes: int = 30, cells: int = 60, seed: int = 0, ill: Any = None) -> anndata.AnnData:
    """Cells of n patients ``p00``.., in no order. ill: (n,) bool, who have more NK cells, and g3 in T cells."""
    rng = np.random.default_rng(seed)
    sick = np.zeros(n, dtype=bool) if ill is None else np.asarray(ill)
    size = rng.poisson(cells, n).clip(20)
    owner = np.repeat(np.arange(n), size)
    odds = np.array([[0.3, 0.2, 0.5], [0.25, 0.35, 0.4]])[sick.astype(int)]
    odds = odds * rng.gamma(20, 1, odds.shape)
    kind = np.array([rng.choice(3, p=odds[i] / odds[i].sum()) for i in owner])
    rate = rng.gamma(0.5, 1, (3, genes))[kind]
    rate[:, 3] = np.where(sick[owner] & (kind == 2), 3.0, 0.7)
    x = rng.poisson(rate * rng.gamma(5, 0.2, (len(owner), 1))).astype(np.float32)
    obs = pd.DataFrame(
        {"patient": [f"p{i:02d}" for i in owner], "cell_type": [TYPES[k] for k in kind]},
        index=[f"cell{j}" for j in range(len(owner))],
    )
    data = anndata.AnnData(sparse.csr_matrix(x), obs, pd.DataFrame(index=[f"g{j}" for j in range(genes)]))
    return data[rng.permutation(len(owner))].copy()


def write(folder: Path, data: anndata.AnnData, n: int = 12, **columns: Any) -> None:
    """``cells.h5ad`` and ``units.csv``."""
    data.write_h5ad(folder / "cells.h5ad")
    pd.DataFrame({"id": [f"p{i:02d}" for i in range(n)], **columns}).to_csv(folder / "units.csv", index=False)


def read(folder: Path, patient: str | None = None, **source: Any) -> ReadResult:
    """Read the modality ``cells``; keywords of :class:`CellsSource`."""
    given = {"file": "cells.h5ad", "id": "patient", "cell_type": "cell_type", **source}
    units = UnitsSource(file="units.csv", id="id", patient=patient)
    return read_cohort(units, {"cells": CellsSource(shape="cells", **given)}, folder)
