"""Joint fusion: embeddings of the modalities that are there become one vector a unit.

A fusion maps tokens (n, M, width) and who has which modality (n, M) to (n, width). It knows modalities by their
position only; what stands in the place of an absent token must not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cohortium.networks.tables import Block


class Gated(nn.Module):
    """Weighted mean of the tokens that are there; weights by a gate on each token (Arevalo 2017; Ilse 2018, ICML)."""

    def __init__(self, modalities: int, width: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.score = nn.Linear(width, width), nn.Linear(width, 1)
        self.prior = nn.Parameter(torch.zeros(modalities))
        self.up, self.down, self.drop = nn.Linear(width, 2 * width), nn.Linear(2 * width, width), nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def weights(self, tokens: Tensor, present: Tensor) -> Tensor:
        """(n, M) weights, zero for what is absent, else adding up to one."""
        gate = self.score(torch.tanh(self.hidden(tokens))).squeeze(-1) + self.prior
        gate = gate.masked_fill(~present, -torch.inf)
        nobody = ~present.any(dim=1, keepdim=True)
        return gate.masked_fill(nobody, 0.0).softmax(-1) * present

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        pooled = (self.weights(tokens, present).unsqueeze(-1) * tokens).sum(1)
        return pooled + self.drop(self.down(F.gelu(self.up(self.norm(pooled)))))


class Attention(nn.Module):
    """A transformer layer over the tokens that are there, read at a query; every token is marked with its modality."""

    def __init__(self, modalities: int, width: int, dropout: float, heads: int = 4) -> None:
        super().__init__()
        self.mark = nn.Parameter(0.1 * torch.randn(modalities, width))
        self.query = nn.Parameter(0.1 * torch.randn(1, width))
        self.block = Block(width, heads, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        n = len(tokens)
        x = torch.cat([self.query.expand(n, 1, -1), tokens + self.mark], dim=1)
        keep = torch.cat([torch.ones(n, 1, dtype=torch.bool), present], dim=1)
        return self.norm(self.block(x, keep)[:, 0])


FUSIONS: dict[str, type[nn.Module]] = {"gated": Gated, "attention": Attention}
