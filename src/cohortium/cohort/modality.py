"""What every shape of modality has in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.table import Table


class Modality(Protocol):
    """One named kind of data of the units that have it.

    shape: ``table``, ``events``, ``texts`` or ``bag``. units: (n_present,) index of unit ids, in cohort order.
    features: one row per feature, code or column (index: name), as :class:`Table` has it.
    """

    shape: ClassVar[str]

    @property
    def units(self) -> pd.Index: ...
    @property
    def features(self) -> pd.DataFrame: ...
    @property
    def n_features(self) -> int: ...
    def take(self, rows: NDArray[np.intp]) -> Modality:
        """A copy of the units at the given positions, in that order; no other unit's data are reachable from it."""
        ...

    def as_table(self) -> Table:
        """What can be said of each unit without learning from others: for checks and for other tools."""
        ...

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Everything that predictions depend on, for hashing; names are distinct."""
        ...
