"""Some columns of a CSV or Parquet file by name: texts of a CSV, texts, numbers and times of Parquet, and nothing else."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, did_you_mean_column
from cohortium.sources.formats import find, format_of
from cohortium.sources.packed import opened

MOST_ROWS = 1 << 28
"""Rows of a Parquet file. What claims more does not fit a memory, whatever it is packed to."""

MOST_NUMBER = 1e18
"""Values that are larger are no measurements (infinity written as a number, an id); they are read as unknown."""

T = TypeVar("T")

_SEPARATOR = {"csv": ",", "tsv": "\t", "parquet": ""}
_MISSING = ["", "NA", "NULL", "NaN", "nan"]


def column_names(path: Path) -> list[str]:
    """Names of the columns of a CSV or Parquet file, as written. Raises :class:`DataError`, as :func:`read_columns` does."""
    return _safely(path, _names)


def read_columns(path: Path, columns: list[str] | None) -> pd.DataFrame:
    """The named columns (default all) of a CSV or Parquet file; cells of a CSV as texts, empty ones missing.

    Raises :class:`DataError` when the file is missing, empty, truncated, a link out of its folder, or lacks a column, when a
    column is there twice, and when one of Parquet holds neither texts nor numbers nor times.
    """
    return _safely(path, lambda p, kind: (_parquet if kind == "parquet" else _text)(p, kind, columns))


def _safely(path: Path, read: Callable[[Path, str], T]) -> T:
    import pyarrow as pa

    path = inside(find(path.parent, path.name))
    kind = format_of(path)
    if kind not in _SEPARATOR:
        raise DataError(f"{path.name}: such tables are read from CSV and Parquet files.")
    try:
        return read(path, kind)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as e:
        raise DataError(f"{path.name} is truncated or no valid compressed file. Copy it again from its source.") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path.name} is not UTF-8 text (byte {e.start}). Save it as UTF-8.") from e
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
    ) as e:
        raise DataError(f"{path.name} cannot be read as a table: {(str(e).splitlines() or ['?'])[0]}.") from e


def _names(path: Path, kind: str) -> list[str]:
    if kind == "parquet":
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    with opened(path) as f:
        first = pd.read_csv(f, nrows=1, sep=_SEPARATOR[kind], header=None, dtype=str, keep_default_na=False)
    return [str(c) for c in first.iloc[0]]


def inside(path: Path) -> Path:
    """The path itself. Raises :class:`DataError` for a link that leads out of the folder it lies in."""
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise DataError(
            f"{path.name} leads out of its folder, through a link, which is not followed. Name the file itself in the study, or "
            "copy it."
        )
    return path


def _has(path: Path, known: list[str], wanted: Iterable[str]) -> None:
    for c in wanted:
        if c not in known:
            raise DataError(f"{path.name} has no column '{c}'.{did_you_mean_column(c, known)}")
        if known.count(c) > 1:
            raise DataError(
                f"{path.name}: the column {known.index(c) + 1} has the name of another one. Rename or remove one."
            )


def _text(path: Path, kind: str, columns: list[str] | None) -> pd.DataFrame:
    known = _names(path, kind)
    _has(path, known, [k for k in known if k] if columns is None else columns)
    # With usecols pandas takes a row with a cell too many, as an unquoted comma makes, and shifts the rest unseen.
    with opened(path) as f:
        frame = pd.read_csv(f, dtype=str, keep_default_na=False, na_values=_MISSING, sep=_SEPARATOR[kind])
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path.name}: rows have more cells than the header. Is a comma inside a cell not quoted?")
    return frame if columns is None else frame[columns]


def _parquet(path: Path, kind: str, columns: list[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # As a single file: pyarrow makes columns of folders that are called such as 'site=A', and pandas an index of some.
    with pq.ParquetFile(path) as file:
        rows, known = file.metadata.num_rows, list(file.schema_arrow.names)
        _has(path, known, known if columns is None else columns)
        if rows > MOST_ROWS:
            raise DataError(
                f"{path.name} claims {rows:,} rows; at most {MOST_ROWS:,} are read. Split it into several files."
            )
        table = file.read(columns=known if columns is None else columns)
    out: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        if not _plain(column.type):
            raise DataError(f"{path.name}, column '{name}' holds {column.type}; expected texts, numbers or times.")
        out[name] = column.to_pandas()
    return pd.DataFrame(out, index=pd.RangeIndex(rows))


def _plain(kind: Any) -> bool:
    from pyarrow import types as t

    numbers = t.is_boolean(kind) or t.is_integer(kind) or t.is_floating(kind)
    return bool(
        numbers
        or t.is_string(kind)
        or t.is_large_string(kind)
        or t.is_date(kind)
        or t.is_timestamp(kind)
        or t.is_null(kind)
    )


def texts(column: pd.Series) -> pd.Series:
    """Cells as text without blanks around, whole numbers without a decimal point; missing cells stay missing."""
    return column.map(_as_text, na_action="ignore").astype(object)


def _as_text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """(n,) numbers; NaN for what is none, such as ``<5`` or ``positive``, for infinity, and for what is no measurement."""
    if column.dtype == object:
        column = column.map(lambda v: v if isinstance(v, str | int | float) else None, na_action="ignore")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return np.full(len(column), np.nan)
    x = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.abs(x) <= MOST_NUMBER, x, np.nan)
