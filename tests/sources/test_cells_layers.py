"""Several matrices of the same cells: surface proteins, open chromatin, layers, parts of an .h5mu file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import sparse

from cohortium.cohort.cells import Cells
from cohortium.errors import DataError
from cohortium.schema.cells import CellsSource
from cohortium.schema.declare import UnitsSource
from cohortium.sources import propose, read_cohort
from cohortium.sources.cells import matrix
from tests.sources import cell_files as files

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

PROTEINS = ["CD3", "CD4", "CD8", "CD14", "CD19", "CD56"]


def cite(n: int = 12, seed: int = 0, **more: Any) -> anndata.AnnData:
    """:func:`files.simulated` with counts of six surface proteins as a data frame in ``.obsm``."""
    data = files.simulated(n=n, seed=seed, **more)
    rng = np.random.default_rng(seed + 100)
    x = rng.poisson(rng.gamma(2, 20, 6) * rng.gamma(3, 0.3, (data.n_obs, 1)))
    data.obsm["protein_expression"] = pd.DataFrame(x, data.obs_names, PROTEINS)
    return data


def seurat_clr(x: np.ndarray) -> np.ndarray:
    """Seurat's ``CustomNormalize`` with ``margin = 2``, cell by cell."""
    out = np.empty(x.shape)
    for i, cell in enumerate(x.astype(float)):
        out[i] = np.log1p(cell / np.exp(np.log1p(cell[cell > 0]).sum() / len(cell)))
    return out


def cells_of(folder: Path, **source: Any) -> Cells:
    found = files.read(folder, **source).cohort.modalities["cells"]
    assert isinstance(found, Cells)
    return found


def mean_of(frame: pd.DataFrame, data: anndata.AnnData) -> pd.DataFrame:
    return frame.groupby(data.obs["patient"].astype(str).to_numpy()).mean()


def test_proteins_in_obsm_are_centred_within_each_cell(tmp_path: Path) -> None:
    data = cite()
    files.write(tmp_path, data)
    cells = cells_of(tmp_path, obsm="protein_expression", values="clr")
    assert list(cells.genes) == PROTEINS and not cells.counts
    expected = mean_of(pd.DataFrame(seurat_clr(data.obsm["protein_expression"].to_numpy()), columns=PROTEINS), data)
    np.testing.assert_allclose(cells.expression(-1), expected.loc[list(cells.units)], rtol=1e-6)
    result = files.read(tmp_path, obsm="protein_expression", values="clr")
    assert result.transforms["cells"].startswith("centred log-ratio of counts within each cell")
    plain = cells_of(tmp_path, obsm="protein_expression")
    sums = data.obsm["protein_expression"].groupby(data.obs["patient"].astype(str)).sum()
    np.testing.assert_array_equal(plain.sums[plain.offsets[:-1]], sums.loc[list(plain.units)])


@pytest.mark.parametrize("how", ["csr", "csc", "dense"])
@pytest.mark.parametrize("piece", [50, 10**6])
def test_centring_is_the_same_however_the_matrix_is_stored(
    tmp_path: Path, how: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files.simulated()
    dense = data.X.toarray()
    expected = mean_of(pd.DataFrame(seurat_clr(dense)), data)
    data.X = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}[how](dense)
    files.write(tmp_path, data)
    monkeypatch.setattr(matrix, "PIECE", piece)
    cells = cells_of(tmp_path, values="clr")
    np.testing.assert_allclose(cells.expression(-1), expected.loc[list(cells.units)], rtol=1e-6)


def test_a_cell_does_not_depend_on_other_patients(tmp_path: Path) -> None:
    data = cite()
    files.write(tmp_path, data)
    before = cells_of(tmp_path, obsm="protein_expression", values="clr")
    frame = data.obsm["protein_expression"].copy()
    frame[(data.obs["patient"] != "p04").to_numpy()] += 700
    data.obsm["protein_expression"] = frame
    files.write(tmp_path, data)
    after = cells_of(tmp_path, obsm="protein_expression", values="clr")
    i = list(before.units).index("p04")
    np.testing.assert_array_equal(before.expression(-1)[i], after.expression(-1)[i])
    assert (before.expression(-1) != after.expression(-1)).any(axis=1).sum() == 11


def test_open_chromatin_as_counts_or_as_open_or_not(tmp_path: Path) -> None:
    data = files.simulated()
    data.layers["peaks"] = data.X * 2
    files.write(tmp_path, data)
    open_ = pd.DataFrame(data.X.toarray() > 0).groupby(data.obs["patient"].astype(str).to_numpy()).sum()
    cells = cells_of(tmp_path, layer="peaks", values="binary")
    np.testing.assert_array_equal(cells.sums[cells.offsets[:-1]], open_.loc[list(cells.units)])
    np.testing.assert_array_equal(cells.expressing, open_.loc[list(cells.units)])
    share = open_.div(open_.sum(axis=1), axis=0).loc[list(cells.units)]
    np.testing.assert_allclose(cells.expression(-1), np.log1p(1e4 * share), rtol=1e-6)
    assert cells.counts and (cells_of(tmp_path, layer="peaks").sums != cells.sums).any()


@pytest.mark.parametrize("how", ["csr", "csc", "dense"])
def test_features_of_one_type(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell Ranger's files hold genes, antibodies and peaks in one matrix."""
    data = files.simulated()
    kind = np.array(["Gene Expression", "Antibody Capture", "Peaks"])[np.arange(30) % 3]
    data.var["feature_types"] = pd.Categorical(kind)
    if how != "csr":
        data.X = data.X.tocsc() if how == "csc" else data.X.toarray()
    files.write(tmp_path, data)
    monkeypatch.setattr(matrix, "PIECE", 60)
    of_type = {"column": "feature_types", "equals": "Antibody Capture"}
    part = cells_of(tmp_path, features=of_type)
    assert list(part.genes) == [f"g{j}" for j in range(1, 30, 3)]
    whole = cells_of(tmp_path)
    np.testing.assert_array_equal(part.sums, whole.sums[:, 1::3])
    both = cells_of(tmp_path, features={"column": "feature_types", "one_of": ["Peaks", "Antibody Capture"]})
    np.testing.assert_array_equal(both.expressing, whole.expressing[:, np.arange(30) % 3 > 0])
    with pytest.raises(DataError, match=r"no feature has 'feature_types' .* Did you mean 'Antibody Capture'"):
        cells_of(tmp_path, features=of_type | {"equals": "antibody captures"})
    with pytest.raises(DataError, match=r".var has no column 'feature_type'. Did you mean 'feature_types'"):
        cells_of(tmp_path, features=of_type | {"column": "feature_type"})


def two(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> tuple[Cells, Cells]:
    given = {"shape": "cells", "id": "patient"}
    sources = {"rna": CellsSource(**given, **first), "protein": CellsSource(**given, **second)}
    cohort = read_cohort(UnitsSource(file="units.csv", id="id"), sources, folder).cohort
    return cohort.modalities["rna"], cohort.modalities["protein"]  # type: ignore[return-value]


def multi(data: anndata.AnnData) -> Any:
    """The same cells as MuData; proteins were measured in fewer of them, in another order."""
    import mudata

    frame = data.obsm["protein_expression"].iloc[::-1].iloc[:-30]
    prot = anndata.AnnData(sparse.csr_matrix(frame.to_numpy(np.float32)), data.obs.loc[frame.index], None)
    prot.var_names = PROTEINS
    rna = data.copy()
    del rna.obsm["protein_expression"]
    return mudata.MuData({"rna": rna, "prot": prot})


def test_two_modalities_of_one_file(tmp_path: Path) -> None:
    data = cite()
    files.write(tmp_path, data)
    proteins = {"obsm": "protein_expression", "values": "clr"}
    a, b = two(tmp_path, {"file": "cells.h5ad", "cell_type": "cell_type"}, {"file": "cells.h5ad", **proteins})
    assert (len(a.genes), len(b.genes), len(a.types), len(b.types)) == (30, 6, 3, 0)
    np.testing.assert_array_equal(a.n_cells, b.n_cells)
    multi(data).write_h5mu(tmp_path / "cells.h5mu")
    prot = {"file": "cells.h5mu", "modality": "prot", "values": "clr"}
    c, d = two(tmp_path, {"file": "cells.h5mu", "modality": "rna", "cell_type": "cell_type"}, prot)
    np.testing.assert_array_equal(a.sums, c.sums)
    assert list(d.genes) == PROTEINS and int(d.n_cells.sum()) == int(b.n_cells.sum()) - 30


def test_new_files_are_centred_on_the_features_of_the_model(tmp_path: Path) -> None:
    data = cite()
    files.write(tmp_path, data)
    fitted = cells_of(tmp_path, **ASKED)

    def again() -> Cells:
        source = {"cells": CellsSource(shape="cells", file="cells.h5ad", id="patient", **ASKED)}
        found = read_cohort(
            UnitsSource(file="units.csv", id="id"), source, tmp_path, expected={"cells": fitted.features}
        )
        return found.cohort.modalities["cells"]  # type: ignore[return-value]

    frame = data.obsm["protein_expression"]
    data.obsm["protein_expression"] = frame[PROTEINS[::-1]].assign(CD45=900)
    files.write(tmp_path, data)
    new = again()
    np.testing.assert_allclose(new.expression(-1)[:, ::-1], fitted.expression(-1), rtol=1e-6)
    data.obsm["protein_expression"] = frame[PROTEINS[:5]]
    files.write(tmp_path, data)
    with pytest.raises(
        DataError, match=r"'protein_expression' of .obsm has 5 of the 6 features .* ratios within a cell"
    ):
        again()


def _no_names(data: anndata.AnnData) -> None:
    data.obsm["protein_expression"] = data.obsm["protein_expression"].to_numpy()


def _put(value: Any, column: str = "CD8") -> Any:
    def change(data: anndata.AnnData) -> None:
        frame = data.obsm["protein_expression"].astype({column: object if isinstance(value, str) else float})
        frame.iloc[4, frame.columns.get_loc(column)] = value
        data.obsm["protein_expression"] = frame.astype({column: str}) if isinstance(value, str) else frame

    return change


ASKED = {"obsm": "protein_expression", "values": "clr"}
HOSTILE = {
    "no such matrix": (
        lambda d: None, {"obsm": "protein_expresion"},
        r"cells.h5ad has no matrix 'protein_expresion' in .obsm. Did you mean 'protein_expression'",
    ),
    "an embedding": (_no_names, ASKED, r"'protein_expression' of .obsm has no names of columns. Store it as a pandas Data"),
    "fractional": (_put(1.5), ASKED, r"cells.h5ad, cell 5, gene 'CD8': a fractional number; expected counts.*values: log"),
    "negative": (_put(-3), ASKED, r"cells.h5ad, cell 5, gene 'CD8': a negative number; expected counts"),
    "missing": (_put(np.nan), ASKED, r"cells.h5ad, cell 5, gene 'CD8': the value is missing or infinite"),
    "texts": (_put("low"), ASKED, r"cells.h5ad: 'CD8' in 'protein_expression' of .obsm is .*expected numbers|no column of"),
    "fractional peaks": (
        lambda d: d.layers.__setitem__("peaks", d.X * 0.5), {"layer": "peaks", "values": "binary"},
        r"cells.h5ad, cell \d+, gene 'g\d+': a fractional number",
    ),
    "no such layer": (lambda d: None, {"layer": "peaks", "values": "binary"}, r"cells.h5ad has no layer 'peaks'"),
    "no such patient": (lambda d: None, {**ASKED, "id": "donor"}, r".obs has no column 'donor'"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_matrices(tmp_path: Path, name: str) -> None:
    change, source, message = HOSTILE[name]
    data = cite()
    change(data)
    files.write(tmp_path, data)
    with pytest.raises(DataError, match=message) as e:
        files.read(tmp_path, **source)
    assert "p0" not in str(e.value)


def test_a_column_of_obsm_that_is_too_short(tmp_path: Path) -> None:
    files.write(tmp_path, cite())
    with h5py.File(tmp_path / "cells.h5ad", "r+") as f:
        del f["obsm/protein_expression/CD8"]
        f["obsm/protein_expression/CD8"] = np.ones(7)
    with pytest.raises(
        DataError, match=r"cells.h5ad: 'CD8' in 'protein_expression' of .obsm is no column of \d+ numbers"
    ):
        cells_of(tmp_path, **ASKED)


def test_declarations_that_do_not_fit() -> None:
    good = {"shape": "cells", "id": "patient", "file": "cells.h5ad"}
    for wrong, message in (
        ({"obsm": "protein", "layer": "counts"}, "obsm is read instead of X"),
        ({"obsm": "protein", "features": {"column": "t", "equals": "x"}}, "leave out layer and features"),
        ({"features": {"column": "t"}}, "neither equals nor one_of"),
        ({"values": "arcsinh"}, "counts"),
    ):
        with pytest.raises(ValidationError, match=message):
            CellsSource(**(good | wrong))  # type: ignore[arg-type]


def proposal(folder: Path) -> str:
    frame = pd.read_csv(folder / "units.csv", dtype=str)
    frame.assign(age=range(40, 52), response=["yes", "no"] * 6).to_csv(folder / "units.csv", index=False)
    return propose(folder)


def test_init_proposes_proteins_beside_genes(tmp_path: Path) -> None:
    from cohortium.study import parse_study

    data = cite()
    files.write(tmp_path, data)
    modalities = parse_study(proposal(tmp_path), "study.yaml").cohort.modalities
    assert modalities["cells_protein_expression"].obsm == "protein_expression"
    assert (modalities["cells"].values, modalities["cells_protein_expression"].values) == ("counts", "clr")
    (tmp_path / "cells.h5ad").unlink()
    multi(data).write_h5mu(tmp_path / "cite.h5mu")
    files.write(tmp_path, files.simulated())
    (tmp_path / "cells.h5ad").unlink()
    spec = parse_study(proposal(tmp_path), "study.yaml").cohort
    assert {n: (m.modality, m.values) for n, m in spec.modalities.items() if m.shape == "cells"} == {
        "cite_rna": ("rna", "counts"), "cite_prot": ("prot", "clr"),
    }  # fmt: skip
    cohort = read_cohort(spec.units, {n: m for n, m in spec.modalities.items() if m.shape == "cells"}, tmp_path).cohort
    assert list(cohort.modalities["cite_prot"].features.index) == PROTEINS
