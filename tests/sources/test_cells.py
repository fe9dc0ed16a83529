"""Single cells: sums against pandas, however the matrix is stored, and what is refused."""

from __future__ import annotations

import shutil
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import sparse

from cohortium.cohort import Cohort, read_stored_cohort, write_cohort
from cohortium.cohort.cells import Cells
from cohortium.errors import DataError
from cohortium.schema.cells import CellsSource
from cohortium.sources.cells import matrix
from tests.sources import cell_files as files

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def cells_of(folder: Path, **source: Any) -> Cells:
    found = files.read(folder, **source).cohort.modalities["cells"]
    assert isinstance(found, Cells)
    return found


def same(a: Cells, b: Cells) -> None:
    assert list(a.units) == list(b.units)
    for (name, x), (_, y) in zip(a.arrays(), b.arrays(), strict=True):
        np.testing.assert_array_equal(x, y, err_msg=name)


def test_pseudobulk_equals_pandas_groupby(tmp_path: Path) -> None:
    data = files.simulated()
    data.obs.loc[data.obs_names[::9], "cell_type"] = None
    files.write(tmp_path, data)
    cells = cells_of(tmp_path, min_cells=12)
    frame = pd.DataFrame(data.X.toarray().astype(float), columns=list(data.var_names))
    patient, kind = data.obs["patient"].to_numpy(), data.obs["cell_type"].astype(object)
    total, above = frame.groupby(patient).sum(), (frame > 0).groupby(patient).sum()
    np.testing.assert_array_equal(cells.sums[cells.offsets[:-1]], total.loc[list(cells.units)])
    np.testing.assert_array_equal(cells.expressing, above.loc[list(cells.units)])
    of_type = pd.crosstab(patient, kind.fillna("none").to_numpy())
    np.testing.assert_array_equal(cells.n_of_type, of_type.loc[list(cells.units), list(files.TYPES)])
    np.testing.assert_array_equal(cells.n_cells, of_type.sum(axis=1).loc[list(cells.units)])
    by_type, seen = frame.groupby([patient, kind.to_numpy()]).sum(), 0
    for k, t in enumerate(cells.types):
        units, rows = cells.rows_of(k)
        enough = of_type.loc[list(cells.units), t].to_numpy() >= 12
        np.testing.assert_array_equal(np.flatnonzero(enough), units)
        for u, r in zip(units, rows, strict=True):
            np.testing.assert_array_equal(cells.sums[r], by_type.loc[(cells.units[u], t)])
            seen += 1
        x = cells.expression(k)
        assert np.isnan(x[~enough]).all() and np.isfinite(x[enough]).all()
    assert 0 < seen == len(cells.sums) - 12 < 36
    scaled = np.log1p(1e4 * total.div(total.sum(axis=1), axis=0))
    np.testing.assert_allclose(cells.expression(-1), scaled.loc[list(cells.units)], rtol=1e-12)
    two = np.array([4, 1])
    np.testing.assert_allclose(cells.expression(-1, two), cells.expression(-1)[:, two])


@pytest.mark.parametrize("by_gene", [False, True])
def test_the_matrix_is_never_in_memory(tmp_path: Path, by_gene: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    x = sparse.csr_matrix((rng.random((6000, 1000)) < 0.2).astype(np.float32))
    obs = pd.DataFrame(
        {"patient": rng.choice([f"p{i:02d}" for i in range(5)], 6000)}, index=np.arange(6000).astype(str)
    )
    data = anndata.AnnData(x.tocsc() if by_gene else x, obs, pd.DataFrame(index=np.arange(1000).astype(str)))
    files.write(tmp_path, data, n=5)
    size = x.data.nbytes + x.indices.nbytes
    files.read(tmp_path, cell_type=None)  # what is imported on the way does not count
    monkeypatch.setattr(matrix, "PIECE", 20_000)
    tracemalloc.start()
    cells = cells_of(tmp_path, cell_type=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2 and cells.sums.sum() == x.nnz


STORED = {
    "csr": lambda x: x.tocsr(),
    "csc": lambda x: x.tocsc(),
    "dense": lambda x: x.toarray(),
    "integers": lambda x: x.toarray().astype(np.uint16),
    "csr of integers": lambda x: x.tocsr().astype(np.int64),
}


@pytest.mark.parametrize("how", STORED)
@pytest.mark.parametrize("piece", [7, 300, 10**6])
def test_every_storage_in_any_pieces_gives_the_same(
    tmp_path: Path, how: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files.simulated()
    files.write(tmp_path, data)
    expected = cells_of(tmp_path)
    data.X = STORED[how](data.X)
    files.write(tmp_path, data)
    monkeypatch.setattr(matrix, "PIECE", piece)
    same(expected, cells_of(tmp_path))


def test_the_order_of_cells_does_not_matter(tmp_path: Path) -> None:
    data = files.simulated()
    files.write(tmp_path, data)
    expected = cells_of(tmp_path)
    files.write(tmp_path, data[np.random.default_rng(5).permutation(data.n_obs)].copy())
    same(expected, cells_of(tmp_path))
    logs = data.copy()
    logs.X = logs.X.log1p()
    files.write(tmp_path, logs)
    a = cells_of(tmp_path, values="log")
    files.write(tmp_path, logs[::-1].copy())
    np.testing.assert_allclose(a.sums, cells_of(tmp_path, values="log").sums, rtol=1e-6)


def test_unsorted_and_repeated_entries_of_a_sparse_matrix_are_read_right(tmp_path: Path) -> None:
    data = files.simulated()
    files.write(tmp_path, data)
    expected = cells_of(tmp_path)
    with h5py.File(tmp_path / "cells.h5ad", "r+") as f:
        x, indptr, indices = f["X/data"][:], f["X/indptr"][:], f["X/indices"][:]
        for a, b in pairwise(indptr):
            x[a:b], indices[a:b] = x[a:b][::-1].copy(), indices[a:b][::-1].copy()
        halves = np.stack([np.ones_like(x), x - 1], axis=1).ravel()
        for name, values in (("data", halves), ("indices", np.repeat(indices, 2)), ("indptr", indptr * 2)):
            del f[f"X/{name}"]
            f[f"X/{name}"] = values
    same(expected, cells_of(tmp_path))


def test_a_mean_of_logarithms(tmp_path: Path) -> None:
    data = files.simulated()
    data.layers["log"] = data.X.log1p()
    files.write(tmp_path, data)
    cells = cells_of(tmp_path, values="log", layer="log")
    frame = pd.DataFrame(data.layers["log"].toarray())
    mean = frame.groupby([data.obs["patient"].to_numpy(), data.obs["cell_type"].to_numpy()]).mean()
    k = list(cells.types).index("T cells")
    x = cells.expression(k)
    for i in np.flatnonzero(np.isfinite(x).all(axis=1)):
        np.testing.assert_allclose(x[i], mean.loc[(cells.units[i], "T cells")], rtol=1e-5)


def test_counts_in_raw_have_genes_of_their_own(tmp_path: Path) -> None:
    data = files.simulated()
    files.write(tmp_path, data)
    expected = cells_of(tmp_path)
    data.raw = data
    data = data[:, ["g4", "g2"]].copy()
    data.X = data.X.log1p()
    files.write(tmp_path, data)
    same(expected, cells_of(tmp_path, layer="raw"))
    with pytest.raises(DataError, match="fractional"):
        files.read(tmp_path)


def test_files_of_older_versions(tmp_path: Path) -> None:
    """Coded columns whose levels lie apart (0.7), ; .obs as one table of records (0.6) is refused."""
    data = files.simulated()
    files.write(tmp_path, data)
    expected = cells_of(tmp_path)
    with h5py.File(tmp_path / "cells.h5ad", "r+") as f:
        for column in ("patient", "cell_type"):
            levels, codes = f[f"obs/{column}/categories"][:], f[f"obs/{column}/codes"][:]
            del f[f"obs/{column}"]
            f[f"obs/__categories/{column}"] = levels
            f[f"obs/{column}"] = codes
            f[f"obs/{column}"].attrs["categories"] = f[f"obs/__categories/{column}"].ref
        f["obs"].attrs["encoding-version"] = "0.1.0"
    same(expected, cells_of(tmp_path))
    with h5py.File(tmp_path / "cells.h5ad", "r+") as f:
        text = h5py.string_dtype()
        obs = np.zeros(data.n_obs, dtype=[("index", text), ("patient", text), ("cell_type", text)])
        obs["index"], obs["patient"] = data.obs_names, data.obs["patient"].astype(str)
        obs["cell_type"] = data.obs["cell_type"].astype(str)
        var = np.zeros(30, dtype=[("index", text)])
        var["index"] = data.var_names
        del f["obs"], f["var"]
        f["obs"], f["var"] = obs, var
    with pytest.raises(DataError, match=r"cells.h5ad was written by anndata before 0.7"):
        files.read(tmp_path)


def test_who_has_too_few_cells_lacks_the_modality(tmp_path: Path) -> None:
    data = files.simulated()
    keep = (data.obs["patient"] != "p03").to_numpy()
    keep[np.flatnonzero(data.obs["patient"] == "p03")[:4]] = True
    keep[(data.obs["patient"] == "p05").to_numpy()] = False
    data = data[keep].copy()
    data.obs["patient"] = data.obs["patient"].astype(str).replace("p07", "unassigned")
    files.write(tmp_path, data)
    found = files.read(tmp_path)
    absent = found.cohort.absent["cells"]
    assert (absent["p03"], absent["p05"], absent["p07"]) == ("failed_qc", "not_measured", "not_measured")
    assert (absent == "present").sum() == 9
    assert found.unmatched["cells"] == (data.obs["patient"] == "unassigned").sum()
    assert "p03" not in str(found.notes) and any("fewer than 10 cells" in n for n in found.notes["cells"])
    # Cells of nobody, and of those with too few, leave no trace in the others.
    files.write(tmp_path, data[~data.obs["patient"].isin(["p03", "unassigned"]).to_numpy()].copy())
    same(found.cohort.modalities["cells"], cells_of(tmp_path))  # type: ignore[arg-type]


def test_units_of_one_patient_have_the_patients_cells(tmp_path: Path) -> None:
    data = files.simulated(n=3)
    data.obs["patient"] = data.obs["patient"].astype(str) + "-tumour"
    data.write_h5ad(tmp_path / "cells.h5ad")
    pd.DataFrame({"id": ["a", "b", "c", "d"], "who": ["p02", "p00", "p02", "p09"]}).to_csv(
        tmp_path / "units.csv", index=False
    )
    cells = files.read(tmp_path, patient="who", id_rule={"split": "-"}).cohort.modalities["cells"]
    assert list(cells.units) == ["a", "b", "c"]
    np.testing.assert_array_equal(cells.take(np.array([0])).sums, cells.take(np.array([2])).sums)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"Try id_rule: \{first: 3\}|Try id_rule: \{split: '-', part: 0\}"):
        files.read(tmp_path, patient="who")


def test_ids_and_types_as_numbers(tmp_path: Path) -> None:
    data = files.simulated(n=4)
    data.obs["patient"] = data.obs["patient"].str[1:].astype(float) + 1
    data.obs["cell_type"] = data.obs["cell_type"].map({t: i for i, t in enumerate(files.TYPES)}).astype(int)
    files.write(tmp_path, data)
    pd.DataFrame({"id": ["1", "2", "3", "4"]}).to_csv(tmp_path / "units.csv", index=False)
    cells = cells_of(tmp_path)
    assert list(cells.units) == ["1", "2", "3", "4"] and list(cells.types) == ["0", "1", "2"]


def test_without_cell_types(tmp_path: Path) -> None:
    files.write(tmp_path, files.simulated())
    cells = cells_of(tmp_path, cell_type=None)
    assert len(cells.types) == 0 and len(cells.sums) == 12
    assert cells.as_table().n_features == 1 + 30


def test_a_modality_of_an_h5mu_with_columns_that_modalities_share(tmp_path: Path) -> None:
    import mudata

    data = files.simulated()
    files.write(tmp_path, data)
    expected = cells_of(tmp_path)
    protein = anndata.AnnData(np.ones((40, 2)), pd.DataFrame(index=[f"cell{j}" for j in range(30, 70)]))
    protein.var_names = ["CD3", "CD19"]
    other = data.copy()
    del other.obs["patient"]
    both = mudata.MuData({"prot": protein, "rna": other})
    both.obs["patient"] = data.obs["patient"].astype(str).reindex(both.obs_names)
    both.write_h5mu(tmp_path / "cells.h5mu")
    same(expected, cells_of(tmp_path, file="cells.h5mu", modality="rna"))
    proteins = cells_of(tmp_path, file="cells.h5mu", modality="prot", cell_type=None, min_cells=1)
    assert list(proteins.genes) == ["CD3", "CD19"] and int(proteins.n_cells.sum()) == 40
    with pytest.raises(DataError, match=r"no modality 'rnaa'.*Did you mean 'rna'"):
        files.read(tmp_path, file="cells.h5mu", modality="rnaa")


def test_taken_and_stored_cells_are_the_same(tmp_path: Path) -> None:
    files.write(tmp_path, files.simulated())
    cohort = files.read(tmp_path).cohort
    cells = cohort.modalities["cells"]
    rows = np.array([7, 0, 3])
    part = cells.take(rows)
    np.testing.assert_array_equal(part.expression(1), cells.expression(1)[rows])  # type: ignore[attr-defined]
    assert part.sums.base is None, "no other unit's sums are reachable"  # type: ignore[attr-defined]
    write_cohort(cohort, tmp_path / "stored")
    same(cells, read_stored_cohort(tmp_path / "stored").modalities["cells"])  # type: ignore[arg-type]
    untyped = files.read(tmp_path, cell_type=None).cohort
    write_cohort(untyped, tmp_path / "stored")
    same(untyped.modalities["cells"], read_stored_cohort(tmp_path / "stored").modalities["cells"])  # type: ignore[arg-type]
    write_cohort(Cohort(untyped.units, {"none": cells.take(np.zeros(0, dtype=np.intp))}), tmp_path / "stored")
    assert len(read_stored_cohort(tmp_path / "stored").modalities["none"].units) == 0


def edit(folder: Path, change: Any) -> None:
    data = files.simulated()
    change(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files.write(folder, data)


def _value(value: float) -> Any:
    def change(data: anndata.AnnData) -> None:
        x = data.X.toarray()
        x[4, 3] = value
        data.X = sparse.csr_matrix(x)

    return change


def _nobody(data: anndata.AnnData) -> None:
    data.obs["patient"] = "subject_x"


def _no_id(data: anndata.AnnData) -> None:
    data.obs.loc[data.obs_names[2], "patient"] = None


def _empty_id(data: anndata.AnnData) -> None:
    data.obs["patient"] = data.obs["patient"].astype(str)
    data.obs.loc[data.obs_names[2], "patient"] = " "


def _twice(data: anndata.AnnData) -> None:
    data.var_names = ["g0", "CD3E", "CD3E", *data.var_names[3:]]


def _no_type(data: anndata.AnnData) -> None:
    data.obs["cell_type"] = ""


def _many_types(data: anndata.AnnData) -> None:
    data.obs["cell_type"] = data.obs_names


HOSTILE = {
    "no patient": (_no_id, {}, r"cells.h5ad, column 'patient', cell 3: no id"),
    "an empty patient": (_empty_id, {}, r"cells.h5ad, column 'patient': an id is empty"),
    "nobody matches": (_nobody, {}, r"cells.h5ad, column 'patient': no cell .* belongs to the cohort. Ids have 9"),
    "a gene twice": (_twice, {}, r"cells.h5ad: the gene 'CD3E' is there twice"),
    "negative": (_value(-1), {}, r"cells.h5ad, cell 5, gene 'g3': a negative number; expected counts"),
    "fractional": (_value(0.5), {}, r"cells.h5ad, cell 5, gene 'g3': a fractional number.*values: log"),
    "missing": (_value(np.nan), {}, r"cells.h5ad, cell 5, gene 'g3': the value is missing or infinite"),
    "infinite": (_value(np.inf), {"values": "log"}, r"cell 5, gene 'g3': the value is missing or infinite"),
    "counts as logs": (_value(900), {"values": "log"}, r"cell 5, gene 'g3': .* no logarithm. Say values: counts"),
    "no such column": (lambda d: None, {"id": "patientt"}, r"no column 'patientt'. Did you mean 'patient'"),
    "no such type": (lambda d: None, {"cell_type": "celltype"}, r"no column 'celltype'. Did you mean 'cell_type'"),
    "no such layer": (lambda d: None, {"layer": "raw"}, r"cells.h5ad has no layer 'raw'"),
    "no types": (_no_type, {}, r"column 'cell_type': no cell of the cohort has a type"),
    "types are barcodes": (_many_types, {}, r"column 'cell_type' has \d+ values; expected cell types"),
    "few cells": (lambda d: None, {"min_cells": 500}, r"nobody of modality 'cells' has 500 cells"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_contents(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cohortium.sources.cells import assemble

    monkeypatch.setattr(assemble, "MOST_TYPES", 100)
    change, source, message = HOSTILE[name]
    edit(tmp_path, change)
    with pytest.raises(DataError, match=message) as e:
        files.read(tmp_path, **source)
    assert "p0" not in str(e.value) and "subject_x" not in str(e.value)


def test_empty_matrices(tmp_path: Path) -> None:
    data = files.simulated()
    for empty in (data[:0].copy(), data[:, :0].copy()):
        files.write(tmp_path, empty)
        with pytest.raises(DataError, match=r"cells.h5ad has 0 (cells|genes)"):
            files.read(tmp_path)
    nothing = anndata.AnnData(None, data.obs, data.var)
    files.write(tmp_path, nothing)
    with pytest.raises(DataError, match=r"cells.h5ad has no X"):
        files.read(tmp_path)
    data.X = sparse.csr_matrix(data.shape, dtype=np.float32)  # everybody has cells, none has a count
    files.write(tmp_path, data)
    assert np.isnan(cells_of(tmp_path).expression(-1)).all()


def test_broken_files(tmp_path: Path) -> None:
    data = files.simulated()
    files.write(tmp_path, data)
    whole = (tmp_path / "cells.h5ad").read_bytes()
    for broken in (
        b"",
        b"\x89HDF\r\n\x1a\n",
        b"id,value\n1,2\n",
        whole[: len(whole) // 2],
        whole[:-1000],
        whole[5000:],
    ):
        (tmp_path / "cells.h5ad").write_bytes(broken)
        with pytest.raises(DataError, match=r"^cells.h5ad (is no readable AnnData|is empty)"):
            files.read(tmp_path)
    (tmp_path / "cells.h5ad").unlink()
    with pytest.raises(DataError, match=r"No file 'cells.h5ad'"):
        files.read(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    files.write(tmp_path, files.simulated())
    whole, rng = (tmp_path / "cells.h5ad").read_bytes(), np.random.default_rng(seed)
    for _ in range(10):
        out = bytearray(whole)
        for k in rng.integers(len(whole), size=20):
            out[k] = rng.integers(256)
        (tmp_path / "cells.h5ad").write_bytes(bytes(out))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                files.read(tmp_path)
            except DataError as e:
                assert str(e).startswith("cells.h5ad")


def test_broken_parts(tmp_path: Path) -> None:
    files.write(tmp_path, files.simulated())
    shutil.copy(tmp_path / "cells.h5ad", tmp_path / "whole.h5ad")

    def refused(change: Any, message: str) -> None:
        shutil.copy(tmp_path / "whole.h5ad", tmp_path / "cells.h5ad")
        with h5py.File(tmp_path / "cells.h5ad", "r+") as f:
            change(f)
        with pytest.raises(DataError, match=message):
            files.read(tmp_path)

    def put(name: str, value: Any) -> Any:
        def change(f: h5py.File) -> None:
            x = f[name][:]
            x[10] = value
            f[name][:] = x

        return change

    def drop(name: str) -> Any:
        return lambda f: f.__delitem__(name)

    def text(f: h5py.File) -> None:
        n = len(f["X/data"])
        del f["X/data"]
        f["X/data"] = np.full(n, b"x")

    def shape(f: h5py.File) -> None:
        f["X"].attrs["shape"] = (10**9, 10**6)

    refused(put("X/indptr", 10**6), r"sparse matrix X is broken \(indptr\)")
    refused(put("X/indices", 30), r"sparse matrix X is broken \(indices\)")
    refused(put("X/indices", -1), r"sparse matrix X is broken \(indices\)")
    refused(text, r"X is of type .*expected numbers")
    refused(shape, r"X is 1,000,000,000 × 1,000,000; there are")
    refused(drop("X/indptr"), "is no readable AnnData")
    refused(drop("obs"), "has no 'obs'")
    refused(drop("var"), "has no 'var'")


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    data = files.simulated()
    files.write(tmp_path / "study", data)
    (tmp_path / "study" / "cells.h5ad").rename(tmp_path / "elsewhere.h5ad")
    (tmp_path / "study" / "cells.h5ad").symlink_to(tmp_path / "elsewhere.h5ad")
    with pytest.raises(DataError, match=r"cells.h5ad leads out of its folder"):
        files.read(tmp_path / "study")
    (tmp_path / "study" / "cells.h5ad").unlink()
    files.write(tmp_path / "study", data)
    with h5py.File(tmp_path / "study" / "cells.h5ad", "r+") as f:
        del f["X"]
        f["X"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5ad"), "/X")
    with pytest.raises(DataError, match=r"cells.h5ad points to another file"):
        files.read(tmp_path / "study")
    with h5py.File(tmp_path / "study" / "cells.h5ad", "r+") as f:
        del f["X"]
        raw = [(str(tmp_path / "elsewhere.h5ad"), 0, data.n_obs * 30)]
        f.create_dataset("X", (data.n_obs, 30), "uint8", external=raw)
    with pytest.raises(DataError, match=r"cells.h5ad keeps values in another file"):
        files.read(tmp_path / "study")


def test_declarations_that_do_not_fit() -> None:
    good = {"shape": "cells", "id": "patient"}
    for wrong, message in (
        ({"file": "cells.csv"}, "h5ad and .h5mu"),
        ({"file": "cells.h5mu"}, "modality says which"),
        ({"file": "cells.h5ad", "modality": "rna"}, "modality says which"),
        ({"file": "cells.h5ad", "cell_type": "patient"}, "same column"),
        ({"file": "cells.h5ad", "min_cells": 0}, "greater than 0"),
    ):
        with pytest.raises(ValidationError, match=message):
            CellsSource(**(good | wrong))  # type: ignore[arg-type]
    assert CellsSource(**good, file="a/cells.h5ad").paths == ["a/cells.h5ad"]  # type: ignore[arg-type]
