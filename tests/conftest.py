"""Nothing that is tested opens a connection to anywhere but this machine."""

from __future__ import annotations

import socket
from typing import Any

import pytest

HERE = ("127.0.0.1", "::1", "localhost")


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
