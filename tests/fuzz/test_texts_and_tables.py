"""Text tables and notes, damaged: what is read is well formed, or one error says what is wrong."""

from __future__ import annotations

import gzip
import lzma
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cohortium.cohort import Table, Texts
from cohortium.errors import CohortiumError
from cohortium.schema.declare import FileSource, ModalitySource, UnitsSource
from cohortium.schema.notes import NotesSource
from cohortium.sources import IndexTime, read_cohort
from cohortium.sources.delimited import read_text
from cohortium.sources.notes.deidentify import deidentified
from tests.fuzz.mangle import damaged, folder, fuzz, mangled_frame, nasty, put

UNITS = ["001", "002", "003", "004"]
TABLE = b'id,crp,stage,seen,remark\n001,1.5,II,2024-01-01,fine\n002,2,III,2024-02-01,"a, b"\n003,,I,,NA\n004,1e3,II,2023-12-31,x\n'
NOTES = b'who,text,when,kind\n001,"Seen on 2024-01-01, MRN 12345678",2024-01-01,CT\n002,"two\nlines",2024-03-09T10:00:00,CT\n001,later,2024-03-11,US\n900,stranger,2024-01-01,CT\n'
PACKED = {"": lambda raw: raw, ".gz": lambda raw: gzip.compress(raw, mtime=0), ".xz": lzma.compress}


def discreet(e: CohortiumError) -> None:
    """An error says something and names nobody."""
    assert str(e).strip() and not re.search(r"'00[1-4]'|12345678", str(e)), e


def cohort(at: Path, modality: Any, **more: Any) -> Any:
    """What is read, or None after an error of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return read_cohort(UnitsSource(file="units.csv", id="id"), {"m": modality}, at, **more)
        except CohortiumError as e:
            discreet(e)
            return None


def units(at: Path) -> None:
    pd.DataFrame({"id": UNITS, "seen": "2024-03-10T12:00:00"}).to_csv(at / "units.csv", index=False)


WAYS: list[dict[str, Any]] = [
    {}, {"orientation": "units_in_columns"}, {"encoding": "latin-1"}, {"duplicates": "mean"}, {"duplicates": "latest", "latest_by": "seen"},
    {"where": {"column": "stage", "one_of": ["II", "I"]}, "kinds": {"crp": "numeric"}}, {"levels": {"stage": ["I", "II", "III"]}},
]  # fmt: skip


@fuzz(60)
@given(damaged(TABLE, b","), st.sampled_from(sorted(PACKED)), st.sampled_from(WAYS), st.sampled_from([",", ";", "\t"]))
def test_tables(raw: bytes, packed: str, way: dict[str, Any], separator: str) -> None:
    raw = raw.replace(b",", separator.encode())
    with folder() as here:
        at = Path(here)
        units(at)
        put(at / f"m.csv{packed}", PACKED[packed](raw))
        found = cohort(at, ModalitySource(file=f"m.csv{packed}", **way))
    if found is not None:
        table = found.cohort.modalities["m"]
        assert isinstance(table, Table) and set(table.units) <= set(UNITS)
        assert table.values.shape == (len(table.units), len(table.features)) and table.values.dtype.kind == "f"
        assert not np.isinf(table.values).any()
        assert table.features.index.is_unique and all(isinstance(c, str) for c in table.features.index)


@fuzz(50)
@given(
    damaged(TABLE, b","),
    st.sampled_from(["csv", "tsv"]),
    st.sampled_from(["utf-8", "latin-1", "utf-16", "cp1252", "none"]),
)
def test_no_row_and_no_cell_is_made_up(raw: bytes, kind: str, encoding: str) -> None:
    with folder() as here:
        path = put(Path(here) / "m.csv", raw)
        try:
            found = read_text(path, FileSource(file="m.csv", encoding=encoding), None, kind)
        except CohortiumError as e:
            discreet(e)
            return
    assert len(found.labels) == len(found.frame) <= raw.count(b"\n") + raw.count(b"\r") + 1
    assert list(found.frame.index) == sorted(set(found.frame.index)) and found.frame.columns.is_unique
    assert all(v is None or isinstance(v, str) for v in found.labels)


@fuzz(40)
@given(damaged(TABLE, b","))
def test_unit_tables(raw: bytes) -> None:
    with folder() as here:
        at = Path(here)
        put(at / "units.csv", raw)
        put(at / "m.csv", TABLE)
        found = cohort(at, ModalitySource(file="m.csv", columns=["crp"]))
    if found is not None:
        assert found.cohort.units.index.is_unique and 0 < len(found.cohort) <= raw.count(b"\n") + raw.count(b"\r") + 1


def written(found: Any, most: int) -> None:
    if found is None:
        return
    texts = found.cohort.modalities["m"]
    assert isinstance(texts, Texts) and set(texts.units) <= set(UNITS) and len(texts.units) == len(texts.texts)
    assert all(isinstance(t, str) and t.strip() and "\0" not in t for t in texts.texts)
    assert sum(map(len, texts.texts)) <= most


@fuzz(60)
@given(
    damaged(NOTES, b","),
    st.sampled_from(sorted(PACKED)),
    st.sampled_from([None, "when"]),
    st.sampled_from([None, {"column": "kind", "equals": "CT"}]),
)
def test_tables_of_notes(raw: bytes, packed: str, time: str | None, where: Any) -> None:
    with folder() as here:
        at = Path(here)
        units(at)
        put(at / f"n.csv{packed}", PACKED[packed](raw))
        source = NotesSource(
            shape="texts",
            file=f"n.csv{packed}",
            id="who",
            columns=["text"],
            time=time,
            no_time="drop",
            where=where,
            keywords={"k": ["seen"]},
        )
        # Tags are longer than what they replace, by so much.
        written(cohort(at, source, index=IndexTime("seen") if time else None), 6 * len(raw) + 10)


@fuzz(60)
@given(
    mangled_frame(
        pd.DataFrame(
            {"who": ["001", "002"], "text": ["one", "two"], "when": pd.to_datetime(["2024-01-01", "2024-04-01"])}
        )
    )
)
def test_parquet_of_notes(frame: pd.DataFrame) -> None:
    with folder() as here:
        at = Path(here)
        units(at)
        try:
            frame.to_parquet(at / "n.parquet")
        except Exception:
            return
        source = NotesSource(shape="texts", file="n.parquet", id="who", columns=["text"], time="when", no_time="drop")
        written(cohort(at, source, index=IndexTime("seen")), 40_000)


@fuzz(60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["001", "002__a", "900", "__", ".", "004__ \u00e9", " 003 "]),
            st.one_of(st.binary(max_size=30), nasty().map(str.encode), damaged(NOTES)),
        ),
        max_size=4,
    )
)
def test_folders_of_notes(files: list[tuple[str, bytes]]) -> None:
    with folder() as here:
        at = Path(here)
        units(at)
        (at / "letters").mkdir()
        for name, raw in files:
            put(at / "letters" / f"{name}.txt", raw)
        written(cohort(at, NotesSource(shape="texts", folder="letters")), 6 * sum(len(r) for _, r in files) + 100)


PIECES = st.one_of(nasty(), st.sampled_from(["[DATE]", "MRN ", "age ", "on ", "tel ", "555-", "-", "/", ".", "@", "May ", "2020", "12", "+1"]), st.integers(0, 10**9).map(str))  # fmt: skip


@fuzz(120)
@given(st.lists(PIECES, max_size=10).map("".join))
def test_deidentifying_twice_is_once_and_keeps_what_has_no_digit(text: str) -> None:
    once, put_ = deidentified(text)
    assert deidentified(once) == (once, type(put_)()) or not +deidentified(once)[1]
    assert deidentified(once)[0] == once
    if not re.search(r"\d|@|www|http|ftp", text, re.I):
        assert once == text
