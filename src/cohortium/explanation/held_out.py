"""One fitted model on the units it was not fitted on: what its modalities and features are worth, and what they move."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import Prediction
from cohortium.explanation.coalitions import shapley
from cohortium.explanation.grouping import FeatureGroup
from cohortium.explanation.shown import Shown, shuffled
from cohortium.explanation.target import Target

Array = NDArray[np.float64]

DRAWS = 5
"""Times that values are shuffled in each fold."""


@dataclass(frozen=True, eq=False)
class FoldModel:
    """A model and the units of the test part of its fold. score: of a prediction of them, larger is better, NaN where it
    cannot be said. seed, key: of the fold, from which random numbers are drawn by name."""

    predictor: Any
    cohort: Cohort
    score: Callable[[Prediction], float]
    grid: Array | None
    seed: int
    key: str
    n_train: int

    def rng(self, name: str) -> np.random.Generator:
        """A generator that depends on seed, fold and name only."""
        text = f"{self.seed}|{self.key}|explain/{name}".encode()
        return np.random.default_rng(int.from_bytes(hashlib.blake2s(text, digest_size=8).digest(), "little"))


@dataclass(frozen=True, eq=False)
class FoldValues:
    """One fold, M modalities, I groups of features. full, nothing: score with everything shown, and with nothing.

    shapley, error: (M,) of the score, and Monte-Carlo error. given: (M,) mean absolute Shapley value of the predictions of
    the units that have the modality. loss, moves: (M,) fall of the score and mean absolute change of predictions when the
    modality is shuffled among those who have it. item_loss, item_moves: (I,) the same of groups. used: (M,) False where the model does not look at it. exact: Shapley values were not drawn.
    """

    full: float
    nothing: float
    shapley: Array
    error: Array
    given: Array
    loss: Array
    moves: Array
    used: NDArray[np.bool_]
    item_loss: Array
    item_moves: Array
    exact: bool
    n_train: int
    n_test: int


def explain_fold(
    model: FoldModel, target: Target, items: Sequence[FeatureGroup], each: Callable[[], None] = lambda: None
) -> FoldValues:
    """Shapley values of modalities and the importance of modalities and groups by shuffling. each: called now and then."""
    shown = Shown(model.predictor, model.cohort, model.grid)
    names, have = list(model.cohort.modalities), model.cohort.presence()
    whole = shown.all()
    full, before = model.score(whole), target.of(whole)
    used = np.array([shown.looked_at is None or m in shown.looked_at for m in names], dtype=bool)
    worth, error, given, nothing, exact = _worth(model, shown, target, used)
    each()
    loss, moves = np.zeros(len(names)), np.zeros(len(names))
    for i, name in enumerate(names):
        if used[i]:
            data, rng = model.cohort.modalities[name], model.rng(f"modality/{name}")
            made = (shown.with_modalities({name: shuffled(data, s)}) for s in _orders(rng, len(data.units)))
            loss[i], moves[i] = _effect(model, target, full, before, made, have[name].to_numpy(bool))
        elif not have[name].any():
            moves[i] = np.nan
    item_loss, item_moves = np.zeros(len(items)), np.zeros(len(items))
    for i, item in enumerate(items):
        name, columns = item.modality, np.array(item.columns, dtype=np.intp)
        if used[names.index(name)]:
            n = len(model.cohort.modalities[name].units)
            orders = _orders(model.rng(f"features/{name}/{'/'.join(item.features)}"), n)
            made = (
                shown.with_encoded(name, item.features, s) if item.encoded else shown.with_columns(name, columns, s)
                for s in orders
            )
            item_loss[i], item_moves[i] = _effect(model, target, full, before, made, have[name].to_numpy(bool))
    if np.isnan(full):  # what the model does not look at is worth 0 in folds that say what anything is worth
        for unknown in (worth, loss, item_loss):
            unknown[:] = np.nan
    return FoldValues(
        full, nothing, worth, error, given, loss, moves, used,
        item_loss, item_moves, exact, model.n_train, len(model.cohort),
    )  # fmt: skip


def _orders(rng: np.random.Generator, n: int) -> list[NDArray[np.intp]]:
    return [rng.permutation(n).astype(np.intp) for _ in range(DRAWS)] if n else []


def _effect(
    model: FoldModel, target: Target, full: float, before: Array, made: Any, rows: NDArray[np.bool_]
) -> tuple[float, float]:
    """Mean fall of the score, and mean absolute change of the predictions of ``rows``, over the predictions made."""
    losses, moves = list[float](), list[float]()
    for p in made:
        losses.append(full - model.score(p))
        moves.append(float(target.size(target.of(p) - before)[rows].mean()))
    return (float(np.mean(losses)), float(np.mean(moves))) if losses else (0.0, np.nan)


def _worth(
    model: FoldModel, shown: Shown, target: Target, used: NDArray[np.bool_]
) -> tuple[Array, Array, Array, float, bool]:
    """Shapley values of the score and of every prediction; what the model does not look at adds nothing to any coalition."""
    names, players = list(model.cohort.modalities), np.flatnonzero(used)
    have = model.cohort.presence().to_numpy(bool)
    shape = (len(model.cohort), len(target.names))

    def value(mask: NDArray[np.bool_]) -> Array:
        p = shown.only([names[i] for i in players[mask]])
        return np.concatenate([[model.score(p)], target.of(p).ravel()])

    found = shapley(len(players), value, model.rng("shapley"))
    worth, error, given = np.zeros(len(names)), np.zeros(len(names)), np.zeros(len(names))
    worth[players], error[players] = found.values[:, 0], found.error[:, 0]
    sizes = target.size(found.values[:, 1:].reshape(len(players), *shape))
    for k, i in enumerate(players):
        given[i] = float(sizes[k, have[:, i]].mean()) if have[:, i].any() else np.nan
    return worth, error, given, float(found.nothing[0]), found.exact
