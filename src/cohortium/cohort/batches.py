"""Which batch each unit of a table was measured in, for encoders that harmonise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BATCH, COVARIATE = "harmonise:batch", "harmonise:covariate:"
"""Names of columns where batches are stored."""


@dataclass(frozen=True, eq=False)
class Batches:
    """label: (n,) batch of each row, None where it is not known. covariates: (n, k) what batches differ in by right:
    numbers or texts, missing where not known. No outcome belongs among them."""

    label: NDArray[np.object_]
    covariates: pd.DataFrame

    def __post_init__(self) -> None:
        if len(self.label) != len(self.covariates):
            raise ValueError(f"{len(self.label)} batch labels, but covariates of {len(self.covariates)} rows")

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.intp]) -> Batches:
        """A copy of the given rows, in that order."""
        return Batches(self.label[rows], self.covariates.iloc[rows].reset_index(drop=True))

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Everything that predictions depend on, for hashing."""
        yield "batch", np.array(["" if b is None else f"={b}" for b in self.label], dtype=object)
        for column in self.covariates:
            yield f"covariate {column}", self.covariates[column].astype(str).to_numpy(object)

    def columns(self) -> pd.DataFrame:
        """As columns of texts and numbers; a missing text is "", a batch's text begins with ``=``."""
        out = {BATCH: ["" if b is None else f"={b}" for b in self.label]}
        frame = pd.DataFrame(out, index=range(len(self)))
        for name in self.covariates:
            column = self.covariates[name]
            number = pd.api.types.is_numeric_dtype(column)
            frame[COVARIATE + str(name)] = column.astype(float) if number else column.fillna("").astype(str)
        return frame

    @staticmethod
    def of_columns(frame: pd.DataFrame) -> Batches | None:
        """From the columns that :meth:`columns` made, beside others; None when they are not there."""
        if BATCH not in frame:
            return None
        label = np.array([str(t)[1:] if str(t).startswith("=") else None for t in frame[BATCH]], dtype=object)
        covariates = pd.DataFrame(index=range(len(frame)))
        for column in [str(c) for c in frame.columns if str(c).startswith(COVARIATE)]:
            values = frame[column].reset_index(drop=True)
            if not pd.api.types.is_numeric_dtype(values):
                values = values.astype(object).where(values.astype(str) != "", None)
            covariates[column[len(COVARIATE) :]] = values
        return Batches(label, covariates)
