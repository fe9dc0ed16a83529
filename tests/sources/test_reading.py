"""Rows find their units; columns get their measurement scale; what was done is noted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from cohortium.schema.declare import BinarySpec, ModalitySource, SurvivalSpec, UnitsSource
from cohortium.sources import read_cohort
from tests.sources.helpers import UNITS, lab, read, write_units


def _features(table) -> dict[str, tuple[str, tuple[str, ...] | None]]:
    return {str(n): (f["kind"], f["levels"]) for n, f in table.features.iterrows()}


def test_rows_go_to_their_units_and_the_rest_is_counted(tmp_path: Path) -> None:
    write_units(tmp_path)
    lab(["009", "003", "001", "010"]).to_csv(tmp_path / "lab.csv")
    got = read(tmp_path, absent_reason="failed_qc")
    table = got.cohort.modalities["lab"]
    assert list(table.units) == ["001", "003"]
    np.testing.assert_array_equal(table.values, lab().to_numpy()[[2, 1]])
    assert got.unmatched == {"lab": 2}
    assert got.notes["lab"] == ["2 of 4 row(s) have an id that is no unit; they are not used"]
    assert list(got.cohort.absent["lab"]) == ["present", "failed_qc", "present", "failed_qc"]
    assert [p.name for p in got.files] == ["units.csv", "lab.csv"]


def test_id_rules(tmp_path: Path) -> None:
    write_units(tmp_path, ["TCGA-AA-1", "TCGA-BB-2"])
    lab(["TCGA-AA-1-01A", "TCGA-BB-2-01A"]).to_csv(tmp_path / "lab.csv")
    assert len(read(tmp_path, id_rule={"first": 9}).cohort.modalities["lab"].units) == 2
    got = read(tmp_path, units={"id_rule": {"split": "-", "part": -1}}, id_rule={"split": "-", "part": 2})
    assert list(got.cohort.modalities["lab"].units) == ["1", "2"]
    with pytest.raises(DataError, match=r"id_rule asks for part 7, and some ids have 4 part"):
        read(tmp_path, id_rule={"split": "-", "part": 7})


def test_ids_stay_as_written(tmp_path: Path) -> None:
    ids = ["1e5", "007", "NaN-1", "1.0", "+3", "TRUE"]
    write_units(tmp_path, ids)
    lab(ids).to_csv(tmp_path / "lab.csv")
    assert list(read(tmp_path).cohort.modalities["lab"].units) == ids


def test_several_units_of_a_patient(tmp_path: Path) -> None:
    write_units(tmp_path, ["s1", "s2", "s3"], patient=["7", "7", "8"], y=[0, 1, 0])
    lab(["7", "8"]).to_csv(tmp_path / "lab.csv")
    got = read(tmp_path, units={"patient": "patient"})
    table = got.cohort.modalities["lab"]
    assert list(got.cohort.units["patient"]) == ["7", "7", "8"]
    np.testing.assert_array_equal(table.values, lab(["7", "8"]).to_numpy()[[0, 0, 1]])
    assert "rows are patients: each patient's values are given to all their units" in got.notes["lab"]
    lab(["s3", "s1"]).to_csv(tmp_path / "lab.csv")
    assert list(read(tmp_path, units={"patient": "patient"}).cohort.modalities["lab"].units) == ["s1", "s3"]


def test_numeric_patients_have_no_decimals(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("id,patient\na,7\nb,7\n\nc,8\n")
    lab(["a", "b", "c"]).to_csv(tmp_path / "lab.csv")
    assert list(read(tmp_path, units={"patient": "patient"}).cohort.units["patient"]) == ["7", "7", "8"]
    (tmp_path / "units.csv").write_text("id,patient\na,7\n\nb,\n")
    with pytest.raises(DataError, match=r"units.csv, row 4, column 'patient': no patient"):
        read(tmp_path, units={"patient": "patient"})


def test_unit_ids_twice(tmp_path: Path) -> None:
    write_units(tmp_path, ["a", "b", "a", "b"])
    lab(["a", "b"]).to_csv(tmp_path / "lab.csv")
    with pytest.raises(DataError, match=r"units.csv, row 4: this id stands in an earlier row too \(2 such row"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"duplicates": "mean"}, [2.0, 5.0]),
        ({"duplicates": "first"}, [1.0, 5.0]),
        ({"duplicates": "latest", "latest_by": "day"}, [3.0, 5.0]),
        ({"duplicates": "latest", "latest_by": "number"}, [1.0, 5.0]),
    ],
)
def test_several_rows_of_a_unit(tmp_path: Path, how, expected) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.csv").write_text(
        "id,day,number,crp,grade\n001,2020-05-01,9,1,low\n002,2020-01-01,1,5,high\n001,2020-11-01,2,3,high\n"
        "001,,,2,high\n"
    )
    got = read(tmp_path, columns=["crp", "grade"], **how)
    table = got.cohort.modalities["lab"]
    assert list(table.units) == ["001", "002"]
    np.testing.assert_array_equal(table.values[:, 0], expected)
    assert set(table.values[:, 1]) <= {0.0, 1.0}, "a level is no average of levels"
    assert f"2 further row(s) of the same unit were merged ({how['duplicates']})" in got.notes["lab"]


def test_latest_by_needs_an_order(tmp_path: Path) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.csv").write_text("id,day,crp\n001,spring,1\n001,autumn,2\n")
    with pytest.raises(DataError, match=r"latest_by names 'day', whose cells are neither all numbers nor all dates"):
        read(tmp_path, duplicates="latest", latest_by="day")


def test_kinds_are_inferred_and_levels_kept(tmp_path: Path) -> None:
    n = 40
    ids = [f"{i:03d}" for i in range(n)]
    write_units(tmp_path, ids)
    frame = pd.DataFrame(
        {
            "id": ids,
            "age": np.linspace(20, 80, n),
            "flag": [0, 1] * 20,
            "sex": ["f", "m"] * 20,
            "truth": [True, None] + [False] * 38,
            "site": ["10", "9", "a", "9"] * 10,
            "code": [1, 2, 3, 4] * 10,
            "seen": ["2020-01-01", "2020-02-03"] * 20,
            "born": ["3.4.1950", "13/11/1961"] * 20,
            "constant": [7] * n,
            "nothing": [None] * n,
        }
    )
    frame.to_csv(tmp_path / "lab.csv", index=False)
    got = read(tmp_path)
    table = got.cohort.modalities["lab"]
    assert _features(table) == {
        "age": ("numeric", None),
        "flag": ("binary", ("0", "1")),
        "sex": ("binary", ("f", "m")),
        "truth": ("binary", ("False", "True")),
        "site": ("nominal", ("9", "10", "a")),
        "code": ("numeric", None),
        "constant": ("numeric", None),
        "nothing": ("numeric", None),
    }
    np.testing.assert_array_equal(table.values[:3, 3], [1, np.nan, 0])
    np.testing.assert_array_equal(table.values[:3, 4], [1, 0, 2])
    assert got.left_out == {"lab": ["seen", "born"]}
    assert "dates are no features and were left out: seen, born" in got.notes["lab"]
    assert any("declare kinds" in n and n.endswith(": code") for n in got.notes["lab"])


def test_kinds_are_declared(tmp_path: Path) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.csv").write_text("id,stage,site,sex,t\n001,II,1,2,1\n002,I,3,1,x\n003,III,3,1,3\n004,,2,,4\n")
    kinds = {"stage": "ordinal", "site": "nominal", "sex": "binary", "t": "nominal"}
    table = read(tmp_path, kinds=kinds, levels={"stage": ["I", "II", "III"]}).cohort.modalities["lab"]
    assert _features(table) == {
        "stage": ("ordinal", ("I", "II", "III")),
        "site": ("nominal", ("1", "2", "3")),
        "sex": ("binary", ("1", "2")),
        "t": ("nominal", ("1", "3", "4", "x")),
    }
    np.testing.assert_array_equal(table.values[:, 0], [1, 0, 2, np.nan])
    np.testing.assert_array_equal(table.values[:, 2], [1, 0, 0, np.nan])
    for source, message in (
        ({"levels": {"stage": ["I", "II"]}}, r"holds 1 level\(s\) that 'levels' does not list. Listed are: I, II"),
        ({"kinds": {"stage": "binary"}}, "declared binary and holds 3 different values"),
        ({"kinds": {"site": "binary"}}, "declared binary and holds 3 different values"),
        ({"kinds": {"t": "numeric"}}, "lab.csv, row 3, column 't': the cell is not a number"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, **source)


def test_a_binary_column_is_judged_by_all_its_rows(tmp_path: Path) -> None:
    """A value that only comes late in a long file."""
    n = 120_000
    ids = [str(i) for i in range(n)]
    write_units(tmp_path, ids)
    x = np.arange(n) % 2
    x[-1] = 7
    pd.DataFrame({"id": ids, "x": x}).to_csv(tmp_path / "lab.csv", index=False)
    table = read(tmp_path).cohort.modalities["lab"]
    assert _features(table) == {"x": ("numeric", None)}
    assert table.values[-1, 0] == 7


def test_missing_texts_infinities_and_empty_rows(tmp_path: Path) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.csv").write_text("id,a,b\n001,unk,1\n002,2,inf\n003, ,NA\n004,5,\n")
    got = read(tmp_path, na_values=["unk"])
    table = got.cohort.modalities["lab"]
    assert list(table.units) == ["001", "002", "004"]
    np.testing.assert_array_equal(table.values, [[np.nan, 1], [2, np.nan], [5, np.nan]])
    assert "infinite cells of 'b' are read as missing" in got.notes["lab"]
    assert "1 row(s) without any value count as not having the modality" in got.notes["lab"]


def test_columns_of_endpoints_and_design_are_no_features(tmp_path: Path) -> None:
    write_units(
        tmp_path,
        days=[3, 4, 5, 6],
        dead=[0, 1, 0, 1],
        y=["a", "b", "a", "b"],
        site=["x", "x", "y", "y"],
        age=[1, 2, 3, 4],
    )
    endpoints = {
        "os": SurvivalSpec(kind="survival", time="days", event="dead", time_unit="days"),
        "y": BinarySpec(kind="binary", column="y"),
    }
    design = {"site": "site", "batch": None}
    got = read(tmp_path, "units.csv", endpoints=endpoints, design=design)
    assert list(got.cohort.modalities["lab"].features.index) == ["age"]
    assert "columns of endpoints and design are no features: days, dead, y, site" in got.notes["lab"]
    assert list(got.cohort.units["site"]) == ["x", "x", "y", "y"]
    with pytest.raises(DataError, match=r"asks for column 'dead', which is an id, design or endpoint column"):
        read(tmp_path, "units.csv", endpoints=endpoints, columns=["age", "dead"])


def test_the_id_column_is_no_feature_under_another_id(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("stay,person,age\n1,a,50\n2,a,51\n3,b,70\n")
    got = read_cohort(
        UnitsSource(file="units.csv", patient="person"),
        {"lab": ModalitySource(file="units.csv", id="person", duplicates="first")},
        tmp_path,
    )
    assert list(got.cohort.modalities["lab"].features.index) == ["age"]


def test_columns_recorded_afterwards_are_named(tmp_path: Path) -> None:
    write_units(tmp_path)
    lab().to_csv(tmp_path / "lab.csv")
    got = read(tmp_path, recorded_after_index=["hb"], exclude=["age"])
    assert list(got.cohort.modalities["lab"].features.index) == ["crp"]
    assert got.left_out == {"lab": ["hb"]}


def test_design_columns(tmp_path: Path) -> None:
    write_units(tmp_path, site=[1, None, 2, 2], day=["2020-01-05"] * 4, w=[1, 2, 0.5, 1], fam=[1, 1, 2, 2])
    lab().to_csv(tmp_path / "lab.csv")
    units = read(tmp_path, design={"site": "site", "index_time": "day", "weight": "w", "groups": "fam"}).cohort.units
    assert list(units["site"]) == ["1", None, "2", "2"]
    assert units["index_time"].iloc[0] == pd.Timestamp(2020, 1, 5)
    assert list(units["weight"]) == [1, 2, 0.5, 1]
    assert list(units["group"]) == ["1", "1", "2", "2"]


def test_orientation_can_be_declared(tmp_path: Path) -> None:
    write_units(tmp_path, ["a", "b"])
    pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=["a", "b"], index=pd.Index(["a", "b"], name="id")).to_csv(
        tmp_path / "lab.csv"
    )
    rows = read(tmp_path).cohort.modalities["lab"]
    columns = read(tmp_path, orientation="units_in_columns").cohort.modalities["lab"]
    np.testing.assert_array_equal(rows.values, columns.values.T)


def test_turned_files_with_texts_and_id_rules(tmp_path: Path) -> None:
    write_units(tmp_path)
    frame = pd.DataFrame(
        {"feature": ["age", "sex"], "unit": ["years", ""]}
        | {f"{u}-01": [40 + k, "fm"[k % 2]] for k, u in enumerate(UNITS)}
    )
    frame.to_csv(tmp_path / "lab.csv", index=False)
    got = read(tmp_path, id_rule={"split": "-"})
    table = got.cohort.modalities["lab"]
    assert _features(table) == {"age": ("numeric", None), "sex": ("binary", ("f", "m"))}
    np.testing.assert_array_equal(table.values, [[40, 0], [41, 1], [42, 0], [43, 1]])
    assert got.unmatched == {"lab": 1}
    assert any("units are in the columns" in n for n in got.notes["lab"])


def test_row_names_beside_the_ids_are_no_feature(tmp_path: Path) -> None:
    write_units(tmp_path)
    lab().reset_index().to_csv(tmp_path / "lab.csv")
    table = read(tmp_path, units={"id": "id"}).cohort.modalities["lab"]
    assert list(table.units) == UNITS
    assert list(table.features.index) == ["crp", "hb", "age"]


def test_where_is_tolerant(tmp_path: Path) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.csv").write_text(
        "id,a,b,c,crp\n001,1,True,Yes ,1\n002,0,False,no,2\n003,1.0,TRUE,YES,3\n004,,,,4\n"
    )
    for column, values in {"a": [1, "1", 1.0, True], "b": [True, "true", 1], "c": ["yes", True]}.items():
        for value in values:
            got = read(tmp_path, where={"column": column, "equals": value}, columns=["crp"])
            assert list(got.cohort.modalities["lab"].values[:, 0]) == [1, 3], (column, value)
    got = read(tmp_path, where={"column": "crp", "one_of": [2, "4"]}, columns=["crp"])
    assert list(got.cohort.modalities["lab"].units) == ["002", "004"]
