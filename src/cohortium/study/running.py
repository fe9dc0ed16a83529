"""``run``: read, check, fit, score, write; and ``open_run`` for what a finished run left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortium.contracts.results import Results
from cohortium.errors import RunFolderError
from cohortium.study import runfolder
from cohortium.study.load import Study, load_study

if TYPE_CHECKING:
    import pandas as pd

    from cohortium.contracts.results import Finding
    from cohortium.experiment import Experiment, Plan, Progress
    from cohortium.study.data import Data


@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run: its records and its folder. resumed: True when it was found finished, nothing was fitted."""

    results: Results
    folder: Path
    resumed: bool = False

    def leaderboard(self, endpoint: str | None = None) -> pd.DataFrame:
        """One row per learner and metric: ``endpoint, learner, role, headline, metric, horizon, value, low, high,
        n, n_events, method, reason``. endpoint: default all."""
        import pandas as pd

        fields = ("metric", "horizon", "value", "low", "high", "n", "n_events", "method", "reason")
        rows = []
        for r in self.results.leaderboard:
            if endpoint in (None, r.endpoint):
                who = {"endpoint": r.endpoint, "learner": r.learner, "role": r.role, "headline": r.headline}
                rows += [{**who, **{f: getattr(e, f) for f in fields}} for e in r.estimates]
        return pd.DataFrame(rows)


def run(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    jobs: int | None = None,
    learners: Sequence[str] | None = None,
    preset: str | None = None,
    progress: Progress | None = None,
    resume: bool = True,
) -> RunResult:
    """Do a whole study and write its run folder; take up what a killed run left.

    out: run folder, default ``<study file>_run`` beside the study file. jobs: processes, default one per core;
    results do not depend on it. resume: False does everything anew.

    Raises :class:`StudyError`, :class:`DataError`, :class:`EndpointError`, :class:`RunFolderError`, and
    :class:`ChecksFailed` before any fit when ``check`` finds something serious that is not acknowledged.
    """
    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.study.costs import expected
    from cohortium.study.data import load_data
    from cohortium.study.plan import make_plan

    tell = progress or silent
    begin = time.perf_counter()
    study = (study if isinstance(study, Study) else load_study(study)).having(learners, preset)
    folder = Path(out) if out is not None else default_folder(study)
    tell(ProgressEvent("read", 0, 1))
    data = load_data(study, _reading(tell))
    plan = make_plan(study, data)
    tell(ProgressEvent("read", 1, 1))
    hashes = {"study": study.hash, "data": plan.data_hash, "plan": plan.hash}
    mark = runfolder.inspect(folder, hashes)
    if resume and mark is not None and mark.get("status") == "finished":
        _restate(folder, study)
        return RunResult(open_run(folder).results, folder, resumed=True)
    findings = _checked(study, data, plan, tell)
    work = expected(plan, data.cohort, jobs)
    about = f"{work.n_fits} fits in {work.n_parts} parts on {work.jobs} process(es)"
    tell(ProgressEvent("plan", 0, work.n_fits, 0.0, work.seconds, about))
    with runfolder.locked(folder):
        runfolder.claim(folder, hashes, resume)
        return _run(study, data, plan, findings, folder, hashes, jobs, tell, begin)


def _restate(folder: Path, study: Study) -> None:
    """A finished run whose study file states something new: new pages, no new fits."""
    from cohortium.report import write_report
    from cohortium.study.reporting import state, stated

    if stated(folder) != study.spec.statements.given():
        with runfolder.locked(folder):
            state(folder, study)
            write_report(folder)


def default_folder(study: Study) -> Path:
    """``study_run`` beside ``study.yaml``."""
    return study.path.with_name(f"{study.path.stem}_run")


def open_run(folder: str | Path) -> RunResult:
    """A finished run.

    Raises :class:`RunFolderError` when the folder is missing, not ours or unfinished.
    """
    from cohortium.report import from_json

    folder = Path(folder)
    runfolder.finished(folder)
    file = folder / "results.json"
    try:
        results = from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RunFolderError(f"{file} is missing or damaged. Run the study again into another folder.") from e
    return RunResult(results, folder, resumed=True)


def study_of(folder: str | Path, data: str | Path) -> Study:
    """The study of a finished run with its data taken from another folder."""
    from cohortium.study.load import parse_study

    file = Path(folder) / "study.yaml"
    text = file.read_text(encoding="utf-8")
    mark = runfolder.finished(Path(folder))
    study = Study(parse_study(text, file.name), file, Path(data), text)
    return study.having(mark.get("learners"), mark.get("preset"))


def _reading(tell: Progress) -> Callable[[str, int, int], None]:
    """How far the reading of images is, with the time left: what it took since the first image that was not kept."""
    from cohortium.experiment import ProgressEvent

    since: dict[str, tuple[float, int]] = {}

    def told(name: str, done: int, total: int) -> None:
        begin, before = since.setdefault(name, (time.perf_counter(), done))
        spent = time.perf_counter() - begin
        left = spent / (done - before) * (total - done) if done > before else None
        tell(ProgressEvent(f"images of {name}", done, total, spent, left))

    return told


def _checked(study: Study, data: Data, plan: Plan, tell: Any) -> list[Finding]:
    from cohortium.errors import ChecksFailed
    from cohortium.experiment import ProgressEvent
    from cohortium.study.checking import find

    tell(ProgressEvent("check", 0, 1))
    findings = find(study, data, plan)
    tell(ProgressEvent("check", 1, 1))
    stops = [f for f in findings if f.grade == "serious" and not f.acknowledged]
    if stops:
        texts = "\n  ".join(f"{f.name}: {f.message}" for f in stops)
        names = ", ".join(f"'{f.name}'" for f in stops)
        raise ChecksFailed(
            f"check found {len(stops)} serious matter(s); nothing was fitted.\n  {texts}\n"
            f"Mend the data or the study file. What you know and accept goes under 'acknowledge': [{names}]."
        )
    return findings


def _run(
    study: Study,
    data: Data,
    plan: Plan,
    findings: list[Finding],
    folder: Path,
    hashes: dict[str, str],
    jobs: int | None,
    tell: Any,
    begin: float,
) -> RunResult:
    from threadpoolctl import threadpool_limits

    from cohortium.experiment import ProgressEvent, run_experiment
    from cohortium.experiment.progress import silent
    from cohortium.report import to_json, write_report
    from cohortium.study import drifting, files, models
    from cohortium.study.assemble import assemble
    from cohortium.study.mapping import write_map
    from cohortium.study.reporting import state

    log = _Log(folder / "log.txt")
    log(f"study {study.spec.name}, plan {plan.hash}")
    experiment = run_experiment(data.cohort, plan, folder / runfolder.WORK, jobs=jobs, progress=tell)
    log(f"fits done in {experiment.seconds:.1f} s; {experiment.resumed} parts were there already")
    tell(ProgressEvent("score", 0, 1))
    with threadpool_limits(limits=1):
        results, scores = assemble(study, data, experiment, findings, hashes)
    tell(ProgressEvent("score", 1, 1))
    tell(ProgressEvent("report", 0, 1))
    key = files.pseudonyms(data.cohort, plan.seed)
    files.write_tables(folder, experiment, scores, key, data.cohort)
    models.store(folder, experiment, data)
    drifting.store(folder, data.cohort)
    write_map(study, data.cohort, key, folder, silent)
    state(folder, study)
    runfolder.write_private(folder / "results.json", to_json(results))
    facts = _facts(study, experiment, hashes, time.perf_counter() - begin)
    runfolder.write_json(folder / "run.json", {**facts, "status": "running"})
    write_report(folder)
    log("report written")
    for file in folder.rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    facts["seconds"] = round(time.perf_counter() - begin, 2)
    runfolder.write_json(folder / "run.json", {**facts, "status": "finished"})
    shutil.rmtree(folder / runfolder.WORK, ignore_errors=True)
    tell(ProgressEvent("report", 1, 1))
    return RunResult(results, folder)


def _facts(study: Study, experiment: Experiment, hashes: dict[str, str], seconds: float) -> dict[str, Any]:
    from cohortium.study.records import machine, versions

    return {
        runfolder.MARK: runfolder.FORMAT,
        "hashes": hashes,
        "seed": study.spec.seed,
        "preset": study.spec.preset,
        "learners": study.spec.learners,
        "versions": versions(),
        "machine": machine(),
        "seconds": round(seconds, 2),
        "fit_seconds": round(sum(experiment.fit_seconds), 2),
        "resumed_parts": experiment.resumed,
        "peak_memory_bytes": experiment.peak_bytes,
        "pseudonyms": "units and patients are numbered at random in all files but units.csv, which is the private key",
    }


class _Log:
    """``log.txt``: one line per step, with the time of day. Never an id or a value."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if not file.exists():
            file.touch(mode=0o600)

    def __call__(self, text: str) -> None:
        from datetime import UTC, datetime

        with self.file.open("a", encoding="utf-8") as f:
            f.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")
