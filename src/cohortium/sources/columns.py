"""Columns of a frame -> coded features with a measurement scale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cohortium.cohort import Table
from cohortium.cohort.table import feature_frame
from cohortium.errors import DataError, did_you_mean
from cohortium.schema import ColumnKind

_DATE = re.compile(r"^\d{4}-\d{1,2}-\d{1,2}([ T].*)?$|^\d{1,2}[./]\d{1,2}[./]\d{2,4}$")
MOSTLY_NUMERIC = 0.9
CODE_LIKE = 10


def level_name(value: Any) -> str:
    """Text of a level: 1.0 is '1'."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def sorted_levels(names: list[str]) -> list[str]:
    """Numbers by size, then texts by the alphabet."""

    def key(name: str) -> tuple[int, float, str]:
        try:
            return 0, float(name), name
        except ValueError:
            return 1, 0.0, name

    return sorted(set(names), key=key)


class ColumnReader:
    """Turns the columns of one file into features. notes collects what a person may want to know."""

    def __init__(
        self, file: str, kinds: Mapping[str, ColumnKind], levels: Mapping[str, list[Any]], rows: np.ndarray
    ) -> None:
        self.file, self.kinds, self.levels, self.rows = file, kinds, levels, rows
        self.notes: list[str] = []
        self.code_like: list[str] = []
        self.dates: list[str] = []

    def read(self, frame: pd.DataFrame, id_space: str) -> tuple[np.ndarray, pd.DataFrame]:
        """(n, p) values and the features frame."""
        for name in (*self.kinds, *self.levels):
            if name not in frame.columns:
                raise DataError(
                    f"kinds or levels name '{name}', which is no feature of {self.file}.{did_you_mean(name, map(str, frame.columns))}"
                )
        first = frame.dtypes.iloc[0] if frame.shape[1] else np.dtype(float)
        numbers = pd.api.types.is_numeric_dtype(first) and not pd.api.types.is_bool_dtype(first)
        # One pass over a wide block of numbers instead of one per column.
        if frame.shape[1] > 200 and len(set(frame.dtypes)) == 1 and numbers and not self.kinds and not self.levels:
            return self._wide(frame, id_space)
        values, names, kinds, levels = [], [], [], []
        for c in frame.columns:
            got = self._one(str(c), frame[c])
            if got is None:
                continue
            values.append(got[0])
            names.append(str(c))
            kinds.append(got[1].value)
            levels.append(got[2])
        if self.dates:
            self.notes.append(f"dates are no features and were left out: {_some(self.dates)}")
        if self.code_like:
            self.notes.append(
                f"whole numbers with few values are read as numeric; if they are codes, declare kinds (nominal or ordinal): {_some(self.code_like)}"
            )
        x = np.column_stack(values).astype(np.float64) if values else np.zeros((len(frame), 0))
        return x, feature_frame(names, kinds, levels, id_space)

    def _wide(self, frame: pd.DataFrame, id_space: str) -> tuple[np.ndarray, pd.DataFrame]:
        x = frame.to_numpy()
        if not np.issubdtype(x.dtype, np.floating):
            x = x.astype(np.float64)
        if np.isinf(x).any():
            x = np.where(np.isinf(x), np.nan, x)
            self.notes.append("infinite cells are read as missing")
        binary = (np.isnan(x) | (x == 0) | (x == 1)).all(axis=0) & (x == 1).any(axis=0) & (x == 0).any(axis=0)
        kinds = np.where(binary, ColumnKind.BINARY.value, ColumnKind.NUMERIC.value)
        levels = [("0", "1") if b else None for b in binary]
        return x, feature_frame([str(c) for c in frame.columns], list(kinds), levels, id_space)

    def _one(self, name: str, column: pd.Series) -> tuple[np.ndarray, ColumnKind, tuple[str, ...] | None] | None:
        asked = ColumnKind(self.kinds[name]) if name in self.kinds else None
        if name in self.levels and asked is None:
            asked = ColumnKind.ORDINAL
        if asked is ColumnKind.DATE:
            self.dates.append(name)
            return None
        if asked in (ColumnKind.NOMINAL, ColumnKind.ORDINAL):
            return self._coded(name, column, asked)
        if pd.api.types.is_bool_dtype(column.dtype):
            return column.to_numpy(float), ColumnKind.BINARY, ("False", "True")
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            self.dates.append(name)
            return None
        if not pd.api.types.is_numeric_dtype(column.dtype):
            return self._text(name, column, asked)
        return self._number(name, column.to_numpy(dtype=np.float64), asked)

    def _number(
        self, name: str, x: np.ndarray, asked: ColumnKind | None
    ) -> tuple[np.ndarray, ColumnKind, tuple[str, ...] | None]:
        if np.isinf(x).any():
            x = np.where(np.isinf(x), np.nan, x)
            self.notes.append(f"infinite cells of '{name}' are read as missing")
        distinct = np.unique(x[~np.isnan(x)][:100_000])
        if asked is ColumnKind.BINARY or (asked is None and len(distinct) == 2 and set(distinct) == {0.0, 1.0}):
            if len(distinct) > 2:
                raise DataError(f"{self.file}: '{name}' is declared binary and holds {len(distinct)} values.")
            return (
                np.where(np.isnan(x), np.nan, np.searchsorted(distinct, x)),
                ColumnKind.BINARY,
                tuple(level_name(v) for v in distinct),
            )
        whole = len(distinct) and (distinct == np.round(distinct)).all()
        if asked is None and whole and 2 < len(distinct) <= CODE_LIKE and len(x) > 3 * len(distinct):
            self.code_like.append(name)
        return x, ColumnKind.NUMERIC, None

    def _text(
        self, name: str, column: pd.Series, asked: ColumnKind | None
    ) -> tuple[np.ndarray, ColumnKind, tuple[str, ...] | None] | None:
        known = column.notna().to_numpy()
        number = pd.to_numeric(column, errors="coerce")
        numeric = number.notna().to_numpy()
        bad = known & ~numeric
        if asked is ColumnKind.NUMERIC or (
            asked is None and known.any() and numeric.sum() >= MOSTLY_NUMERIC * known.sum()
        ):
            if bad.any():
                row = int(self.rows[np.flatnonzero(bad)[0]])
                raise DataError(
                    f"{self.file}, row {row}, column '{name}': the cell is not a number, and {int(numeric.sum())} of "
                    f"{int(known.sum())} cells of the column are. Mend the cell, list its text under na_values, or declare "
                    f"kinds: {{{name}: nominal}}. ({int(bad.sum())} such cell(s) in this column.)"
                )
            return self._number(name, number.to_numpy(dtype=np.float64), asked)
        texts = column[known].astype(str).str.strip()
        if asked is None and len(texts) and texts.str.match(_DATE).mean() > 0.95:
            self.dates.append(name)
            return None
        return self._coded(name, column, asked or ColumnKind.NOMINAL)

    def _coded(self, name: str, column: pd.Series, kind: ColumnKind) -> tuple[np.ndarray, ColumnKind, tuple[str, ...]]:
        texts = column.map(lambda v: None if pd.isna(v) else level_name(v))
        found = sorted_levels([t for t in texts if t is not None])
        order = found
        if name in self.levels:
            order = [level_name(v) for v in self.levels[name]]
            strange = [f for f in found if f not in order]
            if strange:
                raise DataError(
                    f"{self.file}: '{name}' holds {len(strange)} level(s) that 'levels' does not list. Listed are: {', '.join(order)}."
                )
        code = {t: float(k) for k, t in enumerate(order)}
        x = np.array([np.nan if t is None else code[t] for t in texts], dtype=np.float64)
        if kind is ColumnKind.NOMINAL and len(order) == 2:
            kind = ColumnKind.BINARY
        if len(order) > 50 and len(order) > 0.5 * len(texts):
            self.notes.append(
                f"'{name}' holds {len(order)} different texts: is it an id or free text? Then put it under exclude"
            )
        return x, kind, tuple(order)


def align(table: Table, expected: pd.DataFrame, file: str) -> tuple[Table, list[str]]:
    """A newly read table in the features of the one a model was fitted on: missing columns are unknown, further ones
    ignored, levels matched by name."""
    notes = []
    at = table.features.index.get_indexer(expected.index)
    gone = [str(f) for f, k in zip(expected.index, at, strict=True) if k < 0]
    if len(gone) == len(expected):
        raise DataError(
            f"{file} has none of the {len(expected)} features that the model was fitted on. Is it the right file?"
        )
    if gone:
        notes.append(f"{len(gone)} feature(s) are not in {file} and stand as unknown: {_some(gone)}")
    extra = table.n_features - int((at >= 0).sum())
    if extra:
        notes.append(f"{extra} further column(s) of {file} are ignored")
    x = np.full((len(table.units), len(expected)), np.nan)
    for j, k in enumerate(at):
        if k < 0:
            continue
        old, new = expected["levels"].iloc[j], table.features["levels"].iloc[k]
        column = table.values[:, k].astype(np.float64)
        if old is None and new is not None:
            column = _uncode(column, new, str(expected.index[j]), file)
        elif old is not None:
            names = list(new) if new is not None else [level_name(v) for v in np.unique(column[~np.isnan(column)])]
            codes = (
                column
                if new is not None
                else np.where(np.isnan(column), np.nan, np.searchsorted(np.unique(column[~np.isnan(column)]), column))
            )
            translate = np.array([list(old).index(n) if n in old else np.nan for n in names] or [np.nan])
            strange = [n for n in names if n not in old]
            if strange:
                notes.append(
                    f"'{expected.index[j]}' holds {len(strange)} level(s) that the model has not seen; they stand as unknown"
                )
            column = np.where(np.isnan(codes), np.nan, translate[np.nan_to_num(codes).astype(int)])
        x[:, j] = column
    return Table(table.units, x, expected), notes


def _uncode(column: np.ndarray, levels: tuple[str, ...], name: str, file: str) -> np.ndarray:
    try:
        numbers = np.array([float(v) for v in levels])
    except ValueError as e:
        raise DataError(f"{file}: '{name}' was numeric when the model was fitted and holds texts here.") from e
    return np.where(np.isnan(column), np.nan, numbers[np.nan_to_num(column).astype(int)])


def _some(names: list[str], k: int = 6) -> str:
    return ", ".join(names[:k]) + (f" and {len(names) - k} more" if len(names) > k else "")
