"""Frozen records and protocols that cross rooms: outcomes, predictions, estimates, folds, results.

May know: :mod:`cohortium.schema`, :mod:`cohortium.cohort`, numpy. May not know: how anything is
read, fitted, scored or drawn. Names are imported on first use: the coordinator of a federation takes records from here and
needs no table of patients, nor what reads one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOME = {
    "Bounds": "bounds",
    "ClassOutcome": "outcomes",
    "CompetingOutcome": "outcomes",
    "CumulativeIncidence": "predictions",
    "Estimate": "estimates",
    "Fold": "fold",
    "Intervals": "bounds",
    "Learner": "fold",
    "LowerBounds": "bounds",
    "Outcome": "outcomes",
    "Prediction": "predictions",
    "Predictor": "fold",
    "Probabilities": "predictions",
    "Sets": "bounds",
    "Store": "fold",
    "Survival": "predictions",
    "SurvivalOutcome": "outcomes",
    "TimeOutcome": "outcomes",
    "ValueOutcome": "outcomes",
    "Values": "predictions",
}

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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        found = getattr(import_module(f"cohortium.contracts.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'cohortium.contracts' has no attribute {name!r}")
