"""A simulated cohort as the files and the study file a person would have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.cohort import Table
from cohortium.contracts import ClassOutcome, CompetingOutcome, SurvivalOutcome
from cohortium.schema import EndpointKind
from cohortium.testing.simulate import Simulated


def write_study_folder(
    simulated: Simulated, folder: Path | str, *, settings: Mapping[str, Any] | None = None, digits: int = 5
) -> Path:
    """Write ``units.csv``, one CSV per modality and ``study.yaml`` into ``folder``; returns the study file.

    A unit without a modality has no row in its file; an unknown cell is empty; codes are written as their levels.
    settings: further keys of the study file, or others in place of those written (``{"preset": "quick"}``). Numbers
    are rounded to ``digits``. Reading the folder gives the cohort again, but for the rounding.
    """
    import yaml

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    units, endpoint = _unit_table(simulated, digits)
    units.to_csv(folder / "units.csv", index=False)
    key = str(units.columns[0])
    for name, table in simulated.cohort.modalities.items():
        _written(table, key, digits).to_csv(folder / f"{name}.csv", index=False)
    several = "unit_id" in units
    study: dict[str, Any] = {
        "name": "simulated",
        "cohort": {
            "units": {"file": "units.csv", "id": key, **({"patient": "patient_id"} if several else {})},
            "modalities": {name: {"file": f"{name}.csv"} for name in simulated.cohort.modalities},
        },
        "endpoints": {simulated.outcome.endpoint.name: endpoint},
        "reference": [next(iter(simulated.cohort.modalities))],
    }
    if "site" in units:
        study["design"] = {"site": "site"}
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**study, **dict(settings or {})}, sort_keys=False), encoding="utf-8")
    return file


def _unit_table(simulated: Simulated, digits: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The unit table with its outcome columns, and the endpoint's declaration."""
    of_unit = simulated.cohort.units
    frame = pd.DataFrame({"patient_id": of_unit["patient"].to_numpy()})
    if not (of_unit.index == of_unit["patient"]).all():
        frame.insert(0, "unit_id", of_unit.index.to_numpy())
    if "site" in of_unit:
        frame["site"] = of_unit["site"].to_numpy()
    rows = of_unit.index.get_indexer(pd.Index(simulated.outcome.units))
    columns, endpoint = _outcome_columns(simulated, digits)
    for name, values in columns.items():
        column = np.full(len(frame), None, dtype=object)
        column[rows] = values
        frame[name] = column
    return frame, endpoint


def _outcome_columns(simulated: Simulated, digits: int) -> tuple[dict[str, Any], dict[str, Any]]:
    y, name = simulated.outcome, simulated.outcome.endpoint.name
    if isinstance(y, CompetingOutcome):
        names = np.array(["none", *y.endpoint.classes], dtype=object)
        columns = {f"{name}_time": np.maximum(np.round(y.time, digits), 10.0**-digits), f"{name}_cause": names[y.cause]}
        return columns, {
            "kind": "competing_risks",
            "time": f"{name}_time",
            "cause": f"{name}_cause",
            "causes": {c: c for c in y.endpoint.classes},
            "censored": "none",
            "time_unit": y.endpoint.time_unit,
        }
    if isinstance(y, SurvivalOutcome):
        columns = {
            f"{name}_time": np.maximum(np.round(y.time, digits), 10.0**-digits),
            f"{name}_status": np.where(y.event, "dead", "alive"),
        }
        endpoint: dict[str, Any] = {
            "kind": "survival",
            "time": f"{name}_time",
            "event": {"column": f"{name}_status", "equals": "dead"},
            "time_unit": y.endpoint.time_unit,
        }
        if y.entry.any():
            columns[f"{name}_entry"] = np.round(y.entry, digits)
            endpoint["entry"] = f"{name}_entry"
        return columns, endpoint
    if not isinstance(y, ClassOutcome):
        return {name: np.round(y.values, digits)}, {"kind": "continuous", "column": name}
    labels = np.array(y.endpoint.classes, dtype=object)[y.codes]
    endpoint = {"kind": y.endpoint.kind.value, "column": name}
    if y.endpoint.kind is EndpointKind.BINARY:
        endpoint["positive"] = y.endpoint.classes[1]
    if y.endpoint.kind is EndpointKind.ORDINAL:
        endpoint["classes"] = list(y.endpoint.classes)
    return {name: labels}, endpoint


def _written(table: Table, key: str, digits: int) -> pd.DataFrame:
    frame = pd.DataFrame(np.round(table.values, digits), columns=table.features.index)
    for name, levels in table.features["levels"].items():
        if levels is not None:
            codes = frame[name].fillna(-1).astype(int)
            frame[name] = [levels[c] if c >= 0 else None for c in codes]
    frame.insert(0, key, table.units)
    return frame
