"""Nothing that is tested opens a connection to anywhere but this machine, and figures are drawn where a test looks at pages."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from cohortium.experiment import run as experiment_run
from cohortium.report.figures import style

WHOLE = style._saved
"""A figure as SVG: arranged and written by matplotlib, which takes a tenth of a second; a page has some thirty."""

HERE = ("127.0.0.1", "::1", "localhost")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of pages, and those marked ``drawn``, see figures as users do. Others have them painted, so that what cannot be drawn fails, and not
    written out: every run that a test needs for something else writes a page."""
    # Tests run beside each other: one that does not ask for processes has none, which each would import everything anew.
    experiment_run.cores = lambda: 1
    drawn = "report" in item.path.parts or item.get_closest_marker("drawn") is not None
    style._saved = WHOLE if drawn else lambda figure: "<svg><g></g></svg>"


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(how: Any) -> Any:
        def connect(self: socket.socket, address: Any, *rest: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in HERE:
                raise RuntimeError("a connection to another machine was attempted")
            return how(self, address, *rest)

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
