"""Encoders of events before an index time: (code, value, age) of each, as many as a unit has -> (b, width).

What is read of an event (:mod:`cohortium.encoders.raw`): its code 0..C-1; its value, standardised within the code, 0
where there is none; 1 where there is one; its age in units of the training units' typical age, 0 without a time; the
time since the event before it in the same units, 0 for the first; 1 where there is a time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cohortium.networks.ragged import Group
from cohortium.networks.sets import Cross, PerGroup
from cohortium.networks.tables import Block

CODES_DROPPED = 0.2
"""Chance that a code of a unit (bag of codes) or an event (transformer) is hidden in a training step."""


class DecayedCodes(PerGroup):
    """Bag of codes: what a unit has of each code, each event weighing exp(-age / tau) with learned tau.

    Each of ``heads`` parts of the embedding has its own tau; they start spread around the typical age. A code adds its
    embedding times the logarithm of its decayed number, and another times its decayed mean value. An event without a
    time does not decay.
    """

    def __init__(self, codes: int, width: int, dropout: float = 0.2, heads: int = 4) -> None:
        super().__init__(width, dropout, 1 << 15)
        self.codes, self.heads = codes, heads
        part = (codes, heads, width // heads)
        self.number, self.value = nn.Parameter(0.3 * torch.randn(part)), nn.Parameter(0.3 * torch.randn(part))
        self.log_tau = nn.Parameter(torch.linspace(math.log(0.1), math.log(10.0), heads))

    def pool(self, group: Group) -> Tensor:
        shape = (len(group.units) * self.codes, self.heads)
        sums = [torch.zeros(shape, dtype=self.number.dtype) for _ in range(3)]
        place = torch.arange(len(group.units)).unsqueeze(1) * self.codes
        for (code, value, known, age, _, _), keep in group:
            at = (place + code)[keep]
            weight = torch.exp(-age[keep].unsqueeze(-1) / self.log_tau.exp())
            has = weight * known[keep].unsqueeze(-1)
            found = (weight, has, has * value[keep].unsqueeze(-1))
            sums = [total.index_add(0, at, x) for total, x in zip(sums, found, strict=True)]
        number, known, value = (s.view(-1, self.codes, self.heads) for s in sums)
        # What was measured long ago fades: its mean is drawn to 0, the code's own mean.
        seen = torch.stack([torch.log1p(number), value / (known + 0.1)])
        if self.training:
            seen = seen * F.dropout(torch.ones(len(group.units), self.codes, 1), CODES_DROPPED)
        made = torch.einsum("gch,chv->ghv", seen[0], self.number) + torch.einsum("gch,chv->ghv", seen[1], self.value)
        return made.flatten(1)


class TimeCode(nn.Module):
    """Times as a line and waves of learned frequency over their logarithm (Kazemi 2019, arXiv:1907.05321: Time2Vec)."""

    def __init__(self, width: int, waves: int = 8) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.logspace(-0.3, 1.0, waves))
        self.phase = nn.Parameter(torch.zeros(waves))
        self.out = nn.Linear(2 * waves + 1, width)

    def forward(self, t: Tensor) -> Tensor:
        """(g, L) times, not negative -> (g, L, width)."""
        log = torch.log(t + 1e-3).unsqueeze(-1)
        wave = log * self.rate + self.phase
        return self.out(torch.cat([log / 3, wave.sin(), wave.cos()], dim=-1))  # type: ignore[no-any-return]


class EventTransformer(PerGroup):
    """A transformer layer over the events (code, value, age, time since the one before), read by a query.

    Each event also sees the code before it, so that what follows what need not be found through ages.
    """

    def __init__(self, codes: int, width: int, dropout: float = 0.2, heads: int = 4) -> None:
        super().__init__(width, dropout, 1 << 13)
        self.code, self.value = nn.Embedding(codes, width), nn.Embedding(codes, width)
        self.age, self.gap = TimeCode(width), TimeCode(width)
        self.untimed = nn.Parameter(torch.zeros(width))
        self.before = nn.Linear(width, width, bias=False)
        self.block, self.read = Block(width, heads, dropout), Cross(width, heads, dropout)
        self.query = nn.Parameter(torch.randn(1, width))

    def tokens(self, code: Tensor, value: Tensor, known: Tensor, age: Tensor, gap: Tensor, timed: Tensor) -> Tensor:
        """(g, L, width)."""
        own = self.code(code)
        x = own + self.value(code) * (value * known).unsqueeze(-1)
        there = timed.unsqueeze(-1)
        x = x + there * (self.age(age) + self.gap(gap)) + (1 - there) * self.untimed
        return x + F.pad(self.before(own)[:, :-1], (0, 0, 1, 0))  # type: ignore[no-any-return]

    def pool(self, group: Group) -> Tensor:
        ((found, keep),) = group
        if self.training:
            kept = keep & (torch.rand(keep.shape) >= CODES_DROPPED)
            keep = torch.where(kept.any(1, keepdim=True), kept, keep)
        x = self.block(self.tokens(*found), keep)
        return self.read(self.query.expand(len(x), 1, -1), [(x, keep)]).squeeze(1)  # type: ignore[no-any-return]


EVENTS: dict[str, type[PerGroup]] = {"codes": DecayedCodes, "transformer": EventTransformer}
