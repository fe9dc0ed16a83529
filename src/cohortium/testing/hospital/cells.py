"""Single cells as h5ad: counts, a patient and a cell type each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.testing.hospital.people import People

TYPES = ("T cell", "B cell", "monocyte", "NK cell", "fibroblast")
GENES = 80
FEWEST, MOST = 40, 90


def write_cells(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``cells.h5ad``: the share of T cells, and five genes of the monocytes, follow the cause."""
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    base = np.log(rng.gamma(0.6, 1.0, (len(TYPES), GENES)) + 0.05)
    causal = np.sort(rng.choice(GENES, 5, replace=False))
    blocks, owner, kind = [], [], []
    for i in np.flatnonzero(people.present["cells"].to_numpy()):
        cause = people.driver["cells"][i]
        share = np.array([0.2 + 0.75 * cause, 0.0, 0.3, -0.5, -0.3]) + rng.normal(0, 0.25, len(TYPES))
        share = np.exp(share) / np.exp(share).sum()
        of = rng.choice(len(TYPES), rng.integers(FEWEST, MOST), p=share)
        rate = base[of]
        rate[np.ix_(of == 2, causal)] += 0.5 * cause
        blocks.append(csr_matrix(rng.poisson(np.exp(rate)).astype(np.float32)))
        owner += [people.table.index[i]] * len(of)
        kind += [TYPES[t] for t in of]
    from scipy.sparse import vstack

    names = [f"CELL{k:02d}" for k in range(1, GENES + 1)]
    obs = pd.DataFrame(
        {"patient_id": owner, "cell_type": pd.Categorical(kind)}, index=[f"cell{k}" for k in range(len(owner))]
    )
    order = rng.permutation(len(owner))
    data = AnnData(vstack(blocks).tocsr()[order], obs=obs.iloc[order], var=pd.DataFrame(index=names))
    data.write_h5ad(folder / "cells.h5ad")
    return {"causal": ["share of T cell", *(names[c] for c in causal)]}
