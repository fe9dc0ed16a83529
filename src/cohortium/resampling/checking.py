"""Are splits fit for use?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Outcome, SurvivalOutcome, ValueOutcome
from cohortium.errors import EndpointError
from cohortium.resampling.designs import OuterSplit


def check_splits(splits: Sequence[OuterSplit], outcome: Outcome, groups: NDArray[np.int64] | None = None) -> list[str]:
    """Raise :class:`EndpointError` for splits that cannot be used; return notes on those that limit what is estimable."""
    notes = []
    for s in splits:
        name = f"repeat {s.repeat}, fold {s.fold}"
        if not len(s.test) or not len(s.train):
            raise EndpointError(f"{name} has {len(s.train)} units to train and {len(s.test)} to test.")
        if len(np.intersect1d(s.train, s.test)):
            raise EndpointError(
                f"In {name}, {len(np.intersect1d(s.train, s.test))} units are both trained on and tested."
            )
        if groups is not None:
            both = np.intersect1d(groups[s.train], groups[s.test])
            if len(both):
                raise EndpointError(
                    f"In {name}, {len(both)} patient(s) (or groups) have units on both sides: what is learned of them would "
                    "be tested on themselves. Give all units of a patient the same fold."
                )
        if isinstance(outcome, ValueOutcome):
            continue
        what = "events" if isinstance(outcome, SurvivalOutcome) else "classes"
        trained, tested = outcome.strata[s.train], outcome.strata[s.test]
        if what == "events" and not trained.any():
            raise EndpointError(f"The training part of {name} has no event. Use fewer folds.")
        missing = np.setdiff1d(outcome.strata, trained)
        if what == "classes" and len(missing):
            names = ", ".join(outcome.endpoint.classes[c] for c in missing)
            raise EndpointError(
                f"The training part of {name} has no unit of class {names}. Use fewer folds or merge classes."
            )
        if what == "events" and not tested.any():
            notes.append(f"the test part of {name} has no event: concordance cannot be estimated there")
        if what == "classes" and len(np.unique(tested)) < 2:
            notes.append(f"the test part of {name} has one class: discrimination cannot be estimated there")
    return notes
