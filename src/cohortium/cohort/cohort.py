"""The cohort: a unit table and named modalities, immutable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.modality import Modality
from cohortium.schema import Presence


@dataclass(frozen=True, eq=False)
class Cohort:
    """Units of patients and what is known of them.

    units: one row per unit; index: unit id (str, unique, named ``unit``); column ``patient`` (str);
    optional columns ``site``, ``batch``, ``index_time``, ``weight``.
    modalities: name -> :class:`Modality` of any shape, each with a subset of the units, in cohort order.
    absent: units × modalities, :class:`Presence` values; ``present`` where the unit has it. When not
    given, a unit that a modality lacks is ``not_measured``.
    """

    units: pd.DataFrame
    modalities: Mapping[str, Modality]
    absent: pd.DataFrame = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not self.units.index.is_unique:
            raise ValueError("unit ids are not unique")
        if "patient" not in self.units:
            raise ValueError("the unit table has no column 'patient'")
        object.__setattr__(self, "modalities", MappingProxyType(dict(self.modalities)))
        reasons = {}
        for name, table in self.modalities.items():
            where = self.units.index.get_indexer(table.units)
            if (where < 0).any():
                raise ValueError(f"modality '{name}' has units that the cohort does not have")
            if (np.diff(where) <= 0).any():
                raise ValueError(f"modality '{name}' is not in the order of the cohort")
            state = np.full(len(self.units), Presence.NOT_MEASURED.value, dtype=object)
            if self.absent is not None and name in self.absent:
                given = self.absent[name].reindex(self.units.index).to_numpy(dtype=object)
                state = np.where(given == Presence.PRESENT.value, state, given)
            state[where] = Presence.PRESENT.value
            reasons[name] = state
        frame = pd.DataFrame(reasons, index=self.units.index, columns=list(self.modalities), dtype=object)
        object.__setattr__(self, "absent", frame)

    def __len__(self) -> int:
        return len(self.units)

    def __repr__(self) -> str:
        parts = ", ".join(f"{k} {len(t.units)}×{t.n_features}" for k, t in self.modalities.items())
        return f"Cohort({len(self)} units of {self.n_patients} patients; {parts})"

    @property
    def n_patients(self) -> int:
        return int(self.units["patient"].nunique())

    @property
    def ids(self) -> NDArray[np.object_]:
        """(n,) unit ids."""
        return self.units.index.to_numpy(dtype=object)

    def presence(self) -> pd.DataFrame:
        """Boolean, units × modalities: who has what."""
        return self.absent == Presence.PRESENT.value

    def take(self, rows: NDArray[np.intp]) -> Cohort:
        """A copy of the units at the given positions, in that order; nothing else is reachable from it."""
        rows = np.asarray(rows, dtype=np.intp)
        units = self.units.iloc[rows]
        tables = {}
        for name, table in self.modalities.items():
            at = table.units.get_indexer(units.index)
            tables[name] = table.take(at[at >= 0])
        return Cohort(units, tables, self.absent.iloc[rows])

    def select(self, units: Iterable[str]) -> Cohort:
        """A copy of the named units, in that order. Raises KeyError for an unknown id."""
        rows = self.units.index.get_indexer(pd.Index(list(units), dtype=object))
        if (rows < 0).any():
            raise KeyError(f"{int((rows < 0).sum())} of the unit ids are not in the cohort")
        return self.take(rows)

    def only(self, names: Iterable[str]) -> Cohort:
        """The same units with the named modalities only."""
        keep = list(names)
        return Cohort(self.units, {n: self.modalities[n] for n in keep}, self.absent[keep])

    def groups(self) -> NDArray[np.int64]:
        """(n,) code of each unit's patient: folds group by it."""
        return pd.factorize(self.units["patient"])[0].astype(np.int64)
