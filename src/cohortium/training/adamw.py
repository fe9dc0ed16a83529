"""AdamW as torch has it, to the bit, without the compiler that its optimisers import.

``torch.optim`` marks methods of every optimiser for ``torch.compile``, and imports the compiler for that: two seconds of each process
that trains, and folds are trained in processes of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

FIRST, SECOND, LEAST = 0.9, 0.999, 1e-8
"""Weights of the past in the means of gradients and of their squares; what is added to the root of the latter."""


class AdamW:
    """Loshchilov & Hutter 2019, "Decoupled weight decay regularization". decays: by which the rate is multiplied for each parameter's shrinkage
    at a step, zero for none. A parameter without a gradient stays as it is, and its steps are not counted."""

    def __init__(self, parameters: Sequence[nn.Parameter], decays: Sequence[float]) -> None:
        self._parameters, self._decays = list(parameters), list(decays)
        self._mean = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters]
        self._square = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters]
        self._steps = [0] * len(self._parameters)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step along the gradients."""
        here = [i for i, p in enumerate(self._parameters) if p.grad is not None]
        if not here:
            return
        grads = [g for p in self._parameters if (g := p.grad) is not None]
        parameters, mean, square = ([x[i] for i in here] for x in (self._parameters, self._mean, self._square))
        for i in here:
            self._steps[i] += 1
        decayed = [i for i in here if self._decays[i]]
        if decayed:
            torch._foreach_mul_([self._parameters[i] for i in decayed], [1 - rate * self._decays[i] for i in decayed])
        torch._foreach_lerp_(mean, grads, 1 - FIRST)
        torch._foreach_mul_(square, SECOND)
        torch._foreach_addcmul_(square, grads, grads, 1 - SECOND)
        root = torch._foreach_sqrt(square)
        torch._foreach_div_(root, [(1 - SECOND ** self._steps[i]) ** 0.5 for i in here])
        torch._foreach_add_(root, LEAST)
        torch._foreach_addcdiv_(parameters, mean, root, [-(rate / (1 - FIRST ** self._steps[i])) for i in here])

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self._parameters:
            p.grad = None

    def checkpoint(self) -> dict[str, Any]:
        """All that :meth:`resume` needs."""
        return {"mean": _copies(self._mean), "square": _copies(self._square), "steps": list(self._steps)}

    def resume(self, kept: dict[str, Any]) -> None:
        """Go on from the checkpoint of one for parameters alike."""
        self._mean, self._square, self._steps = _copies(kept["mean"]), _copies(kept["square"]), list(kept["steps"])


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t.clone() for t in tensors]
