"""A file of single cells -> one modality: sums by unit and cell type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.cells import ALL, Cells
from cohortium.errors import DataError
from cohortium.schema import Presence
from cohortium.schema.cells import CellsSource
from cohortium.sources.cells.matrix import MOST_GENES, CellFile, Matrix, opened
from cohortium.sources.cells.summing import summed
from cohortium.sources.formats import find
from cohortium.sources.ids import apply_rule, hint, lengths
from cohortium.sources.transforms import LACKING

MOST_TYPES = 1000
"""A column with more values does not hold cell types."""

SAID = {
    "clr": "centred log-ratio of counts within each cell, then the mean over cells",
    "binary": "one for each count above zero, then log1p of their sum over cells per 10,000",
}
"""What is done to values other than plain counts and logarithms."""

Ints = NDArray[np.int64]


class CellsReader:
    """Reads one modality of single cells.

    units: the cohort's unit table (index: unit id; column ``patient``). index: not used, cells have no time.
    expected: set where a model is there already, to the features it was fitted on; then nobody need have enough cells.
    transform: what is done to values that are
    neither counts nor logarithms. After :meth:`read`: notes (what was done), unmatched (cells of nobody in the cohort),
    left_out (nothing, always), paths, why (n,) reason of units without cells.
    """

    def __init__(self, name: str, source: CellsSource, root: Path, units: pd.DataFrame, index: Any) -> None:
        self.name, self.source, self.root, self.units = name, source, root, units
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.paths: list[Path] = []
        self.unmatched = 0
        self.expected: pd.DataFrame | None = None
        self.transform = SAID.get(source.values, "")
        if self.transform:
            self.notes.append(f"values {source.values}: {self.transform}")
        if index is not None:
            self.notes.append("cells have no time: all of them are taken to be known when the prediction is made")

    def read(self) -> Cells:
        """Sums over the units' cells. Raises :class:`DataError`."""
        path = find(self.root, self.source.file)
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise DataError(f"{path.name} leads out of its folder, through a link. Copy the file into the folder.")
        self.paths = [path]
        with opened(path, self.source.modality) as file:
            return self._of(file)

    def _of(self, file: CellFile) -> Cells:
        matrix = self._as_before(file.matrix(self.source.layer, self.source.obsm, self.source.features))
        genes = matrix.genes
        if not 0 < len(genes) <= MOST_GENES:
            raise DataError(f"{file.name} has {len(genes):,} genes.")
        whose = self.units.index if self.source.of == "unit" else pd.Index(self.units["patient"].unique())
        owner = self._owners(file, whose)
        n_cells = np.bincount(owner[owner >= 0], minlength=len(whose))
        enough = n_cells >= self.source.min_cells
        if not enough.any() and self.expected is None:
            raise DataError(
                f"{file.name}: nobody of modality '{self.name}' has {self.source.min_cells} cells; the most is "
                f"{int(n_cells.max())}. Say min_cells."
            )
        kind, types = self._types(file, owner >= 0)
        number = np.where(enough, np.cumsum(enough) - 1, -1)
        owner = np.where(owner >= 0, number[owner], -1)
        m, t = int(enough.sum()), len(types)
        both = (owner >= 0) & (kind >= 0)
        n_of_type = np.bincount(owner[both] * t + kind[both], minlength=m * t).reshape(m, t).astype(np.int64)
        found = summed(matrix, self.source.values, owner, kind, n_of_type, self.source.min_cells)
        counts = self.source.values in ("counts", "binary")
        cells = Cells(
            pd.Index(whose[enough], dtype=object), genes, types, n_cells[enough].astype(np.int64), n_of_type,
            found.expressing, found.sums, found.offsets, found.type_of, counts, self.source.genes,
        )  # fmt: skip
        return self._by_unit(cells, whose, n_cells, number)

    def _as_before(self, matrix: Matrix) -> Matrix:
        """The features that a model was fitted on, where each cell is seen relative to all of its own."""
        if self.source.values != "clr" or self.expected is None:
            return matrix
        known = matrix.only({str(f) for f in self.expected.index})
        if len(known.genes) < (1 - LACKING) * len(self.expected):
            raise DataError(
                f"{matrix.file}: {matrix.what} has {len(known.genes):,} of the {len(self.expected):,} features that the model "
                f"was fitted on: ratios within a cell, of modality '{self.name}', would be to other features. Give all of them."
            )
        return known

    def _owners(self, file: CellFile, whose: pd.Index) -> Ints:
        """(N,) position among ``whose``, -1 for strangers."""
        code, names = _coded(file.column(self.source.id))
        if (code < 0).any():
            raise DataError(
                f"{file.name}, column '{self.source.id}', cell {int(np.flatnonzero(code < 0)[0]) + 1:,}: no id, whose cell "
                f"it is ({int((code < 0).sum()):,} such cell(s)). Remove these cells, or give them a name that is no unit's."
            )
        try:
            ids = apply_rule(
                pd.Series(names, dtype=object), self.source.id_rule, f"{file.name}, column '{self.source.id}'"
            )
        except DataError as e:
            # Rows of the distinct names are rows of no file.
            raise DataError(
                f"{file.name}, column '{self.source.id}': an id is empty, or id_rule does not fit it."
            ) from e
        owner = whose.get_indexer(pd.Index(ids.to_numpy(dtype=object)))[code].astype(np.int64)
        self.unmatched = int((owner < 0).sum())
        if self.unmatched == len(owner):
            known = pd.Index(whose.astype(str))
            raise DataError(
                f"{file.name}, column '{self.source.id}': no cell of modality '{self.name}' belongs to the cohort. Ids have "
                f"{lengths(ids)} characters, the cohort's have {lengths(known)}.{hint(list(ids), known)} Are 'id' and 'of' "
                "right?"
            )
        if self.unmatched:
            self.notes.append(f"{self.unmatched:,} of {len(owner):,} cells are nobody's of this cohort")
        return owner

    def _types(self, file: CellFile, mine: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.object_]]:
        """(N,) position of the cell's type, -1 where it has none or is nobody's; (T,) types of the cohort's cells."""
        column = self.source.cell_type
        if column is None:
            return np.full(file.n_cells, -1, dtype=np.int64), np.zeros(0, dtype=object)
        code, names = _coded(file.column(column))
        blank = np.array([not n.strip() for n in names], dtype=bool)
        code = np.where(mine & (code >= 0), code, -1)
        code[code >= 0] = np.where(blank[code[code >= 0]], -1, code[code >= 0])
        used = np.unique(code[code >= 0])
        if not len(used):
            raise DataError(f"{file.name}, column '{column}': no cell of the cohort has a type.")
        if len(used) > MOST_TYPES:
            raise DataError(f"{file.name}, column '{column}' has {len(used):,} values; expected cell types.")
        if ALL in names[used]:
            raise DataError(f"{file.name}, column '{column}': no type may be called '{ALL}'. Call it otherwise.")
        none = int((mine & (code < 0)).sum())
        if none:
            self.notes.append(f"{none:,} cells have no type; they count among all cells only")
        self.notes.append(f"{len(used)} cell types: {', '.join(names[used][:20])}{' …' if len(used) > 20 else ''}")
        place = np.full(len(names) + 1, -1, dtype=np.int64)
        place[used] = np.arange(len(used))
        return place[code], names[used]

    def _by_unit(self, cells: Cells, whose: pd.Index, n_cells: NDArray[np.intp], number: Ints) -> Cells:
        """A unit has the cells of its patient; the reason where it has none, or too few."""
        of_unit = np.arange(len(self.units)) if self.source.of == "unit" else whose.get_indexer(self.units["patient"])
        has = number[of_unit] >= 0
        few = (n_cells[of_unit] > 0) & ~has
        self.why = np.where(has, Presence.PRESENT.value, np.where(few, "failed_qc", self.source.absent_reason))
        told = f"{int(cells.n_cells.sum()):,} cells summed up by unit"
        if few.any():
            told += f"; {int(few.sum())} unit(s) with fewer than {self.source.min_cells} cells lack the modality"
        self.notes.append(told)
        return replace(cells.take(number[of_unit][has].astype(np.intp)), units=self.units.index[has])


def _coded(values: pd.Series) -> tuple[Ints, NDArray[np.object_]]:
    """(N,) code of each value, -1 = missing; (K,) distinct values as texts, sorted."""
    code, distinct = pd.factorize(values)
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v).strip() for v in distinct]
    names, again = np.unique(np.array(texts, dtype=str), return_inverse=True)
    to = np.append(again.ravel(), -1).astype(np.int64)
    return to[code], names.astype(object)
