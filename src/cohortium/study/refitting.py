"""The models of a run's outer folds, made again: a run keeps their predictions, not them.

They are fitted as the run fitted them, from the same seed, fold and learner, so that their predictions are the run's; study,
data and plan are held against the run's before anything is fitted.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cohortium.errors import RunFolderError, StudyError, did_you_mean
from cohortium.study import runfolder
from cohortium.study.load import Study, load_study

if TYPE_CHECKING:
    from cohortium.contracts import Prediction
    from cohortium.experiment import EndpointPlan, Plan
    from cohortium.explanation import FoldModel
    from cohortium.study.data import Data

Ask = tuple[str, float | None]


@dataclass(frozen=True, eq=False)
class Source:
    """A finished run and the study that it is of, with its data."""

    folder: Path
    study: Study
    data: Data
    plan: Plan


def open_source(run: str | Path, study: Study | str | Path | None) -> Source:
    """A run with its study. study: default is the study file beside which ``run`` put the folder.

    Raises :class:`RunFolderError` when it is not finished, or of another study, other data or another version.
    """
    from cohortium.study.data import load_data
    from cohortium.study.plan import make_plan

    folder = Path(run)
    mark = runfolder.finished(folder)
    if study is None:
        study = _beside(folder)
    loaded = study if isinstance(study, Study) else load_study(study)
    loaded = loaded.having(mark.get("learners"), mark.get("preset"))
    was = mark.get("hashes", {})
    if was.get("study") != loaded.hash:
        raise RunFolderError(
            f"{folder} holds a run of another study than {loaded.path}, or of it before it was changed, or by another version."
        )
    data = load_data(loaded)
    plan = make_plan(loaded, data)
    if was.get("data") != plan.data_hash:
        raise RunFolderError(f"{folder} holds a run on other data: the files of {loaded.path} have changed since.")
    if was.get("plan") != plan.hash:
        raise RunFolderError(f"{folder} was made by another version of cohortium. Run the study again first.")
    return Source(folder, loaded, data, plan)


def _beside(folder: Path) -> Path:
    whole = folder.resolve()
    file = whole.with_name(f"{whole.name.removesuffix('_run')}.yaml")
    if not whole.name.endswith("_run") or not file.is_file():
        raise RunFolderError(
            f"{folder} does not say where its data are. Give the study file too, after the run folder."
        )
    return file


def pick_endpoint(source: Source, name: str | None) -> tuple[str, EndpointPlan]:
    """The endpoint asked for, by default the primary one. Raises :class:`StudyError`."""
    wanted = name or source.study.spec.primary_name
    if wanted not in source.plan.endpoints:
        raise StudyError(f"No endpoint called '{wanted}'.{did_you_mean(wanted, source.plan.endpoints)}")
    return wanted, source.plan.endpoints[wanted]


def pick_learner(source: Source, name: str | None, e: EndpointPlan) -> str:
    """The learner asked for, of those that the run has; by default its headline. Raises :class:`StudyError`."""
    from cohortium.learners import plan as learner_plan

    modalities = list(source.data.cohort.modalities)
    infos = learner_plan(source.plan.config, e.outcome.endpoint, modalities, source.plan.inner_folds)
    known = [i.name for i in infos if i.role != "probe"]
    if name is not None and name not in known:
        raise StudyError(f"The run has no learner called '{name}'.{did_you_mean(name, known)}")
    if name is not None and name.startswith("plugin:"):
        raise StudyError(
            f"'{name}' is of another package, whose models cannot be kept to be asked again. Explain another one."
        )
    return name or source.plan.headline


def ask_of(source: Source, name: str, e: EndpointPlan) -> Ask:
    """The metric in which the answer is given, and its horizon."""
    from cohortium.metrics import METRICS, headline_metric

    own = source.study.spec.evaluation.headline_metric if name == source.study.spec.primary_name else None
    metric = own or headline_metric(e.outcome.endpoint.kind)
    return metric, middle_horizon(e) if METRICS[metric].needs_horizon else None


def middle_horizon(e: EndpointPlan) -> float | None:
    """The middle one of an endpoint's horizons, the end of its follow-up where it has none; None unless survival."""
    if e.grid is None:
        return None
    return e.horizons[(len(e.horizons) - 1) // 2] if e.horizons else e.tau


@contextlib.contextmanager
def shared_work(source: Source) -> Iterator[Path]:
    """A private folder with cohort and plan for the workers, gone at the end: beside the run's own files, or where
    temporary files go when those cannot be written to."""
    from cohortium.experiment.work import dump_shared, forget_shared

    with contextlib.ExitStack() as stack:
        try:
            work = stack.enter_context(runfolder.work_inside(source.folder, "explain"))
        except OSError:
            work = Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="cohortium.explain.", ignore_cleanup_errors=True)
                )
            )
        stack.callback(forget_shared)
        yield dump_shared(work, source.data.cohort, source.plan)


def in_processes(do: Callable[..., Any], calls: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """``do`` of every call in ``jobs`` processes, in their order; one thread each, so that numbers do not depend on it."""
    if jobs == 1:
        for call in calls:
            yield do(*call)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        yield from Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(delayed(do)(*c) for c in calls)


def refit(shared: Path, endpoint: str, learner: str, k: int | None) -> dict[str, list[Any]]:
    """Fit a learner on the training part of the endpoint's split ``k`` (None: on everyone), and keep it beside ``shared``.

    Returns what the learner leans on: orders of positions of every table, and of names of encoded features of other shapes
    (:mod:`cohortium.explanation.grouping`).
    """
    from threadpoolctl import threadpool_limits

    from cohortium.experiment.work import build_fold, load_shared, others_of
    from cohortium.learners import fit_all, save_predictor

    with threadpool_limits(limits=1):
        cohort, plan = load_shared(shared)
        e = plan.endpoints[endpoint]
        rows = np.arange(len(e.outcome)) if k is None else np.asarray(e.splits[k].train, dtype=np.intp)
        key = f"{endpoint}/final" if k is None else key_of(endpoint, e.splits[k])
        fold = build_fold(cohort, e, rows, plan.inner_folds, plan.seed, key, others_of(plan, endpoint))
        predictor = fit_all(plan.config, fold, [learner])[learner]
        folder = model_folder(shared, k)
        folder.mkdir(mode=0o700)
        save_predictor(predictor, folder)
        return {name: _leaned(predictor, cohort, name) for name in cohort.modalities}


def _leaned(predictor: Any, cohort: Any, name: str) -> list[Any]:
    from cohortium.cohort import Table, Texts
    from cohortium.explanation import Shown
    from cohortium.explanation.grouping import leaned_on, leaned_on_encoded

    data = cohort.modalities[name]
    if isinstance(data, Table):
        return list(leaned_on(predictor, name))
    if isinstance(data, Texts) and data.vectors is not None:
        return []  # numbers of a language model mean nothing one by one
    return leaned_on_encoded(predictor, name) if Shown(predictor, cohort).says_what_it_encodes(name) else []


def key_of(endpoint: str, split: Any) -> str:
    """The fold's name, as runs have it."""
    return f"{endpoint}/{split.repeat}/{split.fold}"


def model_folder(shared: Path, k: int | None) -> Path:
    """Where :func:`refit` keeps the model of split ``k``."""
    return shared.parent / ("final" if k is None else f"fold_{k}")


def fold_model(shared: Path, endpoint: str, k: int, ask: Ask, reasons: list[str]) -> FoldModel:
    """A refitted model with the units of its test part. reasons: is added why the metric has no value."""
    from cohortium.experiment.work import load_shared
    from cohortium.explanation import FoldModel
    from cohortium.learners import load_predictor

    cohort, plan = load_shared(shared)
    e = plan.endpoints[endpoint]
    split = e.splits[k]
    test = np.asarray(split.test, dtype=np.intp)
    predictor = load_predictor(model_folder(shared, k))
    tested = cohort.take(cohort.units.index.get_indexer(e.outcome.units[test]))
    score = _scorer(e, split, ask, predictor.threshold, reasons)
    return FoldModel(predictor, tested, score, e.grid, plan.seed, key_of(endpoint, split), len(split.train))


def _scorer(
    e: EndpointPlan, split: Any, ask: Ask, threshold: float | None, reasons: list[str]
) -> Callable[[Prediction], float]:
    """The metric of predictions of a fold's test units as the leaderboard has it, turned so that larger is better."""
    from cohortium.experiment.scoring import censoring_of
    from cohortium.metrics import METRICS, NotEstimable, score

    outcome = e.outcome.take(np.asarray(split.test, dtype=np.intp))
    censoring = censoring_of(e, split)
    sign = 1.0 if METRICS[ask[0]].higher_is_better else -1.0

    def of(p: Prediction) -> float:
        try:
            found = score(ask[0], outcome, p, horizon=ask[1], tau=e.tau, censoring=censoring, threshold=threshold)
        except NotEstimable as reason:
            reasons.append(str(reason))
            return float("nan")
        return sign * float(found)

    return of
