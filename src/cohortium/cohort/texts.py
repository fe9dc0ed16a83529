"""A modality of shape ``texts``: one text per unit, its notes joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.table import Table, feature_frame


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of the units that have one.

    units: (n,). texts: (n,) str, not empty. Identities are gone from them unless the study keeps them.
    """

    units: pd.Index
    texts: NDArray[np.object_]

    shape: ClassVar[str] = "texts"

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.units):
            raise ValueError(f"there are {len(self.texts)} texts of {len(self.units)} units")

    @property
    def n_features(self) -> int:
        return 1

    @property
    def features(self) -> pd.DataFrame:
        return feature_frame(["text"])

    def take(self, rows: NDArray[np.intp]) -> Texts:
        """A copy of the given rows, in that order."""
        return Texts(self.units[rows], self.texts[rows])

    def as_table(self) -> Table:
        """Number of words, and of distinct ones."""
        words = [str(t).lower().split() for t in self.texts]
        x = np.array([[len(w), len(set(w))] for w in words], dtype=np.float64).reshape(len(words), 2)
        return Table(self.units, x, feature_frame(["words", "distinct words"]))

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield "texts", self.texts
