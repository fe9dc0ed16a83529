"""MEDS: Parquet files of ``subject_id, time, code, numeric_value`` (Medical Event Data Standard 0.3 and later)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cohortium.errors import DataError
from cohortium.schema.shapes import EventsSource
from cohortium.sources.events.record import Record
from cohortium.sources.events.tables import codes_of, owners_of, times_of
from cohortium.sources.named_columns import numbers, read_columns


def read_meds(source: EventsSource, root: Path) -> tuple[list[Record], list[Path]]:
    """All ``.parquet`` files of the folder (its ``data`` folder when there is one), in the order of their names."""
    folder = root / str(source.folder)
    if not folder.is_dir():
        raise DataError(f"No folder {folder}; expected a MEDS data set.")
    data = folder / "data" if (folder / "data").is_dir() else folder
    for p in data.rglob("*"):
        # A folder behind a link would be passed over, and its patients with it.
        if p.is_symlink() and p.is_dir():
            raise DataError(
                f"{folder.name} holds a link to a folder, '{p.name}', which is not followed. Copy the folder."
            )
    files = sorted(p for p in data.rglob("*.parquet") if not p.name.startswith("."))
    if not files:
        raise DataError(f"{data} holds no Parquet file; expected a MEDS data set.")
    return [_read(f, source) for f in files], files


def _read(file: Path, source: EventsSource) -> Record:
    frame = read_columns(file, ["subject_id", "time", "code", "numeric_value"])
    rows = np.arange(len(frame)) + 1
    owner = owners_of(frame["subject_id"], source, file.name, rows)
    times = times_of(frame, "time", source, file.name, rows)
    code = codes_of(frame, ["code"], "", file.name, rows)
    return Record(
        file.name, "patient", owner, times, code, numbers(frame["numeric_value"]), np.full(len(frame), None), rows
    )
