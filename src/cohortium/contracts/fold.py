"""A fold is the only thing anything is fitted on; a learner fits on it; a store remembers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts.outcomes import Outcome
from cohortium.contracts.predictions import Prediction

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


class Store:
    """Base predictions and whatever else is costly, computed once per fold and shared by its learners.

    Keys are strings that say what was fitted and how; the store belongs to one fold, so that fold and
    data need not be part of the key.
    """

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The item under ``key``, made by ``make()`` when it is not there yet."""
        if key not in self._items:
            self._items[key] = make()
        return self._items[key]

    def keys(self) -> list[str]:
        """What was made, in the order in which it was asked for."""
        return list(self._items)


@dataclass(frozen=True, eq=False)
class Fold:
    """Training part of one outer split. Test rows are unreachable from it: ``cohort`` is a copy.

    cohort: n units, in the order of ``outcome.units``. groups: (n,) int, equal for units of one patient
    (or another group that must stay together). inner: k splits (train, test) of positions 0..n-1.
    seed: the study's seed; key: names this fold, e.g. ``os/0/3``. others: the study's other endpoints, of those of the
    fold's units that have a label, for learners that are trained on several at once.
    """

    cohort: Cohort
    outcome: Outcome
    groups: NDArray[np.int64]
    inner: tuple[Split, ...]
    seed: int
    key: str
    store: Store = field(default_factory=Store)
    others: tuple[Outcome, ...] = ()

    def rng(self, name: str) -> np.random.Generator:
        """A generator that depends on (seed, fold, name) only: order, jobs and resuming do not matter."""
        return np.random.default_rng(self.seed_of(name))

    def seed_of(self, name: str) -> int:
        """A 31-bit seed for libraries that take an integer."""
        text = f"{self.seed}|{self.key}|{name}".encode()
        return int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "little") & 0x7FFFFFFF


class Predictor(Protocol):
    """What ``fit`` gives back."""

    def predict(self, cohort: Cohort) -> Prediction:
        """Predict every unit of ``cohort``, whatever modalities it has."""
        ...

    def state(self) -> dict[str, Any]:
        """JSON-able structure with numpy arrays as leaves; ``learners.restore`` makes the predictor again."""
        ...


class Learner(Protocol):
    """A candidate of the leaderboard."""

    name: str
    role: str
    modalities: tuple[str, ...]

    def fit(self, fold: Fold) -> Predictor:
        """Fit on the fold and nothing else."""
        ...
