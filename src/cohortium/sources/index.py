"""When each unit's prediction is made, and units per landmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.cohort.events import DAY
from cohortium.errors import DataError
from cohortium.schema.durations import days_of, unit_days
from cohortium.schema.notes import NotesSource
from cohortium.schema.shapes import EventsSource, Landmarks
from cohortium.sources.raw import Raw, column_of
from cohortium.sources.times import FURTHEST, Times, read_times

LANDMARK = "__landmark__"
"""Column of the raw unit table: days of the row's landmark."""


@dataclass(frozen=True)
class IndexTime:
    """How the study says when predictions are made.

    column: date column of the unit table. after: so long after it, or after time zero where times are numbers.
    zone: of dates without one, as the events declare it. numbers: event times are numbers.
    """

    column: str | None = None
    after: str | None = None
    landmarks: Landmarks | None = None
    zone: str | None = None
    numbers: bool = False

    @staticmethod
    def declared(design: Any, modalities: Mapping[str, Any]) -> IndexTime:
        """From the study's design and the modalities that need it."""
        timed = [m for m in modalities.values() if _has_times(m)]
        zones = {m.timezone for m in timed} or {None}
        clocks = {m.time_unit is not None for m in timed} or {False}
        if len(zones) > 1 or len(clocks) > 1:
            raise DataError(
                "modalities of events and notes must agree on timezone, and all or none of them count time in numbers: one index "
                "time holds for all."
            )
        return IndexTime(design.index_time, design.index_after, design.landmarks, zones.pop(), clocks.pop())

    def expanded(self, frame: pd.DataFrame, raw: Raw) -> tuple[pd.DataFrame, Raw]:
        """The unit table with a row per unit and landmark; as it is without landmarks."""
        if self.landmarks is None:
            return frame, raw
        at = sorted(set(self.landmarks.at))
        n, k = len(frame), len(at)
        rows = np.repeat(np.arange(n), k)
        out = frame.iloc[rows].copy()
        out.attrs = {a: v for a, v in frame.attrs.items() if a != "rows"}
        out.attrs["rows"] = tuple(int(raw.rows[r]) for r in rows)
        out.index = pd.Index(
            [f"{frame.index[r]}@{at[j]:g}" for r, j in zip(rows, np.tile(range(k), n), strict=True)], name="unit"
        )
        out[LANDMARK] = np.tile(np.array(at) * unit_days(self.landmarks.time_unit), n)
        longer = Raw(raw.path, raw.labels.iloc[rows], raw.frame.iloc[rows], raw.id_name)
        return out, longer

    def times(self, frame: pd.DataFrame, raw: Raw | None) -> Times | None:
        """Index time of every unit, None when the study names none. Raises :class:`DataError`."""
        shift = 0.0 if self.after is None else days_of(self.after)
        longest = max(
            [shift, *((t * unit_days(self.landmarks.time_unit) for t in self.landmarks.at) if self.landmarks else ())]
        )
        if not longest <= FURTHEST:
            raise DataError(
                "design: index_after and landmarks are times within a life; this one lies beyond 500 years."
            )
        if self.landmarks is not None:
            us = np.round(frame[LANDMARK].to_numpy(float) * DAY).astype(np.int64)
            return Times(us, np.zeros(len(us), dtype=bool), "number")
        if self.numbers:
            if self.after is None:
                return None
            return Times(np.full(len(frame), round(shift * DAY)), np.zeros(len(frame), dtype=bool), "number")
        if self.column is None or raw is None:
            return None
        column = column_of(raw, self.column)

        def place(bad: np.ndarray) -> str:
            return f"{raw.name}, row {raw.row_of(bad)}, column '{self.column}'"

        if column.isna().any():
            raise DataError(f"{place(column.isna().to_numpy())}: no index time.")
        found = read_times(column, self.zone, place, later=False)
        return Times(found.us + round(shift * DAY), np.zeros(len(column), dtype=bool), found.clock)

    def needs_no_units(self, modalities: Mapping[str, Any], file: str) -> None:
        """Raise :class:`DataError` when units cannot be found without their table."""
        if self.landmarks is not None or any(isinstance(m, EventsSource | NotesSource) for m in modalities.values()):
            raise DataError(
                f"{Path(file).name} is not there: events and notes need the unit table, which says who is predicted and when."
            )


def _has_times(source: Any) -> bool:
    """Whether a modality is cut at the index time."""
    return isinstance(source, EventsSource) or (isinstance(source, NotesSource) and source.time is not None)
