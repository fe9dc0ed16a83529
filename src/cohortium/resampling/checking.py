"""Are splits fit for use?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import ClassOutcome, Outcome, TimeOutcome, ValueOutcome
from cohortium.errors import EndpointError
from cohortium.resampling.designs import OuterSplit, needed_strata


def check_splits(splits: Sequence[OuterSplit], outcome: Outcome, groups: NDArray[np.int64] | None = None) -> list[str]:
    """Notes on splits that limit what can be estimated.

    splits: of positions of ``outcome``. groups: (n,), units that must stay together; default each alone.

    Raises :class:`EndpointError`, naming repeat and fold, for splits that cannot be used: an empty side, units or
    groups on both sides, a training part that cannot be split again with each class (or events) on both sides.
    """
    if not splits:
        raise EndpointError(
            f"Endpoint '{outcome.endpoint.name}': no fold tests a unit with a known outcome. Check evaluation."
        )
    notes = []
    alone = np.arange(len(outcome)) if groups is None else groups
    for s in splits:
        name = f"repeat {s.repeat}, fold {s.fold}"
        _disjoint(s, name, groups)
        _can_be_learned(s, name, outcome, alone)
        notes += _limits(s, name, outcome)
    return notes


def _disjoint(s: OuterSplit, name: str, groups: NDArray[np.int64] | None) -> None:
    if not len(s.test) or not len(s.train):
        raise EndpointError(f"{name.capitalize()} has {len(s.train)} units to train and {len(s.test)} to test.")
    both = len(np.intersect1d(s.train, s.test))
    if both:
        raise EndpointError(f"In {name}, {both} units are both trained on and tested.")
    both = 0 if groups is None else len(np.intersect1d(groups[s.train], groups[s.test]))
    if both:
        raise EndpointError(
            f"In {name}, {both} patient(s) (or groups) have units on both sides: what is learned of them would "
            "be tested on themselves. Give all units of a patient the same fold."
        )


def _can_be_learned(s: OuterSplit, name: str, outcome: Outcome, groups: NDArray[np.int64]) -> None:
    """Raise when the training part lacks a class (or events), or only one patient has it: inner folds need two."""
    if isinstance(outcome, ValueOutcome):
        if len(np.unique(outcome.values[s.train])) < 2:
            raise EndpointError(f"In the training part of {name} all values are equal: there is nothing to learn.")
        if len(np.unique(groups[s.train])) < 2:
            raise EndpointError(f"The training part of {name} has one patient (or group): no inner folds can be made.")
        return
    few = {
        c: n for c in needed_strata(outcome) if (n := len(np.unique(groups[s.train[outcome.strata[s.train] == c]]))) < 2
    }
    if not few:
        return
    if isinstance(outcome, TimeOutcome):
        count = "no event" if few[1] == 0 else "events of one patient only, and inner folds need two"
        raise EndpointError(f"The training part of {name} has {count}. Use fewer folds or a larger training part.")
    names = ", ".join(_class_name(outcome, c) for c in few)
    count = "no unit" if min(few.values()) == 0 else "one patient only (inner folds need two)"
    raise EndpointError(
        f"The training part of {name} has {count} of class {names}. Use fewer folds, merge rare classes or leave them out."
    )


def _class_name(outcome: ClassOutcome, code: int) -> str:
    return outcome.endpoint.classes[code]


def _limits(s: OuterSplit, name: str, outcome: Outcome) -> list[str]:
    if isinstance(outcome, ValueOutcome):
        if len(np.unique(outcome.values[s.test])) < 2:
            return [f"the test part of {name} has one value only: R2 and correlation cannot be estimated there"]
        return []
    tested = outcome.strata[s.test]
    if isinstance(outcome, TimeOutcome):
        if not tested.any():
            return [f"the test part of {name} has no event: concordance cannot be estimated there"]
    elif len(np.unique(tested)) < 2:
        return [f"the test part of {name} has one class: discrimination cannot be estimated there"]
    return []
