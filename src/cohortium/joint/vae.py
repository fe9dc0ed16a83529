"""A variational autoencoder of the modalities of a cohort: what it sees and says of each, in encoded features.

The network is :mod:`cohortium.networks.vae`; torch is imported where it runs. Narrow modalities are decoded feature by
feature: Gaussian, binary columns and levels Bernoulli, unknown cells without a term; wider ones in the leading directions of
their training units. Tables of counts that are declared so are decoded as negative binomial, each unit relative to its library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cohortium.cohort import Cohort
from cohortium.joint.model import Array
from cohortium.joint.network import BERNOULLI, COUNTS, GAUSSIAN, JointNetwork, NetworkSettings, Views, infer

SAMPLES = 16
"""Draws of the latent variables, the same for every unit, over which what is decoded is averaged."""


@dataclass(frozen=True)
class VaeSettings(NetworkSettings):
    """posterior: poe, moe or mopoe."""

    posterior: str = "mopoe"


@dataclass(frozen=True, eq=False)
class JointVae(JointNetwork):
    """A trained autoencoder. design: of :mod:`cohortium.networks.vae`."""

    def build(self) -> Any:
        from cohortium.networks.vae import Vae, VaeDesign

        return Vae(VaeDesign.restore(self.design))

    def predict(self, cohort: Cohort, target: str) -> tuple[Array, Array]:
        """(n, q) expected features of ``target`` given the others, and their standard deviations, noise included."""
        inputs, _ = self.views.inputs(cohort, without=target)
        at, model = self.views.names.index(target), self.model()
        return decode(model, self.views, at, *infer(model, inputs, len(cohort)))

    @property
    def loadings(self) -> tuple[Array, ...]:
        """Per modality (q, K): change of its encoded features per unit of each variable, about the mean."""
        model, step = self.model(), np.eye(int(self.design["latent"]))[list(self.kept)]
        out = []
        for j in range(len(self.names)):
            up, down = (decode(model, self.views, j, s * step, np.zeros_like(step))[0] for s in (0.5, -0.5))
            out.append((up - down).T)
        return tuple(out)


def decode(model: Any, views: Views, j: int, mean: Array, variance: Array) -> tuple[Array, Array]:
    """(n, q) encoded features of modality j and their standard deviations, over the posterior of the latent variables."""
    import torch

    from cohortium.training.loop import one_thread

    view, decoder = views.views[j], model.decoders[j]
    rng = np.random.default_rng(23)  # one set of points for everybody, as of a quadrature
    draws = rng.normal(size=(SAMPLES // 2, mean.shape[1]))
    kinds = view.kinds
    total = np.zeros((len(mean), len(kinds)))
    square = np.zeros_like(total)
    with one_thread(), torch.no_grad():
        for eps in np.concatenate([draws, -draws]):
            out = decoder(torch.as_tensor(mean + np.sqrt(variance) * eps)).numpy()
            out = np.where(kinds == BERNOULLI, 1 / (1 + np.exp(-np.clip(out, -30, 30))), out)
            out = np.where(kinds == COUNTS, np.exp(np.clip(out, -15, 15)), out)
            total += out
            square += out * out
        own = np.where(kinds == GAUSSIAN, decoder.variance().numpy(), 0.0)
    value = total / SAMPLES
    value, spread = view.features(views.encoders[j], value, np.maximum(square / SAMPLES - value**2, 0.0) + own)
    return value, np.sqrt(spread)
