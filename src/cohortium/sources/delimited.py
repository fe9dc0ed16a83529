"""Text tables: CSV and its relatives, plain or compressed, as spreadsheets and R write them."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from cohortium.errors import DataError
from cohortium.schema.declare import FileSource
from cohortium.sources.packed import opened
from cohortium.sources.raw import Raw, id_column, named, split_ids, unique_columns

_SAMPLE = 50  # lines looked at for the decimal mark
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class _Head:
    """What the first lines say. before: blank lines above the header."""

    header: list[str]
    separator: str
    decimal: str
    before: int


def read_text(path: Path, source: FileSource, default_id: str | None, kind: str) -> Raw:
    """Read a text table; kind: csv (the separator is looked for) or tsv. Raises :class:`DataError`."""
    try:
        with _open(path, source.encoding) as f:
            head = _head(path, f, kind)
        unique_columns(path, head.header)
        id_name = id_column(path, head.header, source.id, default_id)
        with _open(path, source.encoding) as f:
            frame = _frame(path, f, head, id_name, source.na_values)
        if len(frame) and frame.iloc[:, -1].isna().any():
            with _open(path, source.encoding) as f:
                _no_short_row(path, f, head)
    except UnicodeError as e:
        raise DataError(_wrong_encoding(path, source.encoding)) from e
    if head.before:
        frame.index = frame.index + head.before
    return split_ids(path, frame, id_name)


def _open(path: Path, encoding: str) -> IO[str]:
    coding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        codecs.lookup(coding)
        return io.TextIOWrapper(opened(path), encoding=coding, newline="")
    except LookupError as e:
        raise DataError(f"{path.name}: there is no encoding called '{encoding}'. Try utf-8, latin-1 or cp1252.") from e


def _wrong_encoding(path: Path, encoding: str) -> str:
    """The row of the first bad byte and what to try."""
    with opened(path) as f:
        if f.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return f"{path.name} is not {encoding} text but UTF-16. Say encoding: utf-16."
        f.seek(0)
        for row, line in enumerate(f, start=1):
            try:
                line.decode(encoding)
            except UnicodeError:
                return (
                    f"{path.name}, row {row}: this is not {encoding} text. If the file comes from Excel or R on Windows, "
                    "say encoding: latin-1 (or cp1252)."
                )
    return f"{path.name} is not {encoding} text. Try encoding: latin-1 (or cp1252)."


def _lines(f: IO[str]) -> Iterator[str]:
    for line in f:
        yield line.rstrip("\r\n")


def _cells(path: Path, line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as e:
        raise DataError(f"{path.name} does not look like a text table ({e}). Is the format right?") from e


def _head(path: Path, f: IO[str], kind: str) -> _Head:
    lines, before = _lines(f), 0
    first = ""
    for first in lines:
        if "\0" in first:
            raise DataError(f"{path.name} does not look like a text table: it holds zero bytes. Is the format right?")
        if first.strip():
            break
        before += 1
    if not first.strip():
        raise DataError(f"{path.name} is empty.")
    sample = [line for line, _ in zip(lines, range(_SAMPLE), strict=False) if line.strip()]
    separator = "\t" if kind == "tsv" else _separator(first)
    header = [h.strip() for h in _cells(path, first, separator)]
    rows = [_cells(path, line, separator) for line in sample]
    # R's write.table names the columns and not the row names: one name fewer than cells.
    if rows and len(rows[0]) == len(header) + 1 and rows[0][-1].strip():
        header = ["", *header]
    return _Head(named(header), separator, _decimal(rows, separator), before)


def _separator(first: str) -> str:
    bare = _QUOTED.sub("", first)
    counts = {s: bare.count(s) for s in ("\t", ";", ",", "|")}
    best = max(counts, key=lambda s: (counts[s], s == ","))
    return best if counts[best] else ","


def _decimal(rows: list[list[str]], separator: str) -> str:
    """The decimal mark: a comma only where cells are written so and none with a point."""
    if separator == ",":
        return "."
    cells = [c.strip() for row in rows for c in row]
    point = any(re.fullmatch(r"[-+]?\d*\.\d+", c) for c in cells)
    comma = any(re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", c) for c in cells)
    return "," if comma and not point else "."


def _frame(path: Path, f: IO[str], head: _Head, id_name: str, na_values: list[str]) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # pandas only warns when it cuts off the cells beyond the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                f,
                sep=head.separator,
                decimal=head.decimal,
                names=head.header,
                header=0,
                skiprows=head.before,
                dtype={id_name: str},
                low_memory=False,
                na_values=na_values,
                skipinitialspace=True,
                skip_blank_lines=False,
                index_col=False,
            )
    except pd.errors.ParserWarning as e:
        raise DataError(
            f"{path.name}: the rows have more cells than the header's {len(head.header)}. Is a separator inside a text that "
            "is not quoted, or at the end of each row?"
        ) from e
    except pd.errors.ParserError as e:
        found = re.search(r"line (\d+)(?:, saw (\d+))?", str(e))
        where = f", row {int(found.group(1))}" if found else ""
        cells = f"{found.group(2)} cells, and the header has {len(head.header)}" if found and found.group(2) else ""
        raise DataError(
            f"{path.name}{where}: {cells or 'the row cannot be read'}. Is a separator inside a text that is not quoted, or a "
            "quotation mark not closed?"
        ) from e


def _no_short_row(path: Path, f: IO[str], head: _Head) -> None:
    """A row with fewer cells than the header is how a file that was cut off ends; pandas takes it silently."""
    wanted, inside = len(head.header), False
    for row, line in enumerate(_lines(f), start=1):
        if row <= head.before + 1:
            continue
        if inside or line.count('"') % 2:  # a text over several lines: cells cannot be counted by line
            inside = inside != bool(line.count('"') % 2)
            continue
        n = line.count(head.separator) + 1
        if n < wanted and '"' in line:
            n = len(_cells(path, line, head.separator))
        if n < wanted and line.strip() and line.strip(head.separator + " "):
            raise DataError(
                f"{path.name}, row {row}: {n} cell(s), and the header has {wanted}. Was the file cut off while it was copied?"
            )


def ids_beside(path: Path) -> list[str]:
    """Ids of an array file, one per line, from a small text file beside it (a header 'id' is no id)."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise DataError(f"{path.name} is not UTF-8 text (byte {e.start}). Save it as UTF-8, an id per line.") from e
    ids = [i for i in (line.strip().strip('"') for line in lines) if i]
    return ids[1:] if ids and ids[0].lower() in ("id", "ids", "patient_id", "unit") else ids


def as_text(values: np.ndarray, what: str) -> list[str]:
    """Ids stored as an array: whole numbers without '.0', bytes decoded. what: the file and array, for complaints."""
    if values.ndim != 1 or values.dtype.kind not in "SUbiufM":
        raise DataError(f"{what} is of {values.ndim} axes and type {values.dtype}; expected a list of texts.")
    if values.dtype.kind == "S":
        try:
            return [v.decode("utf-8") for v in values]
        except UnicodeDecodeError as e:
            raise DataError(f"{what} holds bytes that are no UTF-8 text. Store it as texts.") from e
    if values.dtype.kind == "f":
        return [str(int(v)) if float(v).is_integer() else str(v) for v in values]
    return [str(v) for v in values]
