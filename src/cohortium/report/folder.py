"""What a run folder holds, read for the report: records, predictions joined to outcomes, run facts, validation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.biomarkers import BiomarkerResults
from cohortium.contracts.results import EndpointRecord, Results
from cohortium.errors import RunFolderError
from cohortium.report.found import read_found
from cohortium.report.records import from_json

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scored:
    """Out-of-fold predictions of one learner on one endpoint, beside what happened. n rows, one per unit and repeat.

    units: (n,) pseudonyms. repeat, fold: (n,). classes: (K,) in code order, p: (n, K), code: (n,) (classes).
    prediction, value: (n,) (continuous). risk: (n,), survival: (n, m) on times (m,), time, event, entry: (n,)
    (survival); incidence: (n, m), cause: (n,) (competing risks). What does not apply is None.
    """

    units: NDArray[np.object_]
    repeat: IntArray
    fold: IntArray
    classes: tuple[str, ...] = ()
    p: FloatArray | None = None
    code: IntArray | None = None
    prediction: FloatArray | None = None
    value: FloatArray | None = None
    risk: FloatArray | None = None
    times: FloatArray | None = None
    survival: FloatArray | None = None
    time: FloatArray | None = None
    event: NDArray[np.bool_] | None = None
    entry: FloatArray | None = None
    incidence: FloatArray | None = None
    cause: IntArray | None = None


@dataclass(frozen=True, eq=False)
class Map:
    """n units by their joint representation. at: (n, 2). n_modalities: (n,). outcome: (n,) text of the endpoint's outcome, ""
    where it is unknown. groups: its texts in their order. model, size: of the representation. share: of its variance, by axis."""

    at: FloatArray
    n_modalities: IntArray
    outcome: NDArray[np.object_]
    groups: tuple[str, ...]
    model: str
    size: int
    share: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A finished run. run, validation, audit: parsed ``run.json``, ``validation.json`` and ``audit.json``; statements: key ->
    text of ``statements.json``, what the study file states; each empty when not there. found: of
    ``biomarkers``, by endpoint: address of the page and records."""

    path: Path
    results: Results
    run: dict[str, Any]
    validation: list[dict[str, Any]]
    audit: dict[str, Any] = field(default_factory=dict)
    statements: dict[str, str] = field(default_factory=dict)
    found: dict[str, tuple[str, BiomarkerResults]] = field(default_factory=dict)

    def map(self, endpoint: EndpointRecord) -> Map | None:
        """Where units stand on the map of patients, with their outcomes; None when the run has no map."""
        return _map(self.path, endpoint)

    def scored(self, endpoint: EndpointRecord, learner: str, first_repeat: bool = True) -> Scored | None:
        """Predictions of ``learner`` joined to outcomes, of the first repeat or of all; None when none are stored."""
        return _scored(self.path, endpoint, learner, first_repeat)


def open_run(path: Path) -> RunFolder:
    """Read a run folder.

    Raises :class:`RunFolderError` when it is missing, unfinished (no ``results.json``), or one of its JSON files
    cannot be read.
    """
    if not path.is_dir():
        raise RunFolderError(f"No run folder at {path}. Give the folder that 'cohortium run' wrote.")
    file = path / "results.json"
    if not file.is_file():
        raise RunFolderError(
            f"{path} holds no results.json: the run is not finished, or this is no run folder. "
            "Call 'cohortium run' again to resume it."
        )
    results = from_json(file.read_text(encoding="utf-8"))
    validation = _json(path / "validation.json")
    stated = _map_of(path / "statements.json")
    return RunFolder(
        path,
        results,
        _map_of(path / "run.json"),
        [v for v in validation if isinstance(v, dict)] if isinstance(validation, list) else [],
        _map_of(path / "audit.json"),
        {k: v for k, v in stated.items() if isinstance(v, str) and v},
        read_found(path),
    )


def _map_of(file: Path) -> dict[str, Any]:
    found = _json(file)
    return found if isinstance(found, dict) else {}


def _json(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as e:
        raise RunFolderError(f"{file} is not JSON (line {e.lineno}: {e.msg}). Delete it and call again.") from e


def _map(folder: Path, endpoint: EndpointRecord) -> Map | None:
    import pandas as pd
    import pyarrow as pa

    if not (folder / "map.parquet").is_file():
        return None
    try:
        frame = pd.read_parquet(folder / "map.parquet")
        outcome = pd.read_parquet(folder / "outcomes.parquet")
    except (OSError, pa.ArrowException) as e:
        raise RunFolderError(
            f"The map in {folder} cannot be read ({type(e).__name__}). Delete map.parquet to do without it."
        ) from e
    outcome = outcome[outcome["endpoint"] == endpoint.name].set_index("unit")
    text, groups = _outcome_texts(outcome, endpoint)
    return Map(
        frame[["x", "y"]].to_numpy(float),
        frame["n_modalities"].to_numpy(np.int64),
        text.reindex(frame["unit"]).fillna("").to_numpy(object),
        tuple(groups),
        str(frame.attrs.get("model", "factors")),
        int(frame.attrs.get("size", 0)),
        tuple(frame.attrs.get("share", ())),
    )


def _outcome_texts(outcome: Any, endpoint: EndpointRecord) -> tuple[Any, list[str]]:
    """Text of each unit's outcome, and the texts in their order: classes, thirds of values, events."""
    import pandas as pd

    if endpoint.kind in ("binary", "multiclass", "ordinal"):
        return outcome["label"].astype(object), list(endpoint.classes or ())
    if endpoint.kind == "competing_risks":
        return outcome["label"].astype(object), [*(endpoint.classes or ()), "censored"]
    if endpoint.kind == "continuous":
        names = ["lowest third", "middle third", "highest third"]
        third = np.clip(np.ceil(outcome["value"].rank(pct=True).to_numpy() * 3).astype(int) - 1, 0, 2)
        return pd.Series([names[k] for k in third], index=outcome.index, dtype=object), names
    names = ["event", "no event seen"]
    return pd.Series(np.where(outcome["event"].to_numpy(float) > 0, *names), index=outcome.index, dtype=object), names


def _scored(folder: Path, endpoint: EndpointRecord, learner: str, first_repeat: bool) -> Scored | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    predictions, outcomes = folder / "predictions.parquet", folder / "outcomes.parquet"
    if not predictions.is_file() or not outcomes.is_file():
        return None
    try:
        schema = pq.read_schema(predictions)
        outcome = pq.read_table(outcomes, filters=[("endpoint", "=", endpoint.name)]).to_pandas()
        classes = _classes(outcome, endpoint)
        wanted = ["unit", "repeat", "fold", *(f"p_{c}" for c in classes), *_COLUMNS.get(endpoint.kind, ())]
        if not first_repeat:
            wanted = [c for c in wanted if c not in _CURVES]
        rows: list[Any] = [("endpoint", "=", endpoint.name), ("learner", "=", learner)]
        if first_repeat:
            repeats = pq.read_table(predictions, columns=["repeat"], filters=rows)["repeat"]
            rows.append(("repeat", "=", min(repeats.unique().to_pylist(), default=0)))
        table = pq.read_table(predictions, columns=[c for c in wanted if c in schema.names], filters=rows)
    except pa.ArrowException as e:
        raise RunFolderError(
            f"The predictions in {folder} cannot be read ({type(e).__name__}). "
            "Run the study again; finished folds are kept."
        ) from e
    grid = _grid(schema, endpoint.name)
    curve = next((c for c in _CURVES if c in table.column_names), None)
    curves = _curves(table[curve], grid) if curve is not None and grid is not None else None
    frame = (table if curve is None else table.drop_columns([curve])).to_pandas()
    outcome = outcome.drop(columns=["endpoint", "patient"], errors="ignore").rename(columns={"value": "observed"})
    both = frame.assign(row=np.arange(len(frame))).merge(outcome, on="unit", how="inner")
    both = both.dropna(subset=[c for c in both.columns if c.startswith("p_") or c in ("value", "risk")])
    if both.empty:
        return None
    return _typed(both, endpoint, classes, grid, None if curves is None else curves[both["row"]])


def _curves(column: Any, grid: FloatArray) -> FloatArray | None:
    """(n, m) survival curves of a list column, without going through Python objects; None when one has another
    length than the grid."""
    flat = np.asarray(column.combine_chunks().flatten(), float)
    return flat.reshape(len(column), len(grid)) if len(flat) == len(column) * len(grid) else None


_COLUMNS = {"continuous": ("value",), "survival": ("risk", "survival"), "competing_risks": ("risk", "incidence")}
_CURVES = ("survival", "incidence")


def _classes(outcome: Any, endpoint: EndpointRecord) -> tuple[str, ...]:
    """Class names in code order: as recorded, unless the outcomes say otherwise."""
    if endpoint.kind not in ("binary", "multiclass", "ordinal"):
        return ()
    recorded = tuple(endpoint.classes or ())
    seen = {int(c): str(x) for c, x in zip(outcome["code"], outcome["label"], strict=True)}
    if all(code < len(recorded) and recorded[code] == label for code, label in seen.items()):
        return recorded
    return tuple(seen[code] for code in sorted(seen)) if sorted(seen) == list(range(len(seen))) else ()


def _grid(schema: Any, endpoint: str) -> FloatArray | None:
    raw = (schema.metadata or {}).get(b"cohortium")
    times = json.loads(raw).get("survival_times", {}).get(endpoint) if raw else None
    return None if times is None else np.asarray(times, float)


def _typed(
    both: Any, endpoint: EndpointRecord, classes: tuple[str, ...], grid: FloatArray | None, curves: FloatArray | None
) -> Scored | None:
    ids: dict[str, Any] = {
        "units": both["unit"].to_numpy(object),
        "repeat": _codes(both["repeat"]),
        "fold": _codes(both["fold"]),
    }
    if endpoint.kind in ("binary", "multiclass", "ordinal"):
        if not classes or not all(f"p_{c}" in both for c in classes):
            return None
        p = both[[f"p_{c}" for c in classes]].to_numpy(float)
        return Scored(**ids, classes=classes, p=p, code=both["code"].to_numpy(np.int64))
    if endpoint.kind == "continuous":
        return Scored(**ids, prediction=both["value"].to_numpy(float), value=both["observed"].to_numpy(float))
    entry = both["entry"].fillna(0.0).to_numpy(float) if "entry" in both else np.zeros(len(both))
    competing = endpoint.kind == "competing_risks"
    return Scored(
        **ids,
        risk=both["risk"].to_numpy(float),
        times=grid if curves is not None else None,
        survival=None if competing else curves,
        incidence=curves if competing else None,
        cause=both["code"].to_numpy(np.int64) if competing else None,
        time=both["time"].to_numpy(float),
        event=both["event"].to_numpy(float) > 0,
        entry=entry,
    )


def _codes(column: Any) -> IntArray:
    """Numbers as they are; names of folds (a site, a date) numbered in sorted order."""
    if column.dtype.kind in "iu":
        return np.asarray(column, np.int64)
    return np.unique(column.astype(str), return_inverse=True)[1].astype(np.int64)
