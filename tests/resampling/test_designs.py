"""Columns, sites and fixed test sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.errors import StudyError
from cohortium.resampling import by_column, fixed_test, leave_one_site_out

BLANK = (None, float("nan"), "", "  ")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["Ulm", "ulm ", "Köln", "Bonn", None, float("nan"), " "]), max_size=40))
def test_each_site_is_tested_once_by_the_others(sites: list[object]) -> None:
    keys = [v.strip().casefold() if isinstance(v, str) and v.strip() else None for v in sites]
    names = sorted({k for k in keys if k})
    if len(names) < 2:
        with pytest.raises(StudyError, match="at least two sites"):
            leave_one_site_out(sites)
        return
    splits = leave_one_site_out(sites)
    assert [s.fold for s in splits] == list(range(len(names)))
    for s, name in zip(splits, names, strict=True):
        assert [keys[i] for i in s.test] == [name] * len(s.test)
        assert sorted([*s.train, *s.test]) == list(range(len(sites)))
    tested = {int(i) for s in splits for i in s.test}
    assert tested == {i for i, k in enumerate(keys) if k}, "units of no known site are trained on, never tested"


def test_ten_follows_nine_and_one_is_one() -> None:
    splits = by_column([10, 9.0, "1", 1, 1.0, np.float64(10), np.int64(9)])
    assert [s.test.tolist() for s in splits] == [[2, 3, 4], [1, 6], [0, 5]]
    assert [s.test.tolist() for s in by_column(["b10", "b9", "a"])] == [[2], [0], [1]]


def test_leading_zeros_are_part_of_a_label() -> None:
    assert len(by_column(["01", "1", "001"])) == 3


@pytest.mark.parametrize("labels", [[], ["a", "a"], [None, "a"], list(BLANK)])
def test_a_fold_column_needs_two_labels(labels: list[object]) -> None:
    with pytest.raises(StudyError, match="at least two are needed"):
        by_column(labels)


def test_site_names_are_not_shown() -> None:
    with pytest.raises(StudyError) as e:
        by_column(["St. Secret"] * 3)
    assert "Secret" not in str(e.value)


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ((1, 0, None), 1),
        (("1", "0", ""), 1),
        ((1.0, 0.0, float("nan")), "1"),
        ((True, False, None), True),
        ((np.bool_(True), np.bool_(False), None), 1),
        (("TRUE", "FALSE", ""), True),
        (("yes", "no", None), True),
        ((False, True, None), False),
        (("Test ", "train", None), "test"),
        (("test", "nan", "na"), "Test"),
        (("2020", "2019", None), 2020.0),
    ],
)
def test_a_test_mark_is_compared_as_people_mean_it(cells: tuple[object, ...], value: object) -> None:
    (split,) = fixed_test(cells, value)
    assert split.test.tolist() == [0]
    assert split.train.tolist() == [1, 2], "a unit without a mark is trained on"


@pytest.mark.parametrize(
    ("cells", "value", "n"), [(("a", "b"), "c", 0), (("a", "A "), "a", 2), ((None, None), "nan", 0), ((), "a", 0)]
)
def test_a_test_set_that_is_nobody_or_everybody(cells: tuple[object, ...], value: object, n: int) -> None:
    with pytest.raises(StudyError, match=f"for {n} of {len(cells)} units"):
        fixed_test(cells, value)
