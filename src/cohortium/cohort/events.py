"""A modality of shape ``events``: time-stamped codes and values, of which a unit sees those before its index time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.table import Table, feature_frame

STATIC = np.iinfo(np.int64).min
"""Time of an event without a time (MEDS: static, such as sex): before everything, in no window but the whole past."""

DAY = 86_400_000_000
"""Microseconds."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Events:
    """Events of some patients, and for each unit the stretch of them that lies before its index time.

    vocabulary: (C,) codes. owner: (N,) number of the patient, not decreasing; time: (N,) microseconds on the
    patient's clock, not decreasing within an owner (:data:`STATIC` first); code: (N,) position in the vocabulary;
    value: (N,) number or NaN. start, stop: (n,) a unit's events are ``[start, stop)``: what follows ``stop`` is at
    or after its index time and is never given out. index: (n,) index time, microseconds. windows: days before the
    index time that features are made over, increasing; infinity is the whole past.
    """

    units: pd.Index
    vocabulary: NDArray[np.object_]
    owner: Ints
    time: Ints
    code: NDArray[np.int32]
    value: NDArray[np.float64]
    start: Ints
    stop: Ints
    index: Ints
    windows: tuple[float, ...] = (30.0, 365.0, float("inf"))

    shape: ClassVar[str] = "events"

    def __post_init__(self) -> None:
        if not len(self.units) == len(self.start) == len(self.stop) == len(self.index):
            raise ValueError("units, start, stop and index differ in length")
        if not len(self.owner) == len(self.time) == len(self.code) == len(self.value):
            raise ValueError("owner, time, code and value differ in length")
        some = self.stop > self.start
        if (self.time[self.stop[some] - 1] >= self.index[some]).any():
            raise ValueError("a unit has an event at or after its index time")

    @property
    def n_features(self) -> int:
        """Number of distinct codes."""
        return len(self.vocabulary)

    @property
    def features(self) -> pd.DataFrame:
        """The codes, as numeric features."""
        return feature_frame([str(c) for c in self.vocabulary])

    @property
    def n_events(self) -> Ints:
        """(n,) events that each unit sees."""
        return self.stop - self.start

    def __getstate__(self) -> dict[str, Any]:
        # What is kept with the object can be made again; a worker need not be sent it.
        return {k: v for k, v in self.__dict__.items() if k != "_window_features"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def take(self, rows: NDArray[np.intp]) -> Events:
        """A copy of the given units with the events that they see; nothing later, nobody else's."""
        start, stop = self.start[rows], self.stop[rows]
        begins, group = np.unique(start, return_inverse=True)
        ends = begins.copy()
        np.maximum.at(ends, group, stop)
        # Units of one patient share their events up to the latest of their index times.
        keep = _ranges(begins, ends)
        moved = np.concatenate([[0], np.cumsum(ends - begins)])[group]
        return Events(
            self.units[rows], self.vocabulary, self.owner[keep], self.time[keep], self.code[keep], self.value[keep],
            moved, moved + (stop - start), self.index[rows], self.windows,
        )  # fmt: skip

    def seen(self) -> tuple[Ints, Ints]:
        """(M,) unit and (M,) event of every pair of a unit and an event that it sees, by unit, then by time."""
        return np.repeat(np.arange(len(self.units)), self.n_events), _ranges(self.start, self.stop)

    def frame(self) -> pd.DataFrame:
        """``unit, time, code, numeric_value``: what the units see, as MEDS names it."""
        unit, event = self.seen()
        time = pd.Series(pd.to_datetime(np.where(self.time[event] == STATIC, 0, self.time[event]), unit="us"))
        return pd.DataFrame(
            {
                "unit": self.units.to_numpy(dtype=object)[unit],
                "time": time.where(self.time[event] != STATIC),
                "code": self.vocabulary[self.code[event]],
                "numeric_value": self.value[event],
            }
        )

    def as_table(self) -> Table:
        """Features of :mod:`cohortium.cohort.windows` that at least 1% of the units have."""
        from cohortium.cohort.windows import window_features

        found = window_features(self)
        return found.table(self.units, found.supported(max(2, len(self.units) // 100)))

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        unit, event = self.seen()
        yield "unit", unit
        yield "code", self.code[event]
        yield "value", self.value[event]
        yield "time", self.time[event]
        yield "index", self.index
        yield "windows", np.array(self.windows)
        yield "vocabulary", self.vocabulary


def _ranges(start: Ints, stop: Ints) -> Ints:
    """Positions of all [start, stop), one after the other."""
    length = stop - start
    total = int(length.sum())
    shift = np.repeat(start - np.concatenate([[0], np.cumsum(length)[:-1]]), length) if total else np.zeros(0, np.int64)
    return np.arange(total, dtype=np.int64) + shift
