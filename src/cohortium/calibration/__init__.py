"""Calibration: what out-of-fold predictions of a training part say about how sure a new prediction is.

Maps to better probabilities; sets, intervals and lower bounds at a nominal level, by availability pattern and declared group where there are units enough.

May know: contracts, metrics, numpy. May not know: learners, cohorts, files.
"""

from cohortium.calibration.conformal import IntervalMaker, SetMaker, fit_intervals, fit_sets
from cohortium.calibration.patterns import WITHIN, Patterns
from cohortium.calibration.recalibration import (
    METHODS,
    Recalibration,
    cross_fitted,
    fit_recalibration,
    prior_shift,
    shifted,
)
from cohortium.calibration.survival import LowerBoundMaker, fit_lower_bounds, outlived

Maker = SetMaker | IntervalMaker | LowerBoundMaker

__all__ = [
    "METHODS",
    "WITHIN",
    "IntervalMaker",
    "LowerBoundMaker",
    "Maker",
    "Patterns",
    "Recalibration",
    "SetMaker",
    "cross_fitted",
    "fit_intervals",
    "fit_lower_bounds",
    "fit_recalibration",
    "fit_sets",
    "outlived",
    "prior_shift",
    "shifted",
]
