"""Splits forward in time, and what counts as a moment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, StudyError
from cohortium.resampling.designs import OuterSplit

_FORMATS = [
    (order, "".join((sep.join((*order, year)), clock)))
    for sep, year, clock in product("/.-", ("%Y", "%y"), ("", " %H:%M", " %H:%M:%S"))
    for order in (("%d", "%m"), ("%m", "%d"))
]


def temporal(
    index_time: Sequence[object], test_from: str | None, folds: int, groups: NDArray[np.int64] | None = None
) -> list[OuterSplit]:
    """Forward in time: train strictly before, test from then on.

    index_time: (n,) dates, years or numbers. test_from: one split at that moment. None: the units in order of time are
    cut into folds+1 parts of about equal size, units of one moment in one part, and each part after the first is
    tested by all before it; fewer folds when there are fewer moments.
    groups: (n,); where given, units of a patient who is tested are not trained on in that fold.

    Raises :class:`DataError` for a missing or unreadable time, :class:`StudyError` when one side would be empty.
    """
    time, dated = moments(index_time)
    if test_from is not None:
        cut = _moment(test_from, dated)
        pairs = [(time < cut, time >= cut)]
        if not pairs[0][0].any() or not pairs[0][1].any():
            raise StudyError(
                f"test_from leaves {int(pairs[0][0].sum())} units to train and {int(pairs[0][1].sum())} to test"
                f"{_range(time) if dated else ''}. Some must be before and some from then on."
            )
    else:
        earlier = np.searchsorted(np.sort(time), time, side="left")
        part = earlier * (folds + 1) // max(len(time), 1)
        pairs = [(part < p, part == p) for p in np.unique(part) if p > 0]
        if not pairs:
            raise StudyError(
                f"A temporal split needs units at different times; the {len(time)} index times cannot be cut. "
                "Is design.index_time the right column?"
            )
    out = []
    for f, (train, test) in enumerate(pairs):
        if groups is not None:
            train = train & ~np.isin(groups, groups[test])
        out.append(OuterSplit(0, f, np.flatnonzero(train), np.flatnonzero(test)))
    return out


def moments(values: Sequence[object]) -> tuple[NDArray[np.int64] | NDArray[np.float64], bool]:
    """(n,) times that can be ordered, and whether they are dates (ns since 1970, UTC) or plain numbers.

    Years (2015) and compact dates (20150131) are dates. Raises :class:`DataError` for a time that is missing or
    neither, and for dates that can be read day first and month first.
    """
    column = pd.Series(list(values), dtype=object)
    missing = int(column.isna().sum())
    if not missing and column.map(lambda v: isinstance(v, str | int | float | np.number)).all():
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().all():
            compact = _compact(numbers)
            return (numbers.to_numpy(float), False) if compact is None else (compact, True)
    time = pd.Series(pd.NaT, index=column.index) if missing else _dates(column)
    if missing or time.isna().any():
        n = missing or int(time.isna().sum())
        raise DataError(
            f"index_time is missing or no date for {n} of {len(column)} units; a temporal split needs it for all. "
            "Write dates as YYYY-MM-DD."
        )
    return _nanoseconds(time), True


def _compact(numbers: pd.Series) -> NDArray[np.int64] | None:
    """Numbers that are all years, or all YYYYMMDD, as dates; None when they are neither."""
    whole = numbers.to_numpy(float)
    for low, high, form in ((1800, 2261, "%Y"), (18000101, 22611231, "%Y%m%d")):
        if len(whole) and ((whole >= low) & (whole <= high) & (whole == np.floor(whole))).all():
            time = pd.to_datetime(numbers.astype("int64").astype(str), format=form, errors="coerce", utc=True)
            return None if time.isna().any() else _nanoseconds(time)
    return None


def _dates(column: pd.Series) -> pd.Series:
    """ISO dates; else one written order of day, month and year that fits all; else whatever each can be read as."""
    time = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
    if time.notna().all() or not column.map(lambda v: isinstance(v, str)).all():
        return time
    texts = column.str.strip()
    read: dict[tuple[str, ...], pd.Series] = {}
    for order, form in _FORMATS:
        if pd.notna(pd.to_datetime(texts.iloc[0], format=form, errors="coerce")):
            tried = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
            if tried.notna().all():
                read.setdefault(order, tried)
    if len(read) == 2 and "." not in texts.iloc[0].split(" ")[0]:  # with points the day is first everywhere
        first, second = read.values()
        if not first.equals(second):
            raise DataError(
                "index_time can be read day first and month first, and the order of units depends on it. Write dates as "
                "YYYY-MM-DD."
            )
    if read:
        return read.get(("%d", "%m"), next(iter(read.values())))
    if texts.str.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d").any():  # read one by one, each could be taken another way
        return time
    return pd.to_datetime(texts, errors="coerce", format="mixed", utc=True)


def _nanoseconds(time: pd.Series) -> NDArray[np.int64]:
    return np.asarray(time.dt.as_unit("ns").astype("int64"), dtype=np.int64)


def _moment(test_from: str, dated: bool) -> float:
    """test_from in the scale of the index times."""
    try:
        if not dated:
            return float(test_from)
        time, date = moments([test_from])
    except (ValueError, DataError):
        date = False
    if not date:
        what = "a date (YYYY-MM-DD)" if dated else "a number"
        raise StudyError(f"evaluation.test_from is '{test_from}'; expected {what}, as the index times are.")
    return int(time[0])


def _range(time: NDArray[np.int64] | NDArray[np.float64]) -> str:
    """Years only: a patient's date is nobody's business."""
    return f"; index times run from {pd.Timestamp(int(time.min())).year} to {pd.Timestamp(int(time.max())).year}"
