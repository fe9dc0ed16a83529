"""Run the tasks of a plan, in as many processes as asked for, and take up what an earlier run left."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cohortium.cohort import Cohort
from cohortium.experiment.folds import FoldResult, read_fold, same_plan
from cohortium.experiment.plan import EndpointPlan, Plan, Task
from cohortium.experiment.progress import Progress, ProgressEvent, silent
from cohortium.experiment.work import SHARED, Done, do_task, dump_shared, facts_of, forget_shared


@dataclass(frozen=True, eq=False)
class Experiment:
    """What a plan gave. outer: endpoint -> results in the order of its splits; curve: (endpoint, fraction) -> same.

    finals: endpoint -> (folder of the stored predictor, its facts). seconds, peak_bytes: of this call, all
    processes together; resumed: tasks found done.
    """

    plan: Plan
    outer: Mapping[str, list[FoldResult]]
    curve: Mapping[tuple[str, float], list[FoldResult]]
    finals: Mapping[str, tuple[Path, dict[str, Any]]]
    seconds: float = 0.0
    peak_bytes: int = 0
    resumed: int = 0
    fit_seconds: list[float] = field(default_factory=list)


def run_experiment(
    cohort: Cohort, plan: Plan, work: Path, *, jobs: int | None = None, progress: Progress = silent
) -> Experiment:
    """Do what is not done yet of ``plan`` and return all results.

    work: a private folder; every task writes one file there, whole or not at all. jobs: processes, default one
    per core. Raises the user errors of the learners (a fold that cannot be fitted) and whatever fails inside.
    """
    begin = time.perf_counter()
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in work.glob(".*.part"):
        _remove(left)
    tasks = [*plan.outer_tasks(), *plan.curve_tasks(), *plan.final_tasks()]
    todo = [t for t in tasks if not _is_done(plan, t, work)]
    memory = _Memory()
    try:
        with memory:
            seconds = _do(cohort, plan, work, todo, len(tasks), jobs or cores(), progress)
    finally:
        forget_shared()
        (work / SHARED).unlink(missing_ok=True)
    outer = {name: [_read(plan, e, t, work) for t in plan.outer_tasks() if t.endpoint == name]
             for name, e in plan.endpoints.items()}  # fmt: skip
    curve: dict[tuple[str, float], list[FoldResult]] = {}
    for t in plan.curve_tasks():
        curve.setdefault((t.endpoint, t.fraction), []).append(_read(plan, plan.endpoints[t.endpoint], t, work))
    finals = {t.endpoint: (work / plan.file(t), facts_of(work / plan.file(t))) for t in plan.final_tasks()}
    took = time.perf_counter() - begin
    return Experiment(plan, outer, curve, finals, took, memory.peak, len(tasks) - len(todo), seconds)


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _is_done(plan: Plan, task: Task, work: Path) -> bool:
    path = work / plan.file(task)
    return facts_of(path).get("plan") == plan.hash if task.kind == "final" else same_plan(path, plan.hash)


def _read(plan: Plan, e: EndpointPlan, task: Task, work: Path) -> FoldResult:
    endpoint = e.outcome.endpoint
    result = read_fold(work / plan.file(task), plan.hash, e.outcome.units, endpoint.classes, e.grid)
    if result is None:
        raise OSError(f"{work / plan.file(task)} was written and cannot be read back; is the disk full?")
    return result


def _do(
    cohort: Cohort, plan: Plan, work: Path, todo: list[Task], total: int, jobs: int, progress: Progress
) -> list[float]:
    begin, before = time.perf_counter(), total - len(todo)
    progress(ProgressEvent("folds", before, total))
    if not todo:
        return []
    shared = dump_shared(work, cohort, plan)
    seconds: list[float] = []
    for done in _results(shared, todo, min(jobs, len(todo))):
        seconds.append(done.seconds)
        spent = time.perf_counter() - begin
        left = spent / len(seconds) * (len(todo) - len(seconds))
        text = _text(done.task)
        progress(ProgressEvent("folds", before + len(seconds), total, spent, left, text))
    return seconds


def _text(task: Task) -> str:
    if task.kind == "final":
        return f"{task.endpoint}: on everyone"
    return f"{task.endpoint}: repeat {task.repeat + 1}, fold {task.fold + 1}"


def _results(shared: Path, todo: list[Task], jobs: int) -> Iterator[Done]:
    if jobs == 1:
        for task in todo:
            yield do_task(shared, task, os.getpid())
        return
    from joblib import Parallel, delayed, parallel_config

    calls: Iterable[Any] = (delayed(do_task)(shared, task, os.getpid()) for task in todo)
    with parallel_config(backend="loky", inner_max_num_threads=1):
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(calls)


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Memory:
    """Peak resident memory of this process and its children together, sampled twice a second (shared pages once).

    Reads ``/proc``; elsewhere it gives the peak of this process alone.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, sum(map(_resident, _family(os.getpid()))))
            if self._stop.wait(0.5):
                return


def _family(pid: int) -> list[int]:
    out = [pid]
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in file.read_text().split():
                out += _family(int(child))
    return out


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    if pid != os.getpid():
        return 0
    from cohortium.experiment.work import _peak

    return _peak()
