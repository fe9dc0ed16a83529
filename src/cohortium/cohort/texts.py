"""A modality of shape ``texts``: one text per unit, its notes joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.phrases import keyword_names, keyword_values
from cohortium.cohort.table import Table, feature_frame


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of the units that have one.

    units: (n,). texts: (n,) str, not empty. Identities are gone from them unless the study keeps them. keywords:
    name -> phrases that features are made of, as the study declares. vectors: (n, d) float32 from a frozen language
    model, or None where words are counted.
    """

    units: pd.Index
    texts: NDArray[np.object_]
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vectors: NDArray[np.float32] | None = None

    shape: ClassVar[str] = "texts"

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.units):
            raise ValueError(f"there are {len(self.texts)} texts of {len(self.units)} units")
        if self.vectors is not None and (self.vectors.ndim != 2 or len(self.vectors) != len(self.units)):
            raise ValueError(f"vectors are {self.vectors.shape}, but there are {len(self.units)} units")

    @property
    def n_features(self) -> int:
        return 1

    @property
    def features(self) -> pd.DataFrame:
        return feature_frame(["text"])

    def take(self, rows: NDArray[np.intp]) -> Texts:
        """A copy of the given rows, in that order."""
        vectors = None if self.vectors is None else self.vectors[rows]
        return Texts(self.units[rows], self.texts[rows], self.keywords, vectors)

    def keyword_table(self) -> Table:
        """(n, 2k) ones and zeros: each keyword affirmed, each denied (:mod:`cohortium.cohort.phrases`)."""
        names = keyword_names(self.keywords)
        return Table(self.units, keyword_values(list(self.texts), self.keywords), feature_frame(names))

    def as_table(self) -> Table:
        """Number of words, and of distinct ones; then the keywords."""
        words = [str(t).lower().split() for t in self.texts]
        x = np.array([[len(w), len(set(w))] for w in words], dtype=np.float64).reshape(len(words), 2)
        found = self.keyword_table()
        names = ["words", "distinct words", *map(str, found.features.index)]
        return Table(self.units, np.hstack([x, found.values]), feature_frame(names))

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield "texts", self.texts
        phrases = [f"{name}\n{p}" for name, given in self.keywords.items() for p in given]
        yield "keywords", np.array(phrases, dtype=object)
        if self.vectors is not None:
            yield "vectors", self.vectors
