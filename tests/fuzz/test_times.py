"""Times against the calendar of Python: never earlier than they can have been known, whatever notation and zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortium.cohort.events import STATIC
from cohortium.errors import DataError
from cohortium.sources.times import Times, read_numbers, read_times
from tests.fuzz.mangle import fuzz, nasty

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]
NIGHTS = [
    date(2024, 3, 31),
    date(2024, 10, 27),
    date(2024, 3, 10),
    date(2024, 11, 3),
    date(2024, 4, 7),
    date(2024, 10, 6),
]
"""Days on which the clocks of some of these zones are changed, between 1 and 3 o'clock."""

DAYS = {
    "-": "{0:%Y-%m-%d}", "/": "{0:%Y/%m/%d}", ".": "{0:%Y.%m.%d}", "": "{0:%Y%m%d}", "short": "{0.year}-{0.month}-{0.day}",
}  # fmt: skip
HOURS = ["%H:%M", "%H:%M:%S", "%H%M%S", "%H:%M:%S.%f"]
OFFSETS = {"Z": 0, "+00:00": 0, "+01:00": 60, "-0530": -330, "+02": 120, " +14:00": 840}


def place(bad: Any) -> str:
    return f"row {int(np.flatnonzero(bad)[0])}"


def micro(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@st.composite
def written(draw: Any, aware: bool) -> tuple[str, datetime, timedelta, timezone | None]:
    """(text, its beginning on the clock of the place, how long it lasts, its zone): a day, or a moment."""
    day = draw(st.one_of(st.sampled_from(NIGHTS), st.dates(date(1971, 1, 1), date(2037, 1, 1))))
    text = DAYS[draw(st.sampled_from(sorted(DAYS)))].format(day)
    if not aware and draw(st.booleans()):
        return text, datetime.combine(day, time()), timedelta(days=1), None
    hour = draw(st.one_of(st.sampled_from([time(1, 30), time(2, 15), time(2, 45), time(23, 59)]), st.times()))
    how = draw(st.sampled_from(HOURS))
    whole = {"%H:%M": {"second": 0, "microsecond": 0}, "%H:%M:%S.%f": {}}.get(how, {"microsecond": 0})
    hour = hour.replace(**whole)  # type: ignore[arg-type]
    text += draw(st.sampled_from(["T", " "])) + hour.strftime(how)
    if not aware:
        return text, datetime.combine(day, hour), timedelta(0), None
    offset = draw(st.sampled_from(sorted(OFFSETS)))
    return text + offset, datetime.combine(day, hour), timedelta(0), timezone(timedelta(minutes=OFFSETS[offset]))


def readings(moment: datetime, zone: str) -> tuple[datetime, datetime]:
    """The first and the last moment that a time on a place's clock may be."""
    both = [moment.replace(tzinfo=ZoneInfo(zone), fold=f).astimezone(UTC) for f in (0, 1)]
    return min(both), max(both)


@fuzz(120)
@given(st.lists(written(aware=False), min_size=1, max_size=4), st.sampled_from([None, *ZONES]), st.booleans())
def test_times_of_a_place_are_never_known_too_early(
    given_: list[tuple[str, datetime, timedelta, None]], zone: str | None, day: bool
) -> None:
    column = pd.Series([g[0] for g in given_], dtype=object)
    events = read_times(column, zone, place, day=day)
    index = read_times(column, zone, place, later=False)
    for k, (_, begin, lasts, _) in enumerate(given_):
        end = begin + lasts
        if day:
            end = datetime.combine(begin.date(), time()) + timedelta(days=1)
        tick = timedelta(microseconds=1) if day or lasts else timedelta(0)
        if zone is None:
            assert micro((end - tick).replace(tzinfo=UTC)) == events.known[k]
            assert micro(begin.replace(tzinfo=UTC)) == index.us[k]
            continue
        latest, earliest = readings(end, zone)[1] - tick, readings(begin, zone)[0]
        assert micro(latest) <= events.known[k] <= micro(latest + HOUR)
        assert micro(earliest - HOUR) <= index.us[k] <= micro(earliest)
    assert events.clock == ("local" if zone is None else "utc")


@fuzz(60)
@given(
    st.lists(written(aware=True), min_size=1, max_size=4), st.sampled_from([None, *ZONES]), st.booleans(), st.booleans()
)
def test_times_with_a_zone_are_moments(
    given_: list[tuple[str, datetime, timedelta, timezone]], zone: str | None, day: bool, typed: bool
) -> None:
    column = pd.Series([g[0] for g in given_], dtype=object)
    if typed and len({g[3] for g in given_}) == 1:
        column = pd.Series([g[1].replace(tzinfo=g[3]) for g in given_]).astype(f"datetime64[us, {given_[0][3]}]")
    found = read_times(column, zone, place, day=day)
    for k, (_, moment, _, offset) in enumerate(given_):
        whole = datetime.combine(moment.date(), time()) + timedelta(days=1) - timedelta(microseconds=1)
        assert micro((whole if day else moment).replace(tzinfo=offset)) == found.known[k]
    assert found.clock == "utc"
    if zone is None:
        with pytest.raises(DataError, match="has no zone and others have one"):
            read_times(pd.concat([column.astype(str), pd.Series(["2024-05-31T08:00"])]), None, place)


def well_formed(found: Times, column: pd.Series) -> None:
    assert len(found.us) == len(found.whole_day) == len(column)
    assert ((found.us == STATIC) == column.isna().to_numpy()).all()
    dated = found.us[found.us != STATIC]
    assert (pd.to_datetime(dated, unit="us").year >= 1799).all() and (
        pd.to_datetime(dated, unit="us").year <= 2301
    ).all()


JUNK: list[Any] = [None, float("nan"), True, 20240131, 20240131.0, 1e300, float("inf"), 10**30, -1, b"x", [1], {}, pd.NaT, date(2024, 1, 1), date.max, pd.Timestamp("2024-01-01T08:00Z")]  # fmt: skip


@fuzz(120)
@given(
    st.lists(st.one_of(nasty(), written(aware=False).map(lambda w: w[0]), st.sampled_from(JUNK)), max_size=4),
    st.one_of(st.none(), st.sampled_from(ZONES), nasty()),
)
def test_anything_else_is_refused(cells: list[Any], zone: str | None) -> None:
    column = pd.Series(cells, dtype=object)
    for day in (False, True):
        try:
            found = read_times(column, zone, place, day=day)
        except DataError:
            continue
        well_formed(found, column)
    try:
        numbers = read_numbers(column, "hours", place)
    except DataError:
        return
    assert (np.abs(numbers.us[numbers.us != STATIC]) < 2 * 10**16).all()


# What pandas takes for a time and the parsers once took from it; each was known too early, or on another clock.
TOO_EARLY = ["2024-03", "2024", "202403", "now", "today", "NaT", "2024-03-10T08", "03/10/2024", "10.03.2024"]


@pytest.mark.parametrize("text", TOO_EARLY)
def test_less_than_a_day_is_no_time(text: str) -> None:
    with pytest.raises(DataError, match="row 0: expected a time such as"):
        read_times(pd.Series([text]), None, place)


@pytest.mark.parametrize("text", ["2024/03/10", "2024.03.10", "2024-3-10", "20240310", "2024-03-10"])
def test_a_date_in_any_notation_is_known_when_its_day_is_over(text: str) -> None:
    assert read_times(pd.Series([text]), None, place).known[0] == micro(datetime(2024, 3, 11, tzinfo=UTC)) - 1


def test_an_offset_of_hours_is_a_zone() -> None:
    found = read_times(pd.Series(["2024-03-10T08:00:00+01"]), "Europe/Berlin", place)
    assert found.us[0] == micro(datetime(2024, 3, 10, 7, tzinfo=UTC)) and found.clock == "utc"


@pytest.mark.parametrize(
    ("text", "zone"),
    [("2024-03-10", "Europe/Berlin"), ("2024-03-10T00:30:00+01:00", None), ("2024-03-10T00:30:00", "Europe/Berlin")],
)
def test_a_day_ends_where_it_was_written(text: str, zone: str | None) -> None:
    found = read_times(pd.Series([text]), zone, place, day=True)
    assert found.known[0] == micro(datetime(2024, 3, 10, 23, tzinfo=UTC)) - 1


def test_a_day_of_25_hours_is_over_after_25_hours() -> None:
    found = read_times(pd.Series(["2024-10-27"]), "Europe/Berlin", place)
    assert found.known[0] == micro(datetime(2024, 10, 27, 23, tzinfo=UTC)) - 1


@pytest.mark.parametrize("zone", ["", "Europe", "\0", "UTC+1", "../etc/passwd"])
def test_zones_that_are_none(zone: str) -> None:
    with pytest.raises(DataError, match="is not known"):
        read_times(pd.Series(["2024-03-10"]), zone, place)
