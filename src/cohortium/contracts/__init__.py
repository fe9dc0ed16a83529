"""Frozen records and protocols that cross rooms: outcomes, predictions, estimates, folds, results.

May know: :mod:`cohortium.schema`, :mod:`cohortium.cohort`, numpy. May not know: how anything is
read, fitted, scored or drawn.
"""

from cohortium.contracts.bounds import Bounds, Intervals, LowerBounds, Sets
from cohortium.contracts.estimates import Estimate
from cohortium.contracts.fold import Fold, Learner, Predictor, Store
from cohortium.contracts.outcomes import ClassOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.contracts.predictions import Prediction, Probabilities, Survival, Values

__all__ = [
    "Bounds",
    "ClassOutcome",
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
    "ValueOutcome",
    "Values",
]
