"""A modality of shape ``cells``: the cells of each unit, summed up by cell type (pseudobulk)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.table import Table, feature_frame

ALL = "all cells"
"""What names of features call the sum over a unit's cells of every type and of none; no type is called so."""

SCALE = 1e4
"""Counts of a pseudobulk are scaled to this sum before the logarithm."""

PSEUDOCOUNT = 0.5
"""Added to numbers of cells before their logarithm."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums over the cells of each unit, of all of them and by cell type.

    units: (n,). genes: (G,) names, unique. types: (T,) names of cell types, T may be 0. n_cells: (n,) cells, those
    without a type too. n_of_type: (n, T) cells. expressing: (n, G) cells whose value is above zero. sums: (R, G) a row
    per pseudobulk: unit i has the rows ``[offsets[i], offsets[i + 1])``, the first over all its cells, the others over
    one type each, where the unit has enough cells of it. type_of: (R,) position among the types, -1 for all cells.
    counts: sums are of counts, else of logarithms. most: how many genes a representation may use.
    """

    units: pd.Index
    genes: NDArray[np.object_]
    types: NDArray[np.object_]
    n_cells: Ints
    n_of_type: Ints
    expressing: NDArray[np.int32]
    sums: NDArray[np.float32]
    offsets: Ints
    type_of: Ints
    counts: bool = True
    most: int = 2000

    shape: ClassVar[str] = "cells"

    def __post_init__(self) -> None:
        n, g, t = len(self.units), len(self.genes), len(self.types)
        if self.n_cells.shape != (n,) or self.n_of_type.shape != (n, t) or self.expressing.shape != (n, g):
            raise ValueError("numbers of cells do not fit the units, types and genes")
        if (
            self.sums.shape != (len(self.type_of), g)
            or len(self.offsets) != n + 1
            or self.offsets[-1] != len(self.sums)
        ):
            raise ValueError("sums do not fit the units and genes")
        if (np.diff(self.offsets) < 1).any() or (self.type_of[self.offsets[:-1]] != -1).any():
            raise ValueError("a unit has no sum over all its cells")

    @property
    def n_features(self) -> int:
        """Number of genes."""
        return len(self.genes)

    @property
    def features(self) -> pd.DataFrame:
        """The genes, as numeric features."""
        return feature_frame([str(g) for g in self.genes])

    def take(self, rows: NDArray[np.intp]) -> Cells:
        """A copy of the given units, in that order."""
        length = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], length)
        return Cells(
            self.units[rows], self.genes, self.types, self.n_cells[rows], self.n_of_type[rows], self.expressing[rows],
            self.sums[at], offsets, self.type_of[at], self.counts, self.most,
        )  # fmt: skip

    def rows_of(self, kind: int) -> tuple[Ints, Ints]:
        """(m,) units that have a pseudobulk of a type (-1: all cells), and (m,) its rows among the sums."""
        rows = np.flatnonzero(self.type_of == kind).astype(np.int64)
        return (np.searchsorted(self.offsets, rows, side="right") - 1).astype(np.int64), rows

    def expression(self, kind: int, genes: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """(n, g) log expression of the pseudobulk of a type (-1: all cells), of the genes at the given positions.

        log1p of counts per 10,000, or the mean of the cells' logarithms. NaN where the unit has no such pseudobulk or
        not a single count.
        """
        units, rows = self.rows_of(kind)
        every = genes is None
        some = np.arange(len(self.genes)) if genes is None else genes
        out = np.full((len(self.units), len(some)), np.nan)
        sums = (self.sums[rows] if every else self.sums[np.ix_(rows, some)]).astype(np.float64)
        if self.counts:
            with np.errstate(divide="ignore", invalid="ignore"):
                out[units] = np.log1p(sums * (SCALE / self.library(rows))[:, None])
        else:
            cells = self.n_cells[units] if kind < 0 else self.n_of_type[units, kind]
            out[units] = sums / cells[:, None]
        out[~np.isfinite(out)] = np.nan
        return out

    def library(self, rows: Ints) -> NDArray[np.float64]:
        """(m,) sum over all genes of the given rows of ``sums``."""
        total: NDArray[np.float64] = self.sums[rows].sum(axis=1, dtype=np.float64)
        return total

    def as_table(self) -> Table:
        """Number of cells (log), share of each type (centred log-ratio), log expression over all cells."""
        names = ["cells (log)", *share_names(self.types), *(f"{ALL} | {g}" for g in self.genes)]
        parts = [np.log1p(self.n_cells)[:, None], centred_log_ratio(self.n_of_type), self.expression(-1)]
        return Table(self.units, np.hstack(parts), feature_frame(names))

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for name in ("n_cells", "n_of_type", "expressing", "sums", "offsets", "type_of", "genes", "types"):
            yield name, getattr(self, name)
        yield "settings", np.array([int(self.counts), self.most])


def centred_log_ratio(cells: Ints) -> NDArray[np.float64]:
    """(n, T) log of numbers of cells minus its mean over types (Aitchison 1982, J R Stat Soc B 44:139).

    Half a cell is added to each number. NaN for a unit without any such cell: its shares are unknown.
    """
    if not cells.shape[1]:
        return np.zeros(cells.shape)
    logs = np.log(cells + PSEUDOCOUNT)
    out: NDArray[np.float64] = logs - logs.mean(axis=1, keepdims=True)
    out[cells.sum(axis=1) == 0] = np.nan
    return out


def share_names(types: NDArray[np.object_] | list[str]) -> list[str]:
    """Names of the columns of :func:`centred_log_ratio`."""
    return [f"share of {t} (clr)" for t in types]
