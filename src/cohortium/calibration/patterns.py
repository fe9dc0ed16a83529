"""Availability patterns as calibration groups: own ones where they are large enough, the others together; within declared groups of
units too, where those are large enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Enough = Callable[[NDArray[np.intp]], bool]
"""Whether these calibration units are enough for a group of their own."""

OTHERS, EVERYONE = "other patterns", "everyone"
WITHIN = "within "
"""How the names of cells within a declared group begin."""


@dataclass(frozen=True)
class Patterns:
    """modalities: whose presence makes a pattern. own: patterns with a calibration of their own, by name; what is left shares
    the last one. rest: its name: ``other patterns``, or ``everyone`` where those are too few and all units stand in. inside: declared
    groups of units that are large enough, each with patterns of its own; units of others, and of none, have those of everybody."""

    modalities: tuple[str, ...]
    own: tuple[str, ...]
    rest: str
    inside: tuple[tuple[str, Patterns], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.own, self.rest, *(cell_name(g, n) for g, p in self.inside for n in p.names))

    def codes(self, presence: NDArray[np.bool_], groups: NDArray[np.object_] | None = None) -> NDArray[np.intp]:
        """(n,) index into ``names`` of units with presence (n, M), columns as ``modalities``. groups: (n,) the declared group of each."""
        at = {name: k for k, name in enumerate(self.own)}
        out = np.array([at.get(p, len(self.own)) for p in _named(self.modalities, presence)], dtype=np.intp)
        begin = len(self.own) + 1
        for group, patterns in self.inside:
            rows = np.zeros(0, dtype=np.intp) if groups is None else np.flatnonzero(groups == group)
            out[rows] = begin + patterns.codes(presence[rows])
            begin += len(patterns.names)
        return out

    def labels(self, presence: NDArray[np.bool_], groups: NDArray[np.object_] | None = None) -> NDArray[np.object_]:
        """(n,) the names."""
        return np.array(self.names, dtype=object)[self.codes(presence, groups)]

    def state(self) -> dict[str, Any]:
        inside = [{"group": g, **p.state()} for g, p in self.inside]
        out = {"modalities": list(self.modalities), "own": list(self.own), "rest": self.rest}
        return {**out, "inside": inside} if inside else out

    @staticmethod
    def restore(state: dict[str, Any]) -> Patterns:
        inside = tuple((s["group"], Patterns.restore(s)) for s in state.get("inside", ()))
        return Patterns(tuple(state["modalities"]), tuple(state["own"]), state["rest"], inside)


def cell_name(group: str, pattern: str) -> str:
    """``within female``, or ``within female, clinical + rna``."""
    return f"{WITHIN}{group}" if pattern == EVERYONE else f"{WITHIN}{group}, {pattern}"


def fit_patterns(
    modalities: tuple[str, ...], presence: NDArray[np.bool_], enough: Enough, groups: NDArray[np.object_] | None = None
) -> tuple[Patterns, list[NDArray[np.intp]]]:
    """The cells of calibration units with presence (n, M), and per cell the rows it is calibrated on.

    groups: (n,) declared group of each unit, "" where it is unknown. A group that is large enough is cut by pattern as everybody is,
    among its own units (Mondrian; Vovk, Gammerman & Shafer 2005): coverage then holds within it. One that is not falls back to
    the patterns of everybody.
    """
    patterns, members = _fit(modalities, presence, enough)
    names = [] if groups is None else sorted({str(g) for g in groups} - {""})
    if groups is None or len(names) < 2:
        return patterns, members
    inside = list[tuple[str, Patterns]]()
    for name in names:
        rows = np.flatnonzero(groups == name)
        if enough(rows):
            own, parts = _fit(modalities, presence[rows], lambda some, rows=rows: enough(rows[some]))  # type: ignore[misc]
            inside.append((name, own))
            members += [rows[part] for part in parts]
    return replace(patterns, inside=tuple(inside)), members


def _fit(
    modalities: tuple[str, ...], presence: NDArray[np.bool_], enough: Enough
) -> tuple[Patterns, list[NDArray[np.intp]]]:
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
