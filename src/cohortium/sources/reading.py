"""Unit table and modalities -> one cohort, aligned by unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Table
from cohortium.errors import DataError, did_you_mean
from cohortium.schema.declare import IdRule, ModalitySource, UnitsSource
from cohortium.sources.columns import ColumnReader, align
from cohortium.sources.formats import Raw, column_of, find, read_raw
from cohortium.sources.outcomes import endpoint_columns

DESIGN_COLUMNS = {"site": "site", "batch": "batch", "groups": "group", "index_time": "index_time", "weight": "weight"}


@dataclass(frozen=True, eq=False)
class ReadResult:
    """cohort; raw_units: the unit table as read (index: unit id). notes, left_out: modality -> texts, columns that are
    no features. unmatched: modality -> rows whose id is no unit. files: read, for hashing."""

    cohort: Cohort
    raw_units: pd.DataFrame
    notes: dict[str, list[str]] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def apply_rule(labels: pd.Series, rule: IdRule, file: str) -> pd.Series:
    """Ids from id cells. Raises DataError for a missing id."""
    if labels.isna().any() or (labels == "").any():
        row = int(np.flatnonzero((labels.isna() | (labels == "")).to_numpy())[0]) + 2
        raise DataError(f"{file}, row {row}: the id cell is empty.")
    ids = labels.astype(str)
    if rule.split is not None:
        parts = ids.str.split(rule.split, regex=False)
        longest = parts.map(len).min()
        if not -longest <= rule.part < longest:
            raise DataError(
                f"{file}: id_rule asks for part {rule.part}, and some ids have {longest} part(s) after splitting."
            )
        ids = parts.map(lambda p: p[rule.part])
    return ids.str[: rule.first] if rule.first is not None else ids


def read_units(source: UnitsSource, root: Path) -> tuple[pd.DataFrame, Raw]:
    """The unit table as read, indexed by unit id, with a column ``__patient__``."""
    raw = read_raw(root, source, None)
    ids = apply_rule(raw.labels, source.id_rule, raw.name)
    if ids.duplicated().any():
        rows = np.flatnonzero(ids.duplicated().to_numpy())
        raise DataError(
            f"{raw.name}, row {int(rows[0]) + 2}: this id stands in an earlier row too ({len(rows)} such row(s)). Each unit has "
            "one row. If a patient has several units, give the unit's own id column as 'id' and the patient's as 'patient'."
        )
    frame = raw.frame.copy()
    frame.index = pd.Index(ids.to_numpy(dtype=object), name="unit")
    frame[raw.id_name] = raw.labels.to_numpy(dtype=object)
    if source.patient is not None:
        patient = column_of(raw, source.patient)
        if patient.isna().any():
            raise DataError(
                f"{raw.name}, row {int(np.flatnonzero(patient.isna())[0]) + 2}, column '{source.patient}': no patient."
            )
        frame["__patient__"] = [str(int(p)) if isinstance(p, float) and p.is_integer() else str(p) for p in patient]
    else:
        frame["__patient__"] = frame.index.to_numpy(dtype=object)
    return frame, raw


def read_cohort(
    units: UnitsSource,
    modalities: Mapping[str, ModalitySource],
    root: Path,
    *,
    design: Mapping[str, str | None] | None = None,
    endpoints: Mapping[str, Any] | None = None,
    expected: Mapping[str, pd.DataFrame] | None = None,
    units_optional: bool = False,
) -> ReadResult:
    """Read a cohort.

    design: role (site, batch, groups, index_time, weight) -> column of the unit table. endpoints: their
    declarations; the columns they use are never features. expected: features frames of a fitted study, to
    which the files are aligned. units_optional: the unit file, and modality files, may be missing (new
    patients); units are then all that any modality file has. Raises :class:`DataError`.
    """
    design = {k: v for k, v in (design or {}).items() if v}
    try:
        frame, raw = read_units(units, root)
        files, id_name = [raw.path], raw.id_name
    except DataError:
        if not units_optional or (root / units.file).exists():
            raise
        frame, raw, files, id_name = _units_from_modalities(units, modalities, root)
    table = pd.DataFrame({"patient": frame["__patient__"].astype(object)}, index=frame.index)
    for role, column in design.items():
        if raw is not None:
            table[DESIGN_COLUMNS[role]] = _design_column(raw, column, role).to_numpy()
    reserved = _reserved(units, design, endpoints or {}, root)
    tables, notes, unmatched, left_out = {}, {}, {}, {}
    absent = pd.DataFrame(index=table.index)
    for name, source in modalities.items():
        if units_optional and not (root / source.file).exists():
            empty = expected[name] if expected is not None else None
            if empty is None:
                raise DataError(f"No file '{source.file}' for modality '{name}'.")
            tables[name] = Table(pd.Index([], dtype=object), np.zeros((0, len(empty))), empty)
            notes[name] = [f"{Path(source.file).name} is not there: nobody has this modality"]
            continue
        reader = _ModalityReader(name, source, root, id_name, table, reserved)
        tables[name] = reader.table()
        notes[name], unmatched[name], left_out[name] = reader.notes, reader.unmatched, reader.left_out
        files.append(reader.path)
        if expected is not None:
            tables[name], more = align(tables[name], expected[name], reader.path.name)
            notes[name] += more
        absent[name] = source.absent_reason
    cohort = Cohort(table, tables, absent if len(absent.columns) else None)
    raw_units = frame.drop(columns="__patient__")
    return ReadResult(cohort, raw_units, notes, unmatched, left_out, list(dict.fromkeys(files)))


def _design_column(raw: Raw, column: str, role: str) -> pd.Series:
    values = column_of(raw, column)
    if role == "index_time":
        time = pd.to_datetime(values, errors="coerce", format="mixed")
        if time.isna().any():
            row = int(np.flatnonzero(time.isna())[0]) + 2
            raise DataError(f"{raw.name}, row {row}, column '{column}': expected a date (index_time).")
        return time
    if role == "weight":
        number = pd.to_numeric(values, errors="coerce")
        if number.isna().any() or (number < 0).any():
            row = int(np.flatnonzero(number.isna() | (number < 0))[0]) + 2
            raise DataError(f"{raw.name}, row {row}, column '{column}': expected a weight, a number of at least 0.")
        return number
    return values.map(
        lambda v: None if pd.isna(v) else str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)
    )


def _units_from_modalities(
    units: UnitsSource, modalities: Mapping[str, ModalitySource], root: Path
) -> tuple[pd.DataFrame, Raw | None, list[Path], str]:
    ids: dict[str, None] = {}
    for source in modalities.values():
        if (root / source.file).exists() and source.orientation != "units_in_columns":
            raw = read_raw(root, source, units.id)
            ids.update(dict.fromkeys(apply_rule(raw.labels, source.id_rule, raw.name)))
    if not ids:
        raise DataError(f"In {root} there is neither {Path(units.file).name} nor any modality's file.")
    index = pd.Index(list(ids), dtype=object, name="unit")
    return pd.DataFrame({"__patient__": index.to_numpy(dtype=object)}, index=index), None, [], units.id or "id"


def _reserved(
    units: UnitsSource, design: Mapping[str, str | None], endpoints: Mapping[str, Any], root: Path
) -> dict[Path, set[str]]:
    """File -> columns that are ids, design or endpoints there."""
    out: dict[Path, set[str]] = {}

    def add(file: str, columns: set[str]) -> None:
        out.setdefault((root / file).resolve(), set()).update(columns)

    add(units.file, {c for c in (units.id, units.patient, *design.values()) if c})
    for spec in endpoints.values():
        add(spec.file or units.file, endpoint_columns(spec))
    return out


class _ModalityReader:
    """Reads one modality; what it noticed stays on it."""

    def __init__(
        self,
        name: str,
        source: ModalitySource,
        root: Path,
        id_name: str,
        units: pd.DataFrame,
        reserved: dict[Path, set[str]],
    ) -> None:
        self.name, self.source, self.units = name, source, units
        self.path = find(root, source.file)
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.unmatched = 0
        self.reserved = reserved.get(self.path.resolve(), set())
        self.raw = self._oriented(read_raw(root, source, id_name))

    def _oriented(self, raw: Raw) -> Raw:
        how = self.source.orientation
        if how == "units_in_rows":
            return raw
        wanted = set(self.units.index) | set(self.units["patient"])
        in_rows = sum(v in wanted for v in self._ruled(raw.labels.dropna()))
        columns = pd.Series([str(c) for c in raw.frame.columns], dtype=object)
        in_columns = sum(v in wanted for v in self._ruled(columns)) if len(columns) else 0
        if how == "auto" and in_columns <= in_rows:
            return raw
        if how == "auto":
            self.notes.append(
                f"units are in the columns (features × units): {in_columns} column names are unit ids; turned"
            )
        names = raw.labels.astype(str)
        if names.duplicated().any():
            row = int(np.flatnonzero(names.duplicated())[0]) + 2
            raise DataError(
                f"{raw.name}, row {row}: the feature name stands in an earlier row too. Make feature names unique."
            )
        frame = raw.frame.T
        frame.columns = list(names)
        if any(pd.api.types.is_object_dtype(d) for d in raw.frame.dtypes):
            frame = frame.infer_objects()
            frame = frame.apply(
                lambda c: pd.to_numeric(c) if pd.to_numeric(c, errors="coerce").notna().sum() == c.notna().sum() else c
            )
        return Raw(raw.path, columns, frame.reset_index(drop=True), "column name")

    def _ruled(self, labels: pd.Series) -> list[str]:
        rule = self.source.id_rule
        ids = labels.astype(str)
        if rule.split is not None:
            ids = ids.map(
                lambda v: [*v.split(rule.split), ""][rule.part] if rule.part < len(v.split(rule.split)) else v
            )
        return list(ids.str[: rule.first] if rule.first is not None else ids)

    def table(self) -> Table:
        ids = apply_rule(self.raw.labels, self.source.id_rule, self.raw.name)
        frame = self._columns(self.raw.frame)
        rows = np.arange(len(ids)) + 2
        keep, position = self._matched(ids)
        frame, rows, position = frame[keep], rows[keep], position[keep]
        order = self._latest_order(keep)
        reader = ColumnReader(self.raw.name, self.source.kinds, self.source.levels, rows)
        values, features = reader.read(frame, self.source.id_space)
        self.notes += reader.notes
        self.left_out += reader.dates
        if not len(features):
            raise DataError(
                f"{self.raw.name}: no feature is left for modality '{self.name}'. Its other columns are ids, endpoints or left out."
            )
        values, position = self._merge(values, position, rows, features, order)
        values = self._transformed(values, features)
        empty = np.isnan(values).all(axis=1)
        if empty.any():
            self.notes.append(f"{int(empty.sum())} row(s) without any value count as not having the modality")
            values, position = values[~empty], position[~empty]
        return self._broadcast(values, position, features)

    def _columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        source, names = self.source, [str(c) for c in frame.columns]
        frame = frame.set_axis(names, axis=1)
        for what, listed in (
            ("columns", source.columns or []),
            ("exclude", source.exclude),
            ("recorded_after_index", source.recorded_after_index),
        ):
            for c in listed:
                if c not in names:
                    raise DataError(
                        f"{what} of modality '{self.name}' names '{c}', which is no column of {self.raw.name}.{did_you_mean(c, names)}"
                    )
        unwanted = {*source.exclude, *source.recorded_after_index, *([source.latest_by] if source.latest_by else [])}
        taken = [c for c in (source.columns or names) if c in self.reserved]
        if taken:
            asked = [c for c in (source.columns or []) if c in self.reserved]
            if asked:
                raise DataError(
                    f"modality '{self.name}' asks for column '{asked[0]}', which is an id, design or endpoint column of the study: "
                    "it cannot be a predictor too."
                )
            self.notes.append(f"columns of endpoints and design are no features: {', '.join(taken)}")
        self.left_out += [*source.recorded_after_index]
        keep = [c for c in (source.columns or names) if c not in unwanted and c not in self.reserved]
        return frame[keep]

    def _matched(self, ids: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        by_unit = self.units.index.get_indexer(pd.Index(ids.to_numpy(dtype=object)))
        if (by_unit >= 0).any():
            self.by_patient = False
            position = by_unit
        else:
            self.patients = pd.Index(self.units["patient"].unique())
            position = self.patients.get_indexer(pd.Index(ids.to_numpy(dtype=object)))
            self.by_patient = True
            if not (position >= 0).any():
                raise DataError(self._no_match(ids))
            if len(self.patients) < len(self.units):
                self.notes.append("rows are patients: each patient's values are given to all their units")
        self.unmatched = int((position < 0).sum())
        if self.unmatched:
            self.notes.append(f"{self.unmatched} of {len(ids)} row(s) have an id that is no unit; they are not used")
        return position >= 0, position

    def _no_match(self, ids: pd.Series) -> str:
        a, b = sorted(set(ids.str.len())), sorted(set(pd.Series(self.units.index).str.len()))

        def span(v: list[int]) -> str:
            return str(v[0]) if v[0] == v[-1] else f"{v[0]} to {v[-1]}"

        hint = f" Try id_rule: {{first: {b[0]}}}." if a[0] > b[-1] and b[0] == b[-1] else ""
        if not hint and any(v.lstrip("0") in set(self.units.index) for v in ids.head(50)):
            hint = " Some ids differ by leading zeros only: a program has read them as numbers."
        return (
            f"{self.raw.name}: no row of modality '{self.name}' belongs to a unit. Ids there have {span(a)} characters, the unit "
            f"table's have {span(b)}.{hint} Is the id column right ('{self.raw.id_name}'), and the orientation?"
        )

    def _latest_order(self, keep: np.ndarray) -> np.ndarray | None:
        by = self.source.latest_by
        if by is None:
            return None
        column = column_of(self.raw, by)[keep]
        number = pd.to_numeric(column, errors="coerce")
        if number.isna().all():
            number = pd.to_datetime(column, errors="coerce", format="mixed").astype("int64").where(column.notna())
        return number.fillna(-np.inf).to_numpy(float)

    def _merge(
        self,
        values: np.ndarray,
        position: np.ndarray,
        rows: np.ndarray,
        features: pd.DataFrame,
        order: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        twice = pd.Series(position).duplicated().to_numpy()
        if not twice.any():
            at = np.argsort(position, kind="stable")
            return values[at], position[at]
        how = self.source.duplicates
        if how == "error":
            row = int(rows[np.flatnonzero(twice)[0]])
            raise DataError(
                f"{self.raw.name}, row {row}: this unit stands in an earlier row too ({int(twice.sum())} such row(s)). Say "
                "duplicates: mean, first or latest, or mend the file."
            )
        self.notes.append(f"{int(twice.sum())} further row(s) of the same unit were merged ({how})")
        if how == "mean":
            frame = pd.DataFrame(values).groupby(position, sort=True)
            merged, first = frame.mean(), frame.first()
            coded = features["levels"].notna().to_numpy()
            merged.loc[:, coded] = first.loc[:, coded]
            return merged.to_numpy(), merged.index.to_numpy()
        at = np.lexsort((np.arange(len(position)), -order if order is not None else np.arange(len(position)), position))
        chosen = at[np.unique(position[at], return_index=True)[1]]
        return values[chosen], position[chosen]

    def _transformed(self, values: np.ndarray, features: pd.DataFrame) -> np.ndarray:
        if self.source.transform == "none":
            return values
        numeric = features["levels"].isna().to_numpy()
        x = values.copy()
        if (x[:, numeric] < 0).any():
            raise DataError(
                f"{self.raw.name}: transform: {self.source.transform} of modality '{self.name}' needs values of at least 0."
            )
        x[:, numeric] = np.log1p(x[:, numeric]) / (np.log(2.0) if self.source.transform == "log2p1" else 1.0)
        return x

    def _broadcast(self, values: np.ndarray, position: np.ndarray, features: pd.DataFrame) -> Table:
        if not self.by_patient:
            return Table(self.units.index[position], values, features)
        of_unit = self.patients.get_indexer(self.units["patient"])
        row_of = np.full(len(self.patients), -1)
        row_of[position] = np.arange(len(position))
        at = row_of[of_unit]
        return Table(self.units.index[at >= 0], values[at[at >= 0]], features)
