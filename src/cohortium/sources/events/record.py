"""Event rows of one file, in the form that all readers give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.sources.times import Times


@dataclass(frozen=True, eq=False)
class Record:
    """owner: (n,) ids of patients (or units, see ``of``). times. code: (n,) str. value: (n,) number or NaN.
    unit: (n,) unit of measurement or None. rows: (n,) row in the file, for complaints."""

    file: str
    of: str
    owner: NDArray[np.object_]
    times: Times
    code: NDArray[np.object_]
    value: NDArray[np.float64]
    unit: NDArray[np.object_]
    rows: NDArray[np.int64]

    def place(self, bad: NDArray[np.bool_]) -> str:
        """File and row of the first true."""
        return f"{self.file}, row {int(self.rows[np.flatnonzero(bad)[0]])}"
