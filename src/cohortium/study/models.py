"""The finished models of a run: the headline learner of each endpoint refitted on everyone, and what it expects."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.cohort.table import FEATURE_COLUMNS
from cohortium.errors import RunFolderError
from cohortium.schema import Endpoint, EndpointKind
from cohortium.study.runfolder import write_json

if TYPE_CHECKING:
    from cohortium.cohort import Modality
    from cohortium.experiment import Experiment
    from cohortium.study.data import Data

FOLDER = "model"


@dataclass(frozen=True, eq=False)
class Model:
    """A stored model. predictor: of :mod:`cohortium.learners`. threshold: of the positive class (binary).
    grid: (m,) times of stored survival curves. facts: as in ``model.json``."""

    endpoint: Endpoint
    learner: str
    predictor: Any
    threshold: float | None
    grid: np.ndarray | None
    facts: dict[str, Any]


def store(folder: Path, experiment: Experiment, data: Data) -> None:
    """Write ``model/features.json`` and one folder for each endpoint."""
    target = folder / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)
    write_json(target / "features.json", {n: _features(t) for n, t in data.cohort.modalities.items()})
    index = []
    for k, (name, (source, facts)) in enumerate(experiment.finals.items()):
        e = experiment.plan.endpoints[name]
        shutil.copytree(source / "predictor", target / f"endpoint_{k}")
        o = e.outcome.endpoint
        index.append(
            {
                "folder": f"endpoint_{k}",
                "endpoint": {
                    "name": o.name, "kind": o.kind.value, "classes": list(o.classes), "time_unit": o.time_unit,
                    "horizons": list(o.horizons), "model": o.model,
                },
                "tau": e.tau,
                "horizons": list(e.horizons),
                **{k: facts[k] for k in ("learner", "threshold", "chosen", "grid", "n_train")},
            }
        )  # fmt: skip
    write_json(target / "models.json", index)


def _features(modality: Modality) -> dict[str, Any]:
    features = modality.features
    out: dict[str, Any] = {"name": list(map(str, features.index)), "shape": modality.shape}
    for column in FEATURE_COLUMNS:
        values = features[column].tolist()
        if column == "levels":
            values = [None if v is None else list(v) for v in values]
        out[column] = values
    return out


def features(folder: Path) -> dict[str, pd.DataFrame]:
    """modality -> ``features`` frame of the training tables, with the modality's shape in ``attrs``."""
    from cohortium.cohort.table import feature_frame

    out = {}
    for name, f in _json(folder / FOLDER / "features.json").items():
        frame = feature_frame(f["name"], f["kind"], [None if v is None else tuple(v) for v in f["levels"]])
        frame["id_space"], frame["unit"] = f["id_space"], f["unit"]
        frame.attrs["shape"] = f.get("shape", "table")
        out[name] = frame
    return out


def load(folder: Path) -> dict[str, Model]:
    """endpoint -> model of a finished run. Raises :class:`RunFolderError` when they are not there."""
    from cohortium.learners import load_predictor

    out = {}
    for m in _json(folder / FOLDER / "models.json"):
        e = m["endpoint"]
        endpoint = Endpoint(
            e["name"],
            EndpointKind(e["kind"]),
            tuple(e["classes"]),
            e["time_unit"],
            tuple(e["horizons"]),
            model=e.get("model", ""),
        )
        grid = None if m["grid"] is None else np.asarray(m["grid"], float)
        predictor = load_predictor(folder / FOLDER / m["folder"])
        out[endpoint.name] = Model(endpoint, m["learner"], predictor, m["threshold"], grid, m)
    return out


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RunFolderError(f"{file} is missing or damaged. Run the study again into another folder.") from e
