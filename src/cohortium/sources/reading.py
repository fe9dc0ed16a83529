"""Unit table and modalities -> one cohort, aligned by unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Modality, Table
from cohortium.errors import DataError
from cohortium.schema.cells import CellsSource
from cohortium.schema.declare import ModalitySource, UnitsSource
from cohortium.schema.notes import NotesSource
from cohortium.sources.batches import BatchColumns, batches_of
from cohortium.sources.cells import CellsReader, measures
from cohortium.sources.cytometry import CytometryReader
from cohortium.sources.events import EventsReader
from cohortium.sources.feature_ids import without_version
from cohortium.sources.formats import read_raw
from cohortium.sources.ids import apply_leniently, apply_rule
from cohortium.sources.images import ImagesReader, as_before
from cohortium.sources.index import IndexTime
from cohortium.sources.modality import ModalityReader
from cohortium.sources.notes import NotesReader
from cohortium.sources.outcomes import endpoint_columns, remember_rows
from cohortium.sources.raw import Raw, column_of
from cohortium.sources.variants import VariantsReader

READERS: dict[str, Any] = {
    "texts": NotesReader,
    "events": EventsReader,
    "images": ImagesReader,
    "cells": CellsReader,
    "cytometry": CytometryReader,
    "variants": VariantsReader,
}
"""Shape -> reader of modalities that are no tables: ``(name, source, root, unit table, index times)``, ``read()``."""

DESIGN_COLUMNS = {"site": "site", "batch": "batch", "groups": "group", "index_time": "index_time", "weight": "weight"}


@dataclass(frozen=True, eq=False)
class ReadResult:
    """cohort; raw_units: the unit table as read (index: unit id). notes, left_out: modality -> texts, columns that are
    no features. unmatched: modality -> rows whose id is no unit. transforms: modality -> what was done to its values.
    files: read, for hashing."""

    cohort: Cohort
    raw_units: pd.DataFrame
    notes: dict[str, list[str]] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    transforms: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def said_by(self, reader: Any, paths: list[Path]) -> None:
        """Keep what a modality's reader has to say."""
        name = reader.name
        self.notes[name], self.unmatched[name], self.left_out[name] = reader.notes, reader.unmatched, reader.left_out
        if getattr(reader, "transform", ""):
            self.transforms[name] = reader.transform
        self.files.extend(paths)


def read_units(source: UnitsSource, root: Path, agreeing: set[str] | None = None) -> tuple[pd.DataFrame, Raw]:
    """The unit table as read, indexed by unit id, with a column ``__patient__``.

    agreeing: columns that all rows of a unit must agree on, where the study takes the first of several.
    """
    raw = read_raw(root, source, None)
    ids = apply_rule(raw.labels, source.id_rule, raw.name)
    if source.duplicates == "first" and ids.duplicated().any():
        raw = _first_rows(raw, ids, agreeing or set())
        ids = apply_rule(raw.labels, source.id_rule, raw.name)
    if ids.duplicated().any():
        raise DataError(
            f"{raw.name}, row {raw.row_of(ids.duplicated())}: this id stands in an earlier row too "
            f"({int(ids.duplicated().sum())} such row(s)). Each unit has "
            "one row (or say duplicates: first). If a patient has several units, give the unit's own id column as 'id' and the patient's as 'patient'."
        )
    frame = raw.frame.copy()
    frame.index = pd.Index(ids.to_numpy(dtype=object), name="unit")
    frame[raw.id_name] = raw.labels.to_numpy(dtype=object)
    remember_rows(frame, raw)
    if source.patient is not None:
        patient = column_of(raw, source.patient)
        if patient.isna().any():
            raise DataError(f"{raw.name}, row {raw.row_of(patient.isna())}, column '{source.patient}': no patient.")
        frame["__patient__"] = [str(int(p)) if isinstance(p, float) and p.is_integer() else str(p) for p in patient]
    else:
        frame["__patient__"] = frame.index.to_numpy(dtype=object)
    return frame, raw


def _first_rows(raw: Raw, ids: pd.Series, agreeing: set[str]) -> Raw:
    twice = ids.duplicated().to_numpy()
    for c in sorted(agreeing & set(map(str, raw.frame.columns))):
        column = raw.frame[c].astype(object).where(raw.frame[c].notna(), None)
        first = column[~twice].set_axis(ids[~twice].to_numpy()).reindex(ids.to_numpy()).to_numpy()
        differs = np.array([a != b for a, b in zip(column, first, strict=True)])
        if differs.any():
            raise DataError(
                f"{raw.name}, row {raw.row_of(pd.Series(differs))}, column '{c}': rows of one unit differ in what is "
                "predicted. Give the table one row per unit."
            )
    keep = np.flatnonzero(~twice)
    return Raw(raw.path, raw.labels.iloc[keep], raw.frame.iloc[keep], raw.id_name)


def _endpoint_columns_in(file: str, endpoints: Mapping[str, Any]) -> set[str]:
    return set().union(*(endpoint_columns(e) for e in endpoints.values() if e.file in (None, file)))


def _outcomes(endpoints: Mapping[str, Any] | None) -> set[str]:
    """Columns that endpoints are made of."""
    return set().union(*(endpoint_columns(e) - {e.id} for e in (endpoints or {}).values()))


def read_cohort(
    units: UnitsSource,
    modalities: Mapping[str, Any],
    root: Path,
    *,
    design: Mapping[str, str | None] | None = None,
    index: IndexTime | None = None,
    endpoints: Mapping[str, Any] | None = None,
    expected: Mapping[str, pd.DataFrame] | None = None,
    units_optional: bool = False,
    batch: str | None = None,
    tell: Callable[[str, int, int], None] | None = None,
) -> ReadResult:
    """Read a cohort.

    design: role (site, batch, groups, index_time, weight) -> column of the unit table. endpoints: their declarations; the
    columns they use are never features. index: when predictions are made. expected: features frames of a fitted study, to
    which the files are aligned. units_optional: the unit file, and modality files, may be missing (new patients); units
    are then all that any modality file has. batch: of new patients, the column by which modalities are harmonised; it may
    be missing. tell: called with a modality and how many of its images are done, of how many. Raises :class:`DataError`.
    """
    design, index = {k: v for k, v in (design or {}).items() if v}, index or IndexTime()
    if units_optional and not (root / units.file).exists():
        index.needs_no_units(modalities, units.file)
        frame, raw, files, id_name = _units_from_modalities(units, modalities, root, expected or {}), None, [], units.id
    else:
        frame, raw = read_units(units, root, _endpoint_columns_in(units.file, endpoints or {}))
        files, id_name = [raw.path], raw.id_name
        frame, raw = index.expanded(frame, raw)
    if units_optional and not any(_is_there(s, root) for s in modalities.values()):
        raise DataError(f"In {root} there is no modality's file; at least one is needed.")
    table = _unit_table(frame, raw, design)
    times = index.times(frame, raw)
    reserved = _reserved(units, id_name, design, endpoints or {}, root)
    measured = BatchColumns(table.index, raw, design.get("batch", batch), _outcomes(endpoints), units_optional)
    out = ReadResult(Cohort(table, {}), frame.drop(columns="__patient__"), files=files)
    tables, absent = dict[str, Modality](), pd.DataFrame(index=table.index, dtype=object)
    for name, source in modalities.items():
        absent[name], old = source.absent_reason, None if expected is None else expected[name]
        if not isinstance(source, ModalitySource):
            if units_optional and not _is_there(source, root):
                out.notes[name] = ["its files, or its part of them, are not there: nobody has this modality"]
                continue
            _refuse_outcomes(name, source, root, reserved, endpoints or {})
            other = READERS[source.shape](name, source, root, table, times)
            tables[name] = _told(other, tell, old)
            absent[name] = other.why
            out.said_by(other, other.paths)
            continue
        if units_optional and old is not None and not (root / source.file).exists():
            tables[name] = Table(pd.Index([], dtype=object), np.zeros((0, len(old))), old)
            out.notes[name] = [f"{Path(source.file).name} is not there: nobody has this modality"]
            continue
        here = reserved.get((root / source.file).resolve(), set())
        reader = ModalityReader(name, source, root, id_name, table, here, old)
        tables[name] = measured.carried(reader.table(), source, reader.notes)
        out.said_by(reader, [reader.path])
    return replace(out, cohort=Cohort(table, tables, absent), files=list(dict.fromkeys(out.files)))


def _unit_table(frame: pd.DataFrame, raw: Raw | None, design: Mapping[str, str]) -> pd.DataFrame:
    table = pd.DataFrame({"patient": frame["__patient__"].astype(object)}, index=frame.index)
    for role, column in design.items():
        if raw is not None:
            table[DESIGN_COLUMNS[role]] = _design_column(raw, column, role).to_numpy()
    return table


def _refuse_outcomes(
    name: str, source: Any, root: Path, reserved: Mapping[Path, set[str]], endpoints: Mapping[str, Any]
) -> None:
    """Columns of text that are ids, design or endpoints of the same file, or called as an endpoint's anywhere."""
    texts = source.columns if isinstance(source, NotesSource) else []
    texts = [c for c in (source.cell_type,) if c] if isinstance(source, CellsSource) else texts
    outcomes = _outcomes(endpoints)
    for column in texts:
        if column in outcomes or column in reserved.get((root / source.paths[0]).resolve(), set()):
            raise DataError(
                f"{Path(source.paths[0]).name}, column '{column}': an endpoint, id or design column is nothing to predict "
                f"from. Leave it out of modality '{name}'."
            )


def _told(reader: Any, tell: Callable[[str, int, int], None] | None, expected: pd.DataFrame | None) -> Modality:
    """A modality that is no table; images tell how far they are, and come in the shape that a model was fitted to."""
    if isinstance(reader, CellsReader):
        reader.expected = expected
    if isinstance(reader, VariantsReader | CytometryReader):
        return reader.read(expected)
    if not isinstance(reader, ImagesReader):
        return reader.read()  # type: ignore[no-any-return]
    if tell is not None:
        reader.tell = partial(tell, reader.name)
    found = reader.read()
    return found if expected is None else as_before(found, expected, reader.name)


def _is_there(source: Any, root: Path) -> bool:
    if isinstance(source, ModalitySource):
        return (root / source.file).exists()
    if isinstance(source, CellsSource) and (root / source.file).exists():
        # A file of genes alone is no file of proteins: nobody has these.
        return measures(root / source.file, source.modality, source.obsm)
    return any((root / f).exists() for f in source.paths)


def _design_column(raw: Raw, column: str, role: str) -> pd.Series:
    values = column_of(raw, column)
    if role == "index_time":
        # Years and compact dates come as numbers; day/month order is never guessed.
        whole = values.map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else v).astype(str)
        time = pd.to_datetime(whole, errors="coerce", format="ISO8601")
        if time.isna().any():
            row = raw.row_of(time.isna())
            raise DataError(
                f"{raw.name}, row {row}, column '{column}': expected a date as year-month-day (index_time)."
            )
        return time
    if role == "weight":
        number = pd.to_numeric(values, errors="coerce")
        if number.isna().any() or (number < 0).any():
            row = raw.row_of(number.isna() | (number < 0))
            raise DataError(f"{raw.name}, row {row}, column '{column}': expected a weight, a number of at least 0.")
        return number
    if role == "groups" and values.isna().any():
        row = raw.row_of(values.isna())
        raise DataError(f"{raw.name}, row {row}, column '{column}': expected a group; who belongs together is unknown.")
    return batches_of(values)


def _units_from_modalities(
    units: UnitsSource, modalities: Mapping[str, Any], root: Path, expected: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """A unit table of all ids that any modality's file has."""
    ids: dict[str, None] = {}
    for name, source in modalities.items():
        if not _is_there(source, root):
            continue
        if not isinstance(source, ModalitySource):
            raise DataError(
                f"{Path(units.file).name} is not there: modality '{name}' needs the unit table, which says who the units are."
            )
        raw = read_raw(root, source, units.id)
        turned = source.orientation == "units_in_columns"
        if source.orientation == "auto" and name in expected:
            # Without a unit table the features that the model knows say which way the file lies.
            features = set(map(str, expected[name].index))
            plain = without_version if source.strip_version else str
            turned = sum(plain(v) in features for v in raw.labels) > sum(plain(c) in features for c in raw.frame)
        found = apply_leniently(raw.frame.columns, source.id_rule) if turned else None
        ids.update(dict.fromkeys(found or apply_rule(raw.labels, source.id_rule, raw.name)))
    if not ids:
        raise DataError(f"In {root} there is neither {Path(units.file).name} nor any modality's file.")
    index = pd.Index(list(ids), dtype=object, name="unit")
    return pd.DataFrame({"__patient__": index.to_numpy(dtype=object)}, index=index)


def _reserved(
    units: UnitsSource, id_name: str | None, design: Mapping[str, str], endpoints: Mapping[str, Any], root: Path
) -> dict[Path, set[str]]:
    """File -> columns that are ids, design or endpoints there."""
    out: dict[Path, set[str]] = {}

    def add(file: str, columns: set[str]) -> None:
        out.setdefault((root / file).resolve(), set()).update(columns)

    add(units.file, {c for c in (units.id, id_name, units.patient, *design.values()) if c})
    for spec in endpoints.values():
        add(spec.file or units.file, endpoint_columns(spec))
    return out
