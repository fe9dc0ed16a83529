"""Encoders of bags: instances (N, d) of b units, from one to tens of thousands a unit -> (b, width).

All walk over groups of units (:mod:`cohortium.networks.ragged`). A unit that is too large for one group comes in
chunks: what attention needs of it is kept as running maximum, sum of weights and weighted sum (Milakov 2018,
arXiv:1805.02867), so that every instance counts and memory follows the chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cohortium.networks.ragged import NUMBERS, Group, Ragged

SHARP = 4.0
"""Attention to instances starts so much sharper than usual: heads then pick different ones from the start, and a rare one
is found in a fraction of the epochs."""


@dataclass
class Softened:
    """Softmax-weighted sums over items that come in chunks. top, total: (..., m, 1); weighted: (..., m, v)."""

    top: Tensor | None = None
    total: Tensor | None = None
    weighted: Tensor | None = None

    def add(self, score: Tensor, value: Tensor) -> None:
        """score: (..., m, L), -inf where nothing is; value: (..., L, v)."""
        top = score.detach().amax(-1, keepdim=True)
        if self.top is not None:
            top = torch.maximum(top, self.top)
        weight = torch.exp(score - top)
        total, weighted = weight.sum(-1, keepdim=True), weight @ value
        if self.top is not None:
            assert self.total is not None and self.weighted is not None
            shrunk = torch.exp(self.top - top)
            total, weighted = total + shrunk * self.total, weighted + shrunk * self.weighted
        self.top, self.total, self.weighted = top, total, weighted

    def mean(self) -> Tensor:
        """(..., m, v)."""
        assert self.total is not None and self.weighted is not None
        return self.weighted / self.total


class Instance(nn.Module):
    """(g, L, d) -> (g, L, width): one hidden layer and a residual layer. Features are hidden for whole units.

    Not normalised: that an instance lies far out is what a rare one is known by.
    """

    def __init__(self, d: int, width: int, dropout: float, feature_dropout: float = 0.2) -> None:
        super().__init__()
        self.p = feature_dropout
        self.first, self.second, self.drop = nn.Linear(d, width), nn.Linear(width, width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.p:
            x = x * F.dropout(torch.ones(len(x), 1, x.shape[-1], dtype=x.dtype), self.p)
        h = F.gelu(self.first(x))
        return h + self.second(self.drop(h))  # type: ignore[no-any-return]


class PerGroup(nn.Module):
    """Base of encoders that make a vector of the many items of a unit, group by group; a last layer stands on it."""

    def __init__(self, width: int, dropout: float, limit: int) -> None:
        super().__init__()
        self.width, self.limit = width, limit
        self.norm, self.last, self.drop = nn.LayerNorm(width), nn.Linear(width, width), nn.Dropout(dropout)

    def forward(self, x: Ragged) -> Tensor:
        """(b, width); of units without items what the last layer makes of zeros."""
        return self.walked(x, self.pool)

    def walked(self, x: Ragged, pool: Callable[[Group], Tensor]) -> Tensor:
        """The last layer on what ``pool`` makes of each group."""
        out = torch.zeros(len(x), self.width, dtype=self.last.weight.dtype)
        for group in x.groups(self.limit):
            out = out.index_copy(0, torch.as_tensor(group.units), pool(group))
        return out + self.last(self.drop(F.gelu(self.norm(out))))  # type: ignore[no-any-return]

    def pool(self, group: Group) -> Tensor:
        """(g, width) of the units of a group."""
        raise NotImplementedError


class Pooled(PerGroup):
    """Base of encoders of bags: each instance is embedded first."""

    def __init__(self, d: int, width: int, dropout: float = 0.2) -> None:
        super().__init__(width, dropout, max(min(NUMBERS // max(d, 4 * width), 1 << 15), 1024))
        self.instance = Instance(d, width, dropout)


class MeanPool(Pooled):
    """The mean of the instances' embeddings (Zaheer 2017, NeurIPS: deep sets)."""

    def pool(self, group: Group) -> Tensor:
        total, number = torch.zeros(1), torch.zeros(1)
        for (x,), keep in group:
            h = self.instance(x) * keep.unsqueeze(-1)
            total, number = total + h.sum(1), number + keep.sum(1, keepdim=True)
        return total / number


class ABMIL(Pooled):
    """Gated attention over the instances (Ilse 2018, ICML); ``heads`` gates, each pools its part of the embedding."""

    def __init__(self, d: int, width: int, dropout: float = 0.2, heads: int = 4) -> None:
        super().__init__(d, width, dropout)
        self.heads = heads
        self.content, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        self.score = nn.Linear(width, heads)
        with torch.no_grad():
            self.score.weight.mul_(SHARP)

    def scores(self, h: Tensor, keep: Tensor) -> Tensor:
        """(g, heads, 1, L) of embeddings (g, L, width), -inf where nothing is."""
        score = self.score(torch.tanh(self.content(h)) * torch.sigmoid(self.gate(h)))
        return score.masked_fill(~keep.unsqueeze(-1), -torch.inf).transpose(1, 2).unsqueeze(2)  # type: ignore[no-any-return]

    def pool(self, group: Group) -> Tensor:
        pooled = Softened()
        for (x,), keep in group:
            h = self.instance(x)
            pooled.add(self.scores(h, keep), split_heads(h, self.heads))
        return pooled.mean().flatten(1)


class Cross(nn.Module):
    """A pre-norm layer in which queries (g, m, width) look at items: attention, then a layer of their own, both added."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.items, self.after = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out, self.drop = nn.Linear(width, width), nn.Dropout(dropout)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, queries: Tensor, chunks: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """chunks: items (g, L, width), and (g, L) whether an item is there."""
        q, seen = split_heads(self.query(self.before(queries)), self.heads), Softened()
        for x, keep in chunks:
            k, v = self.key_value(self.items(x)).chunk(2, dim=-1)
            score = q @ split_heads(k, self.heads).transpose(-1, -2) / math.sqrt(q.shape[-1])
            seen.add(score.masked_fill(~keep[:, None, None, :], -torch.inf), split_heads(v, self.heads))
        h = queries + self.drop(self.out(seen.mean().transpose(1, 2).flatten(2)))
        return h + self.drop(self.down(F.gelu(self.up(self.after(h)))))  # type: ignore[no-any-return]


class SetTransformer(Pooled):
    """Instances look at one another through ``points`` inducing points, then a query looks at them (Lee 2019, ICML).

    One induced block and one pooling block. Cost follows the instances; a unit that comes in chunks is walked over twice.
    """

    def __init__(self, d: int, width: int, dropout: float = 0.2, heads: int = 4, points: int = 8) -> None:
        super().__init__(d, width, dropout)
        self.points = nn.Parameter(torch.randn(points, width))
        self.seed = nn.Parameter(torch.randn(1, width))
        self.gather, self.spread, self.read = (Cross(width, heads, dropout) for _ in range(3))
        with torch.no_grad():
            for layer in (self.gather, self.read):
                layer.query.weight.mul_(SHARP)

    def pool(self, group: Group) -> Tensor:
        one = [(self.instance(x), keep) for (x,), keep in group] if len(group.chunks) == 1 else None

        def embedded() -> Iterable[tuple[Tensor, Tensor]]:
            return one if one is not None else ((self.instance(x), keep) for (x,), keep in group)

        g = len(group.units)
        points = self.gather(self.points.expand(g, -1, -1), embedded())
        every = torch.ones(points.shape[:2], dtype=torch.bool)
        told = ((self.spread(h, [(points, every)]), keep) for h, keep in embedded())
        return self.read(self.seed.expand(g, -1, -1), told).squeeze(1)  # type: ignore[no-any-return]


class CrossAttention(Pooled):
    """What a unit's other modalities ask of its instances (Tsai 2019, ACL; Chen 2021, ICCV: genomics looks at tiles).

    Queries are made of the mean embedding of the modalities that are one vector a unit; a unit that has no other asks
    what does not depend on it.
    """

    asks = True

    def __init__(self, d: int, width: int, dropout: float = 0.2, heads: int = 4, queries: int = 4) -> None:
        super().__init__(d, width, dropout)
        self.seed = nn.Parameter(torch.randn(queries, width))
        self.ask = nn.Linear(width, queries * width, bias=False)
        self.read, self.join = Cross(width, heads, dropout), nn.Linear(queries * width, width)
        with torch.no_grad():
            self.read.query.weight.mul_(SHARP)

    def forward(self, x: Ragged, context: Tensor | None = None) -> Tensor:
        """context: (b, width) of the other modalities, zero where a unit has none."""
        context = torch.zeros(len(x), self.width, dtype=self.last.weight.dtype) if context is None else context
        queries = self.seed + self.ask(context).unflatten(-1, self.seed.shape)

        def pool(group: Group) -> Tensor:
            chunks = ((self.instance(i), keep) for (i,), keep in group)
            return self.join(self.read(queries[torch.as_tensor(group.units)], chunks).flatten(1))  # type: ignore[no-any-return]

        return self.walked(x, pool)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(g, L, width) as (g, heads, L, width / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


BAGS: dict[str, type[Pooled]] = {
    "abmil": ABMIL,
    "set_transformer": SetTransformer,
    "cross_attention": CrossAttention,
    "mean": MeanPool,
}
