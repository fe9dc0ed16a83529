"""What outputs are trained for: a loss for each kind of endpoint, and the score that the outputs stand for.

An objective is bound to the outcomes of n units; ``forward(outputs (b, H), rows (b,))`` is the mean loss of a batch,
``scores(outputs) -> (b, K)`` are on the link scale of :mod:`cohortium.heads`, growing as its scores grow. Intercepts
and thresholds are the objective's own parameters, so that outputs hold effects only. ``train``: positions of the units
that are trained on; base rates, scales and intervals come from them alone (None: all).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Rows = NDArray[np.intp] | None
INTERVALS = 10
"""Intervals of discrete-time survival, at quantiles of the event times."""


class Objective(nn.Module):
    """Base. n_outputs: H. n_scores: K. informative: (n,) bool, the units whose outcome says most (events), to deal
    evenly into batches."""

    n_outputs: int
    n_scores: int
    informative: Tensor
    bias: Tensor
    link: str = "identity"

    offset: Tensor | None = None

    @property
    def main_outputs(self) -> int:
        """How many outputs, the first ones, make the score."""
        return self.n_outputs

    def start_at(self, scores: NDArray[np.float64]) -> None:
        """Outputs are from now on what is added to these scores (n, K) of another learner."""
        self.offset = torch.as_tensor(scores, dtype=torch.float32)

    def forward(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Mean loss of a batch: outputs (b, H) of the units at ``rows`` (b,)."""
        return self.loss(self._from_start(outputs, rows), rows)

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """The same, of outputs that hold the start."""
        raise NotImplementedError

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """(b, K) from outputs (b, H) of the units at ``rows``; see :func:`score_of`."""
        return score_of(self.link, self._from_start(outputs, rows), self.bias)

    def _from_start(self, outputs: Tensor, rows: Tensor) -> Tensor:
        return outputs if self.offset is None else outputs + self.offset[rows].to(outputs.dtype)


def score_of(link: str, outputs: Tensor, bias: Tensor) -> Tensor:
    """(b, K) scores of outputs (b, H), given the objective's ``link`` and ``bias``; in the outputs' precision."""
    bias = bias.to(outputs.dtype)
    if link == "centred":
        return outputs - outputs.mean(1, keepdim=True)
    if link == "rank":
        place = torch.sigmoid(outputs + bias).cumprod(1).mean(1, keepdim=True)
        return torch.logit(place, eps=1e-9)
    if link == "hazard":
        return torch.log(F.softplus(outputs + bias).sum(1, keepdim=True))
    return outputs


class Bernoulli(Objective):
    """Logit of one probability. codes: (n,) 0 or 1. balanced: both classes weigh the same."""

    def __init__(self, codes: NDArray[np.int64], balanced: bool = False, train: Rows = None) -> None:
        super().__init__()
        self.n_outputs = self.n_scores = 1
        y = torch.as_tensor(codes, dtype=torch.float32)
        known = y if train is None else y[train]
        share = known.mean().clamp(0.5 / len(known), 1 - 0.5 / len(known))
        self.register_buffer("y", y)
        self.register_buffer("weight", torch.where(y > 0, 0.5 / share, 0.5 / (1 - share)) if balanced else torch.ones_like(y))  # fmt: skip
        self.bias = nn.Parameter(torch.zeros(1) if balanced else torch.logit(share).reshape(1))
        self.informative = y == (1.0 if share <= 0.5 else 0.0)

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(outputs[:, 0] + self.bias, self.y[rows], reduction="none")
        return (loss * self.weight[rows]).mean()


class Softmax(Objective):
    """Symmetric scores of K unordered classes. codes: (n,) 0..K-1."""

    link = "centred"

    def __init__(self, codes: NDArray[np.int64], classes: int, balanced: bool = False, train: Rows = None) -> None:
        super().__init__()
        self.n_outputs = self.n_scores = classes
        y = torch.as_tensor(codes, dtype=torch.long)
        known = y if train is None else y[train]
        share = (torch.bincount(known, minlength=classes) + 0.5) / (len(known) + 0.5 * classes)
        self.register_buffer("y", y)
        self.register_buffer("weight", 1 / (classes * share) if balanced else torch.ones(classes))
        self.bias = nn.Parameter(torch.zeros(classes) if balanced else share.log())
        self.informative = y == int(share.argmin())

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        y = self.y[rows]
        return (F.cross_entropy(outputs + self.bias, y, reduction="none") * self.weight[y]).mean()


class Corn(Objective):
    """Ordered classes through conditional probabilities P(Y > k | Y >= k) (Shi 2023, Pattern Anal Appl 26:941: CORN).

    The score is the logit of the expected rank's place between the first and the last class.
    """

    link = "rank"

    def __init__(self, codes: NDArray[np.int64], classes: int, train: Rows = None) -> None:
        super().__init__()
        self.n_outputs, self.n_scores = classes - 1, 1
        y = torch.as_tensor(codes, dtype=torch.long)
        self.register_buffer("y", y)
        known = y if train is None else y[train]
        at_least = torch.stack([(known >= k).float().sum() for k in range(classes)])
        share = (at_least[1:] + 0.5) / (at_least[:-1] + 1)
        self.bias = nn.Parameter(torch.logit(share))
        self.informative = y == int(torch.bincount(y, minlength=classes).argmax())

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        y, k = self.y[rows, None], torch.arange(self.n_outputs)
        loss = F.binary_cross_entropy_with_logits(outputs + self.bias, (y > k).to(outputs.dtype), reduction="none")
        return (loss * (y >= k)).sum() / len(rows)


class SquaredError(Objective):
    """Gaussian with one variance. values: (n,), standardised here."""

    def __init__(self, values: NDArray[np.float64], train: Rows = None) -> None:
        super().__init__()
        self.n_outputs = self.n_scores = 1
        known = values if train is None else values[train]
        y = torch.as_tensor((values - known.mean()) / (known.std() or 1.0), dtype=torch.float32)
        self.register_buffer("y", y)
        self.bias = nn.Parameter(torch.zeros(1))
        self.informative = y > y.median()

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        return 0.5 * ((outputs[:, 0] + self.bias - self.y[rows]) ** 2).mean()


class CoxEfron(Objective):
    """Cox partial likelihood of the batch with Efron's treatment of ties (Efron 1977, JASA 72:557) and delayed entry.

    time, entry: (n,), event: (n,) bool. A unit is at risk at t when entry < t <= time. The loss is per event; its risk
    sets are those of the batch (Kvamme 2019, JMLR 20:129).
    """

    def __init__(
        self, time: NDArray[np.float64], event: NDArray[np.bool_], entry: NDArray[np.float64], train: Rows = None
    ) -> None:
        super().__init__()
        self.n_outputs = self.n_scores = 1
        for name, values in (("time", time), ("entry", entry)):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float64))
        self.register_buffer("event", torch.as_tensor(event, dtype=torch.bool))
        self.register_buffer("bias", torch.zeros(0))
        self.informative = self.event

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        eta = outputs[:, 0]
        time, event, entry = self.time[rows], self.event[rows], self.entry[rows]
        if not event.any():
            return 0.0 * eta.sum()
        when, group, deaths = torch.unique(time[event], return_inverse=True, return_counts=True)
        w = torch.exp(eta - eta.detach().max())
        at_risk = (time >= when[:, None]) & (entry < when[:, None])
        tied = torch.zeros(len(when), len(rows), dtype=w.dtype)
        tied[group, torch.nonzero(event).ravel()] = 1.0
        total, dying = at_risk.to(w.dtype) @ w, tied @ w
        order = torch.argsort(group, stable=True)
        rank = torch.empty_like(group)
        rank[order] = torch.arange(len(group)) - (deaths.cumsum(0) - deaths)[group[order]]
        left = total[group] - rank.to(w.dtype) / deaths[group] * dying[group]
        loss = torch.log(left.clamp_min(1e-30)).sum() + eta.detach().max() * len(group) - eta[event].sum()
        return loss / len(group)


class DiscreteTime(Objective):
    """Hazards of intervals (Gensheimer 2019, PeerJ 7:e6257): survival that need not be proportional.

    Intervals end at quantiles of the event times. The score is the logarithm of the cumulative hazard at the end.
    A unit counts in the intervals that it entered before and did not leave before its event.
    """

    link = "hazard"

    def __init__(
        self, time: NDArray[np.float64], event: NDArray[np.bool_], entry: NDArray[np.float64], train: Rows = None
    ) -> None:
        super().__init__()
        known = np.arange(len(time)) if train is None else train
        died = time[known][event[known]] if event[known].any() else time[known]
        ends = np.unique(np.quantile(died, np.linspace(0, 1, INTERVALS + 1)[1:], method="higher"))
        starts = np.r_[0.0, ends[:-1]]
        here = event[:, None] & (time[:, None] > starts) & (time[:, None] <= ends)
        # A censored interval counts when more than half of it was seen.
        seen = np.where(event[:, None], time[:, None] > starts, time[:, None] >= (starts + ends) / 2)
        seen &= entry[:, None] <= starts
        here &= seen
        self.n_outputs, self.n_scores = len(ends), 1
        self.register_buffer("died", torch.as_tensor(here, dtype=torch.float32))
        self.register_buffer("seen", torch.as_tensor(seen, dtype=torch.float32))
        share = (self.died[known].sum(0) + 0.5) / (self.seen[known].sum(0) + 1)
        self.bias = nn.Parameter(torch.logit(share))
        self.informative = torch.as_tensor(event, dtype=torch.bool)

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(outputs + self.bias, self.died[rows], reduction="none")
        return (loss * self.seen[rows]).sum() / len(rows)


class Together(Objective):
    """A main objective, and others that are trained from the same embedding (Caruana 1997, Mach Learn 28:41).

    positions: per other objective (n,) the row of each unit in it, -1 where it has no label. weight: of the others
    together, beside the main one. Outputs are the main ones first; scores are the main one's.
    """

    def __init__(self, main: Objective, others: list[Objective], positions: list[NDArray[np.int64]], weight: float) -> None:  # fmt: skip
        super().__init__()
        self.main, self.others, self.weight = main, nn.ModuleList(others), weight / max(len(others), 1)
        self.positions = [torch.as_tensor(p, dtype=torch.long) for p in positions]
        self.n_outputs = main.n_outputs + sum(o.n_outputs for o in others)
        self.n_scores, self.link, self.informative = main.n_scores, main.link, main.informative

    @property
    def main_outputs(self) -> int:
        return self.main.n_outputs

    @property
    def bias(self) -> Tensor:  # type: ignore[override]
        return self.main.bias

    def start_at(self, scores: NDArray[np.float64]) -> None:
        self.main.start_at(scores)

    def forward(self, outputs: Tensor, rows: Tensor) -> Tensor:
        at = self.main.n_outputs
        total = self.main(outputs[:, :at], rows)
        for objective, position in zip(self.others, self.positions, strict=True):
            here = position[rows]
            known = here >= 0
            part = outputs[known, at : at + objective.n_outputs]
            at += objective.n_outputs
            if known.any():
                total = total + self.weight * objective(part, here[known])
        return total  # type: ignore[no-any-return]

    def scores(self, outputs: Tensor, rows: Tensor) -> Tensor:
        return self.main.scores(outputs[:, : self.main.n_outputs], rows)
