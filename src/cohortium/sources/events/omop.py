"""OMOP Common Data Model 5.3 and 5.4: tables as Parquet or CSV in one folder.

Codes are ``<vocabulary>//<code>`` of the standard concept where the folder has the CONCEPT table, else
``OMOP//<concept id>``. The hour is taken from the ``_datetime`` column where it is filled and not midnight, else the date alone.
Deaths are outcomes and are not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.events import STATIC
from cohortium.errors import DataError
from cohortium.schema.shapes import EventsSource
from cohortium.sources.events.record import Record
from cohortium.sources.events.tables import owners_of
from cohortium.sources.named_columns import column_names, numbers, read_columns, texts
from cohortium.sources.raw import HEADER
from cohortium.sources.times import Place, Times, at_midnight, read_times

TABLES = {
    "condition_occurrence": ("condition_concept_id", "condition_start"),
    "drug_exposure": ("drug_concept_id", "drug_exposure_start"),
    "procedure_occurrence": ("procedure_concept_id", "procedure"),
    "measurement": ("measurement_concept_id", "measurement"),
    "observation": ("observation_concept_id", "observation"),
    "visit_occurrence": ("visit_concept_id", "visit_start"),
    "device_exposure": ("device_concept_id", "device_exposure_start"),
}
"""Table -> its concept column, and the beginning of its date and datetime columns."""


def read_omop(source: EventsSource, root: Path) -> tuple[list[Record], list[Path]]:
    """The clinical tables that the folder has."""
    folder = root / str(source.folder)
    if not folder.is_dir():
        raise DataError(f"No folder {folder}; expected the tables of an OMOP data set.")
    found = _tables(folder)
    wanted = [t for t in TABLES if t in found]
    if not wanted:
        raise DataError(f"{folder} holds none of the tables {', '.join(TABLES)} as .parquet or .csv.")
    names, files = {}, [found[t] for t in wanted]
    if "concept" in found:
        names = _concepts(found["concept"])
        files.append(found["concept"])
    return [r for t in wanted if (r := _read(t, found[t], names, source)) is not None], files


def _tables(folder: Path) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        name = file.name.lower()
        for ending in (".parquet", ".csv.gz", ".csv"):
            if name.endswith(ending) and not name.startswith("."):
                table = name.removesuffix(ending)
                if table in out:
                    raise DataError(f"{folder} holds the table '{table}' twice ({out[table].name}, {file.name}).")
                out[table] = file
    return out


def _concepts(file: Path) -> dict[int, str]:
    frame = read_columns(file, _named(file, ["concept_id", "vocabulary_id", "concept_code"], "concept"))
    vocabulary, code = (texts(frame.iloc[:, k]) for k in (1, 2))
    known = (vocabulary.notna() & code.notna()).to_numpy()
    ids = _concept_ids(frame.iloc[:, 0])
    return {int(i): f"{v}//{c}" for i, v, c in zip(ids[known], vocabulary[known], code[known], strict=True)}


def _named(file: Path, needed: list[str], table: str, more: tuple[str, ...] = ()) -> list[str]:
    """The columns as the file writes them (OMOP leaves capitals open): the needed ones, then those of ``more`` it has."""
    written = {str(c).lower(): str(c) for c in column_names(file)}
    for column in needed:
        if column not in written:
            raise DataError(f"{file.name} has no column '{column}', which the OMOP table {table} has.")
    return [written[c] for c in (*needed, *more) if c in written]


def _read(table: str, file: Path, names: dict[int, str], source: EventsSource) -> Record | None:
    concept, start = TABLES[table]
    more = (f"{start}_datetime", "value_as_number", "unit_concept_id", "unit_source_value")
    frame = read_columns(file, _named(file, ["person_id", concept, f"{start}_date"], table, more))
    frame.columns = frame.columns.str.lower()
    if not len(frame):
        return None
    rows = np.arange(len(frame)) + (1 if file.suffix == ".parquet" else HEADER)
    owner = owners_of(frame["person_id"], source, file.name, rows)
    code = _codes(frame[concept], names)
    value, unit = np.full(len(frame), np.nan), np.full(len(frame), None, dtype=object)
    if "value_as_number" in frame:
        value = numbers(frame["value_as_number"])
    if "unit_concept_id" in frame:
        unit = _codes(frame["unit_concept_id"], {k: v.split("//", 1)[1] for k, v in names.items()}, "")
        if "unit_source_value" in frame:
            unit = np.where(unit == "", texts(frame["unit_source_value"]).to_numpy(object), unit)
    return Record(file.name, "patient", owner, _times(frame, start, source, file.name, rows), code, value, unit, rows)


def _concept_ids(column: pd.Series) -> NDArray[np.int64]:
    """(n,) ids of concepts; 0, which is OMOP's "no matching concept", for what is no whole number."""
    x = numbers(column)
    return np.where(x == np.round(x), x, 0).astype(np.int64)


def _codes(column: pd.Series, names: dict[int, str], unknown: str | None = None) -> NDArray[np.object_]:
    distinct, at = np.unique(_concept_ids(column), return_inverse=True)
    labels = [names.get(int(i)) or (f"OMOP//{i}" if unknown is None or i else unknown) for i in distinct]
    return np.array(labels, dtype=object)[at]


def _times(frame: pd.DataFrame, start: str, source: EventsSource, file: str, rows: NDArray[np.int64]) -> Times:
    """The hour where it is given. Midnight is none: it is what OMOP has written where nobody knows the hour."""

    def place(column: str) -> Place:
        return lambda bad: f"{file}, row {int(rows[np.flatnonzero(bad)[0]])}, column '{start}_{column}'"

    dates = read_times(frame[f"{start}_date"], source.timezone, place("date"), day=True)
    if f"{start}_datetime" not in frame or source.resolution == "day" or not frame[f"{start}_datetime"].notna().any():
        return dates
    hours = frame[f"{start}_datetime"]
    exact = read_times(hours, source.timezone, place("datetime"))
    whole = read_times(hours, source.timezone, place("datetime"), day=True)
    has = hours.notna().to_numpy()
    alone = ~has & (dates.us != STATIC)
    if alone.any() and dates.clock != exact.clock:
        raise DataError(
            f"{place('date')(alone)}: there is a date alone, and the times of other rows have a zone. Say timezone: the zone of "
            "the dates."
        )
    midnight = at_midnight(hours)
    us = np.where(midnight, whole.us, exact.us)
    return Times(np.where(has, us, dates.us), np.where(has, exact.whole_day | midnight, dates.whole_day), exact.clock)
