"""A trained network as a node: scores for any cohort, from weights kept as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.encoders.raw import RawEncoder
from cohortium.learners.nodes import Array, Input, Memo, Node

AT_ONCE = 4096
"""Units that go through the network together."""


@dataclass(frozen=True, eq=False)
class DeepNode(Node):
    """Mean score of networks of one design.

    design: of :mod:`cohortium.networks.build`. members: per network its weights by name. link, biases: what turns
    outputs into scores. slope: of the scores. presence: (M,) mean and (M, K) effect of having each modality, which is
    taken away from the scores (None: presence may predict). start: whose scores the outputs are added to. used: outputs,
    the first of them, that make the score. items: per input what makes numbers of its instances or events, None where
    its summary is all that is seen. Scores are computed in double precision, so that they do not depend on
    which units are predicted together.
    """

    inputs: tuple[Input, ...]
    design: dict[str, Any]
    members: tuple[dict[str, np.ndarray], ...]
    link: str
    biases: tuple[np.ndarray, ...]
    slope: float
    n_scores: int
    presence: tuple[Array, Array] | None = None
    start: Node | None = None
    used: int = 1
    items: tuple[RawEncoder | None, ...] = ()

    def _inputs(self, cohort: Cohort, memo: Memo) -> tuple[Any, NDArray[np.bool_]]:
        """All units as the networks see them, and (n,) who has any of the modalities."""
        import torch

        from cohortium.learners.deep_parts import with_items
        from cohortium.networks.batch import Inputs, Part, Rows

        parts, seen = [], np.zeros(len(cohort), dtype=bool)
        for source, items in zip(self.inputs, self.items or (None,) * len(self.inputs), strict=True):
            x, rows = source.encoded(cohort, memo)
            x = x if source.basis is None else x @ source.basis
            part: Part = Rows(torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float64), torch.as_tensor(rows))
            if items is not None and len(rows):
                part = with_items(part, items, cohort.modalities[source.modality], np.arange(len(rows)))
            parts.append(part)
            seen[rows] = True
        return Inputs(len(cohort), tuple(parts)), seen

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        import torch

        from cohortium.networks.build import Design, build
        from cohortium.networks.objectives import score_of
        from cohortium.training.loop import one_thread

        inputs, seen = self._inputs(cohort, memo)
        start = 0.0 if self.start is None else torch.as_tensor(np.nan_to_num(self.start.scores(cohort, memo)))
        out = np.zeros((len(cohort), self.n_scores))
        with one_thread(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            for weights, bias in zip(self.members, self.biases, strict=True):
                model = build(Design.restore(self.design)).double()
                model.load_state_dict({k: torch.as_tensor(np.asarray(v)) for k, v in weights.items()})
                model.eval()
                for rows in torch.arange(len(cohort)).split(AT_ONCE):
                    outputs = model(inputs.batch(rows))[:, : self.used] + (start if self.start is None else start[rows])
                    out[rows.numpy()] += score_of(self.link, outputs, torch.as_tensor(bias)).numpy()
        out *= self.slope / len(self.members)
        if self.presence is not None:
            out -= (inputs.present().numpy() - self.presence[0]) @ self.presence[1]
        out[~seen] = np.nan
        return out
