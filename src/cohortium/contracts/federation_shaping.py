"""Messages of preparing columns: their skewness, and who has the table that they are of. As those of :mod:`cohortium.contracts.federation`; q columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FitAnswer, FitQuestion

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AskShape(FitQuestion):
    """How skewed are these columns about ``mean``, in units of ``sd`` (q,)?"""

    plan: str
    round: int
    columns: tuple[Column, ...]
    mean: FloatArray
    sd: FloatArray


@dataclass(frozen=True)
class SiteShape(FitAnswer):
    """cubes: (q,) of known cells. present: (q,) units of which anything is known in the column's table."""

    site: str
    plan: str
    round: int
    cubes: FloatArray
    present: FloatArray

    EXPOSES: ClassVar[str] = "how skewed the site's columns are, and how many of its units have each table"
    LEAVES: ClassVar[dict[str, str]] = {
        "cubes": "sum of cubed deviations from the mean of all sites by column, of at least the declared number of patients",
        "present": "units of which anything is known in the column's table; with weights their sum",
    }
