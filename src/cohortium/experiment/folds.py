"""The result of one outer fold on disk: written whole or not at all, read only when it fits the plan.

One ``.npz`` per task: for every learner its predictions of the test units as plain arrays (``p``; ``value``;
``risk`` and ``survival`` or ``incidence`` on the endpoint's grid, the latter rounded to float32 before anything is scored, so
that the stored predictions give the same metrics), and one JSON text with the rest.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import (
    Bounds,
    CumulativeIncidence,
    Intervals,
    LowerBounds,
    Prediction,
    Probabilities,
    Sets,
    Survival,
    Values,
)


@dataclass(frozen=True, eq=False)
class FoldResult:
    """Predictions of one task. test: (n,) positions in the endpoint's outcome.

    learners: learner -> ``{"threshold": float | None, "chosen": str | None}``. seconds, n_train: of the fit.
    bounds: of the headline learner, where the study asks for them.
    """

    plan: str
    test: NDArray[np.intp]
    n_train: int
    predictions: Mapping[str, Prediction]
    learners: Mapping[str, dict[str, Any]]
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    bounds: Bounds | None = None


def write_fold(file: Path, result: FoldResult, grid: NDArray[np.float64] | None) -> None:
    """Write ``result`` to ``file`` atomically, private to its owner. grid: (m,) times for survival curves."""
    arrays: dict[str, Any] = {"test": result.test}
    for k, prediction in enumerate(result.predictions.values()):
        for name, values in _arrays(prediction, grid).items():
            arrays[f"{k}/{name}"] = values
    if result.bounds is not None:
        arrays |= {f"bounds/{name}": values for name, values in _bound_arrays(result.bounds, grid).items()}
    meta = {
        "plan": result.plan,
        "n_train": result.n_train,
        "learners": [{"name": n, **result.learners[n]} for n in result.predictions],
        "seconds": result.seconds,
        "notes": result.notes,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        np.savez(stream, **arrays)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def read_fold(
    file: Path, plan: str, units: NDArray[np.object_], classes: tuple[str, ...], grid: NDArray[np.float64] | None
) -> FoldResult | None:
    """The result in ``file``; None when it is not there, of another plan, or damaged (then it is made again).

    units: ids of the endpoint's outcome, which ``test`` points into. classes: of the endpoint.
    """
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as data:
            arrays = {k: data[k] for k in data.files}
        meta = json.loads(arrays["meta"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if meta.get("plan") != plan:
        return None
    test = arrays["test"]
    predictions, learners = {}, {}
    for k, facts in enumerate(meta["learners"]):
        name = facts.pop("name")
        own = {key.split("/", 1)[1]: v for key, v in arrays.items() if key.startswith(f"{k}/")}
        predictions[name] = _prediction(own, units[test], classes, grid)
        learners[name] = facts
    bounds = _bounds({k[7:]: v for k, v in arrays.items() if k.startswith("bounds/")}, units[test], classes, grid)
    return FoldResult(plan, test, meta["n_train"], predictions, learners, meta["seconds"], meta["notes"], bounds)


def same_plan(file: Path, plan: str) -> bool:
    """Whether ``file`` holds a whole result of ``plan``."""
    if not file.is_file():
        return False
    try:
        with np.load(file, allow_pickle=False) as data:
            return bool(json.loads(data["meta"].tobytes()).get("plan") == plan)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def _arrays(prediction: Prediction, grid: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
    if isinstance(prediction, Probabilities):
        return {"p": prediction.p}
    if isinstance(prediction, Values):
        return {"value": prediction.values}
    assert grid is not None
    curve = "incidence" if isinstance(prediction, CumulativeIncidence) else "survival"
    return {"risk": prediction.risk, curve: prediction.at(grid).astype(np.float32)}


def _prediction(
    arrays: dict[str, Any], units: NDArray[np.object_], classes: tuple[str, ...], grid: NDArray[np.float64] | None
) -> Prediction:
    if "p" in arrays:
        return Probabilities(units, classes, arrays["p"])
    if "value" in arrays:
        return Values(units, arrays["value"])
    assert grid is not None
    if "incidence" in arrays:
        return CumulativeIncidence(units, arrays["risk"], grid, arrays["incidence"])
    return Survival(units, arrays["risk"], grid, arrays["survival"])


def _bound_arrays(bounds: Bounds, grid: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {"groups": bounds.groups.astype(str)}
    if isinstance(bounds, Sets):
        return {**out, "inside": bounds.inside}
    out["low"] = bounds.low
    if isinstance(bounds, Intervals):
        return {**out, "high": bounds.high}
    if bounds.free is not None:
        assert grid is not None
        out["free"] = bounds.free.at(grid).astype(np.float32)
    return out


def _bounds(
    arrays: dict[str, Any], units: NDArray[np.object_], classes: tuple[str, ...], grid: NDArray[np.float64] | None
) -> Bounds | None:
    if not arrays:
        return None
    groups = arrays["groups"].astype(object)
    if "inside" in arrays:
        return Sets(units, classes, arrays["inside"], groups)
    if "high" in arrays:
        return Intervals(units, arrays["low"], arrays["high"], groups)
    free = None
    if "free" in arrays:
        assert grid is not None
        free = Survival(units, np.zeros(len(units)), grid, arrays["free"])
    return LowerBounds(units, arrays["low"], groups, free)
