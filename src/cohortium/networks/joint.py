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


class TensorProduct(nn.Module):
    """Low-rank tensor fusion (Liu 2018, ACL: products of the modalities' linear images, summed over ``rank`` terms).

    A modality's factor is one plus a bounded function of its token, so that an absent one is left out of the product,
    and products of many modalities neither vanish nor explode.
    """

    def __init__(self, modalities: int, width: int, dropout: float, rank: int = 4) -> None:
        super().__init__()
        self.rank = rank
        self.maps = nn.ModuleList([nn.Linear(width, rank * width) for _ in range(modalities)])
        self.mix = nn.Parameter(torch.full((rank, 1), 1.0 / rank))
        self.norm, self.drop, self.out = nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, width)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        n, _, w = tokens.shape
        product = torch.ones(n, self.rank, w, dtype=tokens.dtype)
        for j, layer in enumerate(self.maps):
            factor = 1 + torch.tanh(layer(tokens[:, j])).view(n, self.rank, w)
            product = product * torch.where(present[:, j, None, None], factor, 1.0)
        joint = self.norm((product * self.mix).sum(1))
        return joint + self.out(self.drop(F.gelu(joint)))  # type: ignore[no-any-return]


class Experts(nn.Module):
    """Mixture of experts over patterns of presence (Han 2024, NeurIPS: FuseMoE; Yun 2024, NeurIPS: Flex-MoE).

    Each expert sees the tokens side by side, zero where absent; a router weighs the experts by who has which modality
    and by the mean token. Patterns that training never saw are routed by their modalities.
    """

    def __init__(self, modalities: int, width: int, dropout: float, experts: int = 4) -> None:
        super().__init__()
        self.route = nn.Linear(modalities + width, experts)
        self.up = nn.ModuleList([nn.Linear(modalities * width, width) for _ in range(experts)])
        self.down = nn.ModuleList([nn.Linear(width, width) for _ in range(experts)])
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        there = present.unsqueeze(-1)
        tokens = torch.where(there, tokens, 0.0)
        mean = tokens.sum(1) / there.sum(1).clamp_min(1)
        weight = self.route(torch.cat([present.to(tokens.dtype), mean], dim=1)).softmax(-1)
        flat = tokens.flatten(1)
        each = [down(self.drop(F.gelu(up(flat)))) for up, down in zip(self.up, self.down, strict=True)]
        return mean + (torch.stack(each, dim=1) * weight.unsqueeze(-1)).sum(1)  # type: ignore[no-any-return]


FUSIONS: dict[str, type[nn.Module]] = {
    "attention": Attention,
    "gated": Gated,
    "tensor": TensorProduct,
    "experts": Experts,
}
