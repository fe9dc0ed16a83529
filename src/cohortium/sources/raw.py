"""What a file is once read: row labels and a frame of columns, with the spreadsheet row of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError, did_you_mean_column, is_like_a_value
from cohortium.schema.declare import Where

HEADER = 2  # the first row of data in a spreadsheet: the header is row 1


@dataclass(frozen=True, eq=False)
class Raw:
    """labels: (n,) row labels (the id column) as text. frame: (n, p) the other columns. id_name: of the labels.

    The index of labels and frame is the spreadsheet row less two, also after rows were left out.
    """

    path: Path
    labels: pd.Series
    frame: pd.DataFrame
    id_name: str

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def rows(self) -> np.ndarray:
        """(n,) spreadsheet row of each row."""
        return self.frame.index.to_numpy() + HEADER

    def row_of(self, which: Any) -> int:
        """Spreadsheet row of the first true of an (n,) mask."""
        return int(self.rows[np.flatnonzero(np.asarray(which))[0]])


def filtered(raw: Raw, where: Where | None) -> Raw:
    """The rows that a declaration keeps. Raises DataError when there is none."""
    if where is None:
        return raw
    if where.equals is None and not where.one_of:
        raise DataError(f"{raw.name}: 'where' on column '{where.column}' says neither equals nor one_of.")
    column = column_of(raw, where.column)
    keep = np.zeros(len(column), dtype=bool)
    for value in [where.equals] if where.one_of is None else where.one_of:
        keep |= equals(column, value)
    if not keep.any():
        raise DataError(
            f"{raw.name}: no row has '{where.column}' equal to what 'where' asks for. Check the value's spelling."
        )
    return Raw(raw.path, raw.labels[keep], raw.frame[keep], raw.id_name)


def column_of(raw: Raw, name: str) -> pd.Series:
    """A column by name, the id column included. Raises DataError with the nearest name."""
    if name == raw.id_name:
        return raw.labels
    if name not in raw.frame.columns:
        raise DataError(f"{raw.name} has no column '{name}'.{did_you_mean_column(name, map(str, raw.frame.columns))}")
    return raw.frame[name]


def equals(column: pd.Series, value: Any) -> np.ndarray:
    """(n,) tolerant equality: 1, 1.0, '1' and True are the same, and so are 'Yes' and 'yes '."""
    if isinstance(value, bool):
        texts = {"true", "1", "1.0", "yes"} if value else {"false", "0", "0.0", "no"}
        return column.map(lambda v: str(v).strip().lower() in texts if pd.notna(v) else False).to_numpy(bool)
    try:
        number = float(value)
    except (TypeError, ValueError):
        text = str(value).strip().lower()
        return column.map(lambda v: str(v).strip().lower() == text if pd.notna(v) else False).to_numpy(bool)
    same = (pd.to_numeric(column.astype(object), errors="coerce") == number).to_numpy(bool)
    if number in (0.0, 1.0) and column.dtype == object:
        text = "true" if number else "false"
        same |= column.map(lambda v: isinstance(v, str) and v.strip().lower() == text).to_numpy(bool)
    return same


def unique_columns(path: Path, header: Sequence[str]) -> None:
    """Raises DataError for a column that is there twice."""
    seen: set[str] = set()
    for i, h in enumerate(header):
        if h in seen:
            called = f"the name of column {header.index(h) + 1}" if is_like_a_value(h) else f"the column '{h}'"
            raise DataError(f"{path.name}: {called} is there twice (again as column {i + 1}). Rename or remove one.")
        seen.add(h)


def id_column(path: Path, header: Sequence[str], declared: str | None, default: str | None) -> str:
    """Name of the id column: as declared, else the unit table's where the file has it, else the first."""
    if declared is not None:
        if declared not in header:
            raise DataError(f"{path.name} has no column '{declared}' (the id).{did_you_mean_column(declared, header)}")
        return declared
    return default if default is not None and default in header else header[0]


def named(header: Sequence[Any]) -> list[str]:
    """Column names as text without blanks around; an unnamed column but the first is called by its place."""
    names = ["" if h is None or (isinstance(h, float) and np.isnan(h)) else str(h).strip() for h in header]
    return [n if n or j == 0 else f"column {j + 1}" for j, n in enumerate(names)]


def split_ids(path: Path, frame: pd.DataFrame, id_name: str) -> Raw:
    """A frame with its id column taken out (the frame given is used up).

    Rows without any value, unnamed columns without any value, and unnamed row names beside the id column are
    no data: editors leave them behind.
    """
    labels = frame.pop(id_name)
    blank = labels.isna().to_numpy().copy()
    if blank.any():
        blank[blank] = frame[blank].isna().all(axis=1).to_numpy()
        if blank.any():
            labels, frame = labels[~blank], frame[~blank].infer_objects()
    unnamed = [c for c in frame.columns if c == "" or (c.startswith("column ") and frame[c].isna().all())]
    if unnamed:
        frame = frame.drop(columns=unnamed)
    if pd.api.types.is_numeric_dtype(labels.dtype):
        number = pd.to_numeric(labels, errors="coerce")
        whole = number.notna().all() and (number == number.round()).all()
        labels = number.astype("int64").astype(str) if whole else labels.astype(str).where(labels.notna(), None)
    labels = labels.astype(object).map(lambda v: None if pd.isna(v) else str(v).strip())
    return Raw(path, labels, frame, id_name)
