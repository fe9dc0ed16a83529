"""Frozen records and protocols that cross rooms: outcomes, predictions, estimates, folds, results.

May know: :mod:`cohortium.schema`, :mod:`cohortium.cohort`, numpy. May not know: how anything is
read, fitted, scored or drawn.
"""

from cohortium.contracts.bounds import Bounds, Intervals, LowerBounds, Sets
from cohortium.contracts.estimates import Estimate
from cohortium.contracts.fold import Fold, Learner, Predictor, Store
from cohortium.contracts.outcomes import (
    ClassOutcome,
    CompetingOutcome,
    Outcome,
    SurvivalOutcome,
    TimeOutcome,
    ValueOutcome,
)
from cohortium.contracts.predictions import CumulativeIncidence, Prediction, Probabilities, Survival, Values

__all__ = [
    "Bounds",
    "ClassOutcome",
    "CompetingOutcome",
    "CumulativeIncidence",
    "Estimate",
    "Fold",
    "Intervals",
    "Learner",
    "LowerBounds",
    "Outcome",
    "Prediction",
    "Predictor",
    "Probabilities",
    "Sets",
    "Store",
    "Survival",
    "SurvivalOutcome",
    "TimeOutcome",
    "ValueOutcome",
    "Values",
]
