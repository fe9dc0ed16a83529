"""Gradients of single units of a joint model, all at once.

A joint model takes a batch in parts (those who have a modality), which no rule for gradients of single rows knows. Here each unit has a row
in every modality and a mark of which it has; what stands in the place of an absent one does not matter, and its gradient is nought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from cohortium.networks.parts import Whole

MOST_NUMBERS = 20_000_000
"""Numbers of gradients that are held at a time (160 MB)."""

UnitLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Outputs (H,), targets (H,) and marks (H,) of a unit -> its loss."""


def forward(model: Whole, x: Sequence[Tensor], present: Tensor) -> Tensor:
    """(b, H) outputs of rows x: per modality (b, d), any finite numbers where present (b, M) is False. As ``model`` gives them for a batch in parts."""
    joint = model.joint
    there = present.unsqueeze(-1)
    told = [c(e(v)) for e, c, v in zip(joint.encoders, joint.centres, x, strict=True)]
    tokens = torch.where(there, torch.stack(told, dim=1), 0.0)
    out = joint.head(joint.fusion(tokens, present))
    for j, layer in enumerate(joint.wide):
        out = out + torch.where(there[:, j], layer(x[j]), 0.0)
    return out + model.bias


def gradients(
    model: Whole, x: Sequence[Tensor], present: Tensor, loss: UnitLoss, target: Tensor, mark: Tensor
) -> list[Tensor]:
    """For each of the model's parameters (n, *its shape): gradients of the units' losses. x: per modality (n, d). target, mark: (n, H). Nothing is
    dropped."""
    model.eval()
    whole = _Forward(model)
    named = {k: p.detach() for k, p in whole.named_parameters()}

    def one(params: dict[str, Tensor], rows: list[Tensor], have: Tensor, t: Tensor, m: Tensor) -> Tensor:
        out = functional_call(whole, params, ([r[None] for r in rows], have[None]))
        return loss(out[0], t, m)

    each = vmap(grad(one), in_dims=(None, 0, 0, 0, 0), chunk_size=max(1, MOST_NUMBERS // _size(model)))
    found = each(named, list(x), present, target, mark)
    return [found[k] for k in named]


def _size(model: Whole) -> int:
    return sum(p.numel() for p in model.parameters())


class _Forward(torch.nn.Module):
    """The function above as a module, so that its parameters can be handed over."""

    def __init__(self, model: Whole) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Sequence[Tensor], present: Tensor) -> Tensor:
        return forward(self.model, x, present)
