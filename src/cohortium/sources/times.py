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
from cohortium.sources.named_columns import texts

Clock = Literal["utc", "local", "number"]
Place = Callable[[NDArray[np.bool_]], str]
"""File and row of the first true of a mask."""

_DAY = r"\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{4}\.\d{1,2}\.\d{1,2}|\d{8}"
_ZONE = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_MOMENT = rf"(?:{_DAY})[T ]\d{{2}}:?\d{{2}}(?::?\d{{2}}(?:\.\d+)?)?(?: ?{_ZONE[:-1]})?"
"""Year first, and an hour with minutes. What pandas takes beyond that (a month alone, "now") would be known too early."""

_EARLIEST, _LATEST = pd.Timestamp("1800-01-01"), pd.Timestamp("2300-01-01")
FURTHEST = 500 * 366
"""Days from the patient's zero, or from the index time."""


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
    x = pd.to_numeric(texts(column), errors="coerce").to_numpy(np.float64) * unit_days(unit)
    missing = column.isna().to_numpy()
    bad = ~np.isfinite(x) & ~missing
    if bad.any():
        raise DataError(f"{place(bad)}: the time is not a number of {unit}.")
    strange = (np.abs(x) > FURTHEST) & ~missing
    if strange.any():
        raise DataError(f"{place(strange)}: a time of more than 500 years from zero. Is the unit {unit}?")
    us = np.full(len(x), STATIC)
    us[~missing] = np.round(x[~missing] * DAY).astype(np.int64)
    return Times(us, np.zeros(len(x), dtype=bool), "number")


def read_times(column: pd.Series, zone: str | None, place: Place, *, later: bool = True, day: bool = False) -> Times:
    """Times that are dates, with or without hour and zone.

    later: of two readings of an hour that the clocks pass twice take the later one (right for events, which must not
    be seen too early; an index time takes the earlier one). day: whatever hour is written, only the date is true.
    Raises :class:`DataError` for what is no date, and for times with and without a zone side by side.
    """
    written = None if pd.api.types.is_datetime64_any_dtype(column.dtype) else texts(column)
    missing = column.isna().to_numpy()
    if written is None:
        aware = np.full(len(column), getattr(column.dt, "tz", None) is not None)
        dated = np.zeros(len(column), dtype=bool)
    else:
        present = written.fillna("")
        dated = present.str.fullmatch(_DAY).to_numpy(bool)
        timed = present.str.fullmatch(_MOMENT).to_numpy(bool)
        aware = timed & present.str.contains(_ZONE, regex=True).to_numpy(bool)
        _readable(dated | timed | missing, place)
    moments = _parsed(column if written is None else written, missing, place)
    plain = ~aware & ~missing
    if aware.any() and plain.any() and zone is None:
        raise DataError(
            f"{place(plain)}: this time has no zone and others have one. Say timezone: the zone of the times without."
        )
    us = np.full(len(column), STATIC)
    clock: Clock = "utc" if aware.any() or (zone is not None and plain.any()) else "local"
    whole = (dated | day) & ~missing
    here = aware & ~missing
    us[here] = moments[here].as_unit("us").asi8
    if day and here.any():
        us[here] -= _hours(column, written, here)
    us[plain] = _walls(moments[plain].tz_localize(None), whole[plain], zone, later)
    return Times(us, whole, clock)


def at_midnight(column: pd.Series) -> NDArray[np.bool_]:
    """(n,) whether a time has an hour and it is 0:00 of its day."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return (column.dt.normalize() == column).to_numpy(bool)
    hour = rf"[T ]00:?00(?::?00(?:\.0+)?)?(?: ?{_ZONE[:-1]})?$"
    return texts(column).fillna("").str.contains(hour, regex=True).to_numpy(bool)


def _walls(wall: pd.DatetimeIndex, whole: NDArray[np.bool_], zone: str | None, later: bool) -> NDArray[np.int64]:
    """(n,) microseconds of times without a zone; of a whole day, a day before its end (of summer time: 23 or 25 hours)."""
    wall = pd.DatetimeIndex(np.where(whole, wall.normalize(), wall))
    if zone is None:
        return wall.as_unit("us").asi8
    us = _placed(wall, zone, later).tz_convert("UTC").as_unit("us").asi8
    if later and whole.any():
        end = _placed(wall[whole] + pd.Timedelta(days=1), zone, True).tz_convert("UTC").as_unit("us").asi8
        us = us.copy()
        us[whole] = np.maximum(us[whole], end - DAY)
    return us


def _hours(column: pd.Series, written: pd.Series | None, here: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(k,) microseconds that have passed of the day as it is written, in the time's own zone."""
    if written is None:
        wall = pd.DatetimeIndex(column[here]).tz_localize(None)
    else:
        wall = pd.DatetimeIndex(
            pd.to_datetime(written[here].str.replace(f" ?{_ZONE}", "", regex=True), format="ISO8601")
        )
    return (wall - wall.normalize()).as_unit("us").asi8


def _readable(fits: NDArray[np.bool_], place: Place) -> None:
    if not fits.all():
        raise DataError(
            f"{place(~fits)}: expected a time such as 2024-05-31 or 2024-05-31T14:05:00, which this is not."
        )


def _parsed(column: pd.Series, missing: NDArray[np.bool_], place: Place) -> pd.DatetimeIndex:
    """Moments as if on UTC: right for times with a zone, the wall clock for those without."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        moments = pd.DatetimeIndex(column)
        moments = moments.tz_convert("UTC") if moments.tz is not None else moments.tz_localize("UTC")
    else:
        moments = pd.DatetimeIndex(pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True))
    _readable(~np.asarray(moments.isna()) | missing, place)
    bare = moments.tz_localize(None)
    strange = np.asarray((bare < _EARLIEST) | (bare >= _LATEST)) & ~missing
    if strange.any():
        raise DataError(f"{place(strange)}: an impossible date (before 1800 or after 2300).")
    return moments


def _placed(moments: pd.DatetimeIndex, zone: str, later: bool) -> pd.DatetimeIndex:
    # Summer time is the first of the two readings. A time that the clocks leave out is read by the offset before the
    # gap (the later moment) or by the one after it; gaps are not always an hour.
    ambiguous = np.full(len(moments), not later)
    forward, backward = "shift_forward", "shift_backward"
    try:
        placed = moments.tz_localize(zone, ambiguous=ambiguous, nonexistent=forward if later else backward)
        left_out = np.asarray(placed.tz_localize(None) != moments)
        if not left_out.any():
            return placed
        beside = moments.tz_localize(zone, ambiguous=ambiguous, nonexistent=backward if later else forward)
        offset = beside.tz_localize(None) - beside.tz_convert("UTC").tz_localize(None)
        utc = np.where(left_out, moments - offset, placed.tz_convert("UTC").tz_localize(None))
        return pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(zone)
    except (LookupError, ValueError) as e:
        raise DataError(f"timezone: '{zone}' is not known. Write it as Europe/Berlin or UTC.") from e
