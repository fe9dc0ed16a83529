"""Endpoint declarations and the unit table -> outcomes, with everybody who has none counted by reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.errors import DataError, EndpointError, did_you_mean_column
from cohortium.schema import Endpoint, EndpointKind
from cohortium.schema.declare import (
    UNKNOWN_CAUSE,
    BinarySpec,
    CompetingRisksSpec,
    Condition,
    ContinuousSpec,
    FileSource,
    IdRule,
    MulticlassSpec,
    OrdinalSpec,
    SurvivalSpec,
    Values,
)
from cohortium.schema.durations import unit_days
from cohortium.sources.columns import level_name, sorted_levels
from cohortium.sources.formats import read_raw
from cohortium.sources.ids import apply_rule, hint
from cohortium.sources.index import LANDMARK
from cohortium.sources.raw import HEADER, Raw, equals

_YES = {"1", "yes", "true", "y", "t", "positive", "pos", "dead", "deceased"}
_NO = {"0", "no", "false", "n", "f", "negative", "neg", "alive", "living"}


def endpoint_columns(spec: Any) -> set[str]:
    """Columns that an endpoint uses: none of them is a predictor."""
    out = {getattr(spec, a, None) for a in ("column", "time", "entry", "id", "cause")}
    for condition in (getattr(spec, "positive", None), getattr(spec, "event", None), *spec.exclude_where):
        out.add(condition.column if isinstance(condition, Condition) else None)
    if isinstance(getattr(spec, "event", None), str):
        out.add(spec.event)
    return {c for c in out if c}


def remember_rows(frame: pd.DataFrame, raw: Raw) -> None:
    """Let a unit table know its file and, where rows were left out, the spreadsheet row of each."""
    frame.attrs["file"] = raw.name
    if not (raw.rows == np.arange(len(raw.rows)) + HEADER).all():
        frame.attrs["rows"] = tuple(map(int, raw.rows))


class _Columns:
    """Columns of one endpoint, aligned to the units; complaints name the endpoint and the file."""

    def __init__(
        self, name: str, spec: Any, raw_units: pd.DataFrame, root: Path, units_id: str | None, id_rule: IdRule | None
    ) -> None:
        self.name, self.frame = name, raw_units
        self.file = raw_units.attrs.get("file", "the unit table")
        rows = raw_units.attrs.get("rows", ())
        self.rows = np.array(rows) if len(rows) == len(raw_units) else np.arange(len(raw_units)) + HEADER
        if spec.file is None:
            return
        rule = id_rule or IdRule()
        raw = read_raw(root, FileSource(file=spec.file, id=spec.id), units_id)
        ids = apply_rule(raw.labels, rule, raw.name)
        if ids.duplicated().any():
            raise DataError(
                f"{raw.name}, row {raw.row_of(ids.duplicated())}: this id stands in an earlier row too; an endpoint has one "
                "row per unit."
            )
        position = pd.Index(ids.to_numpy(dtype=object)).get_indexer(raw_units.index)
        if not (position >= 0).any():
            raise DataError(
                f"{raw.name}: no row of endpoint '{name}' belongs to a unit.{hint(list(ids), raw_units.index)} Is the id column "
                f"right ('{raw.id_name}')?"
            )
        self.file, self.rows = raw.name, raw.rows[position]
        self.frame = raw.frame.reset_index(drop=True).reindex(np.where(position < 0, len(ids), position))
        self.frame.index = raw_units.index

    def row(self, which: np.ndarray) -> str:
        """File and spreadsheet row of the first true of an (n,) mask."""
        return f"{self.file}, row {int(self.rows[np.flatnonzero(which)[0]])}"

    def get(self, column: str) -> pd.Series:
        if column not in self.frame.columns:
            raise EndpointError(
                f"endpoint '{self.name}' uses column '{column}', which {self.file} does not have."
                f"{did_you_mean_column(column, map(str, self.frame.columns))}"
            )
        return self.frame[column]

    def number(self, column: str, what: str) -> pd.Series:
        raw = self.get(column)
        x = pd.to_numeric(raw, errors="coerce")
        bad = (x.isna() & raw.notna()).to_numpy()
        if bad.any():
            raise EndpointError(
                f"{self.row(bad)}, column '{column}': the {what} of endpoint '{self.name}' is not a number."
            )
        return x

    def condition(self, c: Condition, nobody: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(n,) holds, (n,) known. nobody: it may hold for nobody (an exclusion that new patients do not need)."""
        column = self.get(c.column)
        known = column.notna().to_numpy()
        bounds = ((c.above, np.greater), (c.at_least, np.greater_equal), (c.below, np.less))
        for bound, compare in bounds:
            if bound is not None:
                return compare(self.number(c.column, "condition").to_numpy(float), bound), known
        holds = np.zeros(len(column), dtype=bool)
        for value in c.one_of if c.one_of is not None else [c.equals]:
            holds |= equals(column, value)
        if (not nobody and not holds[known].any()) or holds[known].all():
            found = sorted_levels([level_name(v) for v in column.dropna().unique()])
            listed = f": {', '.join(found)}" if len(found) <= 10 else ""
            which = "nobody" if not holds[known].any() else "everybody"
            raise EndpointError(
                f"endpoint '{self.name}': the condition on '{c.column}' holds for {which}. The column has {len(found)} distinct value(s){listed}."
            )
        return holds, known


def read_outcome(
    name: str,
    spec: Any,
    raw_units: pd.DataFrame,
    root: Path,
    units_id: str | None = None,
    id_rule: IdRule | None = None,
) -> tuple[Outcome, dict[str, int]]:
    """The outcome of the units with a usable label, in the order of the unit table, and reason -> units without one.

    Raises :class:`EndpointError` for one class, no events, negative or zero times, entry at or after the time.
    """
    columns = _Columns(name, spec, raw_units, root, units_id, id_rule)
    dropped = np.full(len(raw_units), "", dtype=object)
    for c in spec.exclude_where:
        holds, _ = columns.condition(c, nobody=True)
        dropped[holds & (dropped == "")] = f"excluded by the study file ({c.column})"
    makers: dict[type, Callable[..., Outcome]] = {
        BinarySpec: _binary,
        MulticlassSpec: _classes,
        OrdinalSpec: _classes,
        ContinuousSpec: _continuous,
        SurvivalSpec: _survival,
        CompetingRisksSpec: _competing,
    }
    if LANDMARK in raw_units:
        _at_landmark(name, spec, raw_units, columns, dropped)
    outcome = makers[type(spec)](name, spec, columns, dropped)
    reasons = pd.Series(dropped[dropped != ""]).value_counts(sort=False).sort_index()
    return outcome, {str(k): int(v) for k, v in reasons.items()}


def _at_landmark(name: str, spec: Any, raw_units: pd.DataFrame, columns: _Columns, dropped: np.ndarray) -> None:
    """Survival counts from the landmark, for those still under observation then (van Houwelingen 2007, SJS 34:70)."""
    if not isinstance(spec, SurvivalSpec | CompetingRisksSpec) or spec.file is not None or getattr(spec, "entry", None):
        raise EndpointError(
            f"endpoint '{name}': with design.landmarks an endpoint is a survival time from the patient's zero, in the unit "
            "table, without entry."
        )
    total = columns.number(spec.time, "time").to_numpy(float)
    rest = total - raw_units[LANDMARK].to_numpy(float) / unit_days(spec.time_unit)
    _drop(dropped, np.isfinite(total) & (total >= 0) & (rest <= 0), "event or end of follow-up before the landmark")
    columns.frame = columns.frame.assign(**{spec.time: rest})


def _drop(dropped: np.ndarray, rows: np.ndarray, reason: str) -> None:
    dropped[rows & (dropped == "")] = reason


def _kept(columns: _Columns, dropped: np.ndarray, name: str) -> np.ndarray:
    rows = np.flatnonzero(dropped == "")
    if len(rows) < 10:
        raise EndpointError(
            f"endpoint '{name}': only {len(rows)} unit(s) have a usable label; nothing can be estimated."
        )
    return rows


def _units(columns: _Columns, rows: np.ndarray) -> np.ndarray:
    return columns.frame.index.to_numpy(dtype=object)[rows]


def _binary(name: str, spec: BinarySpec, columns: _Columns, dropped: np.ndarray) -> Outcome:
    if isinstance(spec.positive, Condition):
        holds, known = columns.condition(spec.positive)
        classes = (f"not {name}", name)
    else:
        assert spec.column is not None
        column = columns.get(spec.column)
        texts = column.map(lambda v: None if pd.isna(v) else level_name(v))
        found = sorted_levels([t for t in texts if t is not None])
        positive = spec.positive if spec.positive is not None else _guess_positive(name, spec.column, found)
        holds, known = equals(column, positive), column.notna().to_numpy()
        if not holds.any():
            raise EndpointError(
                f"endpoint '{name}': nobody has '{spec.column}' equal to '{positive}'."
                + (
                    f" The column holds: {', '.join(found)}."
                    if len(found) <= 10
                    else f" The column has {len(found)} distinct values."
                )
            )
        others = [f for f in found if not equals(pd.Series([f], dtype=object), positive)[0]]
        if spec.negative is not None:
            negative = equals(column, spec.negative)
            _drop(dropped, known & ~holds & ~negative, f"{spec.column} is neither {positive} nor {spec.negative}")
            others = [level_name(spec.negative)]
        classes = (others[0] if len(others) == 1 else f"not {level_name(positive)}", level_name(positive))
    _drop(dropped, ~known, "outcome missing")
    rows = _kept(columns, dropped, name)
    codes = holds[rows].astype(np.int64)
    if codes.min() == codes.max():
        raise EndpointError(
            f"endpoint '{name}' has one class: all {len(rows)} units with a label are '{classes[codes[0]]}'."
        )
    return ClassOutcome(
        Endpoint(name, EndpointKind.BINARY, classes, prevalence=spec.prevalence), _units(columns, rows), codes
    )


def _guess_positive(name: str, column: str, found: list[str]) -> str:
    yes = [f for f in found if f.lower() in _YES]
    if len(yes) == 1 and (len(found) == 2 or any(f.lower() in _NO for f in found)):
        return yes[0]
    listed = f": {', '.join(found)}" if len(found) <= 10 else ""
    raise EndpointError(
        f"endpoint '{name}': say which value of '{column}' is positive. It has {len(found)} distinct value(s){listed}."
    )


def _classes(name: str, spec: MulticlassSpec | OrdinalSpec, columns: _Columns, dropped: np.ndarray) -> Outcome:
    column = columns.get(spec.column)
    texts = column.map(lambda v: None if pd.isna(v) else level_name(v))
    found = sorted_levels([t for t in texts if t is not None])
    kind = EndpointKind(spec.kind)
    if spec.classes is None:
        if len(found) > 20:
            raise EndpointError(
                f"endpoint '{name}': '{spec.column}' has {len(found)} distinct values. Name the classes, or is it continuous?"
            )
        classes = found
    else:
        classes = [level_name(c) for c in spec.classes]
        strange = [f for f in found if f not in classes]
        if strange and kind is EndpointKind.ORDINAL:
            raise EndpointError(
                f"endpoint '{name}': '{spec.column}' holds {len(strange)} value(s) that 'classes' does not order. Ordered are: {', '.join(classes)}."
            )
        _drop(
            dropped, texts.notna().to_numpy() & ~texts.isin(classes).to_numpy(), f"{spec.column} is none of the classes"
        )
    _drop(dropped, texts.isna().to_numpy(), "outcome missing")
    rows = _kept(columns, dropped, name)
    code = {c: k for k, c in enumerate(classes)}
    codes = np.array([code[t] for t in texts.iloc[rows]], dtype=np.int64)
    empty = [c for k, c in enumerate(classes) if not (codes == k).any()]
    if empty and (spec.classes is not None):
        raise EndpointError(f"endpoint '{name}': no unit has class {', '.join(empty)}. Found: {', '.join(found[:20])}.")
    if len(classes) < 2:
        raise EndpointError(f"endpoint '{name}' has one class: all {len(rows)} units with a label are '{classes[0]}'.")
    if len(classes) == 2 and kind is EndpointKind.MULTICLASS:
        raise EndpointError(f"endpoint '{name}' has two classes: declare kind: binary.")
    return ClassOutcome(Endpoint(name, kind, tuple(classes)), _units(columns, rows), codes)


def _continuous(name: str, spec: ContinuousSpec, columns: _Columns, dropped: np.ndarray) -> Outcome:
    x = columns.number(spec.column, "value")
    _drop(dropped, ~np.isfinite(x.to_numpy(float)), "outcome missing")
    rows = _kept(columns, dropped, name)
    values = x.to_numpy(float)[rows]
    if spec.transform != "none":
        if (values < 0).any() or (spec.transform == "log" and (values == 0).any()):
            raise EndpointError(
                f"endpoint '{name}': transform: {spec.transform} needs {'positive' if spec.transform == 'log' else 'non-negative'} values."
            )
        values = np.log(values) if spec.transform == "log" else np.log1p(values)
    if np.ptp(values) == 0:
        raise EndpointError(f"endpoint '{name}': all units have the same value.")
    return ValueOutcome(Endpoint(name, EndpointKind.CONTINUOUS), _units(columns, rows), values)


def _survival(name: str, spec: SurvivalSpec, columns: _Columns, dropped: np.ndarray) -> Outcome:
    time = columns.number(spec.time, "time").to_numpy(float)
    if isinstance(spec.event, Condition):
        event, known = columns.condition(spec.event)
    else:
        event, known = _event_column(name, spec.event, columns)
    _drop(dropped, ~np.isfinite(time), "time missing")
    _drop(dropped, ~known, "event status missing")
    _check_times(name, spec, columns, dropped, time)
    entry = np.zeros(len(time))
    if spec.entry is not None:
        entry = columns.number(spec.entry, "entry").to_numpy(float)
        _drop(dropped, ~np.isfinite(entry), "entry missing")
        late = (dropped == "") & ((entry >= time) | (entry < 0))
        if late.any():
            raise EndpointError(
                f"{columns.row(late)}: entry ('{spec.entry}') must be at least 0 and before the "
                f"time ('{spec.time}') ({int(late.sum())} such row(s))."
            )
    rows = _kept(columns, dropped, name)
    if not event[rows].any():
        raise EndpointError(
            f"endpoint '{name}' has no events: all {len(rows)} units are censored. Is the event's value right?"
        )
    endpoint = Endpoint(name, EndpointKind.SURVIVAL, (), spec.time_unit, tuple(spec.horizons))
    return SurvivalOutcome(endpoint, _units(columns, rows), time[rows], event[rows], entry[rows])


def _check_times(
    name: str, spec: SurvivalSpec | CompetingRisksSpec, columns: _Columns, dropped: np.ndarray, time: np.ndarray
) -> None:
    """Raise for negative times and for zeros, unless these are excluded."""
    usable = dropped == ""
    for bad, what in ((usable & (time < 0), "negative"), (usable & (time == 0), "zero")):
        if not bad.any():
            continue
        if what == "zero" and spec.zero_times == "exclude":
            _drop(dropped, bad, "time is zero")
            continue
        remedy = (
            " Say zero_times: exclude to leave them out, or check the unit of time."
            if what == "zero"
            else " Is the index time right?"
        )
        raise EndpointError(
            f"{columns.row(bad)}, column '{spec.time}': the time of endpoint '{name}' is {what} "
            f"({int(bad.sum())} such row(s)).{remedy}"
        )


def _competing(name: str, spec: CompetingRisksSpec, columns: _Columns, dropped: np.ndarray) -> Outcome:
    """Causes by their place in the study file. An event of unknown cause is an event: it is never censored."""
    time, column = columns.number(spec.time, "time").to_numpy(float), columns.get(spec.cause)
    meant: dict[str, Values] = {"": spec.censored, **spec.causes}
    if spec.unknown is not None:
        meant[UNKNOWN_CAUSE] = spec.unknown
    member = {k: _any_of(column, v) for k, v in meant.items()}
    times_named = np.sum(list(member.values()), axis=0)
    known = column.notna().to_numpy()
    if (times_named > 1).any():
        raise EndpointError(
            f"{columns.row(times_named > 1)}, column '{spec.cause}': endpoint '{name}' names one value twice among causes, "
            "censored and unknown."
        )
    strange = known & (times_named == 0) & (dropped == "")
    if strange.any():
        found = sorted_levels([level_name(v) for v in column[strange].unique()])
        listed = f": {', '.join(found)}" if len(found) <= 10 else ""
        raise EndpointError(
            f"{columns.row(strange)}, column '{spec.cause}': {len(found)} value(s) are neither among the causes of endpoint "
            f"'{name}' nor censored nor unknown{listed}. Say what they mean, or leave the rows out with exclude_where."
        )
    _drop(dropped, ~np.isfinite(time), "time missing")
    _drop(dropped, ~known, "event status missing")
    if spec.unknown is not None and spec.unknown_as == "exclude":
        _drop(dropped, member.pop(UNKNOWN_CAUSE), "event of unknown cause")
    _check_times(name, spec, columns, dropped, time)
    rows = _kept(columns, dropped, name)
    cause = sum(k * m.astype(np.int64) for k, m in enumerate(member.values()))[rows]
    classes = tuple(member)[1:]
    if not (cause == 1).any():
        raise EndpointError(
            f"endpoint '{name}' has no events of interest: none of {len(rows)} units has cause '{classes[0]}'. Is its value right?"
        )
    if not (cause > 1).any():
        raise EndpointError(
            f"endpoint '{name}': no unit has an event of another cause. With one cause it is kind: survival."
        )
    if UNKNOWN_CAUSE in classes and len(classes) > 2 and not (cause == len(classes)).any():
        classes = classes[:-1]
    endpoint = Endpoint(name, EndpointKind.COMPETING_RISKS, classes, spec.time_unit, tuple(spec.horizons), spec.model)
    return CompetingOutcome(endpoint, _units(columns, rows), time[rows], cause)


def _any_of(column: pd.Series, values: Values) -> np.ndarray:
    """(n,) the cell equals one of the values."""
    return np.asarray(np.any([equals(column, v) for v in values], axis=0), dtype=bool)


def _event_column(name: str, column: str, columns: _Columns) -> tuple[np.ndarray, np.ndarray]:
    values = columns.get(column)
    texts = values.map(lambda v: None if pd.isna(v) else level_name(v).lower())
    found = sorted_levels([t for t in texts if t is not None])
    if not set(found) <= _YES | _NO:
        listed = f": {', '.join(found)}" if len(found) <= 10 else ""
        raise EndpointError(
            f"endpoint '{name}': the event column '{column}' should hold 1 and 0 (or yes/no, true/false) and has {len(found)} "
            f"distinct value(s){listed}. Say event: {{column: {column}, equals: ...}}."
        )
    return texts.isin(_YES).to_numpy(), texts.notna().to_numpy()
