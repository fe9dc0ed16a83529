"""Event tables with declared columns: MIMIC, eICU, a registry's own CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.schema.shapes import EventsSource, EventTable
from cohortium.sources.events.record import Record
from cohortium.sources.ids import apply_rule
from cohortium.sources.named_columns import numbers, read_columns, texts
from cohortium.sources.raw import HEADER, equals
from cohortium.sources.times import Place, Times, read_numbers, read_times


def read_tables(source: EventsSource, root: Path) -> tuple[list[Record], list[Path]]:
    """All declared tables, and their files."""
    out, files = [], []
    for table in source.tables:
        out += _read(table, source, root)
        files.append(root / table.file)
    return out, files


def _read(table: EventTable, source: EventsSource, root: Path) -> list[Record]:
    named = [table.id, table.time, *table.code, table.value, *table.values, table.unit, table.end]
    named += [table.where.column] if table.where else []
    frame = read_columns(root / table.file, list(dict.fromkeys(c for c in named if c)))
    rows = np.arange(len(frame)) + 2
    if table.where is not None:
        wanted = table.where.one_of if table.where.one_of is not None else [table.where.equals]
        keep = np.zeros(len(frame), dtype=bool)
        for value in wanted:
            keep |= equals(frame[table.where.column], value)
        frame, rows = frame[keep].reset_index(drop=True), rows[keep]
    file = Path(table.file).name
    if source.no_code == "drop" and table.code:
        keep = frame[table.code].notna().all(axis=1).to_numpy()
        frame, rows = frame[keep].reset_index(drop=True), rows[keep]
    owner = owners_of(frame[table.id], source, file, rows)
    times = times_of(frame, table.time, source, file, rows)
    if table.values:
        return [_measured(table, frame, column, file, owner, times, rows) for column in table.values]
    code = codes_of(frame, table.code, table.name, file, rows)
    unit = frame[table.unit].to_numpy(dtype=object) if table.unit else np.full(len(frame), None, dtype=object)
    # Texts such as "<5" or "positive" count as an event without a value.
    value = numbers(frame[table.value]) if table.value else np.full(len(frame), np.nan)
    out = [Record(file, table.of, owner, times, code, value, unit, rows)]
    if table.end:
        ended = frame[table.end].notna().to_numpy()
        until = times_of(frame[ended].reset_index(drop=True), table.end, source, file, rows[ended])
        nothing = np.full(ended.sum(), np.nan)
        last = np.array([f"{c}//end" for c in code[ended]], dtype=object)
        out.append(Record(file, table.of, owner[ended], until, last, nothing, np.full(ended.sum(), None), rows[ended]))
    return out


def _measured(
    table: EventTable,
    frame: pd.DataFrame,
    column: str,
    file: str,
    owner: NDArray[np.object_],
    times: Times,
    rows: NDArray[np.int64],
) -> Record:
    """One column of a wide table of measurements, a code of its own; empty cells are no events."""
    text = frame[column]
    number = pd.Series(numbers(text), index=text.index)
    have = text.notna().to_numpy()
    name = "//".join(p for p in (table.name, column) if p)
    if number[have].notna().all():
        code, value = np.full(have.sum(), name, dtype=object), number[have].to_numpy(np.float64)
    elif number[have].notna().any():
        bad = number.isna().to_numpy() & have
        raise DataError(f"{file}, row {int(rows[np.flatnonzero(bad)[0]])}, column '{column}': expected a number.")
    else:
        code = np.array([f"{name}//{t}" for t in texts(text[have])], dtype=object)
        value = np.full(have.sum(), np.nan)
    part = Times(times.us[have], times.whole_day[have], times.clock)
    return Record(file, table.of, owner[have], part, code, value, np.full(have.sum(), None), rows[have])


def times_of(
    frame: pd.DataFrame, column: str | None, source: EventsSource, file: str, rows: NDArray[np.int64]
) -> Times:
    """Times of the rows; none where no column is named."""
    where: Place = lambda bad: f"{file}, row {int(rows[np.flatnonzero(bad)[0]])}, column '{column}'"  # noqa: E731
    if column is None:
        from cohortium.cohort.events import STATIC

        n = len(frame)
        return Times(np.full(n, STATIC), np.zeros(n, dtype=bool), "number" if source.time_unit else "local")
    if source.time_unit is not None:
        return read_numbers(frame[column], source.time_unit, where)
    return read_times(frame[column], source.timezone, where, day=source.resolution == "day")


def owners_of(column: pd.Series, source: EventsSource, file: str, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """Ids of patients or units. Raises :class:`DataError` for an empty cell."""
    labels = texts(column).set_axis(rows - HEADER)
    return apply_rule(labels, source.id_rule, file).to_numpy(dtype=object)


def codes_of(
    frame: pd.DataFrame, columns: list[str], name: str, file: str, rows: NDArray[np.int64]
) -> NDArray[np.object_]:
    """Codes: a constant, then the columns, joined by //."""
    parts = []
    for c in columns:
        text = texts(frame[c])
        empty = text.isna() | (text == "")
        if empty.any():
            at = int(rows[np.flatnonzero(empty.to_numpy())[0]])
            raise DataError(
                f"{file}, row {at}, column '{c}': no code ({int(empty.sum())} such row(s)). Say no_code: drop to leave them out."
            )
        parts.append(text)
    if not parts:
        return np.full(len(frame), name, dtype=object)
    out = parts[0]
    for p in parts[1:]:
        out = out + "//" + p
    return (f"{name}//" + out if name else out).to_numpy(dtype=object)
