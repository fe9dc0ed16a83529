"""Inputs of a network: for each modality the units that have it, and how to take some of them.

A unit that lacks a modality has no row in its part, so that nothing of it can be computed, imputed or differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Part(Protocol):
    """One modality of n units: ``len(where)`` of them have it, at the increasing positions ``where`` (m,)."""

    where: Tensor

    def take(self, rows: Tensor, drawn: bool = False) -> Any:
        """What the encoder wants of the part's rows at the given positions 0..m-1. drawn: for a training step, which may
        do with some of what a unit has, drawn at random."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """A modality that is one vector a unit. x: (m, d). where: (m,)."""

    x: Tensor
    where: Tensor

    def take(self, rows: Tensor, drawn: bool = False) -> Tensor:
        """(b, d) rows."""
        return self.x[rows]


@dataclass(frozen=True, eq=False)
class Batch:
    """Some units. n: how many. x: per modality what its encoder wants, None when nobody here has it. at: per modality
    (b,) positions in the batch of those who have it."""

    n: int
    x: tuple[Any, ...]
    at: tuple[Tensor, ...]

    def present(self) -> Tensor:
        """(n, M) bool: who has which modality."""
        out = torch.zeros(self.n, len(self.at), dtype=torch.bool)
        for j, at in enumerate(self.at):
            out[at, j] = True
        return out


class Inputs:
    """All modalities of n units."""

    def __init__(self, n: int, parts: tuple[Part, ...]) -> None:
        self.n, self.parts = n, parts
        self._position = []
        for part in parts:
            position = torch.full((n,), -1, dtype=torch.long)
            position[part.where] = torch.arange(len(part.where))
            self._position.append(position)

    def present(self) -> Tensor:
        """(n, M) bool: who has which modality."""
        return torch.stack([position >= 0 for position in self._position], dim=1)

    def batch(self, rows: Tensor, drawn: bool = False) -> Batch:
        """The units at the given positions, in that order. drawn: for a training step; see :class:`Part`."""
        x, at = [], []
        for part, position in zip(self.parts, self._position, strict=True):
            found = position[rows]
            have = torch.nonzero(found >= 0).ravel()
            at.append(have)
            x.append(part.take(found[have], drawn) if len(have) else None)
        return Batch(len(rows), tuple(x), tuple(at))
