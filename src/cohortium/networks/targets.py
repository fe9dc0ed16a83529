"""What a network is trained for across sites: losses that are sums over units, with scales and intervals given from outside.

The objectives of :mod:`cohortium.networks.objectives` take base rates and intervals from the units that they are bound to; here
these are of all sites together, and come with the question.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cohortium.networks.objectives import CoxEfron

Array = NDArray[np.float64]

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (b, H) with intercepts, rows (b,)) -> mean loss of these units."""


def binary(y: Array) -> Loss:
    """Logit of the second class; y: (n,) 0 or 1."""
    t = torch.as_tensor(y, dtype=torch.float64)
    return lambda out, rows: F.binary_cross_entropy_with_logits(out[:, 0], t[rows])


def multiclass(codes: NDArray[np.int64]) -> Loss:
    """Logarithms of odds of K classes; codes: (n,)."""
    t = torch.as_tensor(codes, dtype=torch.long)
    return lambda out, rows: F.cross_entropy(out, t[rows])


def continuous(y: Array) -> Loss:
    """Half the squared error; y: (n,), standardised."""
    t = torch.as_tensor(y, dtype=torch.float64)
    return lambda out, rows: 0.5 * ((out[:, 0] - t[rows]) ** 2).mean()


def intervals(time: Array, event: NDArray[np.bool_], entry: Array, edges: Array) -> tuple[Array, Array]:
    """(n, K) who died in an interval, and who was seen in it, as :class:`cohortium.networks.objectives.DiscreteTime` counts: a censored
    interval when more than half of it was seen. edges: (K + 1,); events after the last count in the last interval."""
    starts, ends = edges[:-1], edges[1:]
    last = np.r_[ends[:-1], np.inf]
    t = time[:, None]
    died = event[:, None] & (t > starts) & (t <= last)
    seen = np.where(event[:, None], t > starts, t >= (starts + ends) / 2) & (entry[:, None] <= starts)
    return (died & seen).astype(float), seen.astype(float)


def hazards(time: Array, event: NDArray[np.bool_], entry: Array, edges: Array) -> Loss:
    """Logits of the hazards of K intervals (Gensheimer 2019, PeerJ 7:e6257)."""
    died, seen = (torch.as_tensor(x, dtype=torch.float64) for x in intervals(time, event, entry, edges))

    def loss(out: Tensor, rows: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(out, died[rows], reduction="none")
        return (each * seen[rows]).sum() / len(rows)

    return loss


def partial_likelihood(time: Array, event: NDArray[np.bool_], entry: Array) -> Loss:
    """Cox partial likelihood, of the risk sets of the batch: no sum over units, and of one site's units alone."""
    bound = CoxEfron(time, event, entry)
    known = torch.as_tensor(event)
    return lambda out, rows: bound.loss(out, rows) * known[rows].sum() / len(rows)


def score(kind: str, out: Tensor) -> Tensor:
    """(b,) risk of survival (of hazards: log of the cumulative hazard at the end), (b, K) of classes, else (b,)."""
    if kind == "multiclass":
        return out
    if kind == "discrete_time":
        return torch.log(F.softplus(out).sum(1))
    return out[:, 0]
