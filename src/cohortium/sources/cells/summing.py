"""The pieces of a matrix of cells, added up by owner and cell type."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.sources.cells.matrix import Matrix, Piece

LARGEST_LOG = 50.0
"""No logarithm of a count is larger."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sums:
    """sums: (R, G) float32, by owner the sum over all cells, then over each type with enough of them. offsets:
    (m + 1,) rows of each owner. type_of: (R,) type, -1 for all cells. expressing: (m, G) cells above zero."""

    sums: NDArray[np.float32]
    offsets: Ints
    type_of: Ints
    expressing: NDArray[np.int32]


def summed(
    matrix: Matrix, values: str, owner: Ints, kind: Ints, n_of_type: Ints, least: int,
) -> Sums:  # fmt: skip
    """Sums over cells.

    values: what the numbers are and what is summed of them, as declared: ``counts``, ``binary`` (one for each count above
    zero), ``clr`` (:func:`_logs`) or ``log``. owner: (N,) number of whose cell it is, -1 = nobody's. kind: (N,) cell
    type, -1 = none. n_of_type: (m, T) cells of the owners. least: cells that a sum over one type needs. Numbers of
    nobody's cells are looked at too. Raises :class:`DataError`.
    """
    from scipy.sparse import csr_matrix

    m, g = len(n_of_type), len(matrix.genes)
    # Every cell goes into one row: its owner's and type's where that has enough cells, else its owner's rest.
    of, what = np.nonzero(n_of_type >= least)
    offsets = np.concatenate([[0], np.cumsum(1 + np.bincount(of, minlength=m))]).astype(np.int64)
    row_of = np.full(n_of_type.shape, -1, dtype=np.int64)
    row_of[of, what] = np.arange(len(of)) + of + 1
    mine = np.flatnonzero(owner >= 0)
    row = offsets[owner[mine]]
    typed = kind[mine] >= 0
    own = row_of[owner[mine[typed]], kind[mine[typed]]]
    row[typed] = np.where(own >= 0, own, row[typed])
    ones = np.ones(len(mine), dtype=np.float32)
    to_row = csr_matrix((ones, (mine, row)), shape=(len(owner), m + len(of)))
    to_owner = csr_matrix((ones, (mine, owner[mine])), shape=(len(owner), m))
    total, expressing = np.zeros((m + len(of), g)), np.zeros((m, g), dtype=np.int32)
    scale = _logs(matrix) / g if values == "clr" else None
    for piece in matrix.pieces():
        _check(piece, matrix, values != "log")
        x = piece.x.astype(np.float64)
        if values == "binary":
            x.data = (x.data > 0).astype(np.float64)
        elif scale is not None:
            x.data = np.log1p(x.data / np.exp(np.repeat(scale[piece.cells], np.diff(x.indptr))))
        _add(total, to_row[piece.cells].T @ x, piece)
        x.data = (x.data > 0).astype(np.float64)
        _add(expressing, to_owner[piece.cells].T @ x, piece)
    for begin, end in pairwise(offsets):
        total[begin] = total[begin:end].sum(axis=0)
    type_of = np.full(len(total), -1, dtype=np.int64)
    type_of[row_of[of, what]] = what
    return Sums(total.astype(np.float32), offsets, type_of, expressing)


def _logs(matrix: Matrix) -> NDArray[np.float64]:
    """(N,) sum of log1p over a cell's features, a pass over the matrix.

    By its mean, counts become centred log-ratios within the cell, log1p(x / exp(mean of log1p)), as Seurat has them for
    surface proteins (margin 2; Stoeckius 2017, Nat Methods 14:865; Hao 2021, Cell 184:3573): zero stays zero, and no
    other cell has a say.
    """
    out = np.zeros(matrix.n_cells)
    for piece in matrix.pieces():
        _check(piece, matrix, True)
        x = piece.x.astype(np.float64)
        x.data = np.log1p(x.data)
        out[piece.cells] += np.asarray(x.sum(axis=1)).ravel()
    return out


def _add(to: NDArray[Any], part: Any, piece: Piece) -> None:
    """Add a sparse product into the piece's genes, in place."""
    found = part.tocoo()
    to[found.row, found.col + piece.genes.start] += found.data.astype(to.dtype)


def _check(piece: Piece, matrix: Matrix, counts: bool) -> None:
    x, name, genes = piece.x.data, matrix.file, matrix.genes
    if not len(x):
        return
    finite = np.isfinite(x)
    if not finite.all():
        raise DataError(f"{_place(piece, ~finite, name, genes)}: the value is missing or infinite; expected a number.")
    low, high = float(x.min()), float(x.max())
    advice = "Name the layer that holds the counts, or say values: log."
    if counts and low < 0:
        raise DataError(f"{_place(piece, x < 0, name, genes)}: a negative number; expected counts. {advice}")
    if counts and (x != np.floor(x)).any():
        raise DataError(
            f"{_place(piece, x != np.floor(x), name, genes)}: a fractional number; expected counts. {advice}"
        )
    if not counts and high > LARGEST_LOG:
        raise DataError(
            f"{_place(piece, x > LARGEST_LOG, name, genes)}: a number above {LARGEST_LOG:g}, which is no logarithm. Say "
            "values: counts, or name the layer that holds logarithms."
        )


def _place(piece: Piece, bad: NDArray[np.bool_], name: str, genes: NDArray[np.object_]) -> str:
    """File, number of the cell, gene of the first true among the stored numbers."""
    first = int(np.flatnonzero(bad)[0])
    cell = piece.cells.start + int(np.searchsorted(piece.x.indptr, first, side="right")) - 1
    return f"{name}, cell {cell + 1:,}, gene '{genes[piece.genes.start + int(piece.x.indices[first])]}'"
