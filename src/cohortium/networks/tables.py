"""Encoders of a modality that is one vector of standardised numbers a unit: (b, d) -> (b, width)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Feature dropout, one hidden layer, and a residual layer of the same width."""

    def __init__(self, d: int, width: int, dropout: float = 0.2, feature_dropout: float = 0.2) -> None:
        super().__init__()
        self.width = width
        self.drop_features = nn.Dropout(feature_dropout)
        self.first, self.norm = nn.Linear(d, width), nn.LayerNorm(width)
        self.second, self.drop = nn.Linear(width, width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.norm(self.first(self.drop_features(x))))
        return h + self.second(self.drop(h))


class LowRank(nn.Module):
    """A linear map beside products of ``rank`` pairs of directions: what a factorisation machine sees (Rendle 2010).

    For more features than units; x is then given in the span of the training units, so that cost follows units.
    """

    def __init__(self, d: int, width: int, dropout: float = 0.2, feature_dropout: float = 0.2, rank: int = 8) -> None:
        super().__init__()
        self.width = width
        self.drop_features = nn.Dropout(feature_dropout)
        self.linear = nn.Linear(d, width)
        self.left, self.right = nn.Linear(d, rank, bias=False), nn.Linear(d, rank, bias=False)
        self.mix, self.norm, self.drop = nn.Linear(rank, width), nn.LayerNorm(rank), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop_features(x)
        products = self.norm(self.left(x) * self.right(x))
        return self.linear(x) + self.mix(self.drop(products))


class Tokens(nn.Module):
    """Every feature a token (Gorishniy 2021, NeurIPS 34: FT-Transformer), one transformer layer, read at a query.

    Cost grows with the square of the features: for small tables.
    """

    def __init__(self, d: int, width: int, dropout: float = 0.2, feature_dropout: float = 0.2, heads: int = 4) -> None:
        super().__init__()
        self.width, self.p = width, feature_dropout
        bound = 1 / math.sqrt(width)
        self.scale = nn.Parameter(torch.empty(d, width).uniform_(-bound, bound))
        self.shift = nn.Parameter(torch.empty(d, width).uniform_(-bound, bound))
        self.query = nn.Parameter(torch.empty(1, width).uniform_(-bound, bound))
        self.block = Block(width, heads, dropout)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.unsqueeze(-1) * self.scale + self.shift
        keep = torch.ones(x.shape, dtype=torch.bool)
        if self.training and self.p:
            keep = torch.rand(x.shape) >= self.p
        tokens = torch.cat([self.query.expand(len(x), 1, -1), tokens], dim=1)
        keep = torch.cat([torch.ones(len(x), 1, dtype=torch.bool), keep], dim=1)
        return self.block(tokens, keep)[:, 0]


class Block(nn.Module):
    """One pre-norm transformer layer on tokens (b, t, width); keep: (b, t) bool, False tokens are never looked at."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        b, t, w = x.shape
        q, k, v = self.qkv(self.before(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        weight = (q @ k.transpose(-1, -2)) / math.sqrt(w // self.heads)
        # exp(-inf) is an exact zero: no value and no gradient passes from a token that is not there.
        weight = weight.masked_fill(~keep[:, None, None, :], -torch.inf).softmax(-1)
        seen = (self.drop(weight) @ v).transpose(1, 2).reshape(b, t, w)
        x = x + self.drop(self.out(seen))
        return x + self.drop(self.down(F.gelu(self.up(self.after(x)))))


TABLES: dict[str, type[nn.Module]] = {"mlp": MLP, "lowrank": LowRank, "tokens": Tokens}
