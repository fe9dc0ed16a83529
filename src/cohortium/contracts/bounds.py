"""What a prediction is sure of: a set of classes, an interval, or a time that is outlived; each holds at a nominal level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.predictions import Survival

FloatArray = NDArray[np.float64]
Groups = NDArray[np.object_]
"""(n,) the calibration group of each unit: an availability pattern, ``other patterns``, or ``everyone``."""


@dataclass(frozen=True, eq=False)
class Sets:
    """Classes that cannot be ruled out. inside: (n, K) bool; a unit with none, or with several, has no certain class."""

    units: NDArray[np.object_]
    classes: tuple[str, ...]
    inside: NDArray[np.bool_]
    groups: Groups

    def __len__(self) -> int:
        return len(self.inside)

    def take(self, rows: NDArray[np.intp]) -> Sets:
        return Sets(self.units[rows], self.classes, self.inside[rows], self.groups[rows])


@dataclass(frozen=True, eq=False)
class Intervals:
    """low, high: (n,), on the outcome's scale; infinite where too few units were there to say."""

    units: NDArray[np.object_]
    low: FloatArray
    high: FloatArray
    groups: Groups

    def __len__(self) -> int:
        return len(self.low)

    def take(self, rows: NDArray[np.intp]) -> Intervals:
        return Intervals(self.units[rows], self.low[rows], self.high[rows], self.groups[rows])


@dataclass(frozen=True, eq=False)
class LowerBounds:
    """low: (n,) time that the event comes after, at least; 0 says nothing. free: P(not censored by a time) of the same
    units, which only a measurement of coverage needs."""

    units: NDArray[np.object_]
    low: FloatArray
    groups: Groups
    free: Survival | None = None

    def __len__(self) -> int:
        return len(self.low)

    def take(self, rows: NDArray[np.intp]) -> LowerBounds:
        free = None if self.free is None else self.free.take(rows)
        return LowerBounds(self.units[rows], self.low[rows], self.groups[rows], free)


Bounds = Sets | Intervals | LowerBounds
