"""Embeddings of each modality in one space, in which those of the same unit are pulled together.

What is absent has no embedding and no term. How they are pulled together:

- ``infonce``: a unit's embedding of one modality is told from those of others by its embedding of another (van den Oord 2018,
  arXiv:1807.03748; Radford 2021, ICML: CLIP);
- ``sigmoid``: each pair of embeddings is told to be of one unit or of two (Zhai 2023, ICCV: SigLIP);
- ``correlation``: each coordinate correlates across modalities, and coordinates of a modality do not: deep canonical
  correlation with soft decorrelation (Andrew 2013, ICML; Chang 2018, CVPR).

The representation of a unit is the mean of the embeddings that are there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cohortium.networks.batch import Batch
from cohortium.networks.tables import TABLES
from cohortium.networks.vae import Seen, random_part

ALIGNMENTS = ("infonce", "sigmoid", "correlation")

SHARPEST = math.log(100.0)
"""Of the learned scale of similarities, as CLIP has it."""

DECORRELATION = 0.5
"""Weight of correlations between coordinates beside disagreement."""


@dataclass(frozen=True)
class CoordinatedDesign:
    """dims: (M,) inputs of each modality. encoders: (M,) names in TABLES. alignment: of :data:`ALIGNMENTS`. latent: K. outputs:
    H of the head on the representation, 0 for none."""

    dims: tuple[int, ...]
    encoders: tuple[str, ...]
    alignment: str = "infonce"
    latent: int = 16
    outputs: int = 0
    width: int = 32
    dropout: float = 0.1

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @staticmethod
    def restore(state: dict[str, Any]) -> CoordinatedDesign:
        return CoordinatedDesign(**{**state, "dims": tuple(state["dims"]), "encoders": tuple(state["encoders"])})


class Standard(nn.Module):
    """Takes the mean of those who have the modality from its embedding, and divides each coordinate by their standard
    deviation: the batch's while training, then the training units' (:meth:`settle`)."""

    mean: Tensor
    sd: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("sd", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        # Of few units a batch says little of how they spread.
        if not self.training or len(x) < 8:
            return (x - self.mean) / self.sd
        return (x - x.mean(0)) / _sd(x)

    def settle(self, x: Tensor) -> None:
        """Set the constants to those of given training units (b, width)."""
        self.mean, self.sd = x.mean(0), _sd(x) if len(x) > 1 else torch.ones_like(x[0])


def _sd(x: Tensor) -> Tensor:
    return (x.var(0, unbiased=False) + 1e-4).sqrt()


class View(nn.Module):
    """A table encoder with a linear path beside it: (b, d) -> (b, K)."""

    def __init__(self, encoder: str, d: int, design: CoordinatedDesign) -> None:
        super().__init__()
        self.encoder = TABLES[encoder](d, design.width, design.dropout)
        self.wide, self.last = nn.Linear(d, design.latent, bias=False), nn.Linear(design.width, design.latent)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) + self.last(self.encoder(x))  # type: ignore[no-any-return]


class Made(NamedTuple):
    """What a training step makes. outputs: (n, H). tokens: (n, M, K). present: (n, M)."""

    outputs: Tensor
    tokens: Tensor
    present: Tensor


class Coordinated(nn.Module):
    """In training :class:`Made`. Else outputs of the head, or without a head the representation."""

    def __init__(self, design: CoordinatedDesign) -> None:
        super().__init__()
        if design.alignment not in ALIGNMENTS:
            raise ValueError(f"No alignment called '{design.alignment}'. Known: {', '.join(ALIGNMENTS)}.")
        self.design, k = design, design.latent
        self.views = nn.ModuleList([View(e, d, design) for e, d in zip(design.encoders, design.dims, strict=True)])
        self.standards = nn.ModuleList([Standard(k) for _ in design.dims])
        self.head = nn.Linear(k, design.outputs, bias=False) if design.outputs else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)

    def tokens(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(n, M, K) embeddings of mean square one, zero where absent, and (n, M) who has which modality."""
        out = []
        for view, standard, seen, at in zip(self.views, self.standards, batch.x, batch.at, strict=True):
            token = torch.zeros(batch.n, self.design.latent, dtype=view.wide.weight.dtype)
            if seen is not None:
                h = standard(view(seen.x if isinstance(seen, Seen) else seen))
                if self.design.alignment != "correlation":
                    h = F.normalize(h, dim=-1) * math.sqrt(self.design.latent)
                token = token.index_copy(0, at, h)
            out.append(token)
        return torch.stack(out, 1), batch.present()

    def infer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(n, K) representation, 0 where nothing is known, and the variance of the mean of those embeddings, 1 there and where
        there is one."""
        tokens, present = self.tokens(batch)
        count = present.sum(1, keepdim=True)
        mean = tokens.sum(1) / count.clamp_min(1)
        apart = (torch.where(present.unsqueeze(-1), tokens - mean.unsqueeze(1), 0.0) ** 2).sum(1)
        spread = apart / ((count - 1).clamp_min(1) * count.clamp_min(1))
        return mean, torch.where(count > 1, spread, 1.0)

    def forward(self, batch: Batch) -> Any:
        tokens, present = self.tokens(batch)
        some = random_part(present) if self.training else present
        mean = (tokens * some.unsqueeze(-1)).sum(1) / some.sum(1, keepdim=True).clamp_min(1)
        outputs = mean if self.head is None else self.head(mean)
        return Made(outputs, tokens, present) if self.training else outputs

    @torch.no_grad()
    def settle(self, batch: Batch) -> None:
        """Set the constants that embeddings are standardised by to those of the given training units."""
        training = self.training
        self.eval()
        for view, standard, seen in zip(self.views, self.standards, batch.x, strict=True):
            if seen is not None:
                standard.settle(view(seen.x if isinstance(seen, Seen) else seen))
        self.train(training)


class Alignment(nn.Module):
    """How far the embeddings of a unit are from one another, and beside it an objective of the head's outputs.

    kind: of :data:`ALIGNMENTS`. units: n. inner: an objective of :mod:`cohortium.networks.objectives`, None for alignment
    alone. weight: of it.
    """

    def __init__(self, kind: str, units: int, inner: nn.Module | None = None, weight: float = 1.0) -> None:
        super().__init__()
        self.kind, self.inner, self.weight = kind, inner, weight
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.shift = nn.Parameter(torch.tensor(-math.log(50.0)))
        self.informative = torch.zeros(units, dtype=torch.bool) if inner is None else inner.informative

    def forward(self, made: Made, rows: Tensor) -> Tensor:
        total = self.apart(made.tokens, made.present)
        return total if self.inner is None else total + self.weight * self.inner(made.outputs, rows)  # type: ignore[no-any-return]

    def apart(self, tokens: Tensor, present: Tensor) -> Tensor:
        """The loss of embeddings (n, M, K): the mean over pairs of modalities, by how many units have both."""
        total, weight = tokens.sum() * 0.0, 0
        for a, b, both in _pairs(present):
            total = total + len(both) * self._pair(tokens[both, a], tokens[both, b])
            weight += len(both)
        return total / max(weight, 1)

    def _pair(self, a: Tensor, b: Tensor) -> Tensor:
        if self.kind == "correlation":
            return self._correlation(a, b)
        k = a.shape[1]
        logits = torch.exp(self.log_scale.clamp_max(SHARPEST)) * (a @ b.T) / k
        if self.kind == "infonce":
            own = torch.arange(len(a))
            return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))
        sign = 2 * torch.eye(len(a), dtype=a.dtype) - 1
        return -F.logsigmoid(sign * (logits + self.shift)).sum(1).mean()

    @staticmethod
    def _correlation(a: Tensor, b: Tensor) -> Tensor:
        def crossed(x: Tensor) -> Tensor:
            """Mean squared correlation of each coordinate with the others."""
            x = x - x.mean(0)
            square = (x.T @ x / len(x)) ** 2
            return (square.sum() - square.diagonal().sum()) / x.shape[1]

        return ((a - b) ** 2).mean() + DECORRELATION * (crossed(a) + crossed(b))


def _pairs(present: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """Pairs of modalities, and the units (two at least) that have both."""
    m = present.shape[1]
    for a in range(m):
        for b in range(a + 1, m):
            both = torch.nonzero(present[:, a] & present[:, b]).ravel()
            if len(both) > 1:
                yield a, b, both
