"""Single cells as numbers: which types a unit's cells are of, and what those express."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Table
from cohortium.cohort.cells import ALL, Cells, centred_log_ratio, share_names
from cohortium.cohort.table import feature_frame
from cohortium.errors import DataError

Array = NDArray[np.float64]

MIN_UNITS = 5
"""Training units that must have a cell type, its pseudobulk, or a gene, for features to be made of it."""

MIN_EXPRESSING = 10
"""Cells of the training units that must express a gene."""


USUAL = 0.1
"""Squared coefficient of variation that any gene has between people."""


class CellRepresentation:
    """Composition (centred log-ratios) and pseudobulk expression of the most variable genes.

    A type needs 5 training units; a gene 5 of them and 10 cells. Genes are ranked within each pseudobulk (all cells,
    every type) by how much more they vary among the training units than counting and people make any gene vary, of
    logarithms by their variance. All cells show ``most`` genes, and the types as many together, in equal parts. After
    ``fit``: ``types_`` names of types, ``blocks_`` pairs (type, or None for all cells; names of genes).
    """

    def fit(self, data: Cells) -> CellRepresentation:
        """Learn types and genes from the units of ``data``."""
        least = min(MIN_UNITS, len(data.units))
        kept = np.flatnonzero((data.n_of_type > 0).sum(axis=0) >= least) if least else np.zeros(0, dtype=np.intp)
        self.types_ = [str(data.types[k]) for k in kept]
        seen = (data.expressing > 0).sum(axis=0) >= least
        genes = np.flatnonzero(seen & (data.expressing.sum(axis=0) >= MIN_EXPRESSING))
        self.blocks_: list[tuple[str | None, list[str]]] = [(None, self._chosen(data, -1, genes, data.most, 1))]
        for k in kept:
            share = max(1, data.most // len(kept))
            chosen = self._chosen(data, int(k), genes, share, least)
            if chosen:
                self.blocks_.append((str(data.types[k]), chosen))
        return self

    @staticmethod
    def _chosen(data: Cells, kind: int, genes: NDArray[np.intp], most: int, least: int) -> list[str]:
        """Names of the most variable of the genes in the pseudobulks of one type."""
        units, rows = data.rows_of(kind)
        if len(units) < least or not len(units):
            return []
        x = data.expression(kind, genes)[units]
        known = np.isfinite(x).all(axis=1)
        x, rows = x[known], rows[known]
        if not len(x):
            return []
        variance = x.var(axis=0)
        # The logarithm of few counts varies most of all, by counting alone: sums of counts are compared as counts.
        rank = _dispersion(data.sums[np.ix_(rows, genes)], data.library(rows)) if data.counts else variance
        order = np.argsort(-rank, kind="stable")
        order = order[variance[order] > 1e-12][:most]
        return [str(g) for g in data.genes[genes[np.sort(order)]]]

    def table(self, data: Cells) -> Table:
        """(n, q) shares, then expression by block; NaN where a unit has too few cells of the type.

        Raises :class:`DataError` when the units know none of the types, or none of the genes.
        """
        self._known(data)
        types = pd.Index(data.types, dtype=object)
        genes = pd.Index(data.genes, dtype=object)
        at = types.get_indexer(pd.Index(self.types_, dtype=object))
        # A type that these files do not name is one of which nobody has a cell.
        cells = np.where(at >= 0, data.n_of_type[:, at], 0) if len(types) else np.zeros((len(data.units), len(at)), int)
        parts, names = [], []
        if len(self.types_) > 1:  # the share of a single type is all
            parts, names = [centred_log_ratio(cells)], share_names(self.types_)
        for kind, chosen in self.blocks_:
            names += [f"{kind or ALL} | {g}" for g in chosen]
            parts.append(
                _expression(data, -1 if kind is None else int(types.get_indexer([kind])[0]), kind, genes, chosen)
            )
        values = np.hstack([*parts, np.zeros((len(data.units), 0))])
        return Table(data.units, values, feature_frame(names))

    def _known(self, data: Cells) -> None:
        if not len(data.units):
            return
        if self.types_ and len(data.types) and not set(self.types_) & set(map(str, data.types)):
            raise DataError(
                f"none of the {len(data.types)} cell types is one that the model was fitted to, such as "
                f"'{self.types_[0]}'. Are they called otherwise here?"
            )
        wanted = {g for _, chosen in self.blocks_ for g in chosen}
        if wanted and not wanted & set(map(str, data.genes)):
            raise DataError(
                f"none of the {len(data.genes):,} genes is one that the model was fitted to, such as "
                f"'{min(wanted)}'. Are they symbols in one file and Ensembl ids in the other?"
            )

    def parts(self, names: NDArray[np.object_]) -> NDArray[np.int64]:
        """(q,) what each feature belongs to: composition, expression of all cells, expression by type.

        Five shares would drown in hundreds of genes; parts are given equal total variance.
        """
        shares, overall = set(share_names(self.types_)), f"{ALL} | "
        return np.array([0 if n in shares else 1 if str(n).startswith(overall) else 2 for n in names], dtype=np.int64)

    def state(self) -> dict[str, Any]:
        """JSON-able; :meth:`restore` makes the representation again."""
        blocks = [{"type": kind, "genes": list(chosen)} for kind, chosen in self.blocks_]
        return {"kind": "cells", "types": list(self.types_), "blocks": blocks}

    @staticmethod
    def restore(state: dict[str, Any]) -> CellRepresentation:
        out = CellRepresentation()
        out.types_ = list(state["types"])
        out.blocks_ = [(b["type"], list(b["genes"])) for b in state["blocks"]]
        return out


def _dispersion(sums: NDArray[np.float32], library: Array) -> Array:
    """(g,) mean square of the Pearson residuals of counts (Lause 2021, Genome Biol 22:258).

    Expected is the gene's share of all counts, with the noise of counting and :data:`USUAL` variation between people;
    residuals are clipped at the root of the number of units.
    """
    counts = sums.astype(np.float64)
    expected = np.outer(library, counts.sum(axis=0) / library.sum())
    sd = np.sqrt(expected + USUAL * expected * expected)
    residual = np.divide(counts - expected, sd, out=np.zeros_like(counts), where=sd > 0)
    bound = np.sqrt(len(counts))
    out: Array = np.square(np.clip(residual, -bound, bound)).mean(axis=0)
    return out


def _expression(data: Cells, kind: int, name: str | None, genes: pd.Index, chosen: list[str]) -> Array:
    """(n, g); NaN for a type or gene that the data do not know."""
    out = np.full((len(data.units), len(chosen)), np.nan)
    at = genes.get_indexer(pd.Index(chosen, dtype=object))
    if name is None or kind >= 0:
        out[:, at >= 0] = data.expression(kind, at[at >= 0])
    return out
