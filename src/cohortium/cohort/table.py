"""A modality of shape ``table``: units × features, for the units that have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.batches import Batches
from cohortium.schema import ColumnKind

if TYPE_CHECKING:
    from anndata import AnnData

FEATURE_COLUMNS = ("kind", "levels", "id_space", "unit")


@dataclass(frozen=True, eq=False)
class Table:
    """Values of one modality.

    units: (n_present,) index of unit ids that have the modality, in cohort order.
    values: (n_present, p) float32 or float64; NaN = looked for and unknown. Binary, ordinal and nominal
    features hold level codes 0..L-1.
    features: one row per feature (index: name, unique) with ``kind`` (:class:`ColumnKind` value),
    ``levels`` (tuple of str for coded kinds, else None), ``id_space`` and ``unit`` (str or "").
    batches: which batch each row was measured in, where the study asks encoders to harmonise.
    """

    units: pd.Index
    values: NDArray[np.floating]
    features: pd.DataFrame
    batches: Batches | None = None

    shape: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.units), len(self.features)):
            raise ValueError(
                f"values are {self.values.shape}, but there are {len(self.units)} units and "
                f"{len(self.features)} features"
            )
        if self.batches is not None and len(self.batches) != len(self.units):
            raise ValueError(f"batches of {len(self.batches)} rows, but there are {len(self.units)} units")

    @property
    def n_features(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.intp]) -> Table:
        """A copy of the given rows (positions among ``units``), in that order."""
        batches = None if self.batches is None else self.batches.take(rows)
        return Table(self.units[rows], self.values[rows], self.features, batches)

    def as_table(self) -> Table:
        """The table itself."""
        return self

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Everything that predictions depend on, for hashing."""
        yield "values", self.values
        for column in self.features.columns:
            yield str(column), self.features[column].astype(str).to_numpy(object)
        yield "features", self.features.index.to_numpy(object)
        if self.batches is not None:
            yield from self.batches.arrays()

    def select_features(self, names: list[str]) -> Table:
        """A copy with the named features only."""
        where = self.features.index.get_indexer(pd.Index(names))
        if (where < 0).any():
            raise KeyError(f"no such feature: {[n for n, w in zip(names, where, strict=True) if w < 0][:3]}")
        return Table(self.units, self.values[:, where], self.features.iloc[where], self.batches)

    def to_anndata(self) -> AnnData:
        """As AnnData: units in ``.obs`` with their batches, features with kind and levels (JSON) in ``.var``."""
        import json

        from anndata import AnnData

        var = self.features.copy()
        var["levels"] = ["" if x is None else json.dumps(list(x)) for x in var["levels"]]
        obs = pd.DataFrame(index=self.units.astype(str))
        if self.batches is not None:
            obs = self.batches.columns().set_axis(obs.index)
        return AnnData(X=self.values.copy(), obs=obs, var=var)

    @staticmethod
    def from_anndata(data: AnnData) -> Table:
        """From AnnData with units as observations; sparse X is made dense; without ``kind`` all numeric."""
        import json

        x = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
        if not np.issubdtype(x.dtype, np.floating):
            x = x.astype(np.float64)
        var = data.var
        levels: list[tuple[str, ...] | None] = [None] * data.n_vars
        if "levels" in var:
            levels = [tuple(map(str, json.loads(v))) if isinstance(v, str) and v else None for v in var["levels"]]
        kinds = list(var["kind"].astype(str)) if "kind" in var else None
        features = feature_frame(list(map(str, data.var_names)), kinds, levels)
        for column in ("id_space", "unit"):
            if column in var:
                features[column] = var[column].astype(str).to_numpy(dtype=object)
        return Table(pd.Index(data.obs_names.astype(str)), x, features, Batches.of_columns(data.obs))


def feature_frame(
    names: list[str],
    kinds: list[str] | None = None,
    levels: list[tuple[str, ...] | None] | None = None,
    id_space: str = "",
) -> pd.DataFrame:
    """The ``features`` frame of a :class:`Table`; numeric without levels unless said otherwise."""
    n = len(names)
    return pd.DataFrame(
        {
            "kind": kinds if kinds is not None else [ColumnKind.NUMERIC.value] * n,
            "levels": pd.Series(levels if levels is not None else [None] * n, dtype=object).to_numpy(),
            "id_space": [id_space] * n,
            "unit": [""] * n,
        },
        index=pd.Index(names, dtype=object, name="feature"),
    )
