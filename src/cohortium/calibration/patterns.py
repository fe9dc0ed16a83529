"""Availability patterns as calibration groups: own ones where they are large enough, the others together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Enough = Callable[[NDArray[np.intp]], bool]
"""Whether these calibration units are enough for a group of their own."""

OTHERS, EVERYONE = "other patterns", "everyone"


@dataclass(frozen=True)
class Patterns:
    """modalities: whose presence makes a pattern. own: patterns with a calibration of their own, by name; what is left shares
    the last one. rest: its name: ``other patterns``, or ``everyone`` where those are too few and all units stand in."""

    modalities: tuple[str, ...]
    own: tuple[str, ...]
    rest: str

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.own, self.rest)

    def codes(self, presence: NDArray[np.bool_]) -> NDArray[np.intp]:
        """(n,) index into ``names`` of units with presence (n, M), columns as ``modalities``."""
        at = {name: k for k, name in enumerate(self.own)}
        return np.array([at.get(p, len(self.own)) for p in _named(self.modalities, presence)], dtype=np.intp)

    def labels(self, presence: NDArray[np.bool_]) -> NDArray[np.object_]:
        """(n,) the names."""
        return np.array(self.names, dtype=object)[self.codes(presence)]

    def state(self) -> dict[str, Any]:
        return {"modalities": list(self.modalities), "own": list(self.own), "rest": self.rest}

    @staticmethod
    def restore(state: dict[str, Any]) -> Patterns:
        return Patterns(tuple(state["modalities"]), tuple(state["own"]), state["rest"])


def fit_patterns(
    modalities: tuple[str, ...], presence: NDArray[np.bool_], enough: Enough
) -> tuple[Patterns, list[NDArray[np.intp]]]:
    """The groups of calibration units with presence (n, M), and per group the rows it is calibrated on."""
    named = np.array(_named(modalities, presence), dtype=object)
    counts = Counter(named.tolist())
    order = sorted(counts, key=lambda p: (-counts[p], p))
    rows = {p: np.flatnonzero(named == p) for p in order}
    own = tuple(p for p in order if enough(rows[p]))
    left = np.flatnonzero(~np.isin(named.astype(str), np.array(own, dtype=str))) if own else np.arange(len(named))
    alone = len(left) == len(named) or not enough(left)
    members = [*(rows[p] for p in own), np.arange(len(named)) if alone else left]
    return Patterns(modalities, own, EVERYONE if alone else OTHERS), members


def _named(modalities: tuple[str, ...], presence: NDArray[np.bool_]) -> list[str]:
    return [" + ".join(m for m, x in zip(modalities, row, strict=True) if x) or "no modality" for row in presence]
