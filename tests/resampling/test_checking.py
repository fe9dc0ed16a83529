"""Splits that cannot be used, and those that limit what can be said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.errors import EndpointError
from cohortium.resampling import OuterSplit, check_splits, inner, nested
from tests.resampling.outcomes import classes, survival, values


def split(train: list[int], test: list[int], repeat: int = 2, fold: int = 3) -> OuterSplit:
    return OuterSplit(repeat, fold, np.array(train, dtype=np.intp), np.array(test, dtype=np.intp))


def test_good_splits_have_no_notes() -> None:
    for outcome in (classes([0, 1] * 20), survival([True, False] * 20), values(np.arange(40.0))):
        assert check_splits(nested(outcome, np.arange(40), 2, 5, 0), outcome, np.arange(40)) == []


@pytest.mark.parametrize(("train", "test", "says"), [([], [0, 1], "0 units to train"), ([0, 1], [], "0 to test")])
def test_an_empty_side(train: list[int], test: list[int], says: str) -> None:
    with pytest.raises(EndpointError, match=rf"Repeat 2, fold 3 has .*{says}"):
        check_splits([split(train, test)], classes([0, 1]))


def test_no_split_at_all() -> None:
    with pytest.raises(EndpointError, match=r"'y'.*no fold tests"):
        check_splits([], classes([0, 1]))


def test_units_and_patients_on_both_sides_are_counted() -> None:
    outcome = classes([0, 1, 0, 1, 0, 1])
    with pytest.raises(EndpointError, match="repeat 2, fold 3, 2 units are both"):
        check_splits([split([0, 1, 2, 3], [2, 3, 4])], outcome)
    with pytest.raises(EndpointError, match=r"repeat 2, fold 3, 2 patient\(s\).*same fold"):
        check_splits([split([0, 1, 2, 3], [4, 5])], outcome, np.array([0, 1, 2, 3, 0, 1]))
    assert check_splits([split([0, 1, 2, 3], [4, 5])], outcome, np.array([0, 1, 2, 3, 4, 4])) == []


def test_a_training_part_without_events() -> None:
    with pytest.raises(EndpointError, match="training part of repeat 2, fold 3 has no event"):
        check_splits([split([0, 1, 2], [3])], survival([0, 0, 0, 1]))
    with pytest.raises(EndpointError, match="events of one patient only"):
        check_splits([split([0, 1, 2], [3])], survival([1, 0, 0, 1]))
    with pytest.raises(EndpointError, match="events of one patient only"):
        check_splits([split([0, 1, 2], [3])], survival([1, 1, 0, 1]), np.array([5, 5, 6, 7]))
    assert check_splits([split([0, 1, 2], [3])], survival([1, 1, 1, 1])) == [], "nobody need be censored"


def test_a_training_part_without_a_class_names_it() -> None:
    with pytest.raises(EndpointError, match="fold 3 has no unit of class class2"):
        check_splits([split([0, 1, 2, 3], [4])], classes([0, 1, 0, 1, 2]))
    with pytest.raises(EndpointError, match=r"one patient only .* of class class1, class2"):
        check_splits([split([0, 1, 2, 3], [4])], classes([0, 0, 1, 2, 0]))
    assert check_splits([split([0, 1, 2, 3], [4, 5])], classes([0, 0, 1, 1, 0, 1], k=3)) == [], "nobody has class 2"


def test_a_training_part_with_one_value_or_one_patient() -> None:
    with pytest.raises(EndpointError, match="all values are equal"):
        check_splits([split([0, 1], [2])], values([1, 1, 2]))
    with pytest.raises(EndpointError, match="one patient"):
        check_splits([split([0, 1], [2, 3])], values([1, 2, 3, 4]), np.array([0, 0, 1, 2]))


def test_test_parts_that_limit_what_can_be_estimated() -> None:
    (note,) = check_splits([split([0, 1, 2, 3], [4, 5])], classes([0, 1, 0, 1, 1, 1]))
    assert note.startswith("the test part of repeat 2, fold 3 has one class")
    (note,) = check_splits([split([0, 1, 2], [3])], survival([1, 1, 0, 0]))
    assert note.startswith("the test part of repeat 2, fold 3 has no event")
    (note,) = check_splits([split([0, 1], [2, 3])], values([1, 2, 3, 3]))
    assert note.startswith("the test part of repeat 2, fold 3 has one value")


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_what_passes_can_be_split_again(seed: int, timed: bool) -> None:
    """A run does not die at a fold whose inner folds cannot be made: the check says so before."""
    rng = np.random.default_rng(seed)
    n = 40
    outcome = survival(rng.random(n) < 0.1) if timed else classes((rng.random((2, n)) < 0.15).sum(axis=0), k=3)
    groups = rng.integers(0, 30, n) if seed % 2 else np.arange(n)
    splits = nested(outcome, groups, 1, 3, seed)
    try:
        check_splits(splits, outcome, groups)
    except EndpointError as e:
        assert "fold" in str(e)
        return
    for s in splits:
        assert len(inner(outcome.take(s.train), groups[s.train], 5, seed)) >= 2
