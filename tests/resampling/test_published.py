"""Folds that others fixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.errors import DataError
from cohortium.resampling import from_file, nested
from tests.resampling.outcomes import names, values

SHARED = Path(__file__).parents[3] / "shared"


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(2, 12), st.booleans())
def test_what_is_written_is_read_back(seed: int, repeats: int, folds: int, sides: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    written = nested(values(rng.normal(size=n)), np.arange(n), repeats, folds, seed)
    rows = []
    for s in written:
        rows += [(f"u{i}", s.repeat, s.fold, "test") for i in s.test]
        rows += [(f"u{i}", s.repeat, s.fold, "train") for i in s.train] * sides
    frame = pd.DataFrame(rows, columns=["id", "r", "f", "side"]).sample(frac=1, random_state=seed).astype(str)
    splits, notes = from_file(frame, names(n), id="id", fold="f", repeat="r", part="side" if sides else None)
    assert notes == []
    assert [(s.repeat, s.fold) for s in splits] == [(s.repeat, s.fold) for s in written]
    for a, b in zip(splits, written, strict=True):
        np.testing.assert_array_equal(a.train, b.train)
        np.testing.assert_array_equal(a.test, b.test)


def simple(**change: object) -> pd.DataFrame:
    return pd.DataFrame({"id": ["u0", "u1", "u2", "u3"], "fold": ["a", "b", "a", "b"]}).assign(**change)


def test_who_is_in_one_of_both_only_is_told() -> None:
    splits, notes = from_file(simple(id=["u0", "u1", " u3 ", "stranger"]), names(5), id="id", fold="fold")
    assert [(s.train.tolist(), s.test.tolist()) for s in splits] == [([1], [0, 3]), ([0, 3], [1])]
    assert notes == [
        "1 unit(s) of the folds file are not in the cohort and were passed over",
        "2 unit(s) of the cohort are in no fold of some repeat and are left out there",
    ]


def test_who_is_missing_from_one_repeat_is_left_out_there_alone() -> None:
    frame = pd.DataFrame({"id": ["u0", "u1", "u2", "u0", "u1"], "fold": [0, 1, 1, 0, 1], "r": [1, 1, 1, 2, 2]})
    splits, notes = from_file(frame, names(3), id="id", fold="fold", repeat="r")
    assert [(s.repeat, s.fold, s.test.tolist()) for s in splits] == [
        (0, 0, [0]),
        (0, 1, [1, 2]),
        (1, 0, [0]),
        (1, 1, [1]),
    ]
    assert notes == ["1 unit(s) of the cohort are in no fold of some repeat and are left out there"]


@pytest.mark.parametrize("blank", [None, float("nan"), "", " "])
def test_rows_without_a_fold(blank: object) -> None:
    splits, notes = from_file(simple(fold=["a", "b", blank, "b"]), names(4), id="id", fold="fold")
    assert [s.test.tolist() for s in splits] == [[0], [1, 3]]
    assert all(2 not in s.train for s in splits)
    assert notes[0] == "1 row(s) of the folds file have no fold" and "left out" in notes[1]


def test_a_unit_in_several_folds() -> None:
    frame = pd.concat([simple(), simple(fold=["b", "b", "a", "a"])])
    with pytest.raises(DataError, match=r"2 unit.* more than one 'fold'.*'repeat'.*'part'"):
        from_file(frame, names(4), id="id", fold="fold")
    with pytest.raises(DataError, match="tested once in each repeat"):
        from_file(frame.assign(r=0), names(4), id="id", fold="fold", repeat="r")
    twice, _ = from_file(pd.concat([simple(), simple()]), names(4), id="id", fold="fold")
    assert [s.test.tolist() for s in twice] == [[0, 2], [1, 3]], "the same row twice is no contradiction"


def test_a_folds_test_part_may_be_all_strangers() -> None:
    rows = [("u0", 0, "train"), ("x", 0, "val"), ("u0", 1, "val"), ("u1", 1, "train")]
    frame = pd.DataFrame(rows, columns=["id", "fold", "part"])
    splits, notes = from_file(frame, names(2), id="id", fold="fold", part="part", test_value="VAL")
    assert [(s.fold, s.train.tolist(), s.test.tolist()) for s in splits] == [(1, [1], [0])]
    assert "1 fold(s) of the folds file test no unit of the cohort and were passed over" in notes


def test_a_part_that_never_says_test() -> None:
    with pytest.raises(DataError, match=r"'part' equal to 'tset'. Did you mean 'test'"):
        from_file(simple(part=["train", "test"] * 2), names(4), id="id", fold="fold", part="part", test_value="tset")


@pytest.mark.parametrize(("role", "name"), [("id", "ids"), ("fold", "fould"), ("repeat", "rep"), ("part", "prat")])
def test_a_column_that_is_not_there(role: str, name: str) -> None:
    with pytest.raises(DataError, match=f"no column '{name}'"):
        from_file(simple(), names(4), **{"id": "id", "fold": "fold", role: name})


def test_ids_of_another_form() -> None:
    with pytest.raises(DataError, match=r"No unit .* is in the cohort") as e:
        from_file(simple(id=["A-1", "A-2", "A-3", "A-4"]), names(4), id="id", fold="fold")
    assert "A-1" not in str(e.value)


def test_numbers_as_ids_stay_texts() -> None:
    units = np.array(["001", "2"], dtype=object)
    splits, notes = from_file(pd.DataFrame({"id": ["001", "2"], "f": [1, 2]}), units, id="id", fold="f")
    assert [s.test.tolist() for s in splits] == [[0], [1]] and notes == []


def needed(file: Path) -> Path:
    if not file.is_file():
        pytest.skip(f"{file.name} is not on this machine")
    return file


def test_folds_of_tcga_porpoise() -> None:
    frame = pd.read_csv(needed(SHARED / "data/tcga_porpoise/blca/splits_5foldcv.csv"), dtype=str)
    ids = np.unique(frame["case_id"]).astype(object)
    splits, notes = from_file(frame, ids, id="case_id", fold="fold", part="part", test_value="val")
    assert len(splits) == 5
    assert sorted(np.concatenate([s.test for s in splits])) == list(range(len(ids))), "every case is tested once"
    for s in splits:
        rows = frame[frame["fold"] == str(s.fold)]
        assert set(ids[s.test]) == set(rows.loc[rows["part"] == "val", "case_id"])
        assert set(ids[s.train]) == set(rows.loc[rows["part"] == "train", "case_id"])
    assert all("left out" in n for n in notes)


def test_folds_of_hancock() -> None:
    frame = pd.read_csv(needed(SHARED / "baselines/hancock_os/folds.csv"), dtype=str)
    ids = np.unique(frame["patient_id"]).astype(object)
    splits, notes = from_file(frame, ids, id="patient_id", fold="fold", repeat="repeat")
    assert [(s.repeat, s.fold) for s in splits] == [(r, f) for r in range(5) for f in range(5)] and notes == []
    for r in range(5):
        tested = np.concatenate([s.test for s in splits if s.repeat == r])
        np.testing.assert_array_equal(np.sort(tested), np.arange(len(ids)))


def test_folds_of_tcga_by_cohort() -> None:
    frame = pd.read_csv(needed(SHARED / "baselines/tcga_os/folds.csv.gz"), dtype=str)
    for _, rows in frame.groupby("cohort"):
        ids = np.unique(rows["case_id"]).astype(object)
        splits, notes = from_file(rows, ids, id="case_id", fold="fold", repeat="repeat")
        assert len(splits) == 50 and notes == []
        assert all(len(s.train) + len(s.test) == len(ids) for s in splits)
