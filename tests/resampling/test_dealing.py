"""Nested and inner folds: whole groups, equal shares, everybody tested once, the same from the same seed."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.contracts import Outcome
from cohortium.errors import EndpointError
from cohortium.resampling import inner, nested
from cohortium.resampling.dealing import deal
from tests.resampling.outcomes import classes, survival, values

KINDS = ("binary", "multiclass", "survival", "continuous")
ALONE = [3, 0, 2, 1, 2, 0, 2, 3, 3, 1, 1, 1, 3, 3, 0, 2, 0, 2, 0, 1]
GROUPED = [3, 3, 2, 2, 3, 3, 2, 2, 1, 1, 1, 1, 3, 3, 0, 0, 2, 2, 0, 0]


def make(kind: str, rng: np.random.Generator, n: int, share: float) -> Outcome:
    if kind == "continuous":
        return values(rng.normal(size=n).round(1))
    if kind == "survival":
        return survival(rng.random(n) < share)
    return classes(rng.choice(2 if kind == "binary" else 4, n), 2 if kind == "binary" else 4)


@st.composite
def situations(draw: Any) -> tuple[Outcome, np.ndarray, int, int]:
    """An outcome, groups, a number of folds that can be had, a seed."""
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    n = draw(st.integers(2, 120))
    groups = rng.integers(0, draw(st.integers(1, n)), n) * 7 - 3
    most = len(np.unique(groups))
    if most < 2:
        groups[0], most = 1_000_000, 2
    outcome = make(draw(st.sampled_from(KINDS)), rng, n, draw(st.floats(0, 1)))
    return outcome, groups, draw(st.integers(2, min(10, most))), seed


@settings(deadline=None)
@given(situations(), st.integers(1, 3))
def test_nested_tests_everybody_once_per_repeat_and_keeps_groups_whole(
    situation: tuple[Outcome, np.ndarray, int, int], repeats: int
) -> None:
    outcome, groups, folds, seed = situation
    splits = nested(outcome, groups, repeats, folds, seed)
    assert [(s.repeat, s.fold) for s in splits] == [(r, f) for r in range(repeats) for f in range(folds)]
    everybody = np.arange(len(outcome))
    for r in range(repeats):
        tested = np.concatenate([s.test for s in splits if s.repeat == r])
        np.testing.assert_array_equal(np.sort(tested), everybody)
    for s in splits:
        assert len(s.test) and len(s.train)
        np.testing.assert_array_equal(np.union1d(s.train, s.test), everybody)
        assert len(s.train) + len(s.test) == len(outcome)
        assert (np.diff(s.train) > 0).all() and (np.diff(s.test) > 0).all()
        assert not set(groups[s.train]) & set(groups[s.test])


@settings(deadline=None)
@given(situations())
def test_inner_folds_have_every_class_on_both_sides_or_say_that_they_cannot(
    situation: tuple[Outcome, np.ndarray, int, int],
) -> None:
    outcome, groups, k, seed = situation
    needed = {"ValueOutcome": [], "SurvivalOutcome": [1]}.get(
        type(outcome).__name__, np.unique(outcome.strata).tolist()
    )
    holders = [len(set(groups[outcome.strata == s])) for s in needed]
    try:
        splits = inner(outcome, groups, k, seed)
    except EndpointError:
        # Only where a class is in one group, or groups with two classes tie each other's hands.
        assert min(holders) < 3
        return
    assert 2 <= len(splits) == min([k, *holders])
    np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in splits])), np.arange(len(outcome)))
    for train, test in splits:
        assert len(test)
        assert not set(groups[train]) & set(groups[test])
        for s in needed:
            assert (outcome.strata[train] == s).any()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 10), st.sampled_from(KINDS))
def test_with_one_unit_per_group_it_is_stratified_k_fold(seed: int, k: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(k, 150))
    outcome = make(kind, rng, n, rng.random())
    splits = nested(outcome, rng.permutation(n), 1, k, seed)
    sizes = [len(s.test) for s in splits]
    assert max(sizes) - min(sizes) <= 1
    for stratum in np.unique(outcome.strata):
        of = [int((outcome.strata[s.test] == stratum).sum()) for s in splits]
        assert max(of) - min(of) <= 1


def folds_of(splits: list[Any], n: int) -> np.ndarray:
    out = np.full(n, -1)
    for s in splits:
        out[s.test] = s.fold
    return out


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_same_seed_same_folds_another_seed_other_folds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome, groups = survival(rng.random(60) < 0.4), rng.integers(0, 40, 60)
    first, again, other = ([s.test.tolist() for s in nested(outcome, groups, 2, 5, x)] for x in (seed, seed, seed + 1))
    assert first == again
    assert first != other
    assert first[:5] != first[5:], "repeats are not the same folds again"
    ours = [t.tolist() for _, t in inner(outcome, groups, 5, seed)]
    assert ours == [t.tolist() for _, t in inner(outcome, groups, 5, seed)]


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_names_of_groups_carry_folds_whatever_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 50
    event = rng.random(n) < 0.4
    for groups in (rng.permutation(n), rng.integers(0, 20, n)):
        order = rng.permutation(n)
        fold = folds_of(nested(survival(event), groups, 1, 5, seed), n)
        shuffled = folds_of(nested(survival(event[order]), groups[order], 1, 5, seed), n)
        np.testing.assert_array_equal(shuffled, fold[order])


def test_groups_are_dealt_more_evenly_than_by_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(5)
    ours, theirs = [], []
    for i in range(40):
        n_groups = int(rng.integers(10, 80))
        groups = np.repeat(np.arange(n_groups), rng.integers(1, 8, n_groups))
        event = rng.random(len(groups)) < rng.beta(0.5, 2, n_groups)[groups]
        event[:5] = True
        fold = folds_of(nested(survival(event), groups, 1, 5, i), len(groups))
        rival = np.zeros(len(groups), dtype=int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for f, (_, test) in enumerate(
                StratifiedGroupKFold(5, shuffle=True, random_state=i).split(event, event, groups)
            ):
                rival[test] = f
        for out, f in ((ours, fold), (theirs, rival)):
            out.append([np.bincount(f, event, 5).std(), np.bincount(f, minlength=5).std()])
    events, sizes = np.mean(ours, axis=0)
    assert events < np.mean(theirs, axis=0)[0]
    assert sizes < np.mean(theirs, axis=0)[1]
    assert events < 1 and sizes < 1


def test_events_are_spread_where_every_patient_has_mostly_none() -> None:
    # Each patient has ten stays; one in three patients has one event in them: nobody's majority is an event.
    groups = np.repeat(np.arange(60), 10)
    event = np.zeros(600, dtype=bool)
    event[::30] = True
    for seed in range(10):
        fold = folds_of(nested(survival(event), groups, 1, 5, seed), 600)
        assert np.bincount(fold, event, 5).tolist() == [4] * 5
        assert np.bincount(fold).tolist() == [120] * 5


def test_a_large_group_has_a_fold_to_itself() -> None:
    groups = np.concatenate([np.zeros(50, dtype=int), 1 + np.arange(50)])
    fold = folds_of(nested(classes(np.arange(100) % 2), groups, 1, 2, 0), 100)
    assert len(set(fold[:50])) == 1 and set(fold[:50]) | set(fold[50:]) == {0, 1}
    assert len(set(fold[50:])) == 1


def test_a_class_is_in_every_fold_where_that_can_be() -> None:
    """Few groups of mixed classes: what all assignments of groups to two folds can reach, is nearly always reached."""
    can, reached = 0, 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(8, 30))
        groups, strata = rng.integers(0, 5, n), rng.choice(3, n, p=[0.6, 0.25, 0.15])
        codes = np.unique(groups, return_inverse=True)[1]
        if len(np.unique(strata)) < 3 or codes.max() < 1:
            continue

        def whole(fold: np.ndarray, strata: np.ndarray = strata) -> bool:
            return all(len(np.unique(fold[strata == s])) == 2 for s in range(3))

        if any(whole(np.array(f)[codes]) for f in itertools.product((0, 1), repeat=int(codes.max()) + 1)):
            can += 1
            reached += whole(deal(strata, groups, 2, [0, 1, 2], np.random.default_rng(seed)))
    assert can > 300
    assert reached >= can - 1


def test_the_best_draw_is_taken_where_none_is_whole() -> None:
    # Three groups hold two classes each: in two folds, one class must be in one fold only, and no more than one.
    strata, groups = np.array([0, 1, 1, 2, 2, 0]), np.array([0, 0, 1, 1, 2, 2])
    for seed in range(20):
        fold = deal(strata, groups, 2, [0, 1, 2], np.random.default_rng(seed))
        assert sorted(len(set(fold[strata == s])) for s in range(3)) == [1, 2, 2]
    with pytest.raises(EndpointError, match="two that stay together"):
        inner(classes(strata), groups, 2, 0)


def test_fewer_inner_folds_for_a_rare_class_counted_in_patients() -> None:
    codes = np.zeros(60, dtype=int)
    codes[:3] = 1
    assert len(inner(classes(codes), np.arange(60), 5, 0)) == 3
    codes[:30] = 1
    two = np.where(codes == 1, np.arange(60) % 2, 10 + np.arange(60))
    assert len(inner(classes(codes), two, 5, 0)) == 2, "thirty units with the class, but of two patients"
    one = np.where(codes == 1, 0, 10 + np.arange(60))
    with pytest.raises(EndpointError, match="merge rare classes"):
        inner(classes(codes), one, 5, 0)


def test_nobody_censored_and_one_censored_are_no_obstacle() -> None:
    event = np.ones(40, dtype=bool)
    assert len(inner(survival(event), np.arange(40), 5, 0)) == 5
    event[7] = False
    assert len(inner(survival(event), np.arange(40), 5, 0)) == 5
    with pytest.raises(EndpointError, match="events"):
        inner(survival(~event), np.arange(40), 5, 0)
    with pytest.raises(EndpointError, match="events"):
        inner(survival(0 * event), np.arange(40), 5, 0)


def test_values_need_two_patients() -> None:
    assert len(inner(values([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]), 5, 0)) == 2
    with pytest.raises(EndpointError, match="fewer than two patients"):
        inner(values([1.0, 2.0]), np.array([0, 0]), 5, 0)


def test_too_few_patients_for_the_folds() -> None:
    with pytest.raises(EndpointError, match=r"There are 3 patients .* too few for 5 folds"):
        nested(values(np.arange(9.0)), np.repeat([0, 1, 2], 3), 1, 5, 0)
    with pytest.raises(EndpointError, match="There are 0 patients"):
        nested(values([]), np.zeros(0, dtype=int), 1, 2, 0)


def test_folds_stay_what_they_were() -> None:
    """Stored with numpy 2: a study that was published can be done again with the same folds."""
    alone = folds_of(nested(survival(np.arange(20) % 3 == 0), np.arange(20), 1, 4, 7), 20)
    grouped = folds_of(nested(survival(np.arange(20) % 3 == 0), np.arange(20) // 2, 1, 4, 7), 20)
    assert (alone.tolist(), grouped.tolist()) == (ALONE, GROUPED)


def test_a_large_cohort_is_dealt_in_moments() -> None:
    import time

    rng = np.random.default_rng(0)
    outcome = survival(rng.random(90_000) < 0.6)
    begin = time.perf_counter()
    nested(outcome, np.arange(90_000), 3, 5, 0)
    nested(outcome, np.arange(90_000) // 10, 1, 5, 0)
    assert time.perf_counter() - begin < 5
