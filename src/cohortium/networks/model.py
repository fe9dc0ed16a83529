"""Encoders, fusion and head in one module: every deep learner of the leaderboard that is trained on an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cohortium.networks.batch import Batch
from cohortium.networks.ragged import Beside, vector_of


class Centre(nn.Module):
    """Takes the mean of those who have the modality from its embedding, so that having it says nothing by itself.

    While training the mean is the batch's; afterwards the training units', which :meth:`JointModel.settle` sets.
    """

    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        # One unit is its own mean: without the fixed one its embedding would be nothing.
        return x - (x.mean(0) if self.training and len(x) > 1 else self.mean)


class Both(nn.Module):
    """A modality of many items: what its items say and what their summary says, added; b units -> (b, width).

    asks: what the items say depends on the unit's other modalities, whose mean embedding is then handed over, (b, width).
    """

    def __init__(self, items: nn.Module, summary: nn.Module) -> None:
        super().__init__()
        self.items, self.summary = items, summary
        self.asks = bool(getattr(items, "asks", False))

    def forward(self, x: Beside, context: Tensor | None = None) -> Tensor:
        said = self.items(x.items, context) if self.asks else self.items(x.items)
        return said + self.summary(x.summary)  # type: ignore[no-any-return]


class JointModel(nn.Module):
    """Outputs (n, H) from a batch.

    encoders: one a modality, each (x of those who have it) -> (b, width). fusion: tokens and presence -> (n, width).
    wide: per modality the number of inputs (of its summary) of a linear path beside the network, 0 for none; what is linear need not be
    learned by a deep net (Cheng 2016). modality_dropout: chance that a modality of a unit is hidden in a training
    step, one at least is kept (Neverova 2016, TPAMI 38:1692). tokens: learn a token for absence; presence then predicts.
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        fusion: nn.Module,
        wide: Sequence[int],
        width: int,
        outputs: int,
        modality_dropout: float = 0.2,
        dropout: float = 0.2,
        tokens: bool = False,
    ) -> None:
        super().__init__()
        self.encoders, self.fusion = nn.ModuleList(encoders), fusion
        self.centres = nn.ModuleList([Centre(width) for _ in encoders])
        self.wide = nn.ModuleList([nn.Linear(d, outputs, bias=False) if d else nn.Identity() for d in wide])
        self.head, self.drop = nn.Linear(width, outputs, bias=False), nn.Dropout(dropout)
        self.width, self.outputs, self.modality_dropout = width, outputs, modality_dropout
        self.absent = nn.Parameter(torch.zeros(len(encoders), width)) if tokens else None
        # Training starts at the null model: few epochs then mean few effects.
        for layer in (self.head, *self.wide):
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.weight)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(n, M, width) embeddings, zero where absent, and (n, M) who has which."""
        tokens, present = self._tell(batch), batch.present()
        return self._ask(batch, tokens, present), present

    def joint(self, batch: Batch) -> Tensor:
        """(n, width) the joint representation."""
        tokens = self._tell(batch)
        present = self._drop(batch.present())
        return self.mix(self._ask(batch, tokens, present), present)

    def mix(self, tokens: Tensor, present: Tensor) -> Tensor:
        """(n, width) of embeddings (n, M, width) and who has which (n, M)."""
        if self.absent is not None:
            tokens = torch.where(present.unsqueeze(-1), tokens, self.absent)
            present = torch.ones_like(present)
        return self.fusion(tokens, present)  # type: ignore[no-any-return]

    def _tell(self, batch: Batch) -> Tensor:
        """(n, M, width) embeddings of the modalities that ask nothing of others, else zero."""
        tokens = []
        for encoder, centre, x, at in zip(self.encoders, self.centres, batch.x, batch.at, strict=True):
            empty = torch.zeros(batch.n, self.width, dtype=self.head.weight.dtype)
            tokens.append(empty if x is None or asks(encoder) else empty.index_copy(0, at, centre(encoder(x))))
        return torch.stack(tokens, dim=1)

    def _ask(self, batch: Batch, tokens: Tensor, present: Tensor) -> Tensor:
        """With those that ask, of what is there: what is hidden in a training step is not asked."""
        if not any(map(asks, self.encoders)):
            return tokens
        context, made = self._context(tokens, present), list(tokens.unbind(1))
        for j, (encoder, centre, x, at) in enumerate(zip(self.encoders, self.centres, batch.x, batch.at, strict=True)):
            if asks(encoder) and x is not None:
                made[j] = made[j].index_copy(0, at, centre(encoder(x, context[at])))
        return torch.stack(made, dim=1)

    def _context(self, tokens: Tensor, present: Tensor) -> Tensor:
        """(n, width) mean embedding of the modalities that are there and ask nothing, zero where there are none."""
        tell = present & torch.tensor([not asks(e) for e in self.encoders])
        return (tokens * tell.unsqueeze(-1)).sum(1) / tell.sum(1, keepdim=True).clamp_min(1)

    def _drop(self, present: Tensor) -> Tensor:
        if not self.training or not self.modality_dropout:
            return present
        kept = present & (torch.rand(present.shape) >= self.modality_dropout)
        return torch.where(kept.any(dim=1, keepdim=True), kept, present)

    def forward(self, batch: Any) -> Tensor:
        return self.read(self.joint(batch), batch)

    def read(self, joint: Tensor, batch: Batch) -> Tensor:
        """(n, H) outputs of the joint representation (n, width), and of the linear path."""
        out = self.head(self.drop(joint))
        for layer, x, at in zip(self.wide, batch.x, batch.at, strict=True):
            if isinstance(layer, nn.Linear) and x is not None:
                out = out.index_add(0, at, layer(vector_of(x)))
        return out  # type: ignore[no-any-return]

    @torch.no_grad()
    def settle(self, batch: Any) -> None:
        """Set the means that embeddings are centred at to those of the given training units."""
        training = self.training
        self.eval()
        every = list(zip(self.encoders, self.centres, batch.x, batch.at, strict=True))
        for encoder, centre, x, _ in every:
            if x is not None and not asks(encoder):
                centre.mean = encoder(x).mean(0)
        if any(map(asks, self.encoders)):
            context = self._context(self._tell(batch), batch.present())
            for encoder, centre, x, at in every:
                if x is not None and asks(encoder):
                    centre.mean = encoder(x, context[at]).mean(0)
        self.train(training)


def asks(encoder: nn.Module) -> bool:
    """Whether what an encoder makes of a modality depends on the unit's other modalities."""
    return bool(getattr(encoder, "asks", False))
