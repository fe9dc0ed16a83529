"""Notes of one table, or of a folder of text files, in the form that the reader takes."""

from __future__ import annotations

import codecs
import gzip
import lzma
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, did_you_mean
from cohortium.schema.notes import NotesSource
from cohortium.sources.events.tables import times_of
from cohortium.sources.formats import find, format_of
from cohortium.sources.ids import apply_rule
from cohortium.sources.named_columns import read_columns, texts
from cohortium.sources.raw import HEADER, equals
from cohortium.sources.times import Times

MOST_FILE = 5_000_000
"""Bytes of one text file of a folder, and characters of one cell of text."""

MOST_TABLE = 20_000_000_000
"""Bytes of a table, unpacked."""

_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Notes:
    """owner: (n,) ids of patients or units. times: when known, None where the study names no column. text: (n,) str,
    none empty. rows: (n,) place in the file, or in the folder's list of files, for complaints. blank: notes without
    a text, which are not among the n."""

    file: str
    owner: NDArray[np.object_]
    times: Times | None
    text: NDArray[np.object_]
    rows: NDArray[np.int64]
    blank: int

    def take(self, keep: NDArray[np.bool_]) -> Notes:
        """The rows that a mask keeps."""
        t = self.times
        times = None if t is None else Times(t.us[keep], t.whole_day[keep], t.clock)
        return Notes(self.file, self.owner[keep], times, self.text[keep], self.rows[keep], self.blank)


def read_table(source: NotesSource, root: Path) -> tuple[Notes, list[Path]]:
    """Notes of a CSV or Parquet file. Raises :class:`DataError` with file, column and row, never a text."""
    assert source.file is not None and source.id is not None
    path = find(root, source.file)
    if format_of(path) not in ("csv", "tsv", "parquet"):
        raise DataError(f"{path.name}: tables of notes are read from CSV and Parquet files.")
    if format_of(path) != "parquet":
        _looked_through(path)
    named = [source.id, *source.columns, source.time, source.where.column if source.where else None]
    columns = list(dict.fromkeys(c for c in named if c))
    frame = read_columns(path, columns)
    if not len(frame):
        raise DataError(f"{path.name} has a header and no rows.")
    rows = np.arange(len(frame)) + HEADER
    if source.where is not None:
        wanted = source.where.one_of if source.where.one_of is not None else [source.where.equals]
        keep = np.logical_or.reduce([np.asarray(equals(frame[source.where.column], v), dtype=bool) for v in wanted])
        if not keep.any():
            raise DataError(f"{path.name}: no row has '{source.where.column}' equal to what 'where' asks for.")
        frame, rows = frame[keep].reset_index(drop=True), rows[keep]
    labels = texts(frame[source.id]).set_axis(rows - HEADER)
    owner = apply_rule(labels, source.id_rule, path.name).to_numpy(dtype=object)
    text = _joined(frame, source.columns, path.name, rows)
    times = times_of(frame, source.time, source, path.name, rows) if source.time is not None else None  # type: ignore[arg-type]
    filled = np.array([bool(t) for t in text], dtype=bool)
    return Notes(path.name, owner, times, text, rows, int((~filled).sum())).take(filled), [path]


def read_folder(source: NotesSource, root: Path, known: Collection[str]) -> tuple[Notes, list[Path]]:
    """Notes of a folder: ``<id>.txt`` and ``<id>__anything.txt``, in order of name. known: ids of the cohort.

    Raises :class:`DataError` that counts files by name, since names are ids.
    """
    assert source.folder is not None
    folder = root / source.folder
    if not folder.is_dir():
        beside = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise DataError(f"No folder '{source.folder}' in {root}.{did_you_mean(folder.name, beside)}")
    inside = folder.resolve()
    files = sorted(
        (p for p in folder.iterdir() if p.suffix.lower() == ".txt" and not p.name.startswith(".")), key=lambda p: p.name
    )
    if not files:
        raise DataError(f"The folder '{source.folder}' holds no .txt file; expected <id>.txt for each unit or patient.")
    ids, texts = [], []
    for k, path in enumerate(files, 1):
        where = f"{folder.name}/: file {k} of {len(files)} (.txt files by name)"
        if not path.resolve().is_relative_to(inside):
            raise DataError(f"{where} is a link out of the folder, which is not followed. Put the file itself there.")
        ids.append(_owner_of(path.stem, source, known))
        texts.append(_text_of(path, where))
    text = np.array(texts, dtype=object)
    filled = np.array([bool(t) for t in texts], dtype=bool)
    notes = Notes(
        f"{folder.name}/", np.array(ids, dtype=object), None, text, np.arange(1, len(ids) + 1), int((~filled).sum())
    )
    return notes.take(filled), files


def _owner_of(stem: str, source: NotesSource, known: Collection[str]) -> str:
    """The id of a file's name; an id may hold ``__`` itself, so the longest one that is known wins."""
    parts = stem.split("__")
    for n in range(len(parts), 0, -1):
        made = "__".join(parts[:n]).strip()
        found = made and str(apply_rule(pd.Series([made]), source.id_rule, "name").iloc[0])
        if found in known:
            return found
    return parts[0]


def _text_of(path: Path, where: str) -> str:
    try:
        if not path.is_file():
            raise DataError(f"{where} is no file.")
        if path.stat().st_size > MOST_FILE:
            raise DataError(
                f"{where} is larger than {MOST_FILE:,} bytes, which no note is. Is it another kind of file?"
            )
        raw = path.read_bytes()
    except OSError as e:
        raise DataError(f"{where} cannot be read: {e.strerror or 'the system refused'}.") from e
    if b"\0" in raw:
        raise DataError(f"{where} holds NUL bytes: it is no UTF-8 text. Save it as UTF-8.")
    try:
        return raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as e:
        raise DataError(f"{where} is not UTF-8 text (byte {e.start + 1}). Save it as UTF-8.") from e


def _looked_through(path: Path) -> None:
    """Raise :class:`DataError` for what no parser should be given: NUL bytes, other encodings, packed giants."""
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix.lower(), Path.open)
    decoder, line, size = codecs.getincrementaldecoder("utf-8")(), 1, 0
    try:
        stream: IO[bytes]
        with opener(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if b"\0" in chunk:
                    at = line + chunk[: chunk.index(b"\0")].count(b"\n")
                    raise DataError(f"{path.name}, line {at}: a NUL byte. It is no UTF-8 text: save it as UTF-8.")
                if size > MOST_TABLE:
                    raise DataError(f"{path.name} unpacks to more than {MOST_TABLE:,} bytes. Split it, or use Parquet.")
                decoder.decode(chunk)
                line += chunk.count(b"\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as e:
        # What was left of the chunk before is part of the object.
        at = line + bytes(e.object[: e.start]).count(b"\n")
        raise DataError(f"{path.name}, line {at}: not UTF-8 text. Save the file as UTF-8.") from e
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as e:
        raise DataError(f"{path.name} is truncated or no valid compressed file. Copy it again from its source.") from e
    except OSError as e:
        raise DataError(f"{path.name} cannot be read: {e.strerror or 'the system refused'}.") from e


def _joined(frame: pd.DataFrame, columns: list[str], file: str, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """(n,) cells of the columns, those that are not empty, a paragraph each."""
    parts: list[list[str]] = [[] for _ in range(len(frame))]
    for c in columns:
        for i, v in enumerate(frame[c].to_numpy(dtype=object)):
            if v is None or (isinstance(v, float) and np.isnan(v)) or v is pd.NA:
                continue
            where = f"{file}, row {int(rows[i])}, column '{c}'"
            if not isinstance(v, str):
                raise DataError(f"{where}: expected text. Numbers and codes belong to a modality of tables or events.")
            if "\0" in v:
                raise DataError(f"{where}: a NUL character, which no text has. Write the file again.")
            if len(v) > MOST_FILE:
                raise DataError(f"{where}: more than {MOST_FILE:,} characters, which no note has.")
            if v.strip():
                parts[i].append(v.strip())
    return np.array(["\n\n".join(p) for p in parts], dtype=object)
