"""Valid documents, damaged in every way that copying, exporting and editing damage them, and in some that only malice does."""

from __future__ import annotations

import copy
import datetime
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import Phase, settings
from hypothesis import strategies as st

MORE = int(os.environ.get("COHORTIUM_FUZZ", "1"))
"""So many times the examples, and other ones each time: for a search by hand. Continuous integration takes the same few."""

NASTY = [
    "", " ", "\0", "\ufeff", "\ud800", "NaN", "nan", "NA", "inf", "-inf", "1e999", "-1e308", "9" * 400, "0x10", "1_000", "٣", "½",
    "²", "true", "None", "null", "=1+1", "a\nb", "a\r\nb", '"', "'", '"open', "\t", ",", ";", "|", "é", "𝔘", "\u2028", "a" * 5000,
    "2024-02-30", "2024-13-01", "0000-00-00", "9999-12-31", "1600-01-01", "20240101", "2024", "2024-05", "24:00", "2024-01-01T25:00:00",
    "2024-01-01T08:00:00Z", "2024-01-01T08:00:00+99:99", "2024-01-01T08:00:00.123456789Z", "01/02/2024", "-1", "1e18", "1e30", "NaT", "now",
]  # fmt: skip
"""Texts that parsers trip over. (A lone surrogate cannot be written as UTF-8 and is left out of files.)"""

JUNK: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, 1e308, float("inf"), float("nan"), [], {}, [[]], [None], [{}], {"a": {"b": []}}, [1, "x"],
    {"reference": 5}, {"reference": None}, {"coding": {}}, {"coding": [[]]}, {"start": 7}, {"code": []}, {"system": 3, "code": "x"}, {"value": "x"},
]  # fmt: skip
"""What stands in JSON in the place of something else."""


def fuzz(examples: int) -> Callable[[Any], Any]:
    """The settings of a test that tries so many examples."""
    phases = [Phase.explicit, Phase.generate] + (
        [Phase.shrink] if "COHORTIUM_SHRINK" in os.environ or MORE == 1 else []
    )
    return settings(
        max_examples=examples * MORE,
        deadline=None,
        derandomize=MORE == 1,
        database=None,
        print_blob=False,
        phases=phases,
    )


def folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of its own for each example (a fixture would be shared by all of them)."""
    return tempfile.TemporaryDirectory(prefix="fuzz")


def put(path: Path, raw: bytes) -> Path:
    """A file with these bytes, in folders that may have to be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


def nasty() -> st.SearchStrategy[str]:
    """A text that parsers trip over and that can be written as UTF-8."""
    plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    return st.one_of(st.sampled_from([n for n in NASTY if n != "\ud800"]), plain)


def _cut(draw: Any, raw: bytes) -> bytes:
    return raw[: draw(st.integers(0, len(raw)))]


def _insert(draw: Any, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    what = draw(
        st.one_of(
            st.binary(min_size=1, max_size=4),
            nasty().map(str.encode),
            st.sampled_from([b"\0", b"\xff", b"\n", b"\r", b'"']),
        )
    )
    return raw[:at] + what + raw[at + draw(st.integers(0, 3)) :]


def _lose(draw: Any, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + raw[at + draw(st.integers(1, 40)) :]


def _twice(draw: Any, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + raw[max(0, at - draw(st.integers(1, 40))) : at] + raw[at:]


def _lines(draw: Any, raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    if draw(st.booleans()):
        return b"".join(draw(st.permutations(lines)))
    k = draw(st.integers(0, max(0, len(lines) - 1)))
    return b"".join(lines[:k] + lines[k : k + 1] * draw(st.integers(0, 3)) + lines[k + 1 :])


def _mark(draw: Any, raw: bytes) -> bytes:
    return (
        draw(st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0", b"PK\x03\x04", b"\x1f\x8b", b"\n\n"]))
        + raw
    )


def _ends(draw: Any, raw: bytes) -> bytes:
    return raw.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b" \n", b""])))


def _wide(draw: Any, raw: bytes) -> bytes:
    return raw.decode("utf-8", "replace").encode(draw(st.sampled_from(["utf-16", "utf-16-be", "latin-1"])), "replace")


def _cell(separator: bytes) -> Callable[[Any, bytes], bytes]:
    def change(draw: Any, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        k = draw(st.integers(0, len(lines) - 1))
        cells = lines[k].split(separator)
        j, how = draw(st.integers(0, len(cells) - 1)), draw(st.integers(0, 3))
        if how == 0:
            del cells[j]
        elif how == 1:
            cells.insert(j, draw(nasty()).encode())
        elif how == 2:
            cells[j] = draw(nasty()).encode()
        else:
            i = draw(st.integers(0, len(cells) - 1))
            cells[i], cells[j] = cells[j], cells[i]
        lines[k] = separator.join(cells)
        return b"\n".join(lines)

    return change


BYTES = [_cut, _insert, _lose, _twice, _lines, _mark, _ends, _wide]


@st.composite
def damaged(draw: Any, raw: bytes, separator: bytes | None = None, most: int = 4) -> bytes:
    """Some bytes after one to ``most`` accidents; those to single cells where a separator is given."""
    ways = BYTES if separator is None else [*BYTES, *[_cell(separator)] * 6]
    for _ in range(draw(st.integers(1, most))):
        raw = draw(st.sampled_from(ways))(draw, raw)
    return raw


def _places(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        found += _places(child, (*here, key))
    return found


@st.composite
def mangled_json(draw: Any, whole: Any, most: int = 4) -> Any:
    """A copy of a JSON document in which values were dropped, renamed, doubled, or replaced by something else."""
    whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, most))):
        places = _places(whole)
        if not places:
            return whole
        *path, key = draw(st.sampled_from(places))
        parent = whole
        for step in path:
            parent = parent[step]
        how = draw(st.integers(0, 4))
        if how == 0:
            del parent[key]
        elif how == 1 and isinstance(parent, dict):
            parent[draw(st.sampled_from([str(key).upper(), "x", "resourceType", "reference", "coding"]))] = parent.pop(
                key
            )
        elif how == 2 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            parent[key] = copy.deepcopy(draw(st.one_of(st.sampled_from(JUNK), nasty())))
    return whole


COLUMNS: list[Callable[[int], Any]] = [
    lambda n: [None] * n, lambda n: [[1, 2]] * n, lambda n: [{"a": 1}] * n, lambda n: [b"\xff\0"] * n, lambda n: [True] * n,
    lambda n: np.arange(n) * 2**61, lambda n: np.full(n, 1e300), lambda n: np.full(n, np.nan), lambda n: np.full(n, np.inf), lambda n: np.arange(n) % 2,
    lambda n: pd.Categorical(["2024-01-01"] * n), lambda n: [datetime.date(2024, 1, 1)] * n, lambda n: pd.to_timedelta([1] * n, unit="D"),
    lambda n: pd.Series([pd.Timestamp("2024-01-01T00:00:00Z")] * n, dtype="datetime64[us, UTC]"), lambda n: np.array(["9999-01-01"] * n, dtype="datetime64[s]"),
    lambda n: np.array(["0001-01-01"] * n, dtype="datetime64[ms]"), lambda n: pd.array([None] * n, dtype="Int64"), lambda n: pd.array([7] * n, dtype="Int64"),
    lambda n: pd.array([None] * n, dtype="datetime64[us]"), lambda n: pd.period_range("2024-01", periods=n, freq="M"), lambda n: ["x"] * n,
    lambda n: ["2024-01-01"] * n, lambda n: [""] * n, lambda n: pd.interval_range(0, n),
]  # fmt: skip
"""Columns of Parquet files of every type that a program may write."""


@st.composite
def mangled_frame(draw: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """A table of which columns are gone, renamed, of another type, or in which cells are something else; rows in any order."""
    frame = frame.copy()
    for _ in range(draw(st.integers(1, 3))):
        if not len(frame.columns):
            return frame
        column, how = draw(st.sampled_from(list(frame.columns))), draw(st.integers(0, 5))
        if how == 0:
            frame = frame.drop(columns=column)
        elif how == 1:
            frame = frame.rename(
                columns={column: draw(st.sampled_from([str(column).upper(), "x", "", str(column) + " "]))}
            )
        elif how == 2:
            frame = (
                frame.iloc[draw(st.lists(st.integers(0, max(0, len(frame) - 1)), max_size=8))] if len(frame) else frame
            )
        elif how == 3 and len(frame):
            frame = frame.astype({column: object})
            frame.iloc[draw(st.integers(0, len(frame) - 1)), list(frame.columns).index(column)] = draw(
                st.one_of(nasty(), st.none())
            )
        else:
            frame[column] = draw(st.sampled_from(COLUMNS))(len(frame))
    return frame.reset_index(drop=True)
