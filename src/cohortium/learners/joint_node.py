"""A joint representation with its head as a node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cohortium.cohort import Cohort
from cohortium.joint import Joint
from cohortium.joint.network import JointNetwork
from cohortium.learners.nodes import Array, Memo, Node, presence_matrix


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


@dataclass(frozen=True, eq=False)
class NetworkNode(Node):
    """Mean score of networks whose heads were trained with them.

    modalities: whose presence has an effect. link, biases: what turns outputs into scores. slope: of the scores. presence:
    (M,) mean and (M, K) effect of having each modality, which is taken away (None: presence may predict).
    """

    joint: JointNetwork
    modalities: tuple[str, ...]
    link: str
    biases: tuple[np.ndarray, ...]
    slope: float
    n_scores: int
    presence: tuple[Array, Array] | None

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        import torch

        from cohortium.networks.objectives import score_of

        made, known = self.joint.outputs(cohort)
        out = np.zeros((len(cohort), self.n_scores))
        for outputs, bias in zip(made, self.biases, strict=True):
            out += score_of(self.link, torch.as_tensor(outputs), torch.as_tensor(bias)).numpy()
        out *= self.slope / len(made)
        if self.presence is not None:
            out -= (presence_matrix(cohort, self.modalities) - self.presence[0]) @ self.presence[1]
        out[~known] = np.nan
        return out
