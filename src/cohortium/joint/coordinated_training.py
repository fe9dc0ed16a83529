"""Training of :class:`~cohortium.joint.coordinated.JointCoordinated` on a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from cohortium.joint.coordinated import CoordinatedSettings, JointCoordinated
from cohortium.joint.network import infer
from cohortium.joint.network_training import NetworkRun
from cohortium.joint.readout import fit_readout
from cohortium.networks.coordinated import Alignment, Coordinated, CoordinatedDesign


class CoordinatedRun(NetworkRun):
    """Embeddings in training; see :class:`~cohortium.joint.network_training.NetworkRun`."""

    def _begin(self, settings: CoordinatedSettings) -> Coordinated:
        self.design = CoordinatedDesign(alignment=settings.alignment, **self.common)
        return Coordinated(self.design)

    def _criterion(self, settings: CoordinatedSettings, weight: float) -> Alignment:
        return Alignment(settings.alignment, len(self.cohort), self.objective, weight)

    def evidence(self, inputs: Any, rows: torch.Tensor) -> float:
        """How far the embeddings of further units are from one another."""
        with self.trainer.averaged() as model:
            return float(self.criterion.apart(*model.tokens(inputs.batch(rows))))

    def frozen(self, others: Sequence[NetworkRun] = (), explain: bool = False) -> JointCoordinated:
        members = tuple(r.weights() for r in (self, *others))
        size = self.design.latent
        empty = np.zeros((len(self.views.names), size))
        made = JointCoordinated(self.views, self.design.state(), members, tuple(range(size)), empty)
        if not explain:
            return made
        model = made.model()

        def represent(cohort: Any, without: str | None) -> Any:
            inputs, known = made.views.inputs(cohort, without=without)
            return infer(model, inputs, len(cohort))[0], known

        read = fit_readout(self.cohort, made.names, made.encoders, represent)
        order = np.argsort(-read.explained.sum(axis=0), kind="stable")
        read = replace(read, weights=tuple(w[:, order] for w in read.weights), explained=read.explained[:, order])
        return replace(made, kept=tuple(map(int, order)), explained=read.explained, readout=read)
