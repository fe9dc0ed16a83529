"""Broken files: one clear DataError each, and never an id or a value in it."""

from __future__ import annotations

import gzip
import lzma
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from tests.sources.helpers import UNITS, lab, read, write_units

CASES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("lab.csv", b"", r"lab.csv is empty \(0 bytes\)"),
    "blank": ("lab.csv", b"\n \n\r\n", "lab.csv is empty"),
    "header only": ("lab.csv", b"id,crp\n", "a header and no rows"),
    "header and blank lines": ("lab.csv", b"id,crp\n\n,\n", "a header and no rows"),
    "cut gz": ("lab.csv.gz", gzip.compress(b"id,crp\n" + b"001,1.5\n" * 9000)[:-40], "truncated"),
    "no gz": ("lab.csv.gz", b"id,crp\n001,1\n", "truncated or no valid compressed file"),
    "cut xz": ("lab.csv.xz", lzma.compress(b"id,crp\n" + bytes(range(48, 58)) * 9000)[:-30], "truncated"),
    "no xz": ("lab.csv.xz", b"id,crp\n001,1\n", "truncated or no valid compressed file"),
    "latin": ("lab.csv", "id,Größe\n001,1\n".encode("latin-1"), "row 1: this is not utf-8 text.*latin-1"),
    "latin below": ("lab.csv", b"id,x\n" + b"001,a\n" * 9000 + b"002,\xe9\n", "row 9002: this is not utf-8"),
    "utf-16": ("lab.csv", "id,crp\n001,1\n".encode("utf-16"), "UTF-16. Say encoding: utf-16"),
    "zip as csv": ("lab.csv", b"PK\x03\x04\0\0\0\0", "does not look like a text table"),
    "text cell": (
        "lab.csv",
        b"id,crp\n" + b"".join(b"%03d,1.5\n" % i for i in range(1, 20)) + b"020,secret\n",
        r"lab.csv, row 21, column 'crp': the cell is not a number, and 19 of 20 .* na_values",
    ),
    "text cell after blank lines": (
        "lab.csv",
        b"\nid,crp\n" + b"".join(b"%03d,1.5\n" % i for i in range(1, 20)) + b"\n\n020,secret\n",
        "lab.csv, row 24, column 'crp'",
    ),
    "column twice": ("lab.csv", b"id,crp,hb,crp\n001,1,2,3\n", r"the column 'crp' is there twice \(again as column 4\)"),
    "ids twice": ("lab.csv", b"id,crp\n001,1\n002,2\n001,3\n", r"lab.csv, row 4: this unit is there before it too \(1 such"),
    "no id": ("lab.csv", b"id,crp\n001,1\n,2\n", "lab.csv, row 3: the id cell is empty"),
    "cells too many": ("lab.csv", b"id,crp\n001,1\n002,2,5\n", "lab.csv, row 3: 3 cells, and the header has 2"),
    "cells too many in all": ("lab.csv", b"id,crp\n001,1,2,3\n002,2,5,4\n", "rows have more cells than the header's 2"),
    "cut line": ("lab.csv", b"id,crp,hb\n001,1,2\n002,2\n", r"lab.csv, row 3: 2 cell\(s\), and the header has 3. Was the file cut"),
    "open quote": ("lab.csv", b'id,crp\n001,"1\n002,2\n', "lab.csv"),
    "nobody": ("lab.csv", b"id,crp\nx01,1\nx02,2\n", "no row of modality 'lab' belongs to a unit"),
    "only ids": ("lab.csv", b"id\n001\n002\n", "no feature is left"),
    "parquet": ("lab.parquet", b"PAR1nonsense", "no readable Parquet file"),
    "excel": ("lab.xlsx", b"PK\x03\x04nonsense", "no readable Excel file"),
    "old excel": ("lab.xls", b"\xd0\xcf\x11\xe0", "Save it as .xlsx or .csv"),
    "npz": ("lab.npz", b"PK\x03\x04nonsense", "truncated or no valid .npz file"),
    "h5ad": ("lab.h5ad", b"\x89HDF\r\n\x1a\nnonsense", "no readable .h5ad file"),
    "h5mu": ("lab.h5mu", b"\x89HDF\r\n\x1a\nnonsense", "no readable .h5mu file"),
    "ending": ("lab.docx", b"x", "format is not known from the name. Say format"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", list(CASES))
def test_broken_file(tmp_path: Path, case: str) -> None:
    file, content, message = CASES[case]
    write_units(tmp_path, [f"{i:03d}" for i in range(1, 31)])
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path, file)
    text = str(caught.value)
    assert re.search(message, text, re.S), text
    assert file in text
    assert not re.search(r"\b0\d\d\b|secret|x0", text), "an id or a value is in the message"


@pytest.mark.parametrize(
    "case", [c for c in CASES if CASES[c][0] in ("lab.csv", "lab.csv.gz", "lab.csv.xz") and c != "only ids"]
)
def test_broken_unit_table(tmp_path: Path, case: str) -> None:
    """The same files as unit table: an error too, unless nothing of a unit table is wrong."""
    file, content, _ = CASES[case]
    (tmp_path / file).write_bytes(content)
    lab(["001"] * 1 + ["002"]).to_csv(tmp_path / "other.csv")
    harmless = ("text cell", "text cell after blank lines")
    if case in harmless:
        assert len(read(tmp_path, "other.csv", units={"file": file}).cohort) == 20
        return
    with pytest.raises(DataError) as caught:
        read(tmp_path, "other.csv", units={"file": file})
    assert not re.search(r"\b0\d\d\b|secret|x0", str(caught.value))


def test_a_wrong_encoding_can_be_declared(tmp_path: Path) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.csv").write_bytes("id,Größe\n001,1\n002,5\n".encode("latin-1"))
    assert list(read(tmp_path, encoding="latin-1").cohort.modalities["lab"].features.index) == ["Größe"]
    with pytest.raises(DataError, match=r"no encoding called 'latin1x'"):
        read(tmp_path, encoding="latin1x")


def test_missing_files_and_columns_name_the_nearest(tmp_path: Path) -> None:
    write_units(tmp_path)
    lab().to_csv(tmp_path / "lab.csv")
    for source, message in (
        ({"file": "lba.csv"}, "No file 'lba.csv'.*Did you mean 'lab.csv'"),
        ({"file": "there/lab.csv"}, "the folder .* does not exist"),
        ({"file": "."}, "is a folder"),
        ({"id": "ids"}, r"no column 'ids' \(the id\). Did you mean 'id'"),
        ({"columns": ["crpp"]}, "columns of modality 'lab' names 'crpp'.*Did you mean 'crp'"),
        ({"exclude": ["hbb"]}, "exclude of modality 'lab' names 'hbb'.*Did you mean 'hb'"),
        ({"recorded_after_index": ["aeg"]}, "recorded_after_index .* 'aeg'.*Did you mean 'age'"),
        ({"kinds": {"agee": "nominal"}}, "name 'agee', which is no feature of lab.csv. Did you mean 'age'"),
        ({"where": {"column": "visit", "equals": 1}}, "no column 'visit'"),
        ({"where": {"column": "crp", "equals": 99}}, "no row has 'crp' equal"),
        ({"where": {"column": "crp"}}, "neither equals nor one_of"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, **({"file": "lab.csv"} | source))


def test_design_columns_are_checked(tmp_path: Path) -> None:
    write_units(
        tmp_path, day=["2020-01-01", "2020-02-01", "no day", "2020-03-01"], w=[1, 2, -1, 1], family=["a", "", "b", "b"]
    )
    lab().to_csv(tmp_path / "lab.csv")
    for design, message in (
        ({"site": "hospital"}, "units.csv has no column 'hospital'"),
        ({"index_time": "day"}, "units.csv, row 4, column 'day': expected a date"),
        ({"weight": "w"}, "units.csv, row 4, column 'w': expected a weight"),
        ({"groups": "family"}, "units.csv, row 3, column 'family': expected a group"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, design=design)


BARCODES = [f"TCGA-{i:02d}-A{i:03d}" for i in range(1, 5)]


@pytest.mark.parametrize(
    ("ids", "units", "advice"),
    [
        ([f"{b}-01A-11R-A144-07" for b in BARCODES], BARCODES, "28 characters, the unit table's have 12. Try id_rule: {first: 12}"),
        ([f"S-{u}" for u in UNITS], UNITS, "id_rule: {split: '-', part: 1}"),
        (["1", "2", "3", "4"], UNITS, "leading zeros only"),
        (["a1", "b2", "c3", "d4"], ["A1", "B2", "C3", "D4"], "capital letters only"),
        (UNITS, [f"{u}-blood" for u in UNITS], "say id_rule: {first: 3} of the unit table"),
    ],
)  # fmt: skip
def test_no_shared_patient_gives_the_shape_of_ids_and_a_remedy(tmp_path: Path, ids, units, advice: str) -> None:
    write_units(tmp_path, units)
    lab(ids).to_csv(tmp_path / "lab.csv")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert advice in str(caught.value)
    assert not any(re.search(rf"\b{re.escape(i)}\b", str(caught.value)) for i in ids if len(i) > 1)


def test_the_id_column_that_would_match_is_named(tmp_path: Path) -> None:
    write_units(tmp_path)
    table = lab().reset_index().rename(columns={"id": "case"})
    table.insert(0, "sample", ["s1", "s2", "s3", "s4"])
    table.to_csv(tmp_path / "lab.csv", index=False)
    with pytest.raises(DataError, match=r"Column 'case' holds unit ids: say id: case"):
        read(tmp_path)


def test_rows_are_counted_in_the_file_after_a_filter(tmp_path: Path) -> None:
    write_units(tmp_path, [f"{i:03d}" for i in range(20)])
    rows = [f"{i:03d},{'first' if i % 2 else 'second'},{i if i != 15 else 'bad'}" for i in range(20)]
    (tmp_path / "lab.csv").write_text("id,visit,crp\n" + "\n".join(rows))
    with pytest.raises(DataError, match=r"lab.csv, row 17, column 'crp'"):
        read(tmp_path, where={"column": "visit", "equals": "first"}, kinds={"crp": "numeric"})


def test_a_bad_cell_of_a_turned_file_is_placed_by_row_and_column(tmp_path: Path) -> None:
    ids = [f"{i:03d}" for i in range(20)]
    write_units(tmp_path, ids)
    turned = lab(ids).T.astype(object)
    turned.iloc[1, 6] = "bad"
    turned.to_csv(tmp_path / "lab.csv")
    with pytest.raises(DataError, match=r"lab.csv, row 3, column 8: the cell is not a number"):
        read(tmp_path)


def test_feature_twice_in_a_turned_file(tmp_path: Path) -> None:
    write_units(tmp_path)
    turned = lab().T
    turned.index = ["crp", "hb", "crp"]
    turned.to_csv(tmp_path / "lab.csv", index_label="feature")
    with pytest.raises(DataError, match=r"row 4: the feature name stands in an earlier row too"):
        read(tmp_path)


def test_transform_refuses_negative_values(tmp_path: Path) -> None:
    write_units(tmp_path)
    (lab() - 3).to_csv(tmp_path / "lab.csv")
    with pytest.raises(DataError, match=r"log2p1 of modality 'lab' needs values of at least 0.*'crp' first"):
        read(tmp_path, transform="log2p1")
    lab().to_csv(tmp_path / "lab.csv")
    values = read(tmp_path, transform="log2p1").cohort.modalities["lab"].values
    np.testing.assert_allclose(values, np.log2(lab().to_numpy() + 1))


def test_array_shapes(tmp_path: Path) -> None:
    write_units(tmp_path)
    np.savez(tmp_path / "lab.npz", X=np.zeros((4, 3)), ids=np.array(UNITS[:2]))
    with pytest.raises(DataError, match=r"X is \(4, 3\), but there are 2 ids and 3 features"):
        read(tmp_path, "lab.npz")
    np.savez(tmp_path / "lab.npz", **{u: np.zeros(k + 1) for k, u in enumerate(UNITS)})
    with pytest.raises(DataError, match=r"vector of equal length per id.*found 4 shapes"):
        read(tmp_path, "lab.npz")


def test_parquet_with_a_column_twice(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_units(tmp_path)
    column = pa.array([1.0, 2.0, 3.0, 4.0])
    table = pa.Table.from_arrays([pa.array(UNITS), column, column], names=["id", "crp", "crp"])
    pq.write_table(table, tmp_path / "lab.parquet")
    with pytest.raises(DataError, match=r"lab.parquet"):
        read(tmp_path, "lab.parquet")


def test_unreadable_file(tmp_path: Path) -> None:
    write_units(tmp_path)
    lab().to_csv(tmp_path / "lab.csv")
    (tmp_path / "lab.csv").chmod(0)
    try:
        (tmp_path / "lab.csv").read_bytes()
        pytest.skip("this user reads every file")
    except PermissionError:
        pass
    with pytest.raises(DataError, match=r"lab.csv cannot be read: Permission denied"):
        read(tmp_path)


def test_an_empty_frame_is_not_an_empty_cohort(tmp_path: Path) -> None:
    pd.DataFrame({"id": []}).to_csv(tmp_path / "units.csv", index=False)
    lab().to_csv(tmp_path / "lab.csv")
    with pytest.raises(DataError, match=r"units.csv has a header and no rows"):
        read(tmp_path)
