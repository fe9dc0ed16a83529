"""What a site seals of a private study: its noisy answer, with the noise that is enough by itself, as one vector.

The ledger has the release before anything is masked, and gives the same numbers to the same question: masks hide single sites'
noisy sums, they never stand in for noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan, Withdrawn
from cohortium.contracts.federation_private import (
    PRIVATE_QUESTIONS,
    SitePrivateCounts,
    SitePrivateGradient,
    SitePrivateScores,
)
from cohortium.contracts.federation_secure import SealedQuestion
from cohortium.federation_site.refusing import RefusedError

Array = NDArray[np.float64]


def private_numbers(found: Any, plan: FederationPlan) -> Array:
    """(n,) of an answer: of counts 1 where the noise is the system's, 1 for each declared feature that the site has, counts, moments."""
    assert plan.privacy is not None
    if isinstance(found, SitePrivateCounts):
        has = np.zeros(len(plan.privacy.columns))
        has[list(found.features)] = 1.0
        return np.concatenate([[float(found.source == "system")], has, found.counts, found.moments])
    if isinstance(found, SitePrivateGradient):
        return found.gradient
    if isinstance(found, SitePrivateScores):
        return found.counts
    raise RefusedError(found.reason if isinstance(found, Withdrawn) else "it has no private answer to that")


def question_of(q: SealedQuestion) -> Any:
    """The private question within. Raises :class:`RefusedError` for any other, which would be answered without noise."""
    if q.fold != -1 or not isinstance(q.question, PRIVATE_QUESTIONS):
        raise RefusedError("the study is private: what leaves has noise, and folds are held out by its own rule")
    return q.question
