"""Files of new patients fitted to the features a model knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from cohortium.schema.declare import ModalitySource, UnitsSource
from cohortium.sources import ReadResult, read_cohort
from tests.sources.helpers import lab, read, write_units

OLD = "id,age,flag,sex,site,truth\na,50.5,0,f,1,True\nb,61,1,m,2,False\nc,70,1,f,x,True\nd,,0,m,2,\n"
SOURCE = {"kinds": {"site": "nominal"}, "columns": ["age", "flag", "sex", "site", "truth"]}


@pytest.fixture
def features(tmp_path: Path) -> pd.DataFrame:
    old = tmp_path / "old"
    old.mkdir()
    write_units(old, list("abcd"))
    (old / "lab.csv").write_text(OLD)
    return read(old, **SOURCE).cohort.modalities["lab"].features


def _new(folder: Path, text: str, features: pd.DataFrame, **more) -> ReadResult:
    new = folder / "new"
    new.mkdir(exist_ok=True)
    (new / "lab.csv").write_text(text)
    return read(new, expected={"lab": features}, units_optional=True, **SOURCE, **more)


def test_the_same_file_reads_the_same(tmp_path: Path, features: pd.DataFrame) -> None:
    old = read(tmp_path / "old", **SOURCE).cohort.modalities["lab"]
    got = _new(tmp_path, OLD, features)
    np.testing.assert_array_equal(got.cohort.modalities["lab"].values, old.values)
    assert got.notes["lab"] == []
    pd.testing.assert_frame_equal(got.cohort.modalities["lab"].features, features)


def test_one_patient_gets_the_codes_of_all(tmp_path: Path, features: pd.DataFrame) -> None:
    got = _new(tmp_path, "id,age,flag,sex,site,truth\nz,55,1,m,2,True\n", features)
    np.testing.assert_array_equal(got.cohort.modalities["lab"].values, [[55, 1, 1, 1, 1]])
    assert list(got.cohort.ids) == ["z"]


def test_missing_further_and_shuffled_columns(tmp_path: Path, features: pd.DataFrame) -> None:
    got = _new(tmp_path, "id,extra,site,age\nz,9,x,55\ny,8,1,\n", features)
    np.testing.assert_array_equal(
        got.cohort.modalities["lab"].values, [[55, np.nan, np.nan, 2, np.nan], [np.nan, np.nan, np.nan, 0, np.nan]]
    )
    assert "3 feature(s) are not in lab.csv and stand as unknown: flag, sex, truth" in got.notes["lab"]


def test_unseen_levels_are_unknown(tmp_path: Path, features: pd.DataFrame) -> None:
    got = _new(tmp_path, "id,age,flag,sex,site,truth\nz,55,2,d,9,TRUE\ny,60,1,f,x,\n", features)
    np.testing.assert_array_equal(
        got.cohort.modalities["lab"].values, [[55, np.nan, np.nan, np.nan, 1], [60, 1, 0, 2, np.nan]]
    )
    unseen = [n for n in got.notes["lab"] if "1 level(s) that the model has not seen" in n]
    assert [n.split("'")[1] for n in unseen] == ["flag", "sex", "site"]


def test_a_text_where_a_number_was(tmp_path: Path, features: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"lab.csv, row 2, column 'age': the cell is not a number") as caught:
        _new(tmp_path, "id,age,flag,sex,site,truth\nz,old,1,m,2,True\ny,young,1,m,2,True\n", features)
    assert "young" not in str(caught.value)


def test_nothing_in_common(tmp_path: Path, features: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"no feature is left|none of the 5 features"):
        _new(tmp_path, "id,other\nz,1\n", features)


def test_files_that_are_not_there(tmp_path: Path, features: pd.DataFrame) -> None:
    new = tmp_path / "new"
    new.mkdir()
    sources = {"lab": ModalitySource(file="lab.csv", **SOURCE), "rna": ModalitySource(file="rna.csv")}
    known = {"lab": features, "rna": features.loc[["age"]]}
    units = UnitsSource(file="units.csv", id="id")

    def get() -> ReadResult:
        return read_cohort(units, sources, new, expected=known, units_optional=True)

    with pytest.raises(DataError, match=r"neither units.csv nor any modality's file"):
        get()
    (new / "lab.csv").write_text(OLD)
    got = get()
    assert list(got.cohort.presence().sum()) == [4, 0]
    assert got.notes["rna"] == ["rna.csv is not there: nobody has this modality"]
    assert got.raw_units.shape == (4, 0)
    (new / "rna.csv").write_text("id,age\nd,1\ne,2\n")
    got = get()
    assert list(got.cohort.ids) == list("abcde")
    assert list(got.cohort.presence().sum()) == [4, 2]
    write_units(new, ["e", "a"])
    assert list(get().cohort.presence().to_numpy().ravel()) == [False, True, True, False]
    (new / "lab.csv").unlink()
    (new / "rna.csv").unlink()
    with pytest.raises(DataError, match=r"no modality's file; at least one"):
        get()


def test_new_patients_in_columns_without_a_unit_table(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    write_units(old)
    turned = lab().T
    turned.to_csv(old / "lab.csv", index_label="feature")
    features = read(old).cohort.modalities["lab"].features
    turned.set_axis(["p1", "p2", "p3", "p4"], axis=1).to_csv(new / "lab.csv", index_label="feature")
    got = read(new, expected={"lab": features}, units_optional=True)
    assert list(got.cohort.ids) == ["p1", "p2", "p3", "p4"]
    np.testing.assert_array_equal(got.cohort.modalities["lab"].values, lab().to_numpy())


def test_wide_files_are_fitted_too(tmp_path: Path) -> None:
    write_units(tmp_path, list("abcd"))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        rng.normal(size=(4, 250)), columns=[f"g{j}" for j in range(250)], index=pd.Index(list("abcd"), name="id")
    )
    frame["g3"] = [0, 1, 1, 0]
    frame["g9"] = ["u", "v", "w", "u"]
    frame.to_csv(tmp_path / "lab.csv")
    first = read(tmp_path).cohort.modalities["lab"]
    frame.iloc[[2], ::-1].drop(columns="g7").to_csv(tmp_path / "lab.csv")
    write_units(tmp_path, ["c"])
    again = read(tmp_path, expected={"lab": first.features}).cohort.modalities["lab"]
    expected = first.values[[2]].copy()
    expected[0, 7] = np.nan
    np.testing.assert_array_equal(again.values, expected)
