"""OMOP Common Data Model 5.3 and 5.4: tables as Parquet or CSV in one folder.

Codes are ``<vocabulary>//<code>`` of the standard concept where the folder has the CONCEPT table, else
``OMOP//<concept id>``. The hour is taken from the ``_datetime`` column where it is filled, else the date alone.
Deaths are outcomes and are not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.schema.shapes import EventsSource
from cohortium.sources.events.record import Record, read_columns
from cohortium.sources.ids import apply_rule
from cohortium.sources.times import Times, read_times

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
    frame = read_columns(file, ["concept_id", "vocabulary_id", "concept_code"])
    ids = pd.to_numeric(frame["concept_id"], errors="coerce").fillna(0).astype(np.int64)
    return {int(i): f"{v}//{c}" for i, v, c in zip(ids, frame["vocabulary_id"], frame["concept_code"], strict=True)}


def _read(table: str, file: Path, names: dict[int, str], source: EventsSource) -> Record | None:
    concept, start = TABLES[table]
    frame = read_columns(file, None)
    frame.columns = frame.columns.str.lower()
    for column in ("person_id", concept, f"{start}_date"):
        if column not in frame:
            raise DataError(f"{file.name} has no column '{column}', which the OMOP table {table} has.")
    if not len(frame):
        return None
    rows = np.arange(len(frame)) + (1 if file.suffix == ".parquet" else 2)
    owner = apply_rule(_whole(frame["person_id"]), source.id_rule, file.name).to_numpy(dtype=object)
    code = _codes(frame[concept], names)
    value, unit = np.full(len(frame), np.nan), np.full(len(frame), None, dtype=object)
    if "value_as_number" in frame:
        value = pd.to_numeric(frame["value_as_number"], errors="coerce").to_numpy(np.float64)
    if "unit_concept_id" in frame:
        unit = _codes(frame["unit_concept_id"], {k: v.split("//", 1)[1] for k, v in names.items()}, "")
        if "unit_source_value" in frame:
            unit = np.where(unit == "", frame["unit_source_value"].to_numpy(object), unit)
    return Record(file.name, "patient", owner, _times(frame, start, source, file.name, rows), code, value, unit, rows)


def _codes(column: pd.Series, names: dict[int, str], unknown: str | None = None) -> NDArray[np.object_]:
    ids = pd.to_numeric(column, errors="coerce").fillna(0).astype(np.int64)
    distinct, at = np.unique(ids, return_inverse=True)
    texts = [names.get(int(i)) or (f"OMOP//{i}" if unknown is None or i else unknown) for i in distinct]
    return np.array(texts, dtype=object)[at]


def _times(frame: pd.DataFrame, start: str, source: EventsSource, file: str, rows: NDArray[np.int64]) -> Times:
    def place(bad: NDArray[np.bool_]) -> str:
        return f"{file}, row {int(rows[np.flatnonzero(bad)[0]])}, column '{start}_date'"

    dates = read_times(frame[f"{start}_date"], source.timezone, place, day=True)
    if f"{start}_datetime" not in frame or source.resolution == "day" or not frame[f"{start}_datetime"].notna().any():
        return dates
    exact = read_times(frame[f"{start}_datetime"], source.timezone, place)
    has = frame[f"{start}_datetime"].notna().to_numpy()
    return Times(np.where(has, exact.us, dates.us), np.where(has, exact.whole_day, dates.whole_day), exact.clock)


def _whole(column: pd.Series) -> pd.Series:
    return column.map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v), na_action="ignore")
