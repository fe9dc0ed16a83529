"""One task, done in a worker process: build the fold, fit, predict, write.

The cohort is dumped once into the private work folder and mapped into every worker's memory, so that a task
costs a path to send and workers share the pages. Whoever runs a task, a worker or the main process, does so
with one BLAS and OpenMP thread: results do not depend on the number of jobs.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import (
    ClassOutcome,
    CumulativeIncidence,
    Fold,
    Outcome,
    Prediction,
    Probabilities,
    Survival,
    Values,
)
from cohortium.experiment.folds import FoldResult, write_fold
from cohortium.experiment.plan import EndpointPlan, Plan, Task

SHARED = "shared.dump"


@dataclass(frozen=True)
class Done:
    """What a worker says of a task. seconds: it took. peak: largest resident memory of the process so far, bytes."""

    task: Task
    seconds: float
    peak: int
    pid: int


def dump_shared(work: Path, cohort: Cohort, plan: Plan) -> Path:
    """Write cohort and plan for the workers; replaced by every run, deleted at its end."""
    import joblib

    file = work / SHARED
    parts = {"units": cohort.units, "modalities": dict(cohort.modalities), "absent": cohort.absent, "plan": plan}
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    joblib.dump(parts, file)
    return file


_loaded: dict[str, tuple[Cohort, Plan]] = {}


def load_shared(file: Path) -> tuple[Cohort, Plan]:
    """Cohort and plan, mapped from ``file`` once per process."""
    import joblib

    key = f"{file}|{file.stat().st_mtime_ns}"
    if key not in _loaded:
        parts = joblib.load(file, mmap_mode="r")
        _loaded.clear()
        _loaded[key] = (Cohort(parts["units"], parts["modalities"], parts["absent"]), parts["plan"])
    return _loaded[key]


def forget_shared() -> None:
    """Let go of what this process has mapped."""
    _loaded.clear()


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End this worker when the process that started it has ended, be it killed: nothing goes on unseen."""
    if parent in _watched or os.getpid() == parent:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


def do_task(shared: Path, task: Task, parent: int) -> Done:
    """Do one task and write its file beside ``shared``. parent: id of the process that runs the experiment."""
    from threadpoolctl import threadpool_limits

    _end_with(parent)
    begin = time.perf_counter()
    with threadpool_limits(limits=1):
        cohort, plan = load_shared(shared)
        if task.kind == "final":
            _refit(cohort, plan, task, shared.parent)
        else:
            _outer(cohort, plan, task, shared.parent)
    return Done(task, time.perf_counter() - begin, _peak(), os.getpid())


def _outer(cohort: Cohort, plan: Plan, task: Task, work: Path) -> None:
    from cohortium.learners import fit_all, predict_all

    e = plan.endpoints[task.endpoint]
    split = e.split(task)
    rows = np.asarray(split.train, dtype=np.intp)
    key, only = f"{task.endpoint}/{task.repeat}/{task.fold}", None
    if task.kind == "curve":
        rows = rows[subset(e, rows, task, plan.seed)]
        only = [plan.headline]
        key = f"{key}/{task.fraction!r}"
    fold = build_fold(cohort, e, rows, plan.inner_folds, plan.seed, key, others_of(plan, task.endpoint))
    begin = time.perf_counter()
    bounded = plan.headline if task.kind == "outer" else None
    predictors = fit_all(plan.config, fold, only, bounded)
    test = np.asarray(split.test, dtype=np.intp)
    tested = cohort.take(cohort.units.index.get_indexer(e.outcome.units[test]))
    predictions = predict_all(predictors, tested, e.grid)
    for name, prediction in predictions.items():
        _finite(name, prediction)
    facts = {name: {"threshold": p.threshold, "chosen": p.chosen} for name, p in predictors.items()}
    bounds = predictors[bounded].bounds(tested, predictions[bounded]) if bounded in predictors else None
    result = FoldResult(plan.hash, test, len(rows), predictions, facts, time.perf_counter() - begin, bounds=bounds)
    write_fold(work / plan.file(task), result, e.grid)


def _refit(cohort: Cohort, plan: Plan, task: Task, work: Path) -> None:
    """The headline learner on everyone, stored as a folder that appears whole."""
    import json

    from cohortium.learners import fit_all, save_predictor

    e = plan.endpoints[task.endpoint]
    rows = np.arange(len(e.outcome), dtype=np.intp)
    fold = build_fold(
        cohort, e, rows, plan.inner_folds, plan.seed, f"{task.endpoint}/final", others_of(plan, task.endpoint)
    )
    predictor = fit_all(plan.config, fold, [plan.headline], plan.headline)[plan.headline]
    if e.outcome.endpoint.prevalence is not None:
        assert isinstance(e.outcome, ClassOutcome)
        predictor = predictor.for_prevalence(e.outcome.endpoint.prevalence, float((e.outcome.codes == 1).mean()))
    folder = work / plan.file(task)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "predictor").mkdir(mode=0o700, parents=True)
    save_predictor(predictor, part / "predictor")
    facts = {
        "plan": plan.hash,
        "learner": plan.headline,
        "threshold": predictor.threshold,
        "chosen": predictor.chosen,
        "settings": predictor.settings(),
        "grid": None if e.grid is None else e.grid.tolist(),
        "n_train": len(rows),
    }
    (part / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def others_of(plan: Plan, endpoint: str) -> tuple[Outcome, ...]:
    """The outcomes of the other endpoints, of every unit that has them."""
    return tuple(e.outcome for name, e in plan.endpoints.items() if name != endpoint)


def build_fold(
    cohort: Cohort, e: EndpointPlan, rows: NDArray[np.intp], inner_folds: int, seed: int, key: str,
    others: tuple[Outcome, ...] = (),
) -> Fold:  # fmt: skip
    """The fold of the outcome's positions ``rows``: a copy from which no other unit can be reached."""
    from cohortium.resampling import inner

    outcome: Outcome = e.outcome.take(rows)
    groups = e.groups[rows]
    bare = Fold(cohort.take(cohort.units.index.get_indexer(outcome.units)), outcome, groups, (), seed, key)
    splits = inner(outcome, groups, inner_folds, bare.seed_of("inner"))
    mine = set(outcome.units)
    beside = [o.take(np.flatnonzero([u in mine for u in o.units])) for o in others]
    return replace(bare, inner=tuple(splits), others=tuple(o for o in beside if len(o)))


def subset(e: EndpointPlan, rows: NDArray[np.intp], task: Task, seed: int) -> NDArray[np.intp]:
    """Positions among ``rows`` of a fraction of its groups, stratified; smaller fractions lie within larger ones.

    At least two groups of a stratum stay, so that inner folds can be made.
    """
    import hashlib

    text = f"{seed}|{task.endpoint}|{task.repeat}|{task.fold}|curve".encode()
    rng = np.random.default_rng(int.from_bytes(hashlib.blake2s(text, digest_size=8).digest(), "little"))
    names, of = np.unique(e.groups[rows], return_inverse=True)
    stratum = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(stratum, of, e.outcome.strata[rows])
    order, keep = rng.permutation(len(names)), np.zeros(len(names), dtype=bool)
    for s in np.unique(stratum):
        members = order[stratum[order] == s]
        keep[members[: max(2, int(np.ceil(task.fraction * len(members))))]] = True
    return np.flatnonzero(keep[of])


def _finite(learner: str, prediction: Prediction) -> None:
    arrays = {
        Probabilities: ("p",),
        Values: ("values",),
        Survival: ("risk", "survival"),
        CumulativeIncidence: ("risk", "incidence"),
    }[type(prediction)]
    if not all(np.isfinite(getattr(prediction, a)).all() for a in arrays):
        raise FloatingPointError(f"learner '{learner}' predicted values that are not finite")


def _peak() -> int:
    try:
        import resource
    except ImportError:
        return 0
    scale = 1 if os.uname().sysname == "Darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * scale


def facts_of(folder: Path) -> dict[str, Any]:
    """What ``_refit`` wrote of the final predictor in ``folder``; empty when it is not there or damaged."""
    import json

    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
