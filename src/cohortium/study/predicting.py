"""``predict``: a finished model on new units; ``validate``: the same where outcomes are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.contracts import Bounds, CumulativeIncidence, Intervals, Prediction, Probabilities, Sets, Survival
from cohortium.errors import DataError
from cohortium.study import drifting, models, runfolder
from cohortium.study.files import class_texts

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.study.load import Study
    from cohortium.study.running import RunResult


@dataclass(frozen=True, eq=False)
class NewData:
    """cohort: new units with the modalities of the study, coded as in training. raw_units: their unit table as read.
    notes: what the reader did."""

    cohort: Cohort
    raw_units: pd.DataFrame
    notes: Mapping[str, list[str]]


def predict(run: RunResult | str | Path, data: str | Path, out: str | Path | None = None) -> pd.DataFrame:
    """Predict new units with the finished models of a run.

    data: a folder laid out as the study's own; a modality whose file is not there is absent for everybody.
    Returns one row per unit: ``unit``, ``modalities`` (those it has), ``outside`` (those in which it is unlike the
    study's units), then for every endpoint ``<endpoint>.p_<class>``
    and ``<endpoint>.class``, or ``<endpoint>.value``, or ``<endpoint>.risk`` (grows with hazard) and
    ``<endpoint>.survival_<time>`` (of competing risks ``.incidence_<time>``) at the horizons; last, at the study's level, ``<endpoint>.classes_90`` (those that are not
    ruled out: ``no|yes``), ``.low_90`` and ``.high_90``, or ``.outlived_90`` (a time), and with ``evaluation.coverage_by``
    ``.calibrated_90``, among whom that was calibrated. out: also written there as CSV.

    Raises :class:`RunFolderError` for an unfinished run, :class:`DataError` for data that do not fit.
    """
    from cohortium.study.running import study_of

    folder = folder_of(run)
    cohort = read_new(folder, study_of(folder, data)).cohort
    presence = cohort.presence()
    names = list(presence.columns)
    has = [" ".join(n for n, x in zip(names, row, strict=True) if x) for row in presence.to_numpy(bool)]
    frame = pd.DataFrame({"unit": cohort.ids, "modalities": has, "outside": drifting.outside(folder, cohort)})
    for name, model in models.load(folder).items():
        prediction = model.predictor.predict(cohort)
        bounds = model.predictor.bounds(cohort, prediction)
        for column, values in {**_columns(model, prediction), **_bound_columns(model, bounds)}.items():
            frame[f"{name}.{column}"] = values
    if out is not None:
        try:
            runfolder.write_private(Path(out), frame.to_csv(index=False))
        except OSError as e:
            raise DataError(f"{out} cannot be written: {e.strerror}. Give a file in a folder that exists.") from e
    return frame


def read_new(folder: Path, study: Study) -> NewData:
    """New units laid out as the study's own, with its modalities coded as in training; see :func:`read_aligned`."""
    return read_aligned(study, models.features(folder))


def read_aligned(study: Study, expected: Mapping[str, pd.DataFrame]) -> NewData:
    """Units of ``study.folder``, with modalities coded as the features frames of ``expected`` say.

    Raises :class:`DataError` when the folder or all of its files are missing, or a file does not fit.
    """
    from cohortium.sources import IndexTime, read_cohort
    from cohortium.study.grouping import with_coverage_groups

    if not study.folder.is_dir():
        raise DataError(f"No folder at {study.folder}. Give a folder with files named as in the study file.")
    spec = study.spec
    read = read_cohort(
        spec.cohort.units,
        spec.cohort.modalities,
        study.folder,
        endpoints=spec.endpoints,
        index=IndexTime.declared(spec.design, spec.cohort.modalities),
        expected=expected,
        units_optional=True,
        batch=spec.design.batch,
    )
    cohort = with_coverage_groups(study, read.cohort, read.raw_units, new=True)
    return NewData(cohort, read.raw_units, read.notes)


def folder_of(run: RunResult | str | Path) -> Path:
    """The folder of a finished run. Raises :class:`RunFolderError`."""
    folder = Path(run) if isinstance(run, str | Path) else run.folder
    runfolder.finished(folder)
    return folder


def _columns(model: models.Model, p: Prediction) -> dict[str, Any]:
    from cohortium.metrics import decide

    if isinstance(p, Probabilities):
        out: dict[str, Any] = {f"p_{c}": p.p[:, k] for k, c in enumerate(p.classes)}
        codes = decide(model.endpoint.kind, p.p, model.threshold)
        out["class"] = np.array(p.classes, dtype=object)[codes]
        return out
    if isinstance(p, Survival | CumulativeIncidence):
        horizons = np.array(model.facts["horizons"], dtype=float)
        at, what = p.at(horizons), "survival" if isinstance(p, Survival) else "incidence"
        return {"risk": p.risk, **{f"{what}_{h:g}": at[:, k] for k, h in enumerate(horizons)}}
    return {"value": p.values}


def _bound_columns(model: models.Model, bounds: Bounds | None) -> dict[str, Any]:
    """What the prediction is sure of, at the level in the columns' names."""
    if bounds is None:
        return {}
    level, maker = f"{100 * model.predictor.maker.level:g}", model.predictor.maker
    cell = {f"calibrated_{level}": bounds.groups} if maker.patterns.inside else {}
    if isinstance(bounds, Sets):
        return {f"classes_{level}": class_texts(bounds), **cell}
    if isinstance(bounds, Intervals):
        return {f"low_{level}": bounds.low, f"high_{level}": bounds.high, **cell}
    return {f"outlived_{level}": bounds.low, **cell}
