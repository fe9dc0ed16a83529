"""Whether anything of a test unit reaches a model: outer folds fitted again with garbage in their test rows.

Non-interference (Goguen & Meseguer 1982, IEEE S&P): what may not flow is replaced, and what it may not flow to must not
change by a bit. Every fit runs in a process of its own, whose whole memory holds garbage where the test units were: a learner that
keeps what it saw, or looks beside the fold it was given, is found out as one that is handed too much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.cohort.garbage import spoiled
from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Outcome,
    Prediction,
    Probabilities,
    Survival,
    SurvivalOutcome,
    ValueOutcome,
)
from cohortium.experiment.plan import EndpointPlan, Plan, Task
from cohortium.experiment.work import build_fold, dump_shared, forget_shared, load_shared, others_of

Floats = NDArray[np.float64]

ORIGINAL, GARBAGE = "original", "garbage"
IMPORTED = ["cohortium.experiment.auditing", "cohortium.learners.suite", "sklearn.utils.validation"]
"""What processes of an audit have imported before they begin: most of the seconds that each would spend."""


@dataclass(frozen=True, eq=False)
class Variant:
    """What one process gave. digests: learner -> of the fitted model. predictions: of the true test units. unseen: the
    same once their outcomes and the other test rows are garbage in memory. halves: asked for in two halves. parts: what was
    fitted. failed: why nothing was."""

    digests: Mapping[str, str]
    predictions: Mapping[str, Prediction]
    unseen: Mapping[str, Prediction]
    halves: Mapping[str, Floats]
    parts: tuple[str, ...] = ()
    failed: str = ""


def spoiled_plan(plan: Plan, test: Mapping[str, NDArray[np.bool_]], rng: np.random.Generator) -> Plan:
    """The plan with other outcomes for the units of ``test`` (endpoint -> (n,) bool); splits, grids and horizons stay."""
    endpoints = {
        name: replace(e, outcome=spoiled_outcome(e.outcome, test[name], rng)) for name, e in plan.endpoints.items()
    }
    return replace(plan, endpoints=endpoints)


def spoiled_outcome(outcome: Outcome, outside: NDArray[np.bool_], rng: np.random.Generator) -> Outcome:
    """Wrong outcomes for the units ``outside`` (n,) bool: another class, a huge value, another time and status."""
    n = int(outside.sum())
    if isinstance(outcome, ClassOutcome):
        codes, k = outcome.codes.copy(), len(outcome.endpoint.classes)
        codes[outside] = (codes[outside] + rng.integers(1, k, n)) % k
        return replace(outcome, codes=codes)
    if isinstance(outcome, ValueOutcome):
        values = outcome.values.copy()
        values[outside] = rng.normal(0, 1e6, n)
        return replace(outcome, values=values)
    if isinstance(outcome, CompetingOutcome):
        time, cause = outcome.time.copy(), outcome.cause.copy()
        time[outside] = rng.exponential(float(time.max()), n) + 1e-3
        cause[outside] = (cause[outside] + rng.integers(1, len(outcome.endpoint.classes) + 1, n)) % (
            len(outcome.endpoint.classes) + 1
        )
        return replace(outcome, time=time, cause=cause)
    time, event = outcome.time.copy(), outcome.event.copy()
    time[outside] = outcome.entry[outside] + rng.exponential(float(time.max()), n) + 1e-3
    event[outside] = ~event[outside]
    return replace(outcome, time=time, event=event)


def shuffled_plan(plan: Plan, endpoint: str, rng: np.random.Generator) -> Plan:
    """The plan with the labels of one endpoint dealt anew among its units."""
    e = plan.endpoints[endpoint]
    dealt = replace(e.outcome.take(rng.permutation(len(e.outcome))), units=e.outcome.units)
    return replace(plan, endpoints={**plan.endpoints, endpoint: replace(e, outcome=dealt)})


def rows_outside(plan: Plan, cohort: Cohort, task: Task) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """Who is not trained on in a task: (n,) of the cohort, and of every endpoint's outcome."""
    e = plan.endpoints[task.endpoint]
    trained = set(e.outcome.units[np.asarray(e.split(task).train, dtype=np.intp)])
    cohort_rows = np.array([u not in trained for u in cohort.ids])
    return cohort_rows, {
        name: np.array([u not in trained for u in x.outcome.units]) for name, x in plan.endpoints.items()
    }


def try_fold(cohort: Cohort, plan: Plan, task: Task, learners: list[str], work: Path, jobs: int) -> dict[str, Variant]:
    """The task fitted on the data as they are, and with garbage in its test rows: variant -> what it gave."""
    rng = np.random.default_rng([plan.seed, task.repeat + 1, task.fold + 1, 0xA0D17])
    rows, of = rows_outside(plan, cohort, task)
    files = {}
    for name, c, p in (
        (ORIGINAL, cohort, plan),
        (GARBAGE, spoiled(cohort, rows, rng), spoiled_plan(plan, of, rng)),
    ):
        folder = work / f"{name}-{plan.file(task)[:-4]}"
        folder.mkdir(mode=0o700)
        files[name] = dump_shared(folder, c, p)
    calls = {name: (file, task, learners, files[ORIGINAL], files[GARBAGE]) for name, file in files.items()}
    made = _apart(calls, jobs)
    for file in files.values():
        file.unlink()  # each holds the whole cohort
    return made


def try_shuffled(
    cohort: Cohort, plan: Plan, tasks: list[Task], learners: list[str], work: Path, jobs: int, tell: Any
) -> list[tuple[Task, Outcome, Outcome, Mapping[str, Prediction]]]:
    """One fit per task on shuffled labels: (task, shuffled and true outcome of its test units, predictions)."""
    out = []
    for start in range(0, len(tasks), jobs):
        calls, dealt = {}, {}
        for k, task in list(enumerate(tasks))[start : start + jobs]:
            plans = shuffled_plan(plan, task.endpoint, np.random.default_rng([plan.seed, k, 0x5F0F]))
            folder = work / f"shuffled-{task.endpoint.encode().hex()[:20]}-{k}"
            folder.mkdir(mode=0o700)
            file = dump_shared(folder, cohort, plans)
            calls[str(k)], dealt[str(k)] = (file, task, learners, file, file), plans.endpoints[task.endpoint].outcome
        for k, made in _apart(calls, jobs).items():
            task = tasks[int(k)]
            e = plan.endpoints[task.endpoint]
            test = np.asarray(e.split(task).test, dtype=np.intp)
            out.append((task, dealt[k].take(test), e.outcome.take(test), made.predictions))
            calls[k][0].unlink()
            tell()
    return out


def _apart(calls: Mapping[str, tuple[Any, ...]], jobs: int) -> dict[str, Variant]:
    """Each call in a new process that ends with it: nothing that a learner keeps goes from one to the next. They are copies of a process that
    has imported this package and has seen no data, or, where the system has no such copies, import it each."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_all_start_methods, get_context

    copied = "forkserver" in get_all_start_methods()
    context = get_context("forkserver" if copied else "spawn")
    if copied:
        context.set_forkserver_preload(IMPORTED)
    with ProcessPoolExecutor(min(jobs, len(calls)), mp_context=context, max_tasks_per_child=1) as pool:
        futures = {name: pool.submit(fit_variant, *call) for name, call in calls.items()}
        return {name: f.result() for name, f in futures.items()}


def fit_variant(shared: Path, task: Task, learners: list[str], true: Path, unseen: Path) -> Variant:
    """Fit a task on what ``shared`` holds and predict the test units of ``true``; then with ``unseen`` in memory in their
    place, and by halves."""
    from threadpoolctl import threadpool_limits

    from cohortium.learners import fit_all, predict_all

    with threadpool_limits(limits=1):
        cohort, plan = load_shared(shared)
        e = plan.endpoints[task.endpoint]
        split = e.split(task)
        rows = np.asarray(split.train, dtype=np.intp)
        key = f"{task.endpoint}/{task.repeat}/{task.fold}"
        try:
            fold = build_fold(cohort, e, rows, plan.inner_folds, plan.seed, key, others_of(plan, task.endpoint))
            predictors = fit_all(plan.config, fold, learners, plan.headline)
            digests = {name: digest(p.state()) for name, p in predictors.items()}
            cohort, _ = load_shared(true)
            units = e.outcome.units[np.asarray(split.test, dtype=np.intp)]
            tested = cohort.take(cohort.units.index.get_indexer(units))
            predictions = predict_all(predictors, tested, e.grid)
            forget_shared()
            load_shared(unseen)
            again = predict_all(predictors, tested, e.grid)
            cuts = np.array_split(np.arange(len(tested)), 2)
            parts = [predict_all(predictors, tested.take(c), e.grid) for c in cuts]
        except Exception as error:
            return Variant({}, {}, {}, {}, failed=type(error).__name__)
    halves = {n: np.concatenate([numbers(p[n]) for p in parts]) for n in predictions}
    return Variant(digests, predictions, again, halves, tuple(fold.store.keys()))


def numbers(prediction: Prediction) -> Floats:
    """(n, k) the numbers of a prediction."""
    if isinstance(prediction, Probabilities):
        return prediction.p
    if isinstance(prediction, Survival):
        return np.column_stack([prediction.risk, prediction.survival])
    if isinstance(prediction, CumulativeIncidence):
        return np.column_stack([prediction.risk, prediction.incidence])
    return prediction.values[:, None]


def gap(a: Floats, b: Floats) -> float:
    """The largest difference; infinite where shapes differ or one is not a number."""
    if a.shape != b.shape:
        return float("inf")
    difference = np.abs(a - b)
    return float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")


def digest(state: Any) -> str:
    """Of a tree of dicts, lists, texts, numbers and arrays, to the bit."""
    h = hashlib.blake2b(digest_size=16)

    def walk(x: Any) -> None:
        if isinstance(x, Mapping):
            h.update(b"{")
            for key in sorted(x, key=str):
                h.update(f"{key}:".encode())
                walk(x[key])
            h.update(b"}")
        elif isinstance(x, list | tuple):
            h.update(b"[")
            for value in x:
                walk(value)
            h.update(b"]")
        elif hasattr(x, "dtype") and hasattr(x, "shape"):
            a = np.asarray(x)
            h.update(f"{a.dtype}{a.shape}".encode())
            h.update("\x1f".join(map(repr, a.ravel().tolist())).encode() if a.dtype == object else a.tobytes())
        else:
            h.update(repr(x).encode())

    walk(state)
    return h.hexdigest()


def separation(e: EndpointPlan, cohort: Cohort, task: Task) -> str:
    """What is wrong with who is trained on and who is tested; empty when nothing is."""
    split = e.split(task)
    train, test = (np.asarray(x, dtype=np.intp) for x in (split.train, split.test))
    if len(np.intersect1d(train, test)):
        return f"{len(np.intersect1d(train, test))} units are trained on and tested"
    patients = cohort.units["patient"].reindex(e.outcome.units).to_numpy(object)
    both = set(patients[train]) & set(patients[test])
    if both:
        return f"{len(both)} patients have units on both sides"
    shared = np.intersect1d(e.groups[train], e.groups[test])
    return f"{len(shared)} groups have units on both sides" if len(shared) else ""


def chance_of(outcome: Outcome) -> tuple[str, float]:
    """The ranking metric of an endpoint's kind, and its value by chance."""
    from cohortium.metrics import headline_metric

    if isinstance(outcome, SurvivalOutcome):
        return "harrell_c", 0.5
    if isinstance(outcome, CompetingOutcome):
        return headline_metric(outcome.endpoint.kind), 0.5
    if isinstance(outcome, ClassOutcome):
        return ("quadratic_kappa", 0.0) if outcome.endpoint.kind.value == "ordinal" else ("roc_auc", 0.5)
    return "spearman", 0.0
