"""From any shape of modality to the complete, standardised features that heads want.

A representation makes a table of a modality; what it learns (which codes and words are frequent enough) it
learns from the rows it is fitted on. A :class:`TableEncoder` then does for that table what it does for all.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Bag, Cells, Events, Modality, Table, Texts
from cohortium.encoders.cells import CellRepresentation
from cohortium.encoders.combat import CombatRepresentation
from cohortium.encoders.table import TableEncoder
from cohortium.encoders.texts import CommonScale, VectorRepresentation, WordRepresentation, text_representation

Array = NDArray[np.float64]


class Representation(Protocol):
    """Fitted on a modality's training rows; :meth:`table` may then be asked of any units."""

    def fit(self, data: Any) -> Representation: ...
    def table(self, data: Any) -> Table: ...
    def state(self) -> dict[str, Any]:
        """JSON-able, arrays as leaves, with ``kind``."""
        ...


class WindowRepresentation:
    """Counts, values and courses of the codes that enough training units have (:mod:`cohortium.cohort.windows`).

    A feature needs 5 training units or 1% of them, whichever is more; beyond 4,000 the most frequent are kept.
    """

    def fit(self, data: Events) -> WindowRepresentation:
        from cohortium.cohort.windows import window_features

        self.names_ = window_features(data).supported(max(5, len(data.units) // 100))
        return self

    def table(self, data: Events) -> Table:
        from cohortium.cohort.windows import window_features

        return window_features(data).table(data.units, self.names_)

    def state(self) -> dict[str, Any]:
        return {"kind": "windows", "names": list(self.names_)}

    @staticmethod
    def restore(state: dict[str, Any]) -> WindowRepresentation:
        out = WindowRepresentation()
        out.names_ = list(state["names"])
        return out


class SetRepresentation:
    """Mean, spread and quantiles over the instances of a unit (:meth:`Bag.as_table`); learns nothing."""

    def fit(self, data: Bag) -> SetRepresentation:
        return self

    def table(self, data: Bag) -> Table:
        return data.as_table()

    def state(self) -> dict[str, Any]:
        return {"kind": "set"}

    @staticmethod
    def restore(state: dict[str, Any]) -> SetRepresentation:
        return SetRepresentation()


class Represented:
    """A representation and the table encoder of what it makes; used in place of a :class:`TableEncoder`."""

    def __init__(self, representation: Any) -> None:
        self.representation = representation

    def fit(self, data: Modality) -> Represented:
        """Learn from the rows of ``data``."""
        table = self.representation.fit(data).table(data)
        kept = getattr(self.representation, "common_scale", False)
        self.encoder_: TableEncoder | CommonScale = (CommonScale() if kept else TableEncoder()).fit(table)
        self.weight_ = np.ones(len(self.names_))
        if hasattr(self.representation, "parts"):
            part = self.representation.parts(self.names_)
            kinds, at, size = np.unique(part, return_inverse=True, return_counts=True)
            self.weight_ = np.sqrt(len(part) / (max(len(kinds), 1) * size[at]))
        return self

    @property
    def names_(self) -> NDArray[np.object_]:
        """(q,) output columns."""
        return self.encoder_.names_

    def transform(self, data: Modality, impute: bool = True) -> Array:
        """(n, q) complete, standardised, clipped values, the parts of a representation with equal total variance.

        impute: False leaves unknown cells NaN.
        """
        return self.encoder_.transform(self.representation.table(data), impute) * self.weight_

    def state(self) -> dict[str, Any]:
        return {"representation": self.representation.state(), "encoder": self.encoder_.state(), "weight": self.weight_}


Encoder = TableEncoder | Represented

_SHAPES: dict[type, Any] = {
    Events: lambda data: WindowRepresentation(),
    Bag: lambda data: SetRepresentation(),
    Texts: text_representation,
    Cells: lambda data: CellRepresentation(),
}
_KINDS: dict[str, Any] = {
    "windows": WindowRepresentation,
    "set": SetRepresentation,
    "words": WordRepresentation,
    "vectors": VectorRepresentation,
    "cells": CellRepresentation,
    "combat": CombatRepresentation,
}


def fit_encoder(data: Modality) -> Encoder:
    """The encoder for the modality's shape, fitted on its rows."""
    if isinstance(data, Table):
        return TableEncoder().fit(data) if data.batches is None else Represented(CombatRepresentation()).fit(data)
    return Represented(_SHAPES[type(data)](data)).fit(data)


def restore_encoder(state: dict[str, Any]) -> Encoder:
    """The encoder of a state that ``Encoder.state`` gave."""
    if "representation" not in state:
        return TableEncoder.restore(state)
    part = state["representation"]
    out = Represented(_KINDS[part["kind"]].restore(part))
    kept = state["encoder"].get("kind") == "common_scale"
    out.encoder_ = (CommonScale if kept else TableEncoder).restore(state["encoder"])
    out.weight_ = np.asarray(state["weight"], dtype=np.float64)
    return out
