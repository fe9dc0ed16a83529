"""What answers about the shape of columns must be: each check gives why they are refused, or an empty text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import SiteMoments
from cohortium.contracts.federation_shaping import SiteShape
from cohortium.contracts.federation_trees import SiteQuantiles
from cohortium.federation_coordinator.checking import SLACK, adjusted_moments
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

NUMBERS = "it sent NaN or infinite numbers"


def wrong_counts(a: SiteQuantiles, grid: Array, state: State) -> str:
    """Shapes, counts that are none or of few, more units than declared."""
    least = state.plan.least_cell
    if a.counts.shape != (len(grid), grid.shape[1] + 1):
        return "its counts are of other cells"
    if not np.isfinite(a.counts).all():
        return NUMBERS
    if (a.counts < 0).any() or (a.counts != np.round(a.counts)).any():
        return "its counts are no whole numbers"
    if ((a.counts > 0) & (a.counts < least)).any():
        return f"a cell holds fewer than {least}"
    if (a.counts.sum(1) > state.schemas[a.site].units).any():
        return "its counts do not fit the number of its units"
    return ""


def wrong_shape(a: SiteShape, state: State) -> str:
    """Shapes, numbers that are none, cubes beyond what the declared squares allow, other units by table than declared."""
    q = len(state.columns)
    if not a.cubes.shape == a.present.shape == (q,):
        return "its shapes are of another number of columns"
    if not (np.isfinite(a.cubes).all() and np.isfinite(a.present).all()):
        return NUMBERS
    count, mean, squares = adjusted_moments(state, a.site)
    weight = state.moments[a.site].weight
    slack = SLACK * (1 + weight)
    if (a.present < count - slack).any() or (a.present > weight + slack).any():
        return "its counts do not fit the number of its units"
    if not state.plan.weighted and (a.present != np.round(a.present)).any():
        return "its counts are no whole numbers"
    for m in {c.modality for c in state.columns}:
        if np.ptp(a.present[[c.modality == m for c in state.columns]]) > slack:
            return "its counts of a table differ by column"
    size = (squares + count * (mean - state.mean) ** 2) / state.sd**2
    # No single cell is beyond the root of all squares: of unit weights the sum of cubes is below that of squares to the power of 3/2.
    if not state.plan.weighted and (np.abs(a.cubes) > size**1.5 * (1 + SLACK) + slack).any():
        return "its cubes are larger than its declared variances allow"
    return ""


def wrong_squashed(m: SiteMoments, state: State) -> str:
    """Moments of compressed columns: of as many cells as declared, and compressed indeed."""
    at = [j for j, c in enumerate(state.columns) if c.compress]
    if not m.count.shape == m.mean.shape == m.squares.shape == (len(at),):
        return "its moments are of another number of columns"
    if not (np.isfinite(m.count).all() and np.isfinite(m.mean).all() and np.isfinite(m.squares).all()):
        return NUMBERS
    count, mean, squares = (x[at] for x in adjusted_moments(state, m.site))
    if (m.squares < 0).any() or (np.abs(m.count - count) > SLACK * (1 + count)).any():
        return "its counts are not those that it declared"
    centre, spread = np.array([state.columns[j].compress for j in at]).T
    most = (squares + count * (mean - centre) ** 2) / spread**2
    if (m.squares + m.count * m.mean**2 > most * (1 + SLACK) + SLACK).any():
        return "its moments are larger than its declared variances allow"
    return ""
