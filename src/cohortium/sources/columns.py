"""Columns of a frame -> coded features with a measurement scale."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
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
WIDE = 200
TRUTH = ("False", "True")


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
    """Turns the columns of one file into features.

    place: (row, feature) -> where that cell stands in the file, in words. numbers: undeclared columns of numbers are
    numeric even where all are 0 or 1 (counts of a rare gene). notes collects what a person may want to know; dates, the
    columns left out because they hold dates.
    """

    def __init__(
        self,
        file: str,
        kinds: Mapping[str, ColumnKind],
        levels: Mapping[str, list[Any]],
        place: Callable[[int, str], str],
        numbers: bool = False,
    ) -> None:
        self.file, self.kinds, self.levels, self.place, self.numbers = file, kinds, levels, place, numbers
        self.notes: list[str] = []
        self.code_like: list[str] = []
        self.dates: list[str] = []

    def read(self, frame: pd.DataFrame, id_space: str) -> tuple[np.ndarray, pd.DataFrame]:
        """(n, p) values (float32 where the file holds nothing else, else float64) and the features frame."""
        known = set(frame.columns)
        for name in (*self.kinds, *self.levels):
            if name not in known:
                raise DataError(
                    f"kinds or levels name '{name}', which is no feature of {self.file}.{did_you_mean(name, known)}"
                )
        plain = self._plain(frame) if frame.shape[1] > WIDE else np.zeros(frame.shape[1], dtype=bool)
        if plain.all() and len(plain):
            x, kinds, levels = self._wide(frame)
            return x, feature_frame(list(frame.columns), kinds, levels, id_space)
        single = all(d == np.float32 for d in frame.dtypes)
        x = np.empty(frame.shape, dtype=np.float32 if single else np.float64)
        kinds, levels = np.full(frame.shape[1], "", dtype=object), np.full(frame.shape[1], None, dtype=object)
        if plain.any():
            x[:, plain], some_kinds, some_levels = self._wide(frame.loc[:, plain])
            kinds[plain], levels[plain] = some_kinds, pd.Series(some_levels, dtype=object).to_numpy()
        for j in np.flatnonzero(~plain):
            got = self._one(str(frame.columns[j]), frame.iloc[:, j])
            if got is not None:
                x[:, j], kinds[j], levels[j] = got[0], got[1].value, got[2]
        self._note_groups()
        keep = kinds != ""
        names = [str(c) for c, k in zip(frame.columns, keep, strict=True) if k]
        x = x if keep.all() else x[:, keep]
        return x, feature_frame(names, list(kinds[keep]), list(levels[keep]), id_space)

    def _note_groups(self) -> None:
        if self.dates:
            self.notes.append(f"dates are no features and were left out: {some(self.dates)}")
        if self.code_like:
            self.notes.append(
                "whole numbers with few values are read as numeric; if they are codes, declare kinds (nominal or ordinal): "
                + some(self.code_like)
            )

    def _plain(self, frame: pd.DataFrame) -> np.ndarray:
        """(p,) bool: columns of numbers about which nothing is declared; one pass reads them all."""
        declared = self.kinds.keys() | self.levels.keys()
        of_type = {d: pd.api.types.is_numeric_dtype(d) and not pd.api.types.is_bool_dtype(d) for d in set(frame.dtypes)}
        return np.array(
            [of_type[d] and c not in declared for c, d in zip(frame.columns, frame.dtypes, strict=True)], dtype=bool
        )

    def _wide(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str], list[tuple[str, ...] | None]]:
        x = frame.to_numpy(dtype=None if len(set(frame.dtypes)) == 1 else np.float64)
        if x.dtype not in (np.float32, np.float64):
            x = x.astype(np.float64)
        if np.isinf(x).any():
            x = np.where(np.isinf(x), np.nan, x)
            self.notes.append("infinite cells are read as missing")
        if self.numbers:
            return x, [ColumnKind.NUMERIC.value] * x.shape[1], [None] * x.shape[1]
        zero, one = x == 0, x == 1
        binary = zero.any(axis=0) & one.any(axis=0)
        binary[binary] = (zero | one | np.isnan(x))[:, binary].all(axis=0)
        kinds = [ColumnKind.BINARY.value if b else ColumnKind.NUMERIC.value for b in binary]
        return x, kinds, [("0", "1") if b else None for b in binary]

    def _one(self, name: str, column: pd.Series) -> tuple[np.ndarray, ColumnKind, tuple[str, ...] | None] | None:
        asked = ColumnKind(self.kinds[name]) if name in self.kinds else None
        if name in self.levels and asked is None:
            asked = ColumnKind.ORDINAL
        if asked is ColumnKind.DATE:
            self.dates.append(name)
            return None
        if asked in (ColumnKind.NOMINAL, ColumnKind.ORDINAL) or (asked is ColumnKind.BINARY and name in self.levels):
            return self._coded(name, column, asked)
        if pd.api.types.is_bool_dtype(column.dtype):
            return column.to_numpy(float), ColumnKind.BINARY, TRUTH
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
        if self.numbers and asked is None:
            return x, ColumnKind.NUMERIC, None
        distinct = np.unique(x[~np.isnan(x)])
        if asked is ColumnKind.BINARY or (asked is None and len(distinct) == 2 and set(distinct) == {0.0, 1.0}):
            self._two_at_most(name, len(distinct))
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
        if known.any() and column[known].map(lambda v: isinstance(v, bool | np.bool_)).all():
            # Truth values with missing cells: the same levels as without, so that files can be matched.
            return column.map({False: 0.0, True: 1.0}).to_numpy(float), ColumnKind.BINARY, TRUTH
        if known.any() and column[known].map(lambda v: isinstance(v, datetime.date)).all():
            self.dates.append(name)
            return None
        number = pd.to_numeric(column, errors="coerce")
        numeric = number.notna().to_numpy()
        bad = known & ~numeric
        mostly = known.any() and numeric.sum() >= MOSTLY_NUMERIC * known.sum()
        if asked is ColumnKind.NUMERIC or (asked is None and mostly):
            if bad.any():
                raise DataError(
                    f"{self.place(int(np.flatnonzero(bad)[0]), name)}: the cell is not a number, and {int(numeric.sum())} of "
                    f"{int(known.sum())} cells of the column are. Mend the cell, list its text under na_values, or declare "
                    f"kinds: {{{name}: nominal}}. ({int(bad.sum())} such cell(s) in this column.)"
                )
            return self._number(name, number.to_numpy(dtype=np.float64), asked)
        texts = column[known].astype(str).str.strip()
        if asked is None and len(texts) and texts.str.match(_DATE).mean() > 0.95:
            self.dates.append(name)
            return None
        return self._coded(name, column, asked or ColumnKind.NOMINAL)

    def _two_at_most(self, name: str, found: int) -> None:
        if found > 2:
            raise DataError(
                f"{self.file}: '{name}' is declared binary and holds {found} different values. Declare it nominal, ordinal or "
                "numeric, or list the texts that mean missing under na_values."
            )

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
        if kind is ColumnKind.BINARY:
            self._two_at_most(name, len(found))
        if kind is ColumnKind.NOMINAL and len(order) == 2:
            kind = ColumnKind.BINARY
        if len(order) > 50 and len(order) > 0.5 * len(texts):
            self.notes.append(
                f"'{name}' holds {len(order)} different texts: is it an id or free text? Then put it under exclude"
            )
        return x, kind, tuple(order)


def align(table: Table, expected: pd.DataFrame, file: str) -> tuple[Table, list[str]]:
    """A newly read table in the features of the one a model was fitted on: missing columns are unknown, further ones
    ignored, levels matched by name. Raises DataError when there is no common feature, or a number became a text."""
    notes = []
    at = table.features.index.get_indexer(expected.index)
    gone = [str(f) for f in expected.index[at < 0]]
    if len(gone) == len(expected):
        raise DataError(
            f"{file} has none of the {len(expected)} features that the model was fitted on. Is it the right file?"
        )
    if gone:
        notes.append(f"{len(gone)} feature(s) are not in {file} and stand as unknown: {some(gone)}")
    extra = table.n_features - int((at >= 0).sum())
    if extra:
        notes.append(f"{extra} further column(s) of {file} are ignored")
    old, new = expected["levels"].to_numpy(), table.features["levels"].to_numpy()
    number = np.array([k >= 0 and old[j] is None and new[k] is None for j, k in enumerate(at)], dtype=bool)
    x = np.full((len(table.units), len(expected)), np.nan, dtype=table.values.dtype)
    x[:, number] = table.values[:, at[number]]
    for j in np.flatnonzero((at >= 0) & ~number):
        name, column = str(expected.index[j]), table.values[:, at[j]].astype(np.float64)
        if old[j] is None:
            x[:, j] = _uncode(column, new[at[j]], name, file)
            continue
        x[:, j], strange = _recode(column, new[at[j]], tuple(old[j]))
        if strange:
            notes.append(f"'{name}' holds {strange} level(s) that the model has not seen; they stand as unknown")
    return Table(table.units, x, expected), notes


def _recode(column: np.ndarray, new: tuple[str, ...] | None, old: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Codes among the old levels, and how many of the new file's levels the old ones do not have."""
    known = ~np.isnan(column)
    if new is None:
        numbers, codes = np.unique(column[known], return_inverse=True)
        new = tuple(level_name(v) for v in numbers)
    else:
        codes = column[known].astype(int)
    truth = {"0": "False", "1": "True"} if old == TRUTH else {"False": "0", "True": "1"}
    names = [n if n in old else truth.get(n, n) for n in new]
    code = {n: float(k) for k, n in enumerate(old)}
    out = np.full(len(column), np.nan)
    out[known] = np.array([code.get(n, np.nan) for n in names] or [np.nan])[codes]
    return out, len({n for n, c in zip(names, range(len(names)), strict=True) if n not in code and (codes == c).any()})


def _uncode(column: np.ndarray, levels: tuple[str, ...], name: str, file: str) -> np.ndarray:
    try:
        numbers = np.array([0.0, 1.0] if levels == TRUTH else [float(v) for v in levels])
    except ValueError as e:
        raise DataError(
            f"{file}, column '{name}': it held numbers when the model was fitted and holds texts here. Mend the column, or "
            "leave it out of the file."
        ) from e
    return np.where(np.isnan(column), np.nan, numbers[np.nan_to_num(column).astype(int)])


def some(names: list[str], k: int = 6) -> str:
    """The first few names and how many there are beside them."""
    return ", ".join(names[:k]) + (f" and {len(names) - k} more" if len(names) > k else "")
