"""Columns of times -> microseconds on one clock, so that before and after are never guessed.

A time with a zone is put on UTC. A time without one is put there by the declared zone, or else stays on the
clock of the place, which cannot be compared with UTC. A date without an hour is known when its day is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.events import DAY, STATIC
from cohortium.errors import DataError
from cohortium.schema.durations import unit_days

Clock = Literal["utc", "local", "number"]
Place = Callable[[NDArray[np.bool_]], str]
"""File and row of the first true of a mask."""

_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})$"
_DATE = r"\d{4}-\d{2}-\d{2}|\d{8}"
_EARLIEST, _LATEST = pd.Timestamp("1800-01-01"), pd.Timestamp("2300-01-01")


@dataclass(frozen=True, eq=False)
class Times:
    """us: (n,) microseconds, :data:`STATIC` where there is none. whole_day: (n,) only the date is given. clock."""

    us: NDArray[np.int64]
    whole_day: NDArray[np.bool_]
    clock: Clock

    @property
    def known(self) -> NDArray[np.int64]:
        """(n,) last microsecond at which the event may still have happened: the end of its day when only that is given."""
        return np.where(self.whole_day & (self.us != STATIC), self.us + DAY - 1, self.us)


_CLOCKS = {"utc": "times with a zone", "local": "times without a zone", "number": "times that are numbers"}


def check_clock(file: str, times: Times, index: Times) -> None:
    """Raise :class:`DataError` when a file's times and the index times cannot be put in one order."""
    if times.clock == index.clock:
        return
    advice = {
        frozenset({"utc", "local"}): " Say timezone: the zone of the times without.",
        frozenset({"number", "local"}): " Say time_unit for numbers, or name columns of dates.",
    }.get(frozenset({times.clock, index.clock}), "")
    raise DataError(
        f"{file} has {_CLOCKS[times.clock]} and the index time is of another kind ({_CLOCKS[index.clock]}); what came "
        f"first cannot be told.{advice}"
    )


def read_numbers(column: pd.Series, unit: str, place: Place) -> Times:
    """Times that are numbers in the given unit."""
    x = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    missing = column.isna().to_numpy()
    bad = ~np.isfinite(x) & ~missing
    if bad.any():
        raise DataError(f"{place(bad)}: the time is not a number of {unit}.")
    us = np.full(len(x), STATIC)
    us[~missing] = np.round(x[~missing] * unit_days(unit) * DAY).astype(np.int64)
    return Times(us, np.zeros(len(x), dtype=bool), "number")


def read_times(column: pd.Series, zone: str | None, place: Place, *, later: bool = True, day: bool = False) -> Times:
    """Times that are dates, with or without hour and zone.

    later: of two readings of an hour that the clocks pass twice take the later one (right for events, which must not
    be seen too early; an index time takes the earlier one). day: whatever hour is written, only the date is true.
    Raises :class:`DataError` for what is no date, and for times with and without a zone side by side.
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        texts = None
        aware = np.full(len(column), getattr(column.dt, "tz", None) is not None)
        dated = np.zeros(len(column), dtype=bool)
    else:
        texts = column.map(_text, na_action="ignore").astype(object)
        present = texts.fillna("")
        aware = present.str.contains(_ZONE, regex=True).to_numpy(bool) & (present.str.len() > 10).to_numpy()
        dated = present.str.fullmatch(_DATE).to_numpy(bool)
    missing = column.isna().to_numpy()
    moments = _parsed(column if texts is None else texts, missing, place)
    plain = ~aware & ~missing
    if aware.any() and plain.any() and zone is None:
        raise DataError(
            f"{place(plain)}: this time has no zone and others have one. Say timezone: the zone of the times without."
        )
    us = np.full(len(column), STATIC)
    clock: Clock = "utc" if aware.any() or (zone is not None and plain.any()) else "local"
    here = aware & ~missing
    us[here] = moments[here].as_unit("us").asi8
    wall = moments[plain].tz_localize(None)
    if zone is not None:
        wall = _placed(wall, zone, later).tz_convert("UTC")
    us[plain] = wall.as_unit("us").asi8
    whole = (dated | day) & ~missing
    if day:
        us = np.where(whole, (us // DAY) * DAY, us)
    return Times(us, whole, clock)


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _parsed(column: pd.Series, missing: NDArray[np.bool_], place: Place) -> pd.DatetimeIndex:
    """Moments as if on UTC: right for times with a zone, the wall clock for those without."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        moments = pd.DatetimeIndex(column)
        moments = moments.tz_convert("UTC") if moments.tz is not None else moments.tz_localize("UTC")
    else:
        moments = pd.DatetimeIndex(pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True))
    bad = np.asarray(moments.isna()) & ~missing
    if bad.any():
        raise DataError(f"{place(bad)}: expected a time such as 2024-05-31 or 2024-05-31T14:05:00, which this is not.")
    bare = moments.tz_localize(None)
    strange = np.asarray((bare < _EARLIEST) | (bare >= _LATEST)) & ~missing
    if strange.any():
        raise DataError(f"{place(strange)}: an impossible date (before 1800 or after 2300).")
    return moments


def _placed(moments: pd.DatetimeIndex, zone: str, later: bool) -> pd.DatetimeIndex:
    # Summer time is the first of the two readings.
    ambiguous = np.full(len(moments), not later)
    try:
        return moments.tz_localize(zone, ambiguous=ambiguous, nonexistent="shift_forward")
    except (KeyError, ValueError) as e:
        raise DataError(f"timezone: '{zone}' is not known. Write it as Europe/Berlin or UTC.") from e
