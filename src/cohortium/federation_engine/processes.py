"""The server's and a site's process: the engine's own, with a policy of ours and nothing sent anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cohortium._optional import require
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import DataError, StudyError
from cohortium.federation_engine.approving import approved, write_approval
from cohortium.federation_engine.kits import about
from cohortium.federation_engine.names import SEALING, STUDY_VARIABLE

if TYPE_CHECKING:
    from cohortium.contracts.federation import FederationPlan
    from cohortium.contracts.federation_leaving import LeavingPreview
    from cohortium.federation_site import Site

_RUN = (
    sys.executable, "-u", "-c",
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)",
)  # fmt: skip
"""Runs a module of the engine, which does not listen to Ctrl-C by itself."""

HEARTBEAT, SILENCE = 2, 15
"""Seconds between a site's signs of life, and without one after which the server takes it for dead."""


def run_server(kit: Path, tell: Callable[[str], None] | None = None) -> NoReturn:
    """Become the server; tell: is told so once the kit is known to be one. Raises :class:`DataError` for what is no kit of a server."""
    about(kit, "server")
    _engine()
    if tell is not None:
        tell(f"Serving; stop with Ctrl-C. What it does is in {kit / 'console.txt'}.")
    command = [*_RUN, "nvflare.private.fed.app.server.server_train", "-m", str(kit.resolve()),
               "-s", "fed_server.json", "--set", "secure_train=true", "org=lead", "config_folder=config"]  # fmt: skip
    _storage(kit.resolve())
    _become(command, {}, kit)


def run_site(
    kit: Path,
    study: Path,
    tell: Callable[[str], None] | None = None,
    approve: Callable[[LeavingPreview], str] | None = None,
) -> NoReturn:
    """Become a site. The study is read first, so that mistakes are seen at once.

    approve: is shown what would leave and gives who approved it, or nothing; it is asked once for each study, data of other
    shapes, and list of messages. Without approval nothing leaves and the site does not start.

    Raises the errors of :func:`cohortium.study.load_study`, and those of its data.
    """
    from cohortium.study import load_study
    from cohortium.study.federating import plan_of, sealing_key, site_of_study
    from cohortium.study.previewing import preview_of

    known = about(kit, "site")
    _engine()
    loaded = load_study(study)
    plan = plan_of(loaded)
    if plan.secure is not None:
        sealing_key(kit / SEALING)
    site = site_of_study(str(known["name"]), loaded, plan)
    leaving = preview_of(site, plan)
    if not leaving.reason and not approved(kit, leaving.plan, leaving.digest):
        by = approve(leaving) if approve is not None else ""
        if not by:
            raise StudyError(
                f"Nobody has approved what would leave site '{site.name}', so nothing does. Read it with 'cohortium federate "
                f"preview {study}', then start the site with --approve."
            )
        write_approval(kit, leaving, by)
    if tell is not None:
        tell(_said(site, plan))
        tell(f"Stop with Ctrl-C. Every message will be in {kit / 'messages.csv'}.")
    command = [*_RUN, "nvflare.private.fed.app.client.client_train", "-m", str(kit.resolve()),
               "-s", "fed_client.json", "--set", "secure_train=true", f"uid={known['name']}", f"org={known['name']}",
               "config_folder=config", f"heart_beat_interval={HEARTBEAT}"]  # fmt: skip
    _become(command, {STUDY_VARIABLE: str(loaded.path.resolve())}, kit)


def _said(site: Site, plan: FederationPlan) -> str:
    """What the site will do when it is asked, for the person who starts it."""
    from cohortium.federation_site.answering import too_few

    features = len(site.features)
    if reason := too_few(site, plan):
        return f"Site '{site.name}' would take no part: {reason}. It says that and no more when it is asked."
    masked = " They leave it masked, for sums over sites alone." if plan.secure is not None else ""
    return (
        f"Site '{site.name}' answers for study '{plan.study}' (plan {digest(encode(plan))}): sums over {len(site):,} units of {features} "
        f"features for {plan.endpoint}.{masked} What fewer than {plan.least_cell} patients share is not in them."
    )


def _engine() -> None:
    require("nvflare", extra="federated", purpose="A federation between real processes")


def _storage(kit: Path) -> None:
    """Jobs and snapshots inside the kit, not in a folder that all users of the machine share."""
    import json

    file = kit / "local" / "resources.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        found["servers"][0]["heart_beat_timeout"] = SILENCE
        found["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"] = str(kit / "snapshots")
        for c in found["components"]:
            if c["id"] == "job_manager":
                c["args"]["uri_root"] = str(kit / "jobs")
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    except (OSError, ValueError, KeyError, IndexError) as e:
        raise DataError(f"{file} is missing or damaged. Make new kits with 'cohortium federate keys'.") from e


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Of the engine's processes: one thread each, and no proxy that messages could go through."""
    # The engine waits a minute before it believes that a site is gone; the lead starts the study again sooner.
    extra = {"NVFLARE_DEAD_CLIENT_GRACE_PERIOD": "3", "NVFLARE_DEAD_CLIENT_CHECK_LEAD_TIME": "3", **extra}
    kept = {k: v for k, v in os.environ.items() if k.lower() not in ("http_proxy", "https_proxy", "all_proxy")}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **extra}


def _become(command: list[str], extra: dict[str, str], kit: Path) -> NoReturn:
    """Become the engine's process: one to stop, and none left over when it is killed. Its output goes to ``console.txt``."""
    for old in ("daemon_pid.fl", "shutdown.fl", "pid.fl"):
        (kit / old).unlink(missing_ok=True)
    console = os.open(kit / "console.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in (1, 2):
        os.dup2(console, stream)
    os.execve(command[0], command, environment(extra))
