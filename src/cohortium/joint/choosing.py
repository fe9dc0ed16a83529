"""Factors with the weighting of wide modalities that predicts best: what ``embed`` and ``subtype`` stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.joint.factors import ROUGH, JointFactors, cross_modal, fit_joint_factors, weightings

CHECKS = 3
"""Folds of units by which the weighting of wide modalities is chosen."""


def check_folds(cohort: Cohort, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Positions of training and other units, patients together."""
    from cohortium.resampling.dealing import deal

    strata = np.zeros(len(cohort), dtype=np.int64)
    fold = deal(strata, cohort.groups(), CHECKS, [], np.random.default_rng([seed, 19]))
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(CHECKS)]


def fits_to_choose(cohort: Cohort) -> int:
    """How many fits :func:`choose_factors` makes."""
    caps = len(weightings(cohort))
    return caps * CHECKS + 1 if caps > 1 else 1


def choose_factors(
    cohort: Cohort, size: int, seed: int, each: Callable[[], None] = lambda: None
) -> tuple[JointFactors, float | None]:
    """Factors of the units, and the cap on wide modalities with which factors of some units tell most of each modality of the
    others, hidden in turn. each: called after every fit. Raises ValueError as :func:`fit_joint_factors`."""
    caps = weightings(cohort)
    cap = caps[0] if len(caps) == 1 else _best_cap(cohort, size, caps, seed, each)
    joint = fit_joint_factors(cohort, size=size, cap=cap)
    each()
    return joint, cap


def _best_cap(
    cohort: Cohort, size: int, caps: Sequence[float | None], seed: int, each: Callable[[], None]
) -> float | None:
    found = np.zeros((len(caps), CHECKS))
    for k, (train, test) in enumerate(check_folds(cohort, seed)):
        seen, others = cohort.take(train), cohort.take(test)
        for c, cap in enumerate(caps):
            found[c, k] = cross_modal(fit_joint_factors(seen, size=size, cap=cap, tolerance=ROUGH), others)
            each()
    return caps[int(np.nan_to_num(found, nan=-1.0).mean(axis=1).argmax())]
