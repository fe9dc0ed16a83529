"""``validate``: external validation of a finished model on units with outcomes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Estimate,
    Outcome,
    Prediction,
    Probabilities,
    Survival,
    SurvivalOutcome,
)
from cohortium.errors import DataError, EndpointError
from cohortium.schema import Endpoint
from cohortium.study import models, runfolder

if TYPE_CHECKING:
    from cohortium.study.load import Study
    from cohortium.study.predicting import NewData
    from cohortium.study.running import RunResult

FEWEST_FOR_CALIBRATION = 20


def validate(run: RunResult | str | Path, data: str | Path) -> dict[str, list[Estimate]]:
    """Metrics with intervals of every endpoint's finished model on new units with outcomes.

    data: a folder laid out as the study's own. Writes ``validation.json`` into the run folder (the same data folder
    again replaces its entries) and the report anew. Returns endpoint -> estimates (null with a reason for an endpoint
    that the new data have no usable labels of), by bootstrap over patients
    (ROC-AUC of one unit per patient: DeLong). Censoring weights come from the patients that the model was fitted on.

    Raises :class:`RunFolderError` for an unfinished run, :class:`DataError` when the data do not fit or no endpoint
    has a usable label.
    """
    from cohortium.metrics import headline_metric
    from cohortium.report import write_report
    from cohortium.study.predicting import folder_of, read_new
    from cohortium.study.running import study_of

    folder = folder_of(run)
    study = study_of(folder, data)
    new = read_new(folder, study)
    entries: list[dict[str, Any]] = []
    made: dict[str, list[Estimate]] = {}
    reasons: list[str] = []
    lost: dict[str, str] = {}
    for name, model in models.load(folder).items():
        outcome = _outcome(study, name, model, new, reasons)
        if outcome is None:
            lost[name] = reasons[-1]
            continue
        cohort = new.cohort.take(new.cohort.units.index.get_indexer(outcome.units))
        prediction = model.predictor.predict(cohort)
        made[name] = _estimates(study, folder, model, outcome, prediction, cohort.groups())
        entries.append(
            {
                "endpoint": name,
                "data": Path(data).resolve().name,
                "learner": model.learner,
                "n": len(outcome),
                "estimates": [dataclasses.asdict(e) for e in made[name]],
                "calibration": _calibration(model, outcome, prediction),
                **_described(folder, study, new, outcome, Path(data).resolve().name),
            }
        )
    if not made:
        raise DataError(f"No endpoint of the study has a usable label in {data}. {' '.join(reasons)}")
    for name, reason in lost.items():
        metric = headline_metric(models.load(folder)[name].endpoint.kind)
        made[name] = [Estimate(metric, None, reason=f"not validated: {reason}")]
    with runfolder.locked(folder):
        _store(folder, entries)
        write_report(folder)
    return made


def _described(folder: Path, study: Study, new: NewData, outcome: Outcome, data: str) -> dict[str, Any]:
    """The new units in the variables of table one, beside the study's; nothing for a run without it."""
    from cohortium.study.describing import describe_new
    from cohortium.study.running import open_run

    for known in open_run(folder).results.descriptions:
        if known.endpoint == outcome.endpoint.name:
            made = describe_new(known, study, new, outcome, data)
            return {"description": runfolder.plain(dataclasses.asdict(made))}
    return {}


def _outcome(study: Study, name: str, model: models.Model, new: NewData, reasons: list[str]) -> Outcome | None:
    """The endpoint's labels in the new data, coded as in training; None with a reason added when there are none."""
    from cohortium.study.data import read_endpoint

    try:
        outcome, _ = read_endpoint(study, name, new.raw_units)
    except (DataError, EndpointError) as e:
        reasons.append(f"{name}: {e}")
        return None
    outcome = _in_terms_of(model.endpoint, outcome)
    keep = np.flatnonzero(new.cohort.units.index.get_indexer(outcome.units) >= 0)
    if not len(keep):
        reasons.append(f"{name}: no unit has a usable label.")
        return None
    return outcome.take(keep)


def _in_terms_of(endpoint: Endpoint, outcome: Outcome) -> Outcome:
    """Classes in the order of training; units of a class that training did not have are left out."""
    if isinstance(outcome, CompetingOutcome):
        # Which of the other causes it was, and how many there are, does not matter to the one of interest.
        cause = np.where(outcome.cause > 1, 2, outcome.cause)
        return CompetingOutcome(endpoint, outcome.units, outcome.time, cause)
    if not isinstance(outcome, ClassOutcome) or endpoint.kind.value == "binary":
        return dataclasses.replace(outcome, endpoint=endpoint)
    code = np.array([endpoint.classes.index(c) if c in endpoint.classes else -1 for c in outcome.endpoint.classes])
    codes = code[outcome.codes]
    keep = np.flatnonzero(codes >= 0)
    return ClassOutcome(endpoint, outcome.units[keep], codes[keep])


def _estimates(
    study: Study,
    folder: Path,
    model: models.Model,
    outcome: Outcome,
    prediction: Prediction,
    patients: NDArray[np.int64],
) -> list[Estimate]:
    from cohortium.experiment import EndpointPlan, asks_of
    from cohortium.experiment.estimating import estimate
    from cohortium.experiment.scoring import FoldToScore, Scores, count_events, score_one

    horizons = tuple(model.facts["horizons"])
    e = EndpointPlan(outcome, patients, (), model.grid, model.facts["tau"], horizons)
    if isinstance(prediction, Survival | CumulativeIncidence) and model.grid is not None:
        prediction = prediction.on(model.grid)
    fold = FoldToScore(
        outcome,
        patients,
        _censoring(folder, model),
        model.facts["n_train"],
        {model.learner: prediction},
        {model.learner: model.threshold},
    )
    asks = asks_of(e, study.evaluation.metrics)
    values, reasons = np.full((len(asks), 1), np.nan), {}
    for i, ask in enumerate(asks):
        value = score_one(e, fold, model.learner, ask)
        if isinstance(value, str):
            reasons[(i, 0)] = value
        else:
            values[i, 0] = value
    n_events = count_events(outcome)
    scores = Scores(e, asks, (fold,), {model.learner: values}, reasons, len(outcome), n_events, study.spec.seed)
    return [estimate(scores, model.learner, i) for i in range(len(asks))]


def _censoring(folder: Path, model: models.Model) -> Any:
    """Censoring distribution of the patients that the model was fitted on."""
    if model.grid is None:
        return None
    import pyarrow.parquet as pq

    from cohortium.metrics import censoring_distribution

    rows = pq.read_table(folder / "outcomes.parquet", filters=[("endpoint", "=", model.endpoint.name)]).to_pandas()
    trained = SurvivalOutcome(
        model.endpoint,
        rows["unit"].to_numpy(object),
        rows["time"].to_numpy(float),
        ((rows["code"] > 0) if model.endpoint.kind.value == "competing_risks" else rows["event"]).to_numpy(bool),
        rows["entry"].to_numpy(float),
    )
    return censoring_distribution(trained)


def _calibration(model: models.Model, outcome: Outcome, prediction: Prediction) -> list[dict[str, Any]]:
    """Observed against predicted in groups of similar prediction, for every class or horizon."""
    from cohortium.metrics import calibration_curve

    if len(outcome) < FEWEST_FOR_CALIBRATION:
        return []
    curves: list[tuple[dict[str, Any], Any]] = []
    if isinstance(outcome, ClassOutcome) and isinstance(prediction, Probabilities):
        first = 1 if len(prediction.classes) == 2 else 0
        for k in range(first, len(prediction.classes)):
            curve = calibration_curve(prediction.p[:, k], outcome.codes == k)
            curves.append(({"label": prediction.classes[k]}, curve))
    elif isinstance(outcome, SurvivalOutcome) and isinstance(prediction, Survival):
        for h in model.facts["horizons"]:
            p = 1.0 - prediction.at(np.array([h]))[:, 0]
            curve = calibration_curve(p, time=outcome.time, event=outcome.event, horizon=h)
            curves.append(({"horizon": h}, curve))
    elif isinstance(outcome, CompetingOutcome) and isinstance(prediction, CumulativeIncidence):
        for h in model.facts["horizons"]:
            p = prediction.at(np.array([h]))[:, 0]
            curve = calibration_curve(p, time=outcome.time, cause=outcome.cause, horizon=h)
            curves.append(({"horizon": h}, curve))
    return [
        {**what, **{k: _numbers(getattr(c, k)) for k in ("predicted", "observed", "low", "high")}} for what, c in curves
    ]


def _numbers(values: NDArray[np.float64]) -> list[float]:
    return [float(x) for x in np.nan_to_num(values)]


def _store(folder: Path, entries: list[dict[str, Any]]) -> None:
    file = folder / "validation.json"
    old: list[dict[str, Any]] = []
    if file.is_file():
        try:
            old = [x for x in json.loads(file.read_text(encoding="utf-8")) if isinstance(x, dict)]
        except ValueError:
            old = []
    new = {(e["endpoint"], e["data"]) for e in entries}
    runfolder.write_json(file, [x for x in old if (x.get("endpoint"), x.get("data")) not in new] + entries)
