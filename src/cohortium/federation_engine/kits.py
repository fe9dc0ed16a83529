"""Kits: a folder for the server, one for each site, one for the lead, with keys of their own and nothing in common but the
certificate of the authority that signed them.

What a kit allows is narrower than the engine's own default. Only the lead may submit a job; a job may name the classes of
this package alone; code inside a job is refused (``byoc``); nobody may send shell commands; no log leaves a site.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cohortium._optional import require
from cohortium.errors import DataError, StudyError
from cohortium.federation_engine.names import SEALING
from cohortium.masking import make_keys
from cohortium.study.outfolder import free_folder, whole_folder

LEAD, SERVER, ABOUT = "lead", "server", "kit.json"
PROJECT = "cohortium"
LEAD_NAME = "lead@cohortium.org"
"""The engine wants an address; it is a name, and nothing is sent to it."""

COORDINATOR = "cohortium.federation_engine.coordinator.Coordinator"
EXECUTOR = "cohortium.federation_engine.executor.SiteExecutor"
LOGGING = (
    "nvflare.app_common.logging.job_log_receiver.JobLogReceiver",
    "nvflare.app_common.logging.job_log_streamer.JobLogStreamer",
)
"""The engine adds these to every job, and a job without them is stopped; they send nothing where ``allow_log_streaming`` is false."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


def make_kits(sites: Sequence[str], out: Path, host: str = "localhost", port: int = 8102, days: int = 365) -> Path:
    """Write a folder of kits: ``server``, ``lead``, and one named after each site.

    host: name by which sites reach the server; it is in the server's certificate. days: that certificates last.
    Raises :class:`StudyError` for a name that cannot be, :class:`DataError` for a folder that is in use,
    :class:`cohortium.errors.MissingExtra`.
    """
    _checked(sites, host, port, days)
    require("nvflare", extra="federated", purpose="A federation between real processes")
    free_folder(out)
    with whole_folder(out) as part, tempfile.TemporaryDirectory() as work:
        made = _provision(sites, host, port, days, Path(work))
        sealing = make_keys(sites)
        for name, folder in [(SERVER, made / host), (LEAD, made / LEAD_NAME), *((s, made / s) for s in sites)]:
            kit = part / name
            shutil.move(folder, kit)
            role = name if name in (SERVER, LEAD) else "site"
            for file in [*kit.rglob("*.sh"), *kit.rglob("*.ipynb"), *kit.rglob("readme.txt"), *kit.rglob("*.sample")]:
                file.unlink()
            _restrict(kit, role)
            about = {"role": role, "name": name, "host": host, "port": port, "sites": sorted(sites)}
            (kit / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            if role == "site":  # server and lead get no key: they must not be able to open anything
                _private(kit / SEALING, json.dumps(sealing[name].plain(), indent=1))
    return out


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def about(kit: Path, role: str) -> dict[str, Any]:
    """What ``kit.json`` says. Raises :class:`DataError` for a folder that is no kit, or one of another role."""
    try:
        found = json.loads((kit / ABOUT).read_text(encoding="utf-8"))
        known = {"role", "name", "host", "port", "sites"} <= set(found)
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise DataError(f"{kit} is no kit: it lacks {ABOUT}. Kits are made by 'cohortium federate keys'.")
    if found["role"] != role:
        raise DataError(f"{kit} is the kit of '{found['name']}' (a {found['role']}), not of a {role}.")
    return dict(found)


def _checked(sites: Sequence[str], host: str, port: int, days: int) -> None:
    if len(sites) < 2:
        raise StudyError("Give at least two sites, with commas between: --sites north,south,west")
    for s in sites:
        if not _NAME.fullmatch(s) or s in (LEAD, SERVER, host):
            raise StudyError(
                f"'{s}' cannot be a site's name. Take letters, digits and '-', a letter first, not lead or server."
            )
    if len({s.lower() for s in sites}) < len(sites):
        raise StudyError("A site is named twice.")
    if not _HOST.fullmatch(host):
        raise StudyError(f"'{host}' is no name of a machine.")
    if not 1 <= port <= 65535 or days < 1:
        raise StudyError("The port is between 1 and 65535, and certificates last a day at least.")


def _provision(sites: Sequence[str], host: str, port: int, days: int, work: Path) -> Path:
    """The engine's own kits, signed by a new authority whose key is thrown away with the folder."""
    from nvflare.lighter.entity import Project
    from nvflare.lighter.impl.cert import CertBuilder
    from nvflare.lighter.impl.signature import SignatureBuilder
    from nvflare.lighter.impl.static_file import StaticFileBuilder
    from nvflare.lighter.impl.workspace import WorkspaceBuilder
    from nvflare.lighter.provisioner import Provisioner

    project = Project(PROJECT, "a federated study", props={"api_version": 3})
    project.set_server(host, "lead", {"fed_learn_port": port, "admin_port": port})
    for s in sites:
        project.add_client(s, s, {})
    project.add_admin(LEAD_NAME, "lead", {"role": "lead"})
    builders = [WorkspaceBuilder(), StaticFileBuilder(config_folder="config"), CertBuilder(), SignatureBuilder()]
    with contextlib.redirect_stdout(io.StringIO()):
        context = Provisioner(str(work), builders).provision(project)
    return Path(context["current_prod_dir"])


def _restrict(kit: Path, role: str) -> None:
    """The kit's own policy: who may do what, and which classes a job may name."""
    local = kit / "local"
    nobody = dict.fromkeys(
        (
            "submit_job",
            "clone_job",
            "manage_job",
            "download_job",
            "operate",
            "shell_commands",
            "byoc",
            "server-predeployed-flwr",
        ),
        "none",
    )
    lead = {**nobody, "submit_job": "any", "manage_job": "n:submitter", "download_job": "n:submitter", "view": "any"}
    others = {r: dict(nobody) for r in ("project_admin", "org_admin", "member")}
    rights = {"format_version": "1.0", "permissions": {"lead": lead, **others}}
    if role == LEAD:
        return
    (local / "authorization.json").write_text(json.dumps(rights, indent=1), encoding="utf-8")
    default = json.loads((local / "resources.json.default").read_text(encoding="utf-8"))
    default["class_allow_list"] = [COORDINATOR if role == SERVER else EXECUTOR, *LOGGING]
    default["class_list_enforcement_mode"] = "enforce"
    default["allow_log_streaming"] = False
    default["components"] = [c for c in default["components"] if c["id"] not in ("site_log_streamer", "log_receiver")]
    (local / "resources.json").write_text(json.dumps(default, indent=1), encoding="utf-8")
