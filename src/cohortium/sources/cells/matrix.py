"""AnnData (.h5ad) and MuData (.h5mu) files, read column by column and the matrix piece by piece.

The matrix never is in memory as a whole, whether it is stored by cells (CSR), by genes (CSC) or dense.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, did_you_mean
from cohortium.schema.declare import Where
from cohortium.sources.packed import check_h5
from cohortium.sources.raw import equals

PIECE = 4_000_000
"""Stored numbers that are in memory at a time."""

MOST_CELLS, MOST_GENES = 500_000_000, 5_000_000
"""A file that claims more is broken."""


@dataclass(frozen=True, eq=False)
class Piece:
    """cells, genes: slices of the matrix that the piece is. x: (cells, genes) CSR, without duplicates."""

    cells: slice
    genes: slice
    x: Any


class CellFile:
    """An open file. name: for complaints. n_cells: observations. Made by :func:`opened`."""

    def __init__(self, name: str, file: Any, modality: str | None) -> None:
        self.name, self.file, self.modality = name, file, modality
        self.top = file
        if modality is not None:
            known = list(file["mod"]) if "mod" in file else []
            if modality not in known:
                raise DataError(f"{name} has no modality '{modality}'.{did_you_mean(modality, known)}")
            self.top = file["mod"][modality]
        for part in ("obs", "var"):
            if part not in self.top:
                raise DataError(f"{name} has no '{part}': it is no AnnData file.")
            if not hasattr(self.top[part], "keys"):
                raise DataError(f"{name} was written by anndata before 0.7. Read it with anndata, and write it again.")
        self.n_cells = int(self.top["obs"][_index_of(self.top["obs"])].shape[0])

    def column(self, name: str) -> pd.Series:
        """(n_cells,) a column of .obs; of an .h5mu file also from the .obs that its modalities share."""
        obs = self.top["obs"]
        own = _columns(obs)
        if name in own:
            return self._checked(name, _read(obs, name), self.n_cells)
        shared: list[str] = []
        if self.modality is not None and "obs" in self.file and self.modality in self.file.get("obsmap", {}):
            shared = _columns(self.file["obs"])
            for called in (name, f"{self.modality}:{name}"):
                if called in shared:
                    return self._shared(called)
        raise DataError(f"{self.name}: .obs has no column '{name}'.{did_you_mean(name, [*own, *shared])}")

    def _shared(self, name: str) -> pd.Series:
        """A column of the common .obs, in the order of the modality's cells (obsmap: 1-based, 0 = not there)."""
        place = np.asarray(self.file["obsmap"][self.modality][()]).astype(np.int64).ravel()
        values = self._checked(name, _read(self.file["obs"], name), len(place))
        here = np.flatnonzero(place > 0)
        if len(here) != self.n_cells or not np.array_equal(np.sort(place[here]), np.arange(1, self.n_cells + 1)):
            raise DataError(f"{self.name}: obsmap of '{self.modality}' does not fit its cells. Write the file again.")
        return values.iloc[here[np.argsort(place[here])]].reset_index(drop=True)

    def _checked(self, name: str, values: pd.Series, length: int, what: str = "cells") -> pd.Series:
        if len(values) != length:
            raise DataError(f"{self.name}, column '{name}': {len(values):,} values of {length:,} {what}.")
        return values

    def matrix(self, layer: str | None = None, obsm: str | None = None, only: Where | None = None) -> Matrix:
        """X, a layer, or a matrix of .obsm with names of its columns. only: which of its features, by a column of .var.

        Raises :class:`DataError` when there is no such thing, or two features have one name.
        """
        if obsm is not None:
            stored, names, what = self._of_obsm(obsm)
            used = np.ones(len(names), dtype=bool)
        else:
            stored, var, what = self._of_layers(layer)
            names = [str(g) for g in _read(var, _index_of(var))]
            used = np.ones(len(names), dtype=bool) if only is None else self._chosen(var, only, len(names))
        genes = np.array(names, dtype=object)[used]
        twice = pd.Index(genes)[pd.Index(genes).duplicated()]
        if len(twice):
            raise DataError(
                f"{self.name}: the gene '{twice[0]}' is there twice ({len(twice):,} such name(s)). Make gene names unique "
                "(scanpy: var_names_make_unique), or use Ensembl ids."
            )
        return Matrix(self.name, what, stored, self.n_cells, genes, used)

    def _of_layers(self, layer: str | None) -> tuple[Any, Any, str]:
        """X or a layer, its .var, and what to call it. A layer ``raw`` may be AnnData's .raw, with genes of its own."""
        layers = self.top.get("layers", {})
        raw = "raw" in self.top and "X" in self.top["raw"] and "var" in self.top["raw"]
        known = [*layers, *(["raw"] if raw and "raw" not in layers else [])]
        if layer is None and "X" not in self.top:
            raise DataError(f"{self.name} has no X.{' Say layer.' + did_you_mean('', known) if known else ''}")
        if layer is not None and layer not in known:
            raise DataError(f"{self.name} has no layer '{layer}'.{did_you_mean(layer, known)}")
        if layer is None:
            return self.top["X"], self.top["var"], "X"
        if layer in layers:
            return layers[layer], self.top["var"], f"layer '{layer}'"
        return self.top["raw"]["X"], self.top["raw"]["var"], "raw"

    def _of_obsm(self, name: str) -> tuple[Any, list[str], str]:
        """A data frame of .obsm, the names of its columns, and what to call it."""
        known = list(self.top.get("obsm", {}))
        if name not in known:
            raise DataError(f"{self.name} has no matrix '{name}' in .obsm.{did_you_mean(name, known)}")
        stored = self.top["obsm"][name]
        order = stored.attrs.get("column-order") if hasattr(stored, "keys") else None
        if order is None:
            raise DataError(
                f"{self.name}: '{name}' of .obsm has no names of columns. Store it as a pandas DataFrame, with a name for each "
                "protein or peak. (Components and embeddings learned from all cells belong in no study: they know the test "
                "patients.)"
            )
        return stored, _texts(order), f"'{name}' of .obsm"

    def _chosen(self, var: Any, only: Where, n: int) -> NDArray[np.bool_]:
        known = _columns(var)
        if only.column not in known:
            raise DataError(f"{self.name}: .var has no column '{only.column}'.{did_you_mean(only.column, known)}")
        column = self._checked(only.column, _read(var, only.column), n, "features")
        column = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
        used = np.zeros(n, dtype=bool)
        for value in only.one_of or [only.equals]:
            used |= equals(column, value)
        if not used.any():
            found = [str(v) for v in pd.unique(column.dropna())[:20]]
            raise DataError(
                f"{self.name}: no feature has '{only.column}' of .var as 'features' asks.{did_you_mean(str(only.equals), found)}"
            )
        return used


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix in an open file. file, what: for complaints. stored: of all its features. genes: (G,) names of those that
    are used. used: which of all they are."""

    file: str
    what: str
    stored: Any
    n_cells: int
    genes: NDArray[np.object_]
    used: NDArray[np.bool_]

    def only(self, names: set[str]) -> Matrix:
        """Of the used features those that are among the names."""
        kept = np.array([g in names for g in self.genes], dtype=bool)
        used = self.used.copy()
        used[used] = kept
        return replace(self, genes=self.genes[kept], used=used)

    def pieces(self) -> Iterator[Piece]:
        """The used features, piece by piece. Raises :class:`DataError` when the matrix does not fit cells and features."""
        if self.used.all():
            yield from self._all()
            return
        before = np.concatenate([[0], np.cumsum(self.used)])
        for piece in self._all():
            inside = np.flatnonzero(self.used[piece.genes])
            if len(inside):
                begin = int(before[piece.genes.start])
                yield Piece(piece.cells, slice(begin, begin + len(inside)), piece.x[:, inside])

    def _all(self) -> Iterator[Piece]:
        import h5py

        stored, n_genes = self.stored, len(self.used)
        if isinstance(stored, h5py.Group) and "column-order" in stored.attrs:
            yield from self._frame()
            return
        sparse = isinstance(stored, h5py.Group)
        shape = stored.attrs.get("shape", stored.attrs.get("h5sparse_shape", ())) if sparse else stored.shape
        if tuple(int(k) for k in shape) != (self.n_cells, n_genes):
            told = " × ".join(f"{int(k):,}" for k in shape) or "of unknown size"
            raise DataError(
                f"{self.file}: {self.what} is {told}; there are {self.n_cells:,} cells and {n_genes:,} genes."
            )
        self._numeric((stored["data"] if sparse else stored).dtype, self.what)
        how = stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", "csr")) if sparse else ""
        by_gene = (how.decode() if isinstance(how, bytes) else str(how)).startswith("csc")
        yield from self._sparse(n_genes, by_gene) if sparse else self._dense(n_genes)

    def _numeric(self, dtype: Any, what: str) -> None:
        if dtype.kind not in "buif":
            raise DataError(f"{self.file}: {what} is of type {dtype}; expected numbers.")

    def _frame(self) -> Iterator[Piece]:
        """A data frame, some columns at a time."""
        from scipy.sparse import csr_matrix

        names = _texts(self.stored.attrs["column-order"])
        step = max(1, PIECE // self.n_cells)
        for begin in range(0, len(names), step):
            columns = []
            for name in names[begin : begin + step]:
                column, what = self.stored[name], f"'{name}' in {self.what}"
                if not hasattr(column, "dtype") or column.shape != (self.n_cells,):
                    raise DataError(f"{self.file}: {what} is no column of {self.n_cells:,} numbers.")
                self._numeric(column.dtype, what)
                columns.append(_numbers(column[()]))
            yield Piece(
                slice(0, self.n_cells), slice(begin, begin + len(columns)), csr_matrix(np.stack(columns, axis=1))
            )

    def _dense(self, n_genes: int) -> Iterator[Piece]:
        from scipy.sparse import csr_matrix

        step = max(1, PIECE // n_genes)
        for begin in range(0, self.n_cells, step):
            end = min(begin + step, self.n_cells)
            yield Piece(slice(begin, end), slice(0, n_genes), csr_matrix(_numbers(self.stored[begin:end])))

    def _sparse(self, n_genes: int, by_gene: bool) -> Iterator[Piece]:
        from scipy.sparse import csc_matrix, csr_matrix

        stored, broken = self.stored, f"{self.file}: the sparse matrix {self.what} is broken"
        outer, inner = (n_genes, self.n_cells) if by_gene else (self.n_cells, n_genes)
        pointer = np.asarray(stored["indptr"][()]).astype(np.int64).ravel()
        data, indices = stored["data"], stored["indices"]
        ends = len(pointer) == outer + 1 and pointer[0] == 0 and pointer[-1] == len(data) == len(indices)
        if not ends or (np.diff(pointer) < 0).any() or indices.dtype.kind not in "ui":
            raise DataError(f"{broken} (indptr). Write the file again.")
        begin = 0
        while begin < outer:
            end = int(np.searchsorted(pointer, pointer[begin] + PIECE, side="right")) - 1
            end = min(max(end, begin + 1), outer)
            a, b = int(pointer[begin]), int(pointer[end])
            at = np.asarray(indices[a:b])
            if len(at) and (at.min() < 0 or at.max() >= inner):
                raise DataError(f"{broken} (indices). Write the file again.")
            parts = (_numbers(data[a:b]), at.astype(np.int32), (pointer[begin : end + 1] - a).astype(np.int32))
            if by_gene:
                x = csr_matrix(csc_matrix(parts, shape=(inner, end - begin)))
                x.sum_duplicates()
                yield Piece(slice(0, self.n_cells), slice(begin, end), x)
            else:
                x = csr_matrix(parts, shape=(end - begin, inner))
                x.sum_duplicates()
                yield Piece(slice(begin, end), slice(0, n_genes), x)
            begin = end


@contextmanager
def opened(path: Path, modality: str | None) -> Iterator[CellFile]:
    """The file, open while the context lasts. Raises :class:`DataError` when it is no readable file of its kind.

    Whatever h5py and anndata raise while the file is read is told as one: truncated files, broken objects.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            check_h5(file, path.name, path.stat().st_size)
            yield _sized(CellFile(path.name, file, modality))
    except DataError:
        raise
    # h5py and anndata raise many kinds; all mean that the file is not readable
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError, MemoryError) as e:
        kind = "MuData (.h5mu)" if modality is not None else "AnnData (.h5ad)"
        raise DataError(f"{path.name} is no readable {kind} file, or truncated. Copy it again from its source.") from e


def measures(path: Path, modality: str | None, obsm: str | None) -> bool:
    """Whether a file has a modality, or a matrix of .obsm; True for what cannot be opened, so that it is complained about."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            top = file if modality is None else file["mod"].get(modality)
            return top is not None and (obsm is None or obsm in top.get("obsm", {}))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError):
        return True


def _sized(file: CellFile) -> CellFile:
    if not 0 < file.n_cells <= MOST_CELLS:
        raise DataError(f"{file.name} has {file.n_cells:,} cells.")
    return file


def _index_of(group: Any) -> str:
    name = group.attrs.get("_index", "_index" if "_index" in group else "index")
    return name.decode() if isinstance(name, bytes) else str(name)


def _texts(values: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _columns(frame: Any) -> list[str]:
    """Names of the columns of .obs or .var, the index left out."""
    return [str(c) for c in frame if c != _index_of(frame) and not str(c).startswith("__")]


def _read(frame: Any, name: str) -> pd.Series:
    """A column, or the index, of .obs or .var."""
    try:
        from anndata.io import read_elem
    except ImportError:  # anndata before 0.11
        from anndata.experimental import read_elem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of older versions are read as well
        # Some keep the levels of coded columns elsewhere; anndata knows where.
        if "__categories" in frame and name != _index_of(frame):
            return read_elem(frame)[name].reset_index(drop=True)
        return pd.Series(read_elem(frame[name])).reset_index(drop=True)


def _numbers(values: Any) -> NDArray[np.floating]:
    x = np.asarray(values)
    return x if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else x.astype(np.float64)
