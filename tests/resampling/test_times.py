"""Forward in time, however dates are written."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.errors import DataError, StudyError
from cohortium.resampling import temporal

DAYS = st.lists(st.dates(dt.date(1950, 1, 1), dt.date(2200, 1, 1)), min_size=2, max_size=60)


@settings(deadline=None)
@given(DAYS, st.integers(1, 6))
def test_nobody_is_predicted_by_the_future(days: list[dt.date], folds: int) -> None:
    if len(set(days)) < 2:
        with pytest.raises(StudyError, match="cannot be cut"):
            temporal(days, None, folds)
        return
    try:
        splits = temporal([d.isoformat() for d in days], None, folds)
    except StudyError:
        # Ties may leave everybody in the first part.
        assert len(days) > len(set(days))
        return
    assert [s.fold for s in splits] == list(range(len(splits))) and 1 <= len(splits) <= folds
    tested = np.concatenate([s.test for s in splits])
    assert len(tested) == len(set(tested.tolist()))
    for s in splits:
        first = min(days[i] for i in s.test)
        assert len(s.train)
        assert sorted(s.train) == [i for i, d in enumerate(days) if d < first], "all who came before, and none else"
    if len(set(days)) == len(days) > folds:
        assert len(splits) == folds
        sizes = [len(s.test) for s in splits]
        assert max(sizes) - min(sizes) <= 1


@settings(deadline=None)
@given(DAYS, st.dates(dt.date(1950, 1, 1), dt.date(2200, 1, 1)))
def test_from_a_day_on(days: list[dt.date], cut: dt.date) -> None:
    test = [i for i, d in enumerate(days) if d >= cut]
    if not test or len(test) == len(days):
        with pytest.raises(StudyError, match=f"{len(days) - len(test)} units to train and {len(test)} to test"):
            temporal(days, cut.isoformat(), 5)
        return
    (split,) = temporal(days, cut.isoformat(), 5)
    assert split.test.tolist() == test
    assert split.train.tolist() == [i for i in range(len(days)) if i not in test]


WRITTEN = {
    "dates": [dt.date(2015, 2, 13), dt.date(2016, 1, 3), dt.date(2014, 12, 31), dt.date(2018, 5, 1)],
    "timestamps": [
        pd.Timestamp("2015-02-13"),
        pd.Timestamp("2016-01-03"),
        dt.datetime(2014, 12, 31),
        np.datetime64("2018"),
    ],
    "iso": ["2015-02-13", "2016-01-03T10:00", "2014-12-31 23:59:59.5", "2018-05-01T00:00:00Z"],
    "zones": ["2015-02-13T00:00+01:00", "2016-01-03T00:00-05:00", "2014-12-31", "2018-05-01"],
    "day first": ["13/02/2015", "03/01/2016", "31/12/2014", "01/05/2018"],
    "day first, unpadded": ["13/2/2015", "3/1/2016", "31/12/2014", "1/5/2018"],
    "month first": ["02/13/2015", "01/03/2016", "12/31/2014", "05/01/2018"],
    "points": ["13.02.2015", "03.01.2016", "31.12.2014", "01.05.2018"],
    "points, day unclear": ["03.02.2015", "03.01.2016", "01.12.2014", "01.05.2018"],
    "clock": ["13/02/2015 10:30", "03/01/2016 00:00", "31/12/2014 07:00", "01/05/2018 08:00"],
    "short years": ["13/02/15", "03/01/16", "31/12/14", "01/05/18"],
    "words": ["13 Feb 2015", "3 January 2016", "Dec 31, 2014", "1 May 2018"],
    "years": [2015, 2016, 2014, 2018],
    "years as floats": [2015.0, 2016.0, 2014.0, 2018.0],
    "years as texts": ["2015", "2016", "2014", "2018"],
    "compact": [20150213, 20160103, 20141231, 20180501],
    "compact texts": ["20150213", "20160103", "20141231", "20180501"],
}


@pytest.mark.parametrize("how", WRITTEN)
def test_dates_as_people_write_them(how: str) -> None:
    (split,) = temporal(WRITTEN[how], "2015-12-31", 5)
    assert split.test.tolist() == [1, 3]
    assert [s.test.tolist() for s in temporal(WRITTEN[how], None, 3)] == [[0], [1], [3]]
    assert temporal(WRITTEN[how], "2016", 5)[0].test.tolist() == [1, 3]


def test_numbers_are_ordered_as_numbers() -> None:
    days = [-12, "350", 9.5, 1000]
    (split,) = temporal(days, "300", 5)
    assert split.test.tolist() == [1, 3]
    assert [s.test.tolist() for s in temporal(days, None, 3)] == [[2], [1], [3]]
    with pytest.raises(StudyError, match="expected a number"):
        temporal(days, "2016-01-01", 5)
    with pytest.raises(StudyError) as e:
        temporal(days, "5000", 5)
    assert "350" not in str(e.value)


@pytest.mark.parametrize("test_from", ["soon", "", "12", "31/31/2016"])
def test_a_moment_that_is_none(test_from: str) -> None:
    with pytest.raises(StudyError, match="expected a date"):
        temporal(WRITTEN["iso"], test_from, 5)


@pytest.mark.parametrize(
    ("times", "n"),
    [
        (["2015-01-01", None, float("nan"), "2016-01-01"], 2),
        ([2015, None], 1),
        (["2015-01-01", "unknown"], 1),
        (["13/02/2015", "02/13/2015"], 2),
        (["2015-01-01", "13/02/2015"], 1),
        (["13/02/2015", "2015-01-01"], 1),
        (["9999-01-01", "2015-01-01"], 1),
    ],
)
def test_a_time_that_is_missing_or_no_date(times: list[object], n: int) -> None:
    with pytest.raises(DataError, match=rf"for {n} of {len(times)} units"):
        temporal(times, None, 2)


def test_days_and_months_that_could_be_exchanged_are_refused() -> None:
    with pytest.raises(DataError, match="day first and month first"):
        temporal(["03/02/2015", "05/01/2015"], None, 1)
    # The same either way: nothing to ask.
    assert temporal(["03/03/2015", "05/05/2015"], None, 1)[0].test.tolist() == [1]


def test_units_of_one_moment_are_on_one_side_and_folds_may_be_fewer() -> None:
    splits = temporal([2010, 2010, 2010, 2011, 2011], None, 4)
    assert [(s.fold, s.train.tolist(), s.test.tolist()) for s in splits] == [(0, [0, 1, 2], [3, 4])]


def test_range_is_told_in_years_only() -> None:
    with pytest.raises(StudyError, match="run from 2014 to 2018") as e:
        temporal(WRITTEN["iso"], "2030-01-01", 5)
    assert "2014-12" not in str(e.value)


def test_a_patient_who_is_tested_is_not_trained_on() -> None:
    patients = np.array([0, 1, 0, 2])
    (split,) = temporal([2010, 2011, 2015, 2016], "2015", 5, groups=patients)
    assert (split.train.tolist(), split.test.tolist()) == ([1], [2, 3])
