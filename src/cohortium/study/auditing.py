"""``audit``: whether anything of a test unit reached a model of a finished run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cohortium.contracts.audit import AuditResults, LedgerRow, Permuted, Trial, Verdict
from cohortium.errors import StudyError
from cohortium.study import runfolder
from cohortium.study.refitting import open_source

if TYPE_CHECKING:
    import pandas as pd

    from cohortium.contracts import Outcome, Prediction
    from cohortium.experiment import EndpointPlan, Plan, Progress, Task
    from cohortium.experiment.auditing import Variant
    from cohortium.study.data import Data
    from cohortium.study.load import Study

FILE, PAGE = "audit.json", "audit.html"
TOLERANCE = 1e-9
"""Between predictions of the same units in other company: sums of another length round elsewhere."""

STORED = 1e-6
"""Between a refit and the run's record, whose survival curves are in single precision."""

LEVEL = 0.001
"""Of the test against chance, over all learners; and by how much chance must be exceeded."""
LEAST_ABOVE = 0.05


def audit(
    run: str | Path,
    study: Study | str | Path | None = None,
    *,
    folds: int = 2,
    shuffles: int = 5,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> AuditResults:
    """Fit some outer folds of a finished run again, with garbage in their test rows, and on shuffled labels.

    study: of the run, default the study file beside which ``run`` put the folder. folds: outer folds of every endpoint,
    drawn by the study's seed. shuffles: fits on shuffled labels for every endpoint (0: none). Writes ``audit.json`` and ``audit.html``
    into the run folder. A learner that failed a trial is in ``accused``: that is a result, no error.

    Raises :class:`RunFolderError` for an unfinished run, or one of another study, other data or another version.
    """
    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.experiment.run import cores

    tell, begin = progress or silent, time.perf_counter()
    folder = Path(run)
    runfolder.finished(folder)
    runfolder.try_writing(folder, folder)
    tell(ProgressEvent("read", 0, 1))
    source = open_source(folder, study)
    loaded, plan = source.data, source.plan
    tell(ProgressEvent("read", 1, 1))
    picked = _picked(plan, folds)
    learners = _learners(plan, loaded)
    done, total = 0, len(picked) + shuffles * len(plan.endpoints)
    tell(ProgressEvent("trials", 0, total))

    def one_more(*_: object) -> None:
        nonlocal done
        done += 1
        spent = time.perf_counter() - begin
        tell(ProgressEvent("trials", done, total, spent, spent / done * (total - done)))

    trials: list[Trial] = []
    ledger: list[LedgerRow] = []
    permuted: list[Permuted] = []
    with runfolder.work_inside(folder, "audit") as work:
        for task in picked:
            found, rows = _fold(folder, loaded, plan, task, learners, work, jobs or cores())
            trials, ledger = trials + found, ledger + rows
            one_more()
        for name in plan.endpoints if shuffles else ():
            permuted += _shuffled(loaded, plan, name, learners, shuffles, work, jobs or cores(), one_more)
    made = AuditResults(
        source.study.spec.name, plan.hash, plan.version, plan.seed, len(picked), trials, permuted, ledger,
        _accused(trials, permuted), _warnings(folder), _notes(shuffles), round(time.perf_counter() - begin, 1),
    )  # fmt: skip
    _write(folder, made)
    return made


def _write(folder: Path, made: AuditResults) -> None:
    from cohortium.report import write_report
    from cohortium.report.audit import audit_page

    runfolder.write_json(folder / FILE, asdict(made))
    runfolder.write_private(folder / PAGE, audit_page(made))
    write_report(folder)  # the checklists ask for the audit


def _picked(plan: Plan, folds: int) -> list[Task]:
    """So many outer folds of every endpoint, drawn."""
    rng = np.random.default_rng([plan.seed, 0xF01D])
    out: list[Task] = []
    for name in plan.endpoints:
        tasks = [t for t in plan.outer_tasks() if t.endpoint == name]
        chosen = np.sort(rng.choice(len(tasks), min(folds, len(tasks)), replace=False))
        out += [tasks[i] for i in chosen]
    return out


def _learners(plan: Plan, data: Data) -> list[str]:
    from cohortium.learners import plan as learner_plan

    e = next(iter(plan.endpoints.values()))
    infos = learner_plan(plan.config, e.outcome.endpoint, list(data.cohort.modalities), plan.inner_folds)
    return [i.name for i in infos if i.role != "probe"]


def _fold(
    folder: Path, data: Data, plan: Plan, task: Task, learners: list[str], work: Path, jobs: int
) -> tuple[list[Trial], list[LedgerRow]]:
    from cohortium.experiment.auditing import GARBAGE, ORIGINAL, separation, try_fold

    e = plan.endpoints[task.endpoint]
    made = try_fold(data.cohort, plan, task, learners, work, jobs)
    at = (task.endpoint, task.repeat, task.fold)
    wrong = separation(e, data.cohort, task)
    trials = [Trial(*at, "", "separation", "accused" if wrong else "clean", wrong)]
    original = made[ORIGINAL]
    if original.failed:
        raise StudyError(
            f"Outer fold {task.repeat + 1}.{task.fold + 1} of {task.endpoint} cannot be fitted again: {original.failed}"
        )
    stored = _stored(folder, data, plan, task)
    for name in learners:
        trials += [Trial(*at, name, *t) for t in _trials(name, original, made[GARBAGE], stored.get(name))]
    return trials, _ledger(plan, e, task, original, data)


def _trials(
    name: str, original: Variant, garbage: Variant, stored: Prediction | None
) -> list[tuple[str, Verdict, str, float | None]]:
    from cohortium.experiment.auditing import gap, numbers

    mine = numbers(original.predictions[name])
    out: list[tuple[str, Verdict, str, float | None]] = []
    if garbage.failed:
        out.append(("model", "accused", f"with garbage in the test rows it cannot be fitted: {garbage.failed}", None))
    else:
        other = gap(mine, numbers(garbage.predictions[name]))
        same = original.digests[name] == garbage.digests[name]
        out.append(("model", "clean" if same and other == 0 else "accused",
                    "the same to the bit" if same else "the fitted model is another one", other))  # fmt: skip
    unseen = gap(mine, numbers(original.unseen[name]))
    out.append(("prediction", "clean" if unseen == 0 else "accused", "", unseen))
    halves = gap(mine, original.halves[name])
    scale = max(float(np.abs(mine).max(initial=0.0)), 1.0)
    out.append(("alone", "clean" if halves <= TOLERANCE * scale else "accused", "", halves))
    if stored is None:
        out.append(("record", "not shown", "the run kept no predictions of it", None))
    else:
        kept = gap(mine, numbers(stored))
        out.append(("record", "clean" if kept <= STORED * scale else "not shown", "", kept))
    return out


def _stored(folder: Path, data: Data, plan: Plan, task: Task) -> dict[str, Prediction]:
    """learner -> the run's own predictions of the task's test units, in their order."""
    import pyarrow.parquet as pq

    from cohortium.contracts import CompetingOutcome, CumulativeIncidence, Probabilities, Survival, Values
    from cohortium.study.files import pseudonyms

    e = plan.endpoints[task.endpoint]
    units = e.outcome.units[np.asarray(e.split(task).test, dtype=np.intp)]
    key = pseudonyms(data.cohort, plan.seed)["unit"].reindex(units).to_numpy(object)
    at = [("endpoint", "==", task.endpoint), ("repeat", "==", task.repeat), ("fold", "==", task.fold)]
    frame: pd.DataFrame = pq.read_table(folder / "predictions.parquet", filters=at).to_pandas()
    out: dict[str, Prediction] = {}
    for name, rows in frame.groupby("learner"):
        rows = rows.set_index("unit").reindex(key)
        classes = e.outcome.endpoint.classes
        if e.grid is not None:
            kind = CumulativeIncidence if isinstance(e.outcome, CompetingOutcome) else Survival
            column = "survival" if kind is Survival else "incidence"
            if rows[column].isna().any():
                continue
            curves = np.stack(rows[column].to_list())
            out[str(name)] = kind(units, rows["risk"].to_numpy(float), e.grid, curves)
        elif classes:
            out[str(name)] = Probabilities(units, classes, rows[[f"p_{c}" for c in classes]].to_numpy(float))
        else:
            out[str(name)] = Values(units, rows["value"].to_numpy(float))
    return out


def _ledger(plan: Plan, e: EndpointPlan, task: Task, original: Variant, data: Data) -> list[LedgerRow]:
    """What was fitted in a fold, all of it on the fold's training units and no other: a fold holds no other."""
    import hashlib

    from cohortium.study.files import pseudonyms

    key = pseudonyms(data.cohort, plan.seed)["unit"]
    units = e.outcome.units[np.asarray(e.split(task).train, dtype=np.intp)]
    digest = hashlib.blake2b("\n".join(key.reindex(units)).encode(), digest_size=8).hexdigest()
    parts = ["all of the fold", *(p for p in original.parts if p != "suite")]
    return [LedgerRow(task.endpoint, task.repeat, task.fold, p, len(units), digest) for p in parts]


def _shuffled(
    data: Data, plan: Plan, endpoint: str, learners: list[str], shuffles: int, work: Path, jobs: int, tell: Any
) -> list[Permuted]:
    from cohortium.experiment.auditing import chance_of, try_shuffled

    rng = np.random.default_rng([plan.seed, 0x5A0F])
    tasks = [t for t in plan.outer_tasks() if t.endpoint == endpoint]
    picked = [tasks[i] for i in rng.choice(len(tasks), shuffles, replace=shuffles > len(tasks))]
    made = try_shuffled(data.cohort, plan, picked, learners, work, jobs, tell)
    metric, chance = chance_of(plan.endpoints[endpoint].outcome)
    out = []
    for name in learners:
        scores = np.array([
            [_score(metric, outcome, predictions.get(name)) for outcome in (dealt, true)]
            for _, dealt, true, predictions in made
        ])  # fmt: skip
        out.append(_permuted(endpoint, name, metric, chance, scores, len(learners)))
    return out


def _score(metric: str, outcome: Outcome, prediction: Prediction | None) -> float:
    from cohortium.contracts import CompetingOutcome
    from cohortium.metrics import NotEstimable, censoring_distribution, score

    if prediction is None:
        return float("nan")
    competing = isinstance(outcome, CompetingOutcome)
    try:
        return float(
            score(
                metric, outcome, prediction, censoring=censoring_distribution(outcome.any_cause) if competing else None
            )
        )
    except NotEstimable:
        return float("nan")


def _permuted(endpoint: str, name: str, metric: str, chance: float, scores: np.ndarray, looks: int) -> Permuted:
    """scores: (shuffles, 2) against shuffled and true labels."""
    from scipy.stats import t

    means: list[float | None] = []
    p = None
    above = False
    for column in scores.T:
        known = column[np.isfinite(column)]
        means.append(float(known.mean()) if len(known) else None)
        if len(known) < 3:
            continue
        se = float(known.std(ddof=1)) / np.sqrt(len(known))
        far = float(known.mean()) - chance
        this = min(2 * float(t.sf(far / max(se, 1e-12), len(known) - 1)), 1.0)
        p = this if p is None else min(p, this)
        above |= far > LEAST_ABOVE and this * looks < LEVEL
    verdict: Verdict = "not shown" if p is None else "accused" if above else "clean"
    return Permuted(endpoint, name, metric, chance, len(scores), means[0], means[1], p, verdict)


def _accused(trials: Sequence[Trial], permuted: Sequence[Permuted]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for x in trials:
        if x.verdict == "accused" and x.trial not in out.setdefault(x.learner or "the folds", []):
            out[x.learner or "the folds"].append(x.trial)
    for y in permuted:
        if y.verdict == "accused" and "shuffled labels" not in out.setdefault(y.learner, []):
            out[y.learner].append("shuffled labels")
    return {name: found for name, found in out.items() if found}


def _warnings(folder: Path) -> list[str]:
    """What ``check`` found of the run's data that a fold cannot keep apart: it speaks of files, the audit of fits."""
    found = json.loads((folder / "results.json").read_text(encoding="utf-8")).get("checks", [])
    return [
        f"{f['name']}: {f['message']}" + (" (acknowledged)" if f["acknowledged"] else "")
        for f in found
        if f["grade"] in ("serious", "warning")
    ]


def _notes(shuffles: int) -> list[str]:
    notes = [
        "What was done to the files before they were read cannot be audited: a file in which features were already chosen by the "
        "outcome of everybody, or scaled over everybody, looks like any other. check warns of the traces that such work leaves."
    ]
    if shuffles:
        notes.append(
            "Shuffled labels are secondary evidence: they find what predicts labels that nothing can tell, and not every leak does."
        )
    return notes
