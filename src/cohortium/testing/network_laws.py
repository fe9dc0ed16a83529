"""The laws that every encoder and every fusion of a network keeps: ``check_encoder(make)``, ``check_fusion(make)``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from cohortium.testing.laws import LawBroken


def check_encoder(make: Callable[[], nn.Module], draw: Callable[[int], Any], take: Callable[[Any, Tensor], Any]) -> list[str]:  # fmt: skip
    """Hold an encoder to its laws; returns them. Raises :class:`LawBroken`.

    make: the encoder, whose ``width`` says how wide its embeddings are. draw: what it wants for b units, random. take:
    some of them. Laws: embeddings (b, width), finite; each unit's own, whatever others stand beside it and in whichever
    order; a gradient for every parameter; made again from its weights it gives the same.
    """
    torch.manual_seed(3)
    encoder = make().double().eval()
    x = draw(12)
    whole = encoder(x)
    if whole.shape != (12, encoder.width) or not torch.isfinite(whole).all():
        raise LawBroken(f"Embeddings are (b, width) and finite: seen {tuple(whole.shape)}")
    order = torch.randperm(12)
    for rows in (order, order[:5], order[:1]):
        if not torch.allclose(encoder(take(x, rows)), whole[rows], rtol=1e-9, atol=1e-11):
            raise LawBroken("The embedding of a unit depends on which others stand beside it, or on their order")
    whole.square().sum().backward()
    dead = [n for n, p in encoder.named_parameters() if p.grad is None]
    if dead:
        raise LawBroken(f"No gradient reaches {', '.join(dead)}")
    again = make().double().eval()
    again.load_state_dict(encoder.state_dict())
    if not torch.equal(again(x), whole):
        raise LawBroken("An encoder made again from its weights gives other embeddings")
    return ["embeddings are finite", "units are their own", "gradients reach all parameters", "restored gives the same"]


def check_fusion(make: Callable[[int, int], nn.Module], modalities: int = 3, width: int = 8) -> list[str]:
    """Hold a fusion to its laws; returns them. Raises :class:`LawBroken`.

    make: modalities, width -> the fusion: tokens (n, M, width), presence (n, M) -> (n, width).
    Laws: finite for every pattern of presence, nobody's too; each unit's own; what stands in the place of an absent token
    does not matter, be it huge; no gradient reaches it; what is present matters.
    """
    torch.manual_seed(4)
    fusion = make(modalities, width).double().eval()
    patterns = torch.tensor(list(product([False, True], repeat=modalities)))
    tokens = torch.randn(len(patterns), modalities, width, dtype=torch.float64)
    whole = fusion(tokens, patterns)
    if whole.shape != (len(patterns), width) or not torch.isfinite(whole).all():
        raise LawBroken(f"Every pattern of presence is fused to (n, width) finite numbers: seen {tuple(whole.shape)}")
    order = torch.randperm(len(patterns))[:4]
    if not torch.allclose(fusion(tokens[order], patterns[order]), whole[order], rtol=1e-9, atol=1e-11):
        raise LawBroken("A unit's fusion depends on which others stand beside it, or on their order")
    other = torch.where(patterns.unsqueeze(-1), tokens, 1e6)
    if not torch.equal(fusion(other, patterns), whole):
        raise LawBroken("What stands in the place of an absent token changes the fusion")
    leaf = tokens.clone().requires_grad_()
    (fusion(leaf, patterns) * torch.randn(len(patterns), width, dtype=torch.float64)).sum().backward()
    assert leaf.grad is not None
    if leaf.grad[~patterns].abs().max() > 0:
        raise LawBroken("A gradient reaches the place of an absent token")
    reached = leaf.grad[patterns].abs().amax(-1)
    if (reached == 0).any():
        raise LawBroken("No gradient reaches some token that is present")
    return ["every pattern is fused", "units are their own", "absent tokens do not matter", "present tokens do"]
