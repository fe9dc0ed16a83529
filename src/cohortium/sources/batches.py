"""Batches and covariates from the unit table, carried by the tables that are to be harmonised."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cohortium.cohort import Table
from cohortium.cohort.batches import Batches
from cohortium.errors import DataError
from cohortium.schema.declare import ModalitySource
from cohortium.sources.raw import Raw, column_of


@dataclass(frozen=True, eq=False)
class BatchColumns:
    """Where batches and covariates stand.

    units: of the rows of ``raw``, the unit table (None where there is none), in its order. batch: its column. outcomes:
    columns that endpoints use, which may be no covariates. new: units to be predicted; what their unit table lacks is not
    known then.
    """

    units: pd.Index
    raw: Raw | None
    batch: str | None
    outcomes: Collection[str]
    new: bool

    def carried(self, table: Table, source: ModalitySource, notes: list[str]) -> Table:
        """The table with the batch of each unit, where the study asks for ``harmonise``; else as it is.

        notes: gets a line about it. Raises :class:`DataError`.
        """
        if source.harmonise == "none":
            return table
        at = self.units.get_indexer(table.units)
        label, covariates = np.full(len(at), None, dtype=object), pd.DataFrame(index=range(len(at)))
        if self.batch is not None and self._has(self.batch):
            label = batches_of(self._column(self.batch)).to_numpy(dtype=object)[at]
        for name in source.harmonise_covariates:
            if name in self.outcomes or name == self.batch:
                what = "the batch itself" if name == self.batch else "what is predicted"
                raise DataError(f"harmonise_covariates names '{name}', which is {what}: take it out.")
            known = self._has(name)
            covariates[name] = _plain(self._column(name).iloc[at].reset_index(drop=True)) if known else np.nan
        sizes = pd.Series(label, dtype=object).value_counts()
        told = f"batches are harmonised (ComBat) inside each fold: {len(sizes)} of them"
        told += f", with {sizes.min()} to {sizes.max()} units" if len(sizes) else ""
        unknown = len(label) - int(sizes.sum())
        notes.append(told + (f"; {unknown} unit(s) of no known batch keep their values" if unknown else ""))
        return replace(table, batches=Batches(label, covariates))

    def _has(self, column: str) -> bool:
        """Whether to read a column; new units may lack it, others may not."""
        there = self.raw is not None and column in self.raw.frame.columns
        return there or not self.new

    def _column(self, name: str) -> pd.Series:
        if self.raw is None:
            raise DataError(f"harmonise needs column '{name}', and there is no unit table.")
        return column_of(self.raw, name)


def batches_of(column: pd.Series) -> pd.Series:
    """Batches as texts: 1.0 is ``1``, a missing one None."""
    return column.map(
        lambda v: None if pd.isna(v) else str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)
    ).astype(object)


def _plain(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float)
    return values.astype(object).where(values.notna(), None)
