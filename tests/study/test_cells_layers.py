"""Genes, surface proteins and open chromatin of the same cells: from one file to a leaderboard and to new patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cohortium
from tests.leaderboards import roc_auc
from tests.sources.test_cells_layers import PROTEINS, cite

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

STUDY = """\
name: cells
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, columns: [age]}
    rna: {shape: cells, file: cells.h5mu, modality: rna, id: patient, cell_type: cell_type, genes: 20}
    protein: {shape: cells, file: cells.h5mu, modality: prot, id: patient, values: clr}
    atac: {shape: cells, file: cells.h5mu, modality: atac, id: patient, values: binary}
endpoints:
  ill: {kind: binary, column: ill, positive: 1}
reference: [clinical]
models: [linear]
preset: quick
evaluation: {repeats: 1, folds: 4, inner_folds: 3}
"""


def write(folder: Path, n: int = 60, seed: int = 0, parts: tuple[str, ...] = ("rna", "prot", "atac")) -> Path:
    """CD8 is dense, and peak 4 open, on the cells of the ill; proteins were not measured in every tenth patient."""
    import mudata

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.5
    rna = cite(n=n, seed=seed, cells=40)
    number = rna.obs["patient"].str[1:].astype(int).to_numpy()
    frame = rna.obsm.pop("protein_expression") if hasattr(rna.obsm, "pop") else rna.obsm["protein_expression"]
    x = frame.to_numpy().astype(float)
    person = rng.normal(0, 0.3, n)
    x[:, PROTEINS.index("CD8")] = rng.poisson(60 * np.exp(0.7 * ill + person)[number])
    prot = anndata.AnnData(x.astype(np.float32), rna.obs.copy(), pd.DataFrame(index=PROTEINS))
    prot = prot[number % 10 != 0].copy()
    chance = np.full((len(number), 40), 0.2)
    chance[:, 4] = np.where(ill, 0.45, 0.2)[number]
    peaks = rng.binomial(2, chance)
    names = pd.DataFrame(index=[f"chr1:{1000 * j}-{1000 * j + 500}" for j in range(40)])
    atac = anndata.AnnData(sparse.csr_matrix(peaks.astype(np.float32)), rna.obs.copy(), names)
    found = {"rna": rna, "prot": prot, "atac": atac}
    mudata.MuData({p: found[p] for p in parts}).write_h5mu(folder / "cells.h5mu")
    units = pd.DataFrame({"id": [f"p{i:02d}" for i in range(n)], "age": rng.normal(60, 9, n).round(1)})
    units.assign(ill=ill.astype(int)).to_csv(folder / "units.csv", index=False)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("layers")
    return cohortium.run(write(root / "data"), root / "run", jobs=1)


def test_proteins_and_peaks_tell_what_genes_do_not(finished: Any) -> None:
    assert roc_auc(finished, "single:protein") > 0.85 and roc_auc(finished, "single:atac") > 0.85
    assert roc_auc(finished, "auto") > 0.8
    modalities = {m.name: m for m in finished.results.cohort.modalities}
    assert (modalities["protein"].n_units, modalities["atac"].n_units) == (54, 60)
    assert [list(modalities[m].kinds) for m in ("rna", "protein", "atac")] == [["genes"], ["proteins"], ["peaks"]]
    assert {"transformed:protein", "transformed:atac"} <= {f.name for f in finished.results.checks}
    assert any("centred log-ratio" in n for n in modalities["protein"].notes)


def test_new_patients_may_lack_a_part_of_the_file(finished: Any, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    write(tmp_path / "all", n=40, seed=3)
    truth = pd.read_csv(tmp_path / "all" / "units.csv")["ill"]
    p = cohortium.predict(finished, tmp_path / "all")
    assert roc_auc_score(truth, p["ill.p_1"]) > 0.85
    write(tmp_path / "some", n=40, seed=3, parts=("rna", "atac"))
    some = cohortium.predict(finished, tmp_path / "some")
    assert set(some["modalities"]) == {"clinical rna atac"} and some["ill.p_1"].between(0, 1).all()
    assert roc_auc_score(truth, some["ill.p_1"]) > 0.75
