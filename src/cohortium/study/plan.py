"""The plan of a study: outer splits of each endpoint, learners, hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    from cohortium.contracts import Outcome
    from cohortium.experiment import Plan
    from cohortium.learners import LearnerConfig
    from cohortium.resampling import OuterSplit
    from cohortium.study.data import Data
    from cohortium.study.load import Study


def learner_config(study: Study) -> LearnerConfig:
    """What the learners are told."""
    from cohortium.learners import DeepSpec, JointSpec, LearnerConfig

    s = study.spec
    if s.deep:
        require("torch", extra="deep", purpose="A deep learner")
    for model in ("vae", "contrastive", "graph"):
        if any(j.model == model for j in s.joint):
            require("torch", extra="deep", purpose=f"The representation '{model}'")
    return LearnerConfig(
        reference=tuple(s.reference),
        priority=None if s.priority is None else tuple(s.priority),
        models=study.models,
        learners=None if s.learners is None else tuple(s.learners),
        preset=s.preset,
        presence_as_predictor=s.presence_as_predictor,
        probes=True,
        coverage=s.evaluation.coverage,
        plugins=tuple(s.plugins),
        recalibration=s.evaluation.recalibration,
        deep=tuple(DeepSpec(**d.model_dump()) for d in s.deep),
        joint=tuple(JointSpec(**{**j.model_dump(), "counts": tuple(j.counts)}) for j in s.joint),
    )


def make_plan(study: Study, data: Data) -> Plan:
    """Splits, grids and hashes. Raises the errors of splitting, and :class:`StudyError` for unknown learners or metrics."""
    import cohortium
    from cohortium.experiment import Plan, cohort_hash, endpoint_plan
    from cohortium.learners import fitted_config
    from cohortium.study.grouping import groupings

    config = learner_config(study)
    check_metrics(study)
    check_plugins(study)
    groupings(study, data)  # a column that is not there stops before anything is fitted
    endpoints = {}
    headline, notes = "", list[str]()
    for name, outcome in data.outcomes.items():
        fitted_config(config, outcome.endpoint)
        headline = headline or headline_of(study, outcome, list(data.cohort.modalities))
        groups = groups_of(study, data, outcome)
        notes += unknown_causes(outcome)
        splits, said = outer_splits(study, data, name, outcome, groups)
        notes += said
        endpoints[name] = endpoint_plan(outcome, groups, splits)
    return Plan(
        endpoints=endpoints,
        config=config,
        inner_folds=study.evaluation.inner_folds,
        seed=study.spec.seed,
        headline=headline,
        data_hash=cohort_hash(data.cohort),
        version=cohortium.__version__,
        fractions=tuple(study.evaluation.learning_curve or ()),
        notes=tuple(notes),
    )


def unknown_causes(outcome: Outcome) -> list[str]:
    """What became of events whose cause is not known, as a note; none where there are none."""
    from cohortium.contracts import CompetingOutcome
    from cohortium.schema.declare import UNKNOWN_CAUSE

    classes = outcome.endpoint.classes
    if not isinstance(outcome, CompetingOutcome) or UNKNOWN_CAUSE not in classes:
        return []
    n = int((outcome.cause == 1 + classes.index(UNKNOWN_CAUSE)).sum())
    return [
        f"{outcome.endpoint.name}: {n} events of unknown cause count as events of another cause, as censoring them would call "
        f"the dead alive. So far as they were {classes[0]}, its incidence is too low."
    ]


def headline_of(study: Study, outcome: Outcome, modalities: list[str]) -> str:
    """``auto``, or where the study leaves it out ``best_single``, or the first learner asked for.

    Never the one that looks best on the outer folds, nor a plug-in. Raises :class:`StudyError` where there are only plug-ins.
    """
    from cohortium.learners import plan

    names = [i.name for i in plan(learner_config(study), outcome.endpoint, modalities) if i.role != "probe"]
    asked = [n for n in (study.spec.learners or names) if n in names and not n.startswith("plugin:")]
    chosen = next((n for n in ("auto", "best_single") if n in asked), asked[0] if asked else names[0])
    if chosen.startswith("plugin:"):
        raise StudyError(
            f"{study.path.name}: a plug-in cannot give the answer, it is compared only. Add 'auto' to learners."
        )
    return chosen


def check_plugins(study: Study) -> None:
    """Raise :class:`StudyError` for a plug-in that is not installed or is no learner."""
    from cohortium.learners import plugins

    for name in study.spec.plugins:
        plugins.find(name)


def check_metrics(study: Study) -> None:
    """Raise :class:`StudyError` for a metric that there is not."""
    from cohortium.metrics import METRICS

    wanted = [*(study.spec.evaluation.metrics or [])]
    if study.spec.evaluation.headline_metric:
        wanted.append(study.spec.evaluation.headline_metric)
    for m in wanted:
        if m not in METRICS:
            raise StudyError(f"No metric called '{m}'.{did_you_mean(m, METRICS)}")


def groups_of(study: Study, data: Data, outcome: Outcome) -> NDArray[np.int64]:
    """(n,) codes of what stays together in one fold: the patient, joined with the design's groups where declared.

    Units are together when a chain of shared patients or groups links them.
    """
    patients, column = data.cohort.units["patient"].reindex(outcome.units), study.spec.design.groups
    return linked_groups(patients, None if column is None else design_column(study, data, column, "groups", outcome))


def linked_groups(patients: pd.Series, labels: pd.Series | None) -> NDArray[np.int64]:
    """(n,) codes of units that a chain of shared patients or labels links; a missing label links nobody."""
    patients = pd.factorize(patients)[0].astype(np.int64)
    if labels is None:
        return patients
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    codes = pd.factorize(labels)[0].astype(np.int64)
    known = np.flatnonzero(codes >= 0)
    n = int(patients.max()) + 1
    total = n + int(codes.max(initial=-1)) + 1
    links = coo_matrix((np.ones(len(known)), (patients[known], n + codes[known])), shape=(total, total))
    linked = connected_components(links, directed=False)[1]
    return pd.factorize(linked[patients])[0].astype(np.int64)


def design_column(study: Study, data: Data, column: str, role: str, outcome: Outcome) -> pd.Series:
    """A column of the unit table as read, for the units of an outcome. Raises :class:`StudyError` when it is not there."""
    raw = data.raw_units
    if column not in raw:
        known = did_you_mean(column, map(str, raw.columns))
        raise StudyError(
            f"{study.path.name}: {role} names the column '{column}', which {study.spec.cohort.units.file} does not have.{known}"
        )
    return raw[column].reindex(outcome.units)


def outer_splits(
    study: Study, data: Data, name: str, outcome: Outcome, groups: NDArray[np.int64]
) -> tuple[list[OuterSplit], list[str]]:
    """The outer splits of one endpoint, as ``evaluation`` asks, and notes on them.

    Raises :class:`StudyError`, :class:`DataError` and :class:`EndpointError` for splits that cannot be used.
    """
    from cohortium import resampling

    e, design = study.evaluation, study.spec.design
    notes: list[str] = []
    if e.design == "nested":
        splits = resampling.nested(outcome, groups, e.repeats, e.folds, study.spec.seed)
    elif e.design == "leave_one_site_out":
        column = _needed(study, design.site, "leave_one_site_out needs design.site, the column that names the site")
        splits = resampling.leave_one_site_out(list(design_column(study, data, column, "design.site", outcome)))
    elif e.design == "temporal":
        column = _needed(study, design.index_time, "temporal needs design.index_time, the date of the prediction")
        times = list(design_column(study, data, column, "design.index_time", outcome))
        splits = resampling.temporal(times, e.test_from, e.folds, groups)
    elif e.design == "column":
        splits = resampling.by_column(list(design_column(study, data, str(e.column), "evaluation.column", outcome)))
    elif e.design == "fixed_test":
        labels = list(design_column(study, data, str(e.column), "evaluation.column", outcome))
        splits = resampling.fixed_test(labels, e.test_value)
    else:
        splits, notes = _from_file(study, outcome)
    splits = [s for s in splits if len(s.test)]
    notes += [f"{name}: {n}" for n in resampling.check_splits(splits, outcome, groups)]
    return splits, notes


def _needed(study: Study, column: str | None, sentence: str) -> str:
    if column is None:
        raise StudyError(f"{study.path.name}: evaluation.design: {sentence}.")
    return column


def _from_file(study: Study, outcome: Outcome) -> tuple[list[OuterSplit], list[str]]:
    from cohortium import resampling
    from cohortium.errors import DataError

    f = study.evaluation.folds_file
    assert f is not None
    frame = _folds_frame(study)
    for column, value in (f.where or {}).items():
        if column not in frame:
            raise DataError(f"{f.file} has no column '{column}'.{did_you_mean(column, map(str, frame.columns))}")
        frame = frame[frame[column].astype(str) == str(value)]
        if frame.empty:
            raise DataError(f"{f.file} has no row where '{column}' is '{value}'.")
    units = study.spec.cohort.units
    identifier = f.id or units.id or str(frame.columns[0])
    if identifier in frame:
        from cohortium.sources import apply_rule

        frame = frame.assign(**{identifier: apply_rule(frame[identifier], units.id_rule, f.file).to_numpy()})
    return resampling.from_file(
        frame, outcome.units, id=identifier, fold=f.fold, repeat=f.repeat, part=f.part, test_value=f.test_value
    )


def _folds_frame(study: Study) -> pd.DataFrame:
    """The folds file as texts; fold and repeat labels as numbers where they are numbers, so that 10 follows 9."""
    from cohortium.errors import DataError

    f = study.evaluation.folds_file
    assert f is not None
    file = study.folder / f.file
    if not file.is_file():
        raise DataError(f"No folds file at {file}. evaluation.folds_file.file is relative to the study file.")
    try:
        if file.suffix == ".parquet":
            frame = pd.read_parquet(file).astype(str)
        else:
            separator = "\t" if ".tsv" in file.suffixes or ".txt" in file.suffixes else ","
            frame = pd.read_csv(file, dtype=str, sep=separator)
    except (OSError, EOFError, ValueError, UnicodeDecodeError) as e:
        raise DataError(f"{file} cannot be read as a table: {str(e).splitlines()[0]}.") from e
    for column in filter(None, (f.fold, f.repeat)):
        if column in frame:
            numbers = pd.to_numeric(frame[column], errors="coerce")
            frame[column] = numbers if numbers.notna().all() else frame[column]
    return frame
