"""A site's steps of a network that is trained across sites: few, from given weights, with nothing kept between two calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from cohortium.training.loop import Data, one_thread


@dataclass(frozen=True)
class Steps:
    """epochs: passes over the units. batch: units a step, 0 for all. optimiser: ``sgd``, or ``adam`` begun anew. rate: of learning. decay:
    of matrices, decoupled. clip: largest norm of a gradient, 0 for any. proximal: pull back to the start (FedProx)."""

    epochs: int
    batch: int
    optimiser: str
    rate: float
    decay: float
    clip: float
    proximal: float = 0.0


def _sgd(parameters: Sequence[nn.Parameter], rate: float) -> Callable[[], None]:
    def step() -> None:
        torch._foreach_add_(list(parameters), [p.grad for p in parameters], alpha=-rate)

    return step


def _adam(parameters: Sequence[nn.Parameter], rate: float) -> Callable[[], None]:
    """Kingma & Ba 2015 (ICLR), as torch has it."""
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    count = [0]

    def step() -> None:
        count[0] += 1
        g = [p.grad for p in parameters]
        torch._foreach_lerp_(first, g, 0.1)
        torch._foreach_mul_(second, 0.999)
        torch._foreach_addcmul_(second, g, g, 0.001)
        root = torch._foreach_sqrt(second)
        torch._foreach_mul_(root, 1 / math.sqrt(1 - 0.999 ** count[0]))
        torch._foreach_add_(root, 1e-8)
        torch._foreach_addcdiv_(list(parameters), first, root, value=-rate / (1 - 0.9 ** count[0]))

    return step


OPTIMISERS = {"sgd": _sgd, "adam": _adam}
"""By hand: torch's own import half a minute of compiler where they are made."""


def batches(rows: Tensor, informative: Tensor, batch: int) -> list[Tensor]:
    """Batches of one epoch by torch's generator; informative units are dealt evenly. batch 0: all units, in their order."""
    if not batch or batch >= len(rows):
        return [rows]
    count = math.ceil(len(rows) / batch)
    parts = [rows[informative[rows]], rows[~informative[rows]]]
    order = torch.cat([p[torch.randperm(len(p))] for p in parts])
    return [order[k::count] for k in range(count)]


def train_locally(
    model: nn.Module,
    parameters: Sequence[nn.Parameter],
    loss: Callable[[Tensor, Tensor], Tensor],
    data: Data,
    rows: Tensor,
    informative: Tensor,
    steps: Steps,
    seed: int,
    *,
    scale: Sequence[Tensor],
    decays: Sequence[bool],
    correction: Sequence[Tensor] | None = None,
) -> None:
    """Change the model by its steps on ``rows``. loss: (outputs (b, H), rows (b,)) -> mean over the batch.

    scale: by which a gradient is multiplied before it is used, shaped as the parameters; zero where a number is not to be
    changed. decays: which parameters decay. correction: added to every gradient (SCAFFOLD). Seeded; torch's generators are put back.
    """
    step = OPTIMISERS[steps.optimiser](parameters, steps.rate)
    start = [p.detach().clone() for p in parameters] if steps.proximal else None
    shrink = [
        1 - steps.rate * steps.decay * (s != 0).to(s.dtype) if d and steps.decay else None
        for s, d in zip(scale, decays, strict=True)
    ]
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.train()
        for _ in range(steps.epochs):
            for b in batches(rows, informative, steps.batch):
                for p in parameters:
                    p.grad = None
                loss(model(data.batch(b, True)), b).backward()
                _prepare(parameters, scale, start, correction, steps)
                with torch.no_grad():
                    for p, s in zip(parameters, shrink, strict=True):
                        if s is not None:
                            p.mul_(s)
                    step()
        model.eval()


@torch.no_grad()
def _prepare(
    parameters: Sequence[nn.Parameter],
    scale: Sequence[Tensor],
    start: Sequence[Tensor] | None,
    correction: Sequence[Tensor] | None,
    steps: Steps,
) -> None:
    """Gradients as they are used: of what is trained here alone, with the strategy's terms, clipped."""
    for i, (p, s) in enumerate(zip(parameters, scale, strict=True)):
        if p.grad is None:
            p.grad = torch.zeros_like(p)
        p.grad.mul_(s)
        if start is not None:
            p.grad.add_(steps.proximal * (p - start[i]) * (s != 0))
        if correction is not None:
            p.grad.add_(correction[i] * (s != 0))
    if steps.clip:
        nn.utils.clip_grad_norm_(list(parameters), steps.clip)


RIDGE = 0.01
"""On the weights of a site's own head, beside the mean loss."""


def fit_head(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], batch: object, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights and intercepts of a head that is fitted with the rest of the model (a :class:`cohortium.networks.parts.Whole`) as it is.

    A convex problem, solved from nothing each time (as the inner step of FedRep: Collins 2021, ICML), so that a site need not
    remember its head.
    """
    joint = model.joint  # type: ignore[union-attr]
    model.eval()
    with one_thread():
        with torch.no_grad():
            h = joint.joint(batch)  # type: ignore[union-attr, operator]
            weight = joint.head.weight  # type: ignore[union-attr]
            rest = joint.read(h, batch) - h @ weight.T  # type: ignore[union-attr, operator]
        shape, n = weight.shape, weight.numel()

        def value(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = torch.as_tensor(x[:n]).reshape(shape).requires_grad_()
            b = torch.as_tensor(x[n:]).requires_grad_()
            found = loss(h @ w.T + rest + b, rows) + RIDGE / 2 * (w**2).sum()  # type: ignore[operator]
            found.backward()
            return float(found.detach()), np.concatenate([w.grad.numpy().ravel(), b.grad.numpy()])  # type: ignore[union-attr]

        begin = np.concatenate([np.zeros(n), model.bias.detach().numpy()])  # type: ignore[operator]
        x = minimize(value, begin, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-9}).x
    return torch.as_tensor(x[:n]).reshape(shape), torch.as_tensor(x[n:])
