"""A network cut into parts that are averaged by themselves: of each modality, of all, and of the head.

Part ``j`` holds all that only units with modality j can change: its encoder, its linear path to the outputs and its row in the
fusion. Who lacks the modality has no gradient there and no number to send.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cohortium.networks.build import Design, build
from cohortium.networks.model import JointModel

Array = NDArray[np.float64]

SHARED, HEAD = "shared", "head"
BY_ROW = ("fusion.mark", "fusion.prior")
"""Parameters of the fusion with a row for each modality."""

FUSIONS = ("attention", "gated")
"""Fusions of which nothing but such rows belongs to a single modality."""


class Fixed(nn.Module):
    """Takes a given mean from embeddings: while training too, so that a unit's loss does not depend on who else is in its batch, nor at
    which site it is."""

    mean: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.mean


class Whole(nn.Module):
    """A joint model with the intercepts of its outputs, in double precision: batch -> (b, H)."""

    def __init__(self, joint: JointModel, base: Array) -> None:
        super().__init__()
        self.joint = joint
        self.bias = nn.Parameter(torch.tensor(base, dtype=torch.float64))  # a copy: base is a message's

    def forward(self, batch: object) -> Tensor:
        return self.joint(batch) + self.bias  # type: ignore[no-any-return]


def whole(design: Design, base: Array, seed: int) -> Whole:
    """A network at its start. The numbers come from numpy, whose streams are the same on every machine; torch's need not be."""
    with torch.random.fork_rng(devices=[]):
        model = build(design).double()
    model.centres = nn.ModuleList([Fixed(design.width) for _ in design.dims]).double()
    for encoder in model.encoders:
        for m in encoder.modules():
            if isinstance(m, nn.Dropout):
                m.p = design.dropout
    made = Whole(model, base)
    with torch.no_grad():
        for name, m in made.joint.named_modules():
            if isinstance(m, nn.Linear) and not name.startswith(("head", "wide")):
                for what, p in m.named_parameters():
                    bound = 1 / math.sqrt(m.in_features)
                    p.copy_(torch.as_tensor(_stream(seed, f"{name}.{what}").uniform(-bound, bound, tuple(p.shape))))
        for name in ("mark", "query"):
            p = getattr(made.joint.fusion, name, None)
            if isinstance(p, nn.Parameter):
                p.copy_(torch.as_tensor(0.1 * _stream(seed, f"fusion.{name}").standard_normal(tuple(p.shape))))
    return made


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng(
        [seed, int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")]
    )


class Layout:
    """Where the numbers of each part are. names: of parts; ``sizes``: how many numbers each has."""

    def __init__(self, model: Whole, modalities: int) -> None:
        self.parameters = list(model.parameters())
        self.names = (*map(str, range(modalities)), SHARED, HEAD)
        self._pieces: dict[str, list[tuple[int, int | None]]] = {n: [] for n in self.names}
        self.matrices = []
        for i, (name, p) in enumerate(model.named_parameters()):
            name = name.removeprefix("joint.")
            self.matrices.append(p.ndim >= 2 and name.endswith("weight"))
            if name in BY_ROW:
                for j in range(modalities):
                    self._pieces[str(j)].append((i, j))
                continue
            first = name.split(".")
            part = first[1] if first[0] in ("encoders", "wide") else HEAD if first[0] in ("head", "bias") else SHARED
            self._pieces[part].append((i, None))
        self.sizes = {n: sum(self._of(self.parameters, x).numel() for x in p) for n, p in self._pieces.items()}

    @staticmethod
    def _of(tensors: Sequence[Tensor], piece: tuple[int, int | None]) -> Tensor:
        i, row = piece
        return tensors[i] if row is None else tensors[i][row]

    def pack(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Part -> (p,) of tensors that are shaped as the parameters are."""
        return {
            n: np.concatenate([self._of(tensors, x).detach().double().numpy().ravel() for x in pieces] or [np.zeros(0)])
            for n, pieces in self._pieces.items()
        }

    def pack_each(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Part -> (n, p) of tensors (n, *shape of a parameter), such as gradients of single units."""
        n = len(tensors[0])

        def of(piece: tuple[int, int | None]) -> Array:
            i, row = piece
            return (tensors[i] if row is None else tensors[i][:, row]).detach().double().numpy().reshape(n, -1)  # type: ignore[no-any-return]

        return {k: np.hstack([of(x) for x in pieces] or [np.zeros((n, 0))]) for k, pieces in self._pieces.items()}

    def unpack(self, parts: Mapping[str, Array]) -> list[Tensor]:
        """Tensors shaped as the parameters are; zero where there is no such part."""
        out = [torch.zeros_like(p) for p in self.parameters]
        for n, values in parts.items():
            at = 0
            for piece in self._pieces[n]:
                t = self._of(out, piece)
                t.copy_(torch.as_tensor(values[at : at + t.numel()]).reshape(t.shape))
                at += t.numel()
        return out

    def fits(self, parts: Mapping[str, Array]) -> bool:
        """Whether there are such parts, of these lengths."""
        return all(n in self.sizes and v.shape == (self.sizes[n],) for n, v in parts.items())

    def filled(self, by_part: Mapping[str, float]) -> list[Tensor]:
        """The same with one number for each part."""
        return self.unpack({n: np.full(self.sizes[n], v) for n, v in by_part.items()})
