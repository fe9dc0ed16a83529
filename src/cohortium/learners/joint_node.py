"""A joint representation and a linear head as a node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cohortium.cohort import Cohort
from cohortium.joint import Joint
from cohortium.learners.nodes import Array, Memo, Node


@dataclass(frozen=True, eq=False)
class JointNode(Node):
    """Leading latent variables times coefficients (k, K); NaN for units that have none of the modalities."""

    joint: Joint
    coef: Array
    n_scores: int

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        key = ("joint", id(self.joint))
        if key not in memo:
            memo[key] = self.joint.embed(cohort)
        found = memo[key]
        out = found.mean[:, : len(self.coef)] @ self.coef
        out[~found.known] = np.nan
        return np.asarray(out)
