"""Inputs of which a unit has many: instances of bags, events of a history. They are read when an encoder asks for them.

What is stored stays where it is, once, however many networks are trained: a batch holds positions. Encoders walk over
groups of units of similar size, and over a unit that is too large for one group in chunks, so that memory follows the
chunk and neither the batch nor the largest unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]
Read = Callable[[Ints, Ints], tuple[Tensor, ...]]
"""Positions (k,) of stored items and the stored units (k,) they belong to -> what an encoder wants, tensors (k, ...)."""

NUMBERS = 1 << 22
"""Numbers that an encoder reads at a time."""

STEP = 1 << 25
"""Numbers, of the items or of what encoders make of them, that a training step reads at most."""


@dataclass(frozen=True, eq=False)
class Group:
    """Units of similar size, or a part of one. units: (g,) positions in the batch. chunks: (g, L) positions of stored
    items and (g, L) bool, whether an item is there; several chunks only of a unit that stands alone."""

    read: Read
    units: Ints
    rows: Ints
    chunks: tuple[tuple[Ints, NDArray[np.bool_]], ...]

    def __iter__(self) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Chunk by chunk: tensors (g, L, ...), and (g, L) whether an item is there; what stands elsewhere means nothing."""
        for at, keep in self.chunks:
            rows = np.broadcast_to(self.rows[:, None], at.shape)
            found = self.read(at.ravel(), rows.ravel())
            yield tuple(t.view(*at.shape, *t.shape[1:]) for t in found), torch.as_tensor(keep)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Items of b units. begin, sizes: (b,) a unit's items are ``[begin, begin + size)``, there may be none: of what is
    stored, or of ``at``, positions of stored items. rows: (b,) which stored unit each is."""

    read: Read
    begin: Ints
    sizes: Ints
    rows: Ints
    at: Ints | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, units: Tensor) -> Ragged:
        """The units at the given positions 0..b-1."""
        k = units.numpy()
        return Ragged(self.read, self.begin[k], self.sizes[k], self.rows[k], self.at)

    def groups(self, limit: int) -> Iterator[Group]:
        """All units that have items, smallest first; at most ``limit`` items, gaps counted, in a chunk."""
        order = np.argsort(self.sizes, kind="stable")
        order = order[self.sizes[order] > 0]
        first = 0
        while first < len(order):
            least, last = self.sizes[order[first]], first + 1
            while last < len(order) and self._fits(self.sizes[order[last]], least, last + 1 - first, limit):
                last += 1
            units = order[first:last]
            longest = int(self.sizes[units[-1]])
            chunks = [self._padded(units, a, min(a + limit, longest)) for a in range(0, longest, limit)]
            yield Group(self.read, units, self.rows[units], tuple(chunks))
            first = last

    @staticmethod
    def _fits(size: int, least: int, count: int, limit: int) -> bool:
        # Less than half of a group are gaps, whatever the sizes in the batch.
        return size <= 2 * least + 8 and size * count <= limit

    def _padded(self, units: Ints, a: int, b: int) -> tuple[Ints, NDArray[np.bool_]]:
        place = np.arange(a, b)
        keep = place < self.sizes[units][:, None]
        at = self.begin[units][:, None] + np.where(keep, place, 0)
        return (at if self.at is None else self.at[at]), keep


@dataclass(frozen=True, eq=False)
class Items:
    """A modality of which a unit has many items; a :class:`cohortium.networks.batch.Part`.

    read: see :data:`Read`, given numbers of ``rows``. begin, sizes: (m,) a unit's items are the stored ones
    ``[begin, begin + size)``. rows: (m,) which stored unit each is. where: (m,) increasing positions of the units. most:
    items of a unit that a training step draws at random (None: all). numbers: that an item has.
    """

    read: Read
    begin: Ints
    sizes: Ints
    rows: Ints
    where: Tensor
    most: int | None = None
    numbers: int = 1

    def take(self, rows: Tensor, drawn: bool = False) -> Ragged:
        """Of the part's units at the given positions 0..m-1 all items, or those drawn for a training step."""
        k = rows.numpy()
        begin, sizes = self.begin[k], self.sizes[k]
        if drawn and self.most is not None:
            # A step of many units with many numbers each takes fewer of each unit.
            most = max(min(self.most, STEP // (len(k) * max(self.numbers, 256))), 1)
            if (sizes > most).any():
                at, sizes = _drawn(begin, sizes, most), np.minimum(sizes, most)
                return Ragged(self.read, np.cumsum(sizes) - sizes, sizes, self.rows[k], at)
        return Ragged(self.read, begin, sizes, self.rows[k])


def _drawn(begin: Ints, sizes: Ints, most: int) -> Ints:
    """Positions of at most so many items of each unit, from torch's generator, which the loop sets."""
    some = (np.arange(n) if n <= most else torch.randperm(int(n))[:most].numpy() for n in sizes)
    return np.concatenate([a + k for a, k in zip(begin, some, strict=True)])


@dataclass(frozen=True, eq=False)
class Beside:
    """What an encoder sees of b units that have both items and a summary of them. summary: (b, d)."""

    items: Ragged
    summary: Tensor


@dataclass(frozen=True, eq=False)
class ItemsBeside:
    """Items, and a vector a unit that sums them up; the same units in both."""

    items: Items
    x: Tensor

    @property
    def where(self) -> Tensor:
        return self.items.where

    def take(self, rows: Tensor, drawn: bool = False) -> Beside:
        """Both, of the part's units at the given positions."""
        return Beside(self.items.take(rows, drawn), self.x[rows])


def vector_of(x: Any) -> Tensor:
    """(b, d) the vector of each unit: what a linear path sees."""
    return x.summary if isinstance(x, Beside) else x  # type: ignore[no-any-return]
