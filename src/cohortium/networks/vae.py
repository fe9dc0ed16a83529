"""Variational autoencoder of several modalities, of which a unit may lack any.

Each modality has an encoder, whose output is a Gaussian expert on the latent variables, and a decoder to the likelihood of each
feature. What is absent has no expert and no term of the bound. Which experts are joined in one training step:

- ``poe``: all that are there, in a product with the prior (Wu & Goodman 2018, NeurIPS: MVAE), beside a product of a random
  part of them which has to account for that part alone;
- ``moe``: one of them at random, which has to account for all modalities that are there (Shi 2019, NeurIPS: MMVAE);
- ``mopoe``: the product of a random part of them, which has to account for all (Sutter 2021, ICLR: MoPoE).

The random part makes the bound of the mixture an expectation over steps, whatever the number of modalities; the
divergence is the mean of the components', an upper bound of the mixture's. The representation of a unit is the product
of all experts that are there, and with ``moe`` the mixture's mean and variance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cohortium.networks.batch import Batch
from cohortium.networks.model import Centre
from cohortium.networks.tables import TABLES

POSTERIORS = ("poe", "moe", "mopoe")
GAUSSIAN, BERNOULLI, COUNTS = 0, 1, 2
"""Likelihood of a feature: its own variance; a probability; negative binomial with its own dispersion."""

LEAST_LOG_VARIANCE = -4.6
"""Of standardised features: a hundredth."""


class Seen(NamedTuple):
    """Units that have a modality. x: (b, d) what the encoder wants. y: (b, p) what is to be decoded, NaN where a cell is unknown.
    size: (b,) of a unit's library relative to the mean, for counts; else ones."""

    x: Tensor
    y: Tensor
    size: Tensor


@dataclass(frozen=True, eq=False)
class SeenRows:
    """The part of :class:`~cohortium.networks.batch.Inputs` of one modality of an autoencoder."""

    x: Tensor
    y: Tensor
    size: Tensor
    where: Tensor

    def take(self, rows: Tensor, drawn: bool = False) -> Seen:
        return Seen(self.x[rows], self.y[rows], self.size[rows])


@dataclass(frozen=True)
class VaeDesign:
    """dims: (M,) inputs of each modality. encoders: (M,) names in TABLES. likelihoods: (M,) of each feature that is decoded.
    posterior: of :data:`POSTERIORS`. latent: K. outputs: H of the head on the representation, 0 for none."""

    dims: tuple[int, ...]
    encoders: tuple[str, ...]
    likelihoods: tuple[tuple[int, ...], ...]
    posterior: str = "mopoe"
    latent: int = 16
    outputs: int = 0
    width: int = 32
    dropout: float = 0.1

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @staticmethod
    def restore(state: dict[str, Any]) -> VaeDesign:
        like = tuple(tuple(int(k) for k in kinds) for kinds in state["likelihoods"])
        return VaeDesign(
            **{**state, "dims": tuple(state["dims"]), "encoders": tuple(state["encoders"]), "likelihoods": like}
        )


class Expert(nn.Module):
    """A modality's Gaussian expert: a table encoder with a linear path beside it for the mean."""

    def __init__(self, encoder: str, d: int, design: VaeDesign) -> None:
        super().__init__()
        self.encoder = TABLES[encoder](d, design.width, design.dropout)
        self.wide = nn.Linear(d, design.latent, bias=False)
        self.mean, self.precision = nn.Linear(design.width, design.latent), nn.Linear(design.width, design.latent)
        # The expert begins with little to say.
        nn.init.constant_(self.precision.bias, -1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, K) means and precisions of those who have the modality."""
        h = self.encoder(x)
        return self.wide(x) + self.mean(h), torch.exp(self.precision(h).clamp(-8, 6))


class Decoder(nn.Module):
    """From latent variables to the parameters of each feature's likelihood; linear, and a hidden layer beside."""

    def __init__(self, likelihoods: tuple[int, ...], design: VaeDesign) -> None:
        super().__init__()
        p = len(likelihoods)
        self.wide, self.up = nn.Linear(design.latent, p), nn.Linear(design.latent, design.width)
        self.down, self.drop = nn.Linear(design.width, p), nn.Dropout(design.dropout)
        self.spread = nn.Parameter(torch.zeros(p))
        self.register_buffer("kind", torch.tensor(likelihoods, dtype=torch.long), persistent=False)
        nn.init.zeros_(self.down.weight)

    kind: Tensor

    def forward(self, z: Tensor) -> Tensor:
        """(b, p) means of Gaussian features, logits of binary ones, log rates of counts at the mean library."""
        return self.wide(z) + self.down(self.drop(F.gelu(self.up(z))))  # type: ignore[no-any-return]

    def variance(self) -> Tensor:
        """(p,) of Gaussian features."""
        return torch.exp(self.spread.clamp_min(LEAST_LOG_VARIANCE))

    def loss(self, z: Tensor, seen: Seen) -> Tensor:
        """(b,) minus the log-likelihood of what is known of each unit."""
        out, known = self(z), ~torch.isnan(seen.y)
        y = torch.where(known, seen.y, 0.0)
        spread = self.spread.clamp_min(LEAST_LOG_VARIANCE)
        loss = 0.5 * ((y - out) ** 2 * torch.exp(-spread) + spread + 1.8378770664)
        if (self.kind == BERNOULLI).any():
            binary = F.binary_cross_entropy_with_logits(out, y.clamp(0, 1), reduction="none")
            loss = torch.where(self.kind == BERNOULLI, binary, loss)
        if (self.kind == COUNTS).any():
            loss = torch.where(self.kind == COUNTS, negative_binomial(y, out, spread, seen.size), loss)
        return torch.where(known, loss, 0.0).sum(1)


def negative_binomial(y: Tensor, log_rate: Tensor, log_dispersion: Tensor, size: Tensor) -> Tensor:
    """(b, p) minus log-likelihood of counts y with mean size * exp(log_rate) and variance mean + mean² exp(-log_dispersion)
    (Lopez 2018, Nat Methods 15:1053)."""
    log_mean = log_rate.clamp(-15, 15) + torch.log(size.clamp_min(1e-8))[:, None]
    theta = torch.exp(log_dispersion.clamp(-6, 8)).expand_as(y)
    both = torch.logaddexp(torch.log(theta), log_mean)
    own = theta * (torch.log(theta) - both) + y * (log_mean - both)
    return torch.lgamma(theta) + torch.lgamma(y + 1) - torch.lgamma(y + theta) - own


class Vae(nn.Module):
    """In training (outputs (n, H), bound (n,)): the head's outputs, and minus the evidence bound of each unit per decoded feature of the
    design. Else outputs only: of the representation, or without a head the representation itself."""

    def __init__(self, design: VaeDesign) -> None:
        super().__init__()
        if design.posterior not in POSTERIORS:
            raise ValueError(f"No posterior called '{design.posterior}'. Known: {', '.join(POSTERIORS)}.")
        self.design, k = design, design.latent
        self.experts = nn.ModuleList([Expert(e, d, design) for e, d in zip(design.encoders, design.dims, strict=True)])
        self.centres = nn.ModuleList([Centre(k) for _ in design.dims])
        self.decoders = nn.ModuleList([Decoder(kinds, design) for kinds in design.likelihoods])
        self.head = nn.Linear(k, design.outputs, bias=False) if design.outputs else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
        self.scale = 1.0 / max(sum(map(len, design.likelihoods)), 1)

    def expert(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(n, M, K) means and precisions, zero where absent, and (n, M) who has which modality."""
        shape, dtype = (batch.n, self.design.latent), self.decoders[0].spread.dtype
        means, precisions = [], []
        for expert, centre, seen, at in zip(self.experts, self.centres, batch.x, batch.at, strict=True):
            mean, precision = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
            if seen is not None:
                m, p = expert(seen.x if isinstance(seen, Seen) else seen)
                mean, precision = mean.index_copy(0, at, centre(m)), precision.index_copy(0, at, p)
            means.append(mean)
            precisions.append(precision)
        return torch.stack(means, 1), torch.stack(precisions, 1), batch.present()

    @staticmethod
    def product(mean: Tensor, precision: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(n, K) mean and variance of the product of the prior and the experts of ``mask`` (n, M)."""
        precision = precision * mask.unsqueeze(-1)
        total = 1 + precision.sum(1)
        return (precision * mean).sum(1) / total, 1 / total

    def infer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(n, K) mean and variance of the representation; the prior's where nothing is known."""
        mean, precision, present = self.expert(batch)
        if self.design.posterior != "moe":
            return self.product(mean, precision, present)
        count = present.sum(1, keepdim=True).clamp_min(1)
        each = precision / (1 + precision) * mean
        centre = each.sum(1) / count
        second = ((1 / (1 + precision) + each**2) * present.unsqueeze(-1)).sum(1) / count
        variance = torch.where(present.any(1, keepdim=True), second - centre**2, 1.0)
        return centre, variance

    def forward(self, batch: Batch) -> Any:
        if not self.training:
            mean, _ = self.infer(batch)
            return mean if self.head is None else self.head(mean)
        mean, precision, present = self.expert(batch)
        some = random_part(present)
        one = _random_one(present)
        outputs = mean.new_zeros(batch.n, 0)
        if self.head is not None:
            outputs = self.head(self.product(mean, precision, some if self.design.posterior != "moe" else one)[0])
        if self.design.posterior == "poe":
            whole = self._bound(batch, self.product(mean, precision, present), present)
            part = self._bound(batch, self.product(mean, precision, some), some)
            return outputs, 0.5 * (whole + part)
        component = self.product(mean, precision, some if self.design.posterior == "mopoe" else one)
        return outputs, self._bound(batch, component, present)

    def _bound(self, batch: Batch, component: tuple[Tensor, Tensor], account: Tensor, sample: bool = True) -> Tensor:
        """(n,) minus the bound with one sample (or at the mean) of a component that accounts for the modalities ``account`` (n, M)."""
        mean, variance = component
        z = mean + torch.randn_like(mean) * variance.sqrt() if sample else mean
        loss = 0.5 * (mean**2 + variance - 1 - torch.log(variance)).sum(1)
        for j, (decoder, seen, at) in enumerate(zip(self.decoders, batch.x, batch.at, strict=True)):
            if seen is not None:
                loss = loss.index_add(0, at, decoder.loss(z[at], seen) * account[at, j])
        return loss * self.scale

    def evidence(self, batch: Batch) -> Tensor:
        """(n,) minus the bound of the representation at its mean: what is compared on units that were not trained on."""
        return self._bound(batch, self.infer(batch), batch.present(), sample=False)

    @torch.no_grad()
    def settle(self, batch: Batch) -> None:
        """Set the means that experts are centred at to those of the given training units."""
        training = self.training
        self.eval()
        for expert, centre, seen in zip(self.experts, self.centres, batch.x, strict=True):
            if seen is not None:
                centre.mean = expert(seen.x if isinstance(seen, Seen) else seen)[0].mean(0)
        self.train(training)


def _random_one(present: Tensor) -> Tensor:
    """(n, M) bool: one of those that are there, at random; none where none is."""
    draw = torch.rand(present.shape).masked_fill(~present, -1.0)
    return F.one_hot(draw.argmax(1), present.shape[1]).bool() & present


def random_part(present: Tensor) -> Tensor:
    """(n, M) bool: a random non-empty part of those that are there, each part as likely as any other."""
    part = present & (torch.rand(present.shape) < 0.5)
    # Drawn again where it came out empty: uniform over the others. Rarely needed thrice; the last resort is one of them.
    for _ in range(3):
        empty = ~part.any(1, keepdim=True)
        part = torch.where(empty, present & (torch.rand(present.shape) < 0.5), part)
    return torch.where(part.any(1, keepdim=True), part, _random_one(present))


class Elbo(nn.Module):
    """The bound, and beside it an objective of the head's outputs: what :class:`Vae` is trained for.

    inner: an objective of :mod:`cohortium.networks.objectives`, None for the bound alone. weight: of it. units: n.
    """

    def __init__(self, units: int, inner: nn.Module | None = None, weight: float = 1.0) -> None:
        super().__init__()
        self.inner, self.weight = inner, weight
        self.informative = torch.zeros(units, dtype=torch.bool) if inner is None else inner.informative

    def forward(self, made: tuple[Tensor, Tensor], rows: Tensor) -> Tensor:
        outputs, bound = made
        total = bound.mean()
        return total if self.inner is None else total + self.weight * self.inner(outputs, rows)  # type: ignore[no-any-return]
