"""The lead's half: start a study, watch it, start it again from its last round where a site or the server went down."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cohortium._optional import require
from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_engine.kits import COORDINATOR, EXECUTOR, LEAD, LEAD_NAME, about
from cohortium.federation_engine.names import END, TASK
from cohortium.study.federating import plan_of
from cohortium.study.outfolder import free_folder
from cohortium.study.simulating_federation import ours, write

ENDING = LEAST = 30.0
"""Seconds that a job which is told to end is waited for; and that a site has for an answer, however impatient the study."""

WORDLESS = 5
"""Jobs in a row that end without a word are a fault of the set-up, not of a site."""

POLL, ASK_AGAIN = 0.3, 0.2
LOOK = 2.0
"""Seconds between looks for sites that a job is without, or that lost their part of it."""

LOST = 6
"""Looks in a row at which a site says that it has no such job: it was restarted. At the end of a job sites have none for seconds either."""

Tell = Callable[[str], None]


def start_study(
    study: Any, kit: Path, out: Path | None = None, tell: Tell | None = None, anew: bool = False
) -> FederatedResults:
    """Have the sites of a kit fit a study, and write the answer into a new folder. Reads no data.

    A study that was broken off goes on from its last round; anew: from the first. Raises :class:`FederationError` when the server cannot be reached or
    refuses, when the quorum is lost, or the model has no finite answer.
    """
    import cohortium
    from cohortium.federation_coordinator import restore, results
    from cohortium.study import load_study

    loaded = load_study(study)
    plan = plan_of(loaded)
    known = about(kit, LEAD)
    require("nvflare", extra="federated", purpose="A federation between real processes")
    folder = None if out is None else free_folder(Path(out), ours)
    end = _until_done(
        base64.b64encode(encode(plan)).decode(),
        known,
        kit,
        loaded.spec.federation.patience,
        tell or (lambda text: None),
        anew,
    )
    if "error" in end:
        raise FederationError(end["error"])
    state = restore(end["state"].encode())
    messages = [MessageRow(**m) for r in end["rounds"] for m in r["messages"]]
    seconds = [float(r["seconds"]) for r in end["rounds"]]
    import nvflare

    found = results(state, messages, seconds, f"NVIDIA FLARE {nvflare.__version__}, mutual TLS", cohortium.__version__)
    if folder is not None:
        write(folder, found)
    return found


def _until_done(plan: str, known: dict[str, Any], kit: Path, patience: float, tell: Tell, anew: bool) -> dict[str, Any]:
    """Jobs one after the other, until one comes to an end that is not waiting."""
    sites: list[str] = list(known["sites"])
    sites_since, gone_since, reached, wordless, silent = time.monotonic(), 0.0, 0, 0, list[str]()
    while True:
        late = time.monotonic() - sites_since > patience
        try:
            with _session(kit) as session:
                gone_since = 0.0
                missing = sorted(set(sites) - {c.name for c in session.get_system_info().client_info})
                if missing and not late:
                    tell(f"waiting for {', '.join(missing)}")
                    time.sleep(1.0)
                    continue
                without = sorted({*missing, *silent}) if late else []
                end = _one_job(session, plan, sites, without, anew, patience, tell)
        except Exception as e:  # the engine raises its own and bare ones when a connection breaks
            now = time.monotonic()
            gone_since = gone_since or now
            if now - gone_since > patience:
                where = f"{known['host']}:{known['port']}"
                raise FederationError(f"The server at {where} does not answer ({type(e).__name__}).") from e
            tell(f"waiting for the server ({type(e).__name__})")
            time.sleep(1.0)
            sites_since = time.monotonic()  # sites have to find the server again: their patience begins anew
            continue
        if end is None:
            wordless += 1
            if wordless == WORDLESS:
                raise FederationError(
                    f"{WORDLESS} jobs ended without a result. console.txt in the server's kit says why."
                )
            continue
        if "joined" in end:
            sites_since, anew, silent, wordless = time.monotonic(), False, [], 0
            continue
        if "waiting" not in end:
            return end
        tell(f"round {end['round']}: no answer of {', '.join(end['waiting'])}")
        anew, wordless, silent = False, 0, list(end["waiting"])
        if end["round"] != reached:
            reached, sites_since = end["round"], time.monotonic()


@contextlib.contextmanager
def _session(kit: Path) -> Iterator[Any]:
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    quiet = logging.NullHandler()  # or the engine's warnings about a server that is not up yet fill the terminal
    logging.getLogger().addHandler(quiet)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            session = new_secure_session(LEAD_NAME, str(kit.resolve()), timeout=5.0)
        try:
            yield session
        finally:
            with contextlib.suppress(Exception):
                session.close()
    finally:
        logging.getLogger().removeHandler(quiet)


def _one_job(
    session: Any, plan: str, sites: Sequence[str], without: Sequence[str], anew: bool, patience: float, tell: Tell
) -> dict[str, Any] | None:
    """How a job ended; ``joined``: it was ended since sites came that it was without. None where it left no word."""
    _end_others(session, plan)
    with tempfile.TemporaryDirectory() as name:
        job = _write_job(Path(name), plan, sites, without, anew, patience)
        job_id = session.submit_job(str(job))
        tell(f"job {job_id} submitted")
        come = _watched(session, job_id, sites, without, tell)
        status = str(session.get_job_meta(job_id).get("status", ""))
        tell(status)
        got = Path(session.download_job_result(job_id))
        try:
            ends = list(got.rglob(END))
            end = json.loads(ends[0].read_text(encoding="utf-8")) if ends else None
            return {"joined": come} if come and (end is None or "waiting" in end) else end
        finally:
            shutil.rmtree(got, ignore_errors=True)


def _watched(session: Any, job_id: str, sites: Sequence[str], without: Sequence[str], tell: Tell) -> list[str]:
    """Wait for the end of a job. It is ended for sites that it has nothing for, since the engine gives a running job to nobody else: those that
    came late, and those that were restarted, which would be waited for in vain. Returns their names."""
    looked, come, lost = time.monotonic(), list[str](), dict[str, int]()
    while True:
        status = str(session.get_job_meta(job_id).get("status", ""))
        if status.startswith("FINISHED"):
            return come
        if not come and status == "RUNNING" and time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            late = sorted(set(without) & {c.name for c in session.get_system_info().client_info}) if without else []
            idle = _idle(session, job_id, [s for s in sites if s not in without])
            lost = {s: lost.get(s, 0) + 1 for s in idle}
            gone = sorted(s for s, n in lost.items() if n >= LOST)
            for names, what in ((late, "joined late"), (gone, "was restarted")):
                if names:
                    tell(f"{', '.join(names)} {what}")
            come = [*late, *gone]
            if come:
                with contextlib.suppress(Exception):  # it may have come to its end meanwhile
                    session.abort_job(job_id)
        time.sleep(POLL)


def _idle(session: Any, job_id: str, sites: Sequence[str]) -> set[str]:
    """Sites that are there and say that they are not at this job; of one that says nothing the engine itself takes care."""
    jobs: dict[str, set[str]] = {}
    with contextlib.suppress(Exception):  # it is an error where no site answers
        for row in session.get_client_job_status() or []:
            if row.get("job_id") or row.get("status") == "no_jobs":
                jobs.setdefault(str(row.get("client_name")), set()).add(str(row.get("job_id", "")))
    return {s for s in sites if s in jobs and job_id not in jobs[s]}


def _end_others(session: Any, plan: str) -> None:
    """End jobs of the same plan that an earlier ``start`` left behind: two coordinators must not go on from one state."""
    for job in session.list_jobs(name_prefix=_job_name(plan)):
        if not str(job.get("status", "")).startswith("FINISHED"):
            with contextlib.suppress(Exception):  # one that went down with the server cannot be ended, and need not be
                session.abort_job(job["job_id"])
                until = time.monotonic() + ENDING
                while time.monotonic() < until:
                    if str(session.get_job_meta(job["job_id"]).get("status", "")).startswith("FINISHED"):
                        break
                    time.sleep(POLL)


def _job_name(plan: str) -> str:
    return f"cohortium-{digest(base64.b64decode(plan))}"


def _write_job(
    folder: Path, plan: str, sites: Sequence[str], without: Sequence[str], anew: bool = False, patience: float = 600.0
) -> Path:
    """Three JSON files that name classes of the installed package; no code. patience: seconds that a site may take for an answer, which is reading
    its files, the first time, and hours of training perhaps; of one that is gone the engine knows sooner."""
    job = folder / "cohortium"
    config = job / "app" / "config"
    config.mkdir(parents=True)
    here = [s for s in sites if s not in without]
    (job / "meta.json").write_text(json.dumps({
        "name": _job_name(plan), "min_clients": 1, "deploy_map": {"app": ["server", *here]},
    }))  # fmt: skip
    arguments = {
        "plan": plan,
        "sites": list(sites),
        "without": list(without),
        "anew": anew,
        "seconds": max(patience, LEAST),
    }
    (config / "config_fed_server.json").write_text(json.dumps({
        "format_version": 2, "server": {"task_request_interval": ASK_AGAIN}, "task_data_filters": [], "task_result_filters": [], "components": [],
        "workflows": [{"id": "coordinator", "path": COORDINATOR, "args": arguments}],
    }))  # fmt: skip
    (config / "config_fed_client.json").write_text(json.dumps({
        "format_version": 2, "task_data_filters": [], "task_result_filters": [], "components": [],
        "executors": [{"tasks": [TASK], "executor": {"path": EXECUTOR, "args": {}}}],
    }))  # fmt: skip
    return job
