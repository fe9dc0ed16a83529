"""Whether an effect has the same sign in every part of the patients: in folds and at sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Outcome
from cohortium.discovery.features import Features
from cohortium.discovery.null import effective_size
from cohortium.discovery.univariate import testable as _testable
from cohortium.discovery.univariate import univariate

Codes = NDArray[np.int64]

UNITS, EVENTS = 20, 5
"""A part with fewer units or events says nothing of a sign."""


def same_sign(
    outcome: Outcome, features: Features, covariates: NDArray[np.float64] | None, part: Codes, which: NDArray[np.intp]
) -> list[tuple[int, int] | None]:
    """Of every feature in ``which``: in how many parts its effect has the commoner sign, of how many; None with fewer than two.

    part: (n,) code of each unit's part, -1 for none.
    """
    signs = list[NDArray[np.float64]]()
    some = Features(
        features.x[:, which], features.modality[which], features.name[which], features.modalities, features.rare
    )
    for k in range(int(part.max(initial=-1)) + 1):
        rows = np.flatnonzero(part == k)
        own = outcome.take(rows)
        if len(rows) < UNITS or effective_size(own) < EVENTS or not _testable(own):
            continue
        effect = univariate(own, some.take(rows), None if covariates is None else covariates[rows]).effect
        signs.append(np.sign(effect))
    if not signs:
        return [None] * len(which)
    table = np.array(signs)
    up, down = (table > 0).sum(axis=0), (table < 0).sum(axis=0)
    return [(int(max(u, d)), int(u + d)) if u + d > 1 else None for u, d in zip(up, down, strict=True)]
