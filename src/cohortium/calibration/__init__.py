"""Calibration: what out-of-fold predictions of a training part say about how sure a new prediction is.

Sets, intervals and lower bounds at a nominal level, by availability pattern where there are units enough.

May know: contracts, metrics, numpy. May not know: learners, cohorts, files.
"""

from cohortium.calibration.conformal import IntervalMaker, SetMaker, fit_intervals, fit_sets
from cohortium.calibration.patterns import Patterns
from cohortium.calibration.survival import LowerBoundMaker, fit_lower_bounds, outlived

Maker = SetMaker | IntervalMaker | LowerBoundMaker

__all__ = [
    "IntervalMaker",
    "LowerBoundMaker",
    "Maker",
    "Patterns",
    "SetMaker",
    "fit_intervals",
    "fit_lower_bounds",
    "fit_sets",
    "outlived",
]
