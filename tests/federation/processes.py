"""A federation of real processes on this machine, started by the commands that people type."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.test_federate import STUDY
from tests.federation.sites import plan, site, table

SITES = ("north", "south", "west")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Federation:
    """Kits, files and processes below one folder."""

    root: Path
    sites: tuple[str, ...] = SITES
    text: str = STUDY
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def kits(self) -> Path:
        return self.root / "kits"

    @property
    def study(self) -> Path:
        return self.root / "study.yaml"

    def command(self, *arguments: object) -> subprocess.Popen:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "cohortium", "federate", *map(str, arguments)],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def prepare(self) -> None:
        """Kits, and each site's own files; the lead has a study file and no data."""
        done = self.command("keys", "--sites", ",".join(self.sites), "--out", self.kits, "--port", self.port)
        _, err = done.communicate(timeout=60)
        assert done.returncode == 0, err
        d = table()
        for s in self.sites:
            (self.root / s).mkdir()
            (d[d.site == s] if s in SITES else d).to_csv(self.root / s / "data.csv", index=False)
            (self.root / s / "study.yaml").write_text(self.text)
        self.study.write_text(self.text)

    def up(self, name: str) -> None:
        where = [self.kits / name, *([] if name == "server" else [self.root / name / "study.yaml", "--approve"])]
        self.running[name] = self.command("server" if name == "server" else "site", *where)

    def kill(self, name: str) -> None:
        """At once, and all its processes, as when a machine loses its power."""
        import psutil

        process = self.running.pop(name)
        try:
            known = psutil.Process(process.pid)
            for p in [known, *known.children(recursive=True)]:
                p.kill()
        except psutil.NoSuchProcess:
            pass
        process.communicate()

    def start(self, out: str) -> subprocess.Popen:
        return self.command("start", self.study, "--kit", self.kits / "lead", "--out", self.root / out)

    def round(self) -> int:
        """The round that is asked now, as the server stored it; 0 before and after a study."""
        for file in (self.kits / "server").glob("studies/*/state.json"):
            try:
                return int(json.loads(file.read_bytes())["round"])
            except (ValueError, OSError):
                pass
        return 0

    def kill_in_round(self, number: int, name: str, log: list[str], again: float = 1.0) -> threading.Thread:
        """Kill a process when that round is asked, and start it again a second later."""
        return self._kill_when(lambda: self.round() >= number, number, name, log, again)

    def kill_after_round(self, number: int, name: str, log: list[str], again: float = 1.0) -> threading.Thread:
        """Kill a process when that round is answered; the next one is asked by then."""
        return self._kill_when(lambda: self.round() > number, number, name, log, again)

    def _kill_when(
        self, due: Callable[[], bool], number: int, name: str, log: list[str], again: float
    ) -> threading.Thread:
        def watch() -> None:
            while not due():
                time.sleep(0.01)
            self.kill(name)
            log.append(f"{name} killed in round {number}")
            time.sleep(again)
            self.up(name)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread

    def down(self) -> None:
        for name in list(self.running):
            self.kill(name)


def certificate(kit: Path) -> tuple[Path, Path]:
    """Of a kit: certificate and key."""
    return kit / "startup" / "client.crt", kit / "startup" / "client.key"


def said(federation: Federation, crt: Path | None = None, key: Path | None = None) -> bytes:
    """What the server says to a client with this certificate, or with none; nothing where it refuses."""
    context = ssl.create_default_context(cafile=str(federation.kits / "north" / "startup" / "rootCA.pem"))
    context.check_hostname = False
    if crt is not None:
        context.load_cert_chain(crt, key)
    with socket.create_connection(("127.0.0.1", federation.port), timeout=5) as plain:
        try:
            with context.wrap_socket(plain) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return s.recv(100)
        except (ssl.SSLError, ConnectionError):
            return b""


def cox_of(names: Sequence[str]) -> Any:
    """Coefficients that these sites give in one process, undisturbed."""
    from cohortium.federation_coordinator.results import estimates
    from cohortium.study.federating import asking, drive

    made = plan("survival", least_patients=10, least_events=10, least_cell=3)
    d = table()
    asks = {s: asking(site(s, d[d.site == s], "survival"), made) for s in names}
    return estimates(drive(made, asks).state).coef[:, 0]
