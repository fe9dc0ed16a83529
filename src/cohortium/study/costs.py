"""How much work a study is: the number of fits, and a rough time before anything is timed.

The time is a cost model fitted to runs on two cores of a 2.x GHz server; it is meant to tell minutes from hours. What no
model knows, turning cells, images, texts and events into features, is tried on a few units. While a run goes on, the time
left is measured instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cohortium.cohort import Cohort, Modality
    from cohortium.experiment import Plan
    from cohortium.study.load import Study

LINEAR_SECONDS, TREES_SECONDS, FOLD_SECONDS, FIT_SECONDS, ENSEMBLE_SECONDS = 2.2e-7, 2.5e-6, 0.25, 0.008, 0.16
"""Per unit and effective feature of one linear or tree fit (a whole path); fixed costs of an outer fold, of a fit, and of
growing an ensemble of trees, however small the cohort."""

TRIED = (10, 60)
"""Units of each modality of which the features are made, to see how long that takes and how it grows."""


@dataclass(frozen=True)
class Expected:
    """n_fits: model fits, a path of penalties counting as one. n_parts: steps that progress counts. seconds: rough."""

    n_fits: int
    n_parts: int
    seconds: float
    jobs: int


def expected_fits(study: Study, jobs: int | None = None) -> Expected:
    """The work that ``run`` would do. Reads the study's files; raises the errors of reading and splitting."""
    from cohortium.study.data import load_data
    from cohortium.study.plan import make_plan

    data = load_data(study)
    return expected(make_plan(study, data), data.cohort, jobs)


def expected(plan: Plan, cohort: Cohort, jobs: int | None = None) -> Expected:
    """The work of a plan on a cohort that is read already."""
    from cohortium.experiment.run import cores
    from cohortium.learners import plan as learner_plan

    jobs = jobs or cores()
    fits, seconds, encoding = 0, 0.0, _encoding_seconds(cohort)
    for e in plan.endpoints.values():
        every = replace(plan.config, learners=None)
        infos = learner_plan(every, e.outcome.endpoint, list(cohort.modalities), plan.inner_folds)
        asked = None if plan.config.learners is None or "auto" in plan.config.learners else plan.config.learners
        # What fuses modalities is built from the single ones, asked for or not.
        per_fold = sum(i.n_fits for i in infos if asked is None or i.name in asked or i.name.startswith("single:"))
        sizes = [len(s.train) for s in e.splits] + [len(e.outcome)]
        sizes += [round(len(s.train) * f) for s in e.splits for f in plan.fractions if f < 1]
        fits += per_fold * len(sizes)
        seconds += sum(_fold_seconds(plan, cohort, n, per_fold) for n in sizes)
        # Every modality is encoded anew on the training part of a fold and on each of its inner splits.
        seconds += (plan.inner_folds + 1) * sum(encoding(n / len(cohort)) for n in sizes)
    parts = len([*plan.outer_tasks(), *plan.curve_tasks(), *plan.final_tasks()])
    return Expected(fits, parts, seconds / min(jobs, parts), jobs)


def _fold_seconds(plan: Plan, cohort: Cohort, n: int, fits: int) -> float:
    """Work grows with units and with features, which count no further than units (sample space)."""
    widths = [min(n, t.n_features) for t in cohort.modalities.values()]
    mean_width = sum(widths) / len(widths)
    heads = plan.config.heads
    trees = sum(h in ("forest", "boost") for h in heads) / len(heads)
    cost = LINEAR_SECONDS * (1 - trees) * mean_width + TREES_SECONDS * trees * mean_width**0.5 * 10
    return FOLD_SECONDS + fits * (FIT_SECONDS + n * cost + ENSEMBLE_SECONDS * trees)


def _encoding_seconds(cohort: Cohort) -> Callable[[float], float]:
    """Share of the cohort's units -> seconds of turning them, with all their modalities, into features once."""
    fixed = slope = 0.0
    for data in cohort.modalities.values():
        if len(data.units) >= TRIED[0]:
            _tried(data, TRIED[0])  # the first time, packages are imported and caches filled
            few, more = (_tried(data, n) for n in TRIED)
            growth = max(0.0, more - few) / max(1, min(TRIED[1], len(data.units)) - TRIED[0])
            fixed += max(0.0, few - growth * TRIED[0])
            slope += growth * len(data.units)
    return lambda share: fixed + slope * share


def _tried(data: Modality, n: int) -> float:
    """Seconds of processor time for n units, spread over all of them: the first ones may be short of everything."""
    from cohortium.encoders import fit_encoder

    some = data.take(np.unique(np.linspace(0, len(data.units) - 1, min(n, len(data.units))).astype(np.intp)))
    begin = time.process_time()
    fit_encoder(some).transform(some)
    return time.process_time() - begin
