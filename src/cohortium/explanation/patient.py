"""One unit: what its modalities and features did to its prediction, and what a modality that it lacks might do.

Values that replace the unit's own are those of units that the model was fitted on, never made-up ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Modality, Table
from cohortium.contracts import Prediction
from cohortium.explanation.coalitions import Shapley, shapley
from cohortium.explanation.grouping import FeatureGroup
from cohortium.explanation.shown import Shown
from cohortium.explanation.target import Target

Array = NDArray[np.float64]

PAIRS = 100
"""Orders of the features, each with its reverse and with another unit's values."""

DONORS = 50
"""Similar units whose values an absent modality is given; half of those who have it, where they are few."""


@dataclass(frozen=True, eq=False)
class Asked:
    """predictor: fitted on ``trained``. one: a cohort of a single unit. grid: times of survival curves."""

    predictor: Any
    one: Cohort
    trained: Cohort
    target: Target
    grid: Array | None = None


def shares_of_modalities(asked: Asked, rng: np.random.Generator) -> tuple[list[str], Shapley]:
    """The modalities that the unit has, and their Shapley values (M, K) of its prediction; nothing is the base rate."""
    shown = Shown(asked.predictor, asked.one, asked.grid)
    names = [m for m, data in asked.one.modalities.items() if len(data.units)]
    value = lambda mask: asked.target.of(shown.only([n for n, x in zip(names, mask, strict=True) if x]))[0]  # noqa: E731
    return names, shapley(len(names), value, rng)


def copies(one: Cohort, n: int) -> Cohort:
    """``n`` units with what the single unit of ``one`` has."""
    ids = pd.Index([str(i) for i in range(n)], dtype=object, name="unit")
    again, units = np.zeros(n, dtype=np.intp), one.units.iloc[np.zeros(n, dtype=np.intp)].set_axis(ids)
    made: dict[str, Modality] = {}
    for name, data in one.modalities.items():
        made[name] = replace(data.take(again), units=ids) if len(data.units) else data  # type: ignore[type-var]
    return Cohort(units, made)


def players_of(groups: Sequence[FeatureGroup], table: Table, name: str) -> list[FeatureGroup]:
    """Every feature of a table in one player: the largest of the groups it is in; those in none together, as the last."""
    out, taken = list[FeatureGroup](), set[int]()
    for g in sorted((g for g in groups if g.modality == name), key=lambda g: -len(g.columns)):
        if not taken & set(g.columns):
            out.append(g)
            taken |= set(g.columns)
    rest = [j for j in range(table.n_features) if j not in taken]
    if rest:
        out.append(FeatureGroup(name, tuple(str(table.features.index[j]) for j in rest), tuple(rest)))
    return out


def shares_of_features(
    asked: Asked, name: str, players: Sequence[FeatureGroup], rng: np.random.Generator, pairs: int = PAIRS
) -> tuple[Array, Array]:
    """(P, K) what each player of a table did to the prediction, and its Monte-Carlo error: the mean change when its values
    become the unit's own after those of a drawn other unit, in random orders (Strumbelj & Kononenko 2014, Knowl Inf Syst
    41:647). The other modalities stay as they are; shares add up to the prediction less the mean one with drawn values."""
    table, others = asked.one.modalities[name], asked.trained.modalities[name]
    assert isinstance(table, Table) and isinstance(others, Table)
    p = len(players)
    shown, own = Shown(asked.predictor, copies(asked.one, 2 * (p + 1)), asked.grid), table.values[0]
    total, square = 0.0, 0.0
    source = rng.permutation(np.resize(np.arange(len(others.units)), pairs))  # everybody as often, where they are fewer
    for donor in source:
        order, rows = rng.permutation(p), np.tile(others.values[donor], (2 * (p + 1), 1))
        for way, start in ((order, 0), (order[::-1], p + 1)):
            for step, k in enumerate(way, 1):
                rows[start + step :, list(players[k].columns)] = own[list(players[k].columns)]
            rows[start + p + 1 :] = others.values[donor]
        made = replace(table, units=shown.cohort.units.index, values=rows, batches=_batches(table, len(rows)))
        found = asked.target.of(shown.with_modalities({name: made}))
        gain = np.zeros((p, found.shape[1]))
        gain[order] += np.diff(found[: p + 1], axis=0) / 2
        gain[order[::-1]] += np.diff(found[p + 1 :], axis=0) / 2
        total, square = total + gain, square + gain**2
    mean = np.asarray(total) / pairs
    spread = np.maximum(np.asarray(square) / pairs - mean**2, 0.0) / max(pairs - 1, 1)
    return mean, np.sqrt(spread)


def _batches(table: Table, n: int) -> Any:
    return None if table.batches is None else table.batches.take(np.zeros(n, dtype=np.intp))


def donors_of(trained: Cohort, name: str, similarity: Array | None) -> NDArray[np.intp]:
    """Positions among the units that have a modality of those whose values a unit without it is given.

    similarity: (n,) of all units to it, NaN for those that cannot be compared: the nearest :data:`DONORS`, or half of
    those who have it. None where it has nothing to be compared by: evenly spread ones.
    """
    rows = trained.units.index.get_indexer(trained.modalities[name].units)
    most = min(DONORS, max(len(rows) // 2, min(len(rows), 10)))
    if similarity is None or np.isnan(similarity[rows]).all():
        return np.unique(np.linspace(0, len(rows) - 1, most).round()).astype(np.intp) if len(rows) else rows
    near = similarity[rows]
    order = np.argsort(-np.nan_to_num(near, nan=-np.inf), kind="stable")
    return np.sort(order[: min(most, int((~np.isnan(near)).sum()))])


def if_measured(asked: Asked, name: str, donors: NDArray[np.intp]) -> Prediction:
    """Predictions of the unit with a modality that it lacks, as each of the donors has it."""
    data = asked.trained.modalities[name].take(donors)
    shown = Shown(asked.predictor, copies(asked.one, len(donors)), asked.grid)
    return shown.with_modalities({name: replace(data, units=shown.cohort.units.index)})  # type: ignore[type-var]
