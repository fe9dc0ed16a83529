"""Training of :class:`~cohortium.joint.vae.JointVae` on a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from cohortium.cohort import Cohort
from cohortium.joint.imputing import Imputer, JointImputer, Part, squared_error
from cohortium.joint.model import Array
from cohortium.joint.network import BERNOULLI, GAUSSIAN, infer
from cohortium.joint.network_training import NetworkRun, walk
from cohortium.joint.vae import JointVae, VaeSettings, decode
from cohortium.networks.vae import Elbo, Vae, VaeDesign

LEAST_SHARE = 1e-3
"""A latent variable that explains less than this of every modality is none."""


class VaeRun(NetworkRun):
    """An autoencoder in training; see :class:`~cohortium.joint.network_training.NetworkRun`."""

    def _begin(self, settings: VaeSettings) -> Vae:
        """A fresh network that decodes the mean of each feature."""
        likelihoods = tuple(tuple(int(k) for k in v.kinds) for v in self.views.views)
        self.design = VaeDesign(likelihoods=likelihoods, posterior=settings.posterior, **self.common)
        model = Vae(self.design)
        for decoder, part, view in zip(model.decoders, self.inputs.parts, self.views.views, strict=True):
            mean = torch.as_tensor(np.nanmean(part.y.numpy(), axis=0)) if len(part.y) else torch.zeros(len(view.kinds))
            kinds = torch.as_tensor(view.kinds)
            start = torch.where(
                kinds == BERNOULLI, torch.logit(mean.clamp(0.01, 0.99)), torch.log(mean.clamp_min(1e-3))
            )
            with torch.no_grad():
                decoder.wide.bias.copy_(torch.where(kinds == GAUSSIAN, mean, start))
        return model

    def _criterion(self, settings: VaeSettings, weight: float) -> Elbo:
        return Elbo(len(self.cohort), self.objective, weight)

    def evidence(self, inputs: Any, rows: torch.Tensor) -> float:
        """Mean of minus the bound over further units."""
        with self.trainer.averaged() as model:
            return float(model.evidence(inputs.batch(rows)).mean())

    def predicted(self, inputs: Any, n: int, target: str) -> tuple[Array, Array]:
        """Encoded features of the target expected for n further units, and standard deviations."""
        model = self.frozen().model()
        return decode(model, self.views, self.views.names.index(target), *infer(model, inputs, n))

    def frozen(self, others: Sequence[NetworkRun] = (), explain: bool = False) -> JointVae:
        """See the base; what explains nothing is then left out."""
        members = tuple(r.weights() for r in (self, *others))
        size = self.design.latent
        empty = np.zeros((len(self.views.names), size))
        made = JointVae(self.views, self.design.state(), members, tuple(range(size)), empty)
        if not explain:
            return made
        share = _explained(made, self.inputs)
        used = share.max(axis=0) >= LEAST_SHARE
        order = [int(k) for k in np.argsort(-share.sum(axis=0), kind="stable") if used[k] or not used.any()]
        return replace(made, kept=tuple(order), explained=share[:, order])


def _explained(joint: JointVae, inputs: Any) -> Array:
    """(M, K) variance over training units of what each latent variable alone decodes, relative to that of the features."""
    model, n = joint.model(), inputs.n
    mean, _ = infer(model, _double(inputs), n)
    out = np.zeros((len(joint.names), joint.size))
    for j, part in enumerate(inputs.parts):
        z = mean[part.where.numpy()]
        total = max(float(len(joint.encoders[j].names_)), 1.0)
        for k in range(joint.size):
            alone = np.zeros_like(z)
            alone[:, k] = z[:, k]
            value, _ = decode(model, joint.views, j, alone, np.zeros_like(z))
            out[j, k] = value.var(axis=0).sum() / total
    return out


def _double(inputs: Any) -> Any:
    from cohortium.networks.batch import Inputs
    from cohortium.networks.vae import SeenRows

    return Inputs(inputs.n, tuple(SeenRows(p.x.double(), p.y.double(), p.size.double(), p.where) for p in inputs.parts))


@dataclass(frozen=True)
class VaeMethod:
    """Imputation by an autoencoder of all modalities of all units; what is chosen is the number of epochs."""

    settings: VaeSettings

    def tune(self, parts: Sequence[Part], target: str, seed: int) -> tuple[int, list[tuple[Array, Array]]]:
        """See :class:`~cohortium.joint.imputing.Method`."""
        runs = [VaeRun(p.seen, list(p.seen.modalities), self.settings, seed) for p in parts]
        held = [r.views.inputs(p.blind)[0] for r, p in zip(runs, parts, strict=True)]

        def look() -> tuple[float, list[tuple[Array, Array]]]:
            made = [r.predicted(i, i.n, target) for r, i in zip(runs, held, strict=True)]
            return squared_error(parts, [value for value, _ in made]), made

        epochs, _, made = walk(runs, self.settings.epochs, look)
        return epochs, made

    def fit(self, cohort: Cohort, target: str, seed: int, pick: int) -> Imputer:
        """Trained for so many epochs."""
        run = VaeRun(cohort, list(cohort.modalities), self.settings, seed)
        run.trainer.advance(pick)
        return JointImputer(run.frozen(), target)
