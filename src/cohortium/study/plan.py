"""The plan of a study: outer splits of each endpoint, learners, hashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    from cohortium.contracts import Outcome
    from cohortium.experiment import Plan
    from cohortium.learners import LearnerConfig
    from cohortium.study.data import Data
    from cohortium.study.load import Study


def learner_config(study: Study) -> LearnerConfig:
    """What the learners are told."""
    from cohortium.learners import LearnerConfig

    s = study.spec
    return LearnerConfig(
        reference=tuple(s.reference),
        priority=None if s.priority is None else tuple(s.priority),
        models=study.models,
        learners=None if s.learners is None else tuple(s.learners),
        preset=s.preset,
        presence_as_predictor=s.presence_as_predictor,
        probes=True,
    )


def make_plan(study: Study, data: Data) -> Plan:
    """Splits, grids and hashes. Raises the errors of splitting, and :class:`StudyError` for unknown learners or metrics."""
    import cohortium
    from cohortium.experiment import Plan, cohort_hash, endpoint_plan

    config = learner_config(study)
    check_metrics(study)
    endpoints = {}
    headline = ""
    for name, outcome in data.outcomes.items():
        headline = headline or headline_of(study, outcome, list(data.cohort.modalities))
        groups = groups_of(study, data, outcome)
        endpoints[name] = endpoint_plan(outcome, groups, outer_splits(study, data, name, outcome, groups))
    return Plan(
        endpoints=endpoints,
        config=config,
        inner_folds=study.evaluation.inner_folds,
        seed=study.spec.seed,
        headline=headline,
        data_hash=cohort_hash(data.cohort),
        version=cohortium.__version__,
        fractions=tuple(study.evaluation.learning_curve or ()),
    )


def headline_of(study: Study, outcome: Outcome, modalities: list[str]) -> str:
    """``auto``, or where the study leaves it out ``best_single``, or the first learner asked for.

    Never the one that looks best on the outer folds.
    """
    from cohortium.learners import plan

    names = [i.name for i in plan(learner_config(study), outcome.endpoint, modalities) if i.role != "probe"]
    asked = [n for n in (study.spec.learners or names) if n in names]
    return next((n for n in ("auto", "best_single") if n in asked), asked[0] if asked else names[0])


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
    """(n,) codes of what stays together in one fold: the patient, or the design's groups joined with it."""
    units = data.cohort.units.reindex(outcome.units)
    return pd.factorize(units["patient"])[0].astype(np.int64)


def outer_splits(study: Study, data: Data, name: str, outcome: Outcome, groups: NDArray[np.int64]) -> Sequence[Any]:
    """The outer splits of one endpoint, as ``evaluation`` asks."""
    from cohortium import resampling

    e = study.evaluation
    return resampling.nested(outcome.strata, groups, e.repeats, e.folds, study.spec.seed)
