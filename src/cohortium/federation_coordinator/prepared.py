"""Where the preparing of columns stands: one record, part of the state of a study."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import SiteMoments
from cohortium.contracts.federation_shaping import SiteShape


@dataclass(frozen=True)
class Prepared:
    """grid: (c, m - 1) of the columns that are no levels, laid: how often it was laid. quantiles: (c, 3) quarter, half, three quarters, and
    width: (c, 3) of the cells that they are in; empty before. shapes: of each site. squashed: moments of the columns that are compressed,
    as they left. moments: site -> (3, q) counts, means and squared deviations of all columns as they are fitted. off: the widest of these cells, in standard
    deviations of its column."""

    grid: NDArray[np.float64]
    laid: int
    quantiles: NDArray[np.float64]
    width: NDArray[np.float64]
    skewness: NDArray[np.float64]
    shapes: dict[str, SiteShape] = field(default_factory=dict)
    squashed: dict[str, SiteMoments] = field(default_factory=dict)
    moments: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    off: float = 0.0
