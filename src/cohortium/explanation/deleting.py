"""Does the order hold? The score as features are made unknown, the most important first, and in random orders.

A made-up order of importance takes no more from the score than a random one does (Samek 2017, IEEE Trans Neural Netw
Learn Syst 28:2660). What is deleted is unknown to the model, which expects the usual of it; nothing is filled in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Modality, Table
from cohortium.explanation.grouping import FeatureGroup
from cohortium.explanation.held_out import FoldModel
from cohortium.explanation.shown import Shown

Array = NDArray[np.float64]

ORDERS = 10
"""Random orders that the order of importance is held against."""


@dataclass(frozen=True, eq=False)
class Deleted:
    """Scores of one fold after deleting so many items as ``steps`` say. ordered: (S,) the first ones. random: (S,) mean over
    random orders."""

    steps: NDArray[np.int64]
    ordered: Array
    random: Array

    @property
    def gap(self) -> float:
        """Mean over the steps between none and all of how much lower the score is than in random order."""
        inner = slice(1, -1)
        return float((self.random - self.ordered)[inner].mean()) if len(self.steps) > 2 else float("nan")


def steps_of(n: int) -> NDArray[np.int64]:
    """0, 1, 2, 3, 5, 8, ... and n: how many items are deleted."""
    out = [0, 1, 2]
    while out[-1] < n:
        out.append(out[-1] + out[-2])
    return np.array(sorted({min(s, n) for s in out}), dtype=np.int64)


def deletion(model: FoldModel, items: Sequence[FeatureGroup]) -> Deleted:
    """Delete items, single features, in their order, from all held-out units."""
    shown, steps = Shown(model.predictor, model.cohort, model.grid), steps_of(len(items))
    shown.all()
    rng = model.rng("deletion")

    def curve(order: Sequence[int]) -> Array:
        return np.array([model.score(shown.without(*without(shown, [items[i] for i in order[:k]]))) for k in steps])

    ordered = curve(range(len(items)))
    random = np.mean([curve(list(rng.permutation(len(items)))) for _ in range(ORDERS)], axis=0)
    return Deleted(steps, ordered, random)


def without(shown: Shown, gone: Sequence[FeatureGroup]) -> tuple[dict[str, Modality], dict[str, list[str]]]:
    """The tables that change when some features are unknown, and encoded features of other modalities that are gone."""
    tables, encoded = dict[str, Modality](), dict[str, list[str]]()
    for name in dict.fromkeys(g.modality for g in gone):
        own = [g for g in gone if g.modality == name]
        if own[0].encoded:
            encoded[name] = [f for g in own for f in g.features]
            continue
        data = shown.cohort.modalities[name]
        assert isinstance(data, Table)
        values = data.values.astype(np.float64)
        values[:, [j for g in own for j in g.columns]] = np.nan
        tables[name] = replace(data, values=values)
    return tables, encoded
