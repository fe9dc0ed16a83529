"""The tables of a run folder: predictions, outcomes and censoring under pseudonyms, and the private key."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.contracts import (
    Bounds,
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Intervals,
    Outcome,
    Prediction,
    Probabilities,
    Sets,
    Survival,
    ValueOutcome,
)
from cohortium.study.runfolder import write_private

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.experiment import Experiment, Scores


def pseudonyms(cohort: Cohort, seed: int) -> pd.DataFrame:
    """index: unit id. Columns ``unit`` (u0001…) and ``patient`` (p0001…): numbers dealt out at random.

    They say nothing of the ids; who holds ``units.csv`` can undo them.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    ids = sorted(map(str, cohort.ids))
    patients = sorted(set(cohort.units["patient"].astype(str)))
    unit = dict(zip(ids, _numbers("u", rng.permutation(len(ids))), strict=True))
    patient = dict(zip(patients, _numbers("p", rng.permutation(len(patients))), strict=True))
    return pd.DataFrame(
        {"unit": [unit[u] for u in cohort.ids], "patient": [patient[p] for p in cohort.units["patient"].astype(str)]},
        index=cohort.units.index,
    )


def _numbers(letter: str, order: NDArray[Any]) -> list[str]:
    width = max(4, len(str(len(order))))
    return [f"{letter}{k + 1:0{width}d}" for k in order]


def write_tables(
    folder: Path, experiment: Experiment, scores: Mapping[str, Scores], key: pd.DataFrame, cohort: Cohort
) -> None:
    """``predictions``, ``outcomes``, ``scores`` and ``censoring.parquet``, and ``units.csv``."""
    from cohortium.experiment.scoring import score_frame

    plan = experiment.plan
    grids = {n: e.grid.tolist() for n, e in plan.endpoints.items() if e.grid is not None}
    outcomes = {n: e.outcome for n, e in plan.endpoints.items()}
    write_private(folder / "predictions.parquet", _predictions(experiment, key, grids))
    _parquet(folder / "outcomes.parquet", outcome_frame(outcomes, key))
    frames = [score_frame(n, s) for n, s in scores.items()]
    _parquet(folder / "scores.parquet", pd.concat(frames, ignore_index=True))
    censoring = _censoring(experiment)
    if censoring is not None:
        _parquet(folder / "censoring.parquet", censoring)
    both = pd.DataFrame({"pseudonym": key["unit"], "unit": key.index, "patient": cohort.units["patient"]})
    write_private(folder / "units.csv", both.sort_values("pseudonym").to_csv(index=False))


def _predictions(experiment: Experiment, key: pd.DataFrame, grids: Mapping[str, list[float]]) -> bytes:
    """The table of all predictions as parquet, a row group per fold: curves of many learners are never together."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plan = experiment.plan
    facts = json.dumps({"survival_times": grids}).encode()
    schema = _prediction_schema(plan.endpoints).with_metadata({b"cohortium": facts})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for name, e in plan.endpoints.items():
            units = key["unit"].reindex(e.outcome.units).to_numpy(object)
            for s, result in zip(e.splits, experiment.outer[name], strict=True):
                same = {"endpoint": name, "repeat": int(s.repeat), "fold": int(s.fold)}
                parts = [
                    _fold_columns(schema, same | {"learner": n}, units[result.test], p,
                                  result.bounds if n == plan.headline else None)
                    for n, p in result.predictions.items()
                ]  # fmt: skip
                writer.write_table(pa.concat_tables(parts))
    return buffer.getvalue()


def _prediction_schema(endpoints: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    columns: dict[str, Any] = {"endpoint": pa.string(), "learner": pa.string(), "unit": pa.string()}
    columns |= {"repeat": pa.int64(), "fold": pa.int64()}
    for e in endpoints.values():
        if isinstance(e.outcome, ClassOutcome):
            columns |= {f"p_{c}": pa.float64() for c in e.outcome.endpoint.classes}
        elif isinstance(e.outcome, ValueOutcome):
            columns["value"] = pa.float64()
        else:
            curve = "incidence" if isinstance(e.outcome, CompetingOutcome) else "survival"
            columns |= {"risk": pa.float64(), curve: pa.list_(pa.float32())}
    columns |= {"classes": pa.string(), "low": pa.float64(), "high": pa.float64()}
    return pa.schema(list(columns.items()))


def _fold_columns(
    schema: Any, same: dict[str, Any], units: NDArray[np.object_], p: Prediction, bounds: Bounds | None
) -> Any:
    import pyarrow as pa

    from cohortium.experiment.estimating import PROBES

    n = len(units)
    have: dict[str, Any] = {k: pa.array([v] * n, schema.field(k).type) for k, v in same.items()}
    have["unit"] = pa.array(units, pa.string())
    if isinstance(p, Probabilities):
        have |= {f"p_{c}": pa.array(p.p[:, k]) for k, c in enumerate(p.classes)}
    elif isinstance(p, Survival | CumulativeIncidence):
        have["risk"] = pa.array(p.risk)
        # Probes only feed added value: their curves would double the file.
        if not same["learner"].startswith(PROBES):
            curve, values = ("survival", p.survival) if isinstance(p, Survival) else ("incidence", p.incidence)
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
            have[curve] = pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * len(p.times), flat)
    else:
        have["value"] = pa.array(p.values)
    if isinstance(bounds, Sets):
        have["classes"] = pa.array(class_texts(bounds), pa.string())
    elif bounds is not None:
        have["low"] = pa.array(bounds.low)
        if isinstance(bounds, Intervals):
            have["high"] = pa.array(bounds.high)
    return pa.table([have.get(f.name, pa.nulls(n, f.type)) for f in schema], schema=schema)


def class_texts(sets: Sets) -> list[str]:
    """``no|yes``: the classes that are not ruled out, by unit; empty where all are."""
    return ["|".join(c for c, x in zip(sets.classes, row, strict=True) if x) for row in sets.inside]


def outcome_frame(outcomes: Mapping[str, Outcome], key: pd.DataFrame) -> pd.DataFrame:
    """``endpoint, unit, patient, label, code, value, time, event, entry``; what does not apply is null.

    Competing risks: code is the cause, 0 = censored, label its name, event whether it is that of interest.
    """
    frames = []
    for name, o in outcomes.items():
        rows = key.reindex(o.units)
        frame = pd.DataFrame({"endpoint": name, "unit": rows["unit"].to_numpy(), "patient": rows["patient"].to_numpy()})
        frame["label"], frame["code"] = None, pd.array([pd.NA] * len(o), dtype="Int64")
        frame["value"], frame["time"], frame["entry"] = np.nan, np.nan, np.nan
        frame["event"] = pd.array([pd.NA] * len(o), dtype="boolean")
        if isinstance(o, ClassOutcome):
            frame["label"] = np.array(o.endpoint.classes, dtype=object)[o.codes]
            frame["code"] = pd.array(o.codes, dtype="Int64")
        elif isinstance(o, ValueOutcome):
            frame["value"] = o.values
        else:
            frame["time"], frame["entry"] = o.time, o.entry
            frame["event"] = pd.array(o.event, dtype="boolean")
            if isinstance(o, CompetingOutcome):
                frame["label"] = np.array(["censored", *o.endpoint.classes], dtype=object)[o.cause]
                frame["code"] = pd.array(o.cause, dtype="Int64")
        frames.append(frame[["endpoint", "unit", "patient", "label", "code", "value", "time", "event", "entry"]])
    out = pd.concat(frames, ignore_index=True)
    return out.astype({"label": "string"})


def _censoring(experiment: Experiment) -> pd.DataFrame | None:
    """Censoring survival of every fold's training part on the endpoint's grid."""
    from cohortium.experiment.scoring import censoring_curves

    frames = []
    for name, e in experiment.plan.endpoints.items():
        if e.grid is None:
            continue
        for s, curve in zip(e.splits, censoring_curves(e), strict=True):
            frames.append(
                pd.DataFrame(
                    {"endpoint": name, "repeat": int(s.repeat), "fold": int(s.fold), "time": e.grid, "survival": curve}
                )
            )
    return pd.concat(frames, ignore_index=True) if frames else None


def _parquet(file: Path, frame: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_private(file, buffer.getvalue())


def read_grid(file: Path) -> dict[str, list[float]]:
    """endpoint -> survival times, from the metadata of ``predictions.parquet``."""
    import pyarrow.parquet as pq

    raw = (pq.read_schema(file).metadata or {}).get(b"cohortium")
    grids: dict[str, list[float]] = json.loads(raw).get("survival_times", {}) if raw else {}
    return grids
