"""A private study between real processes: noise of the operating system, ledgers in the sites' kits. Needs the extras ``federated`` and ``privacy``."""

from __future__ import annotations

import json
import time

import pytest

from tests.cli.test_federate_private import FINE, STUDY
from tests.federation.processes import SITES, Federation
from tests.federation.test_processes import joined

pytest.importorskip("nvflare", reason="needs pip install 'cohortium[federated]'")
pytest.importorskip("opendp", reason="needs pip install 'cohortium[privacy]'")
pytestmark = [pytest.mark.slow, pytest.mark.thorough]


def text(**changes):
    return STUDY.format(**FINE | {"budget": "epsilon: 30\n    delta: 1.0e-5", "more": "rounds: 3"} | changes)


def ended(federation, out):
    done = federation.start(out)
    _, err = done.communicate(timeout=400)
    file = federation.root / out / "federation.json"
    return json.loads(file.read_text()) if file.exists() else err


def test_begun_again_it_costs_nothing_and_changed_it_is_refused(tmp_path):
    federation = Federation(tmp_path)
    federation.prepare()
    for where in (federation.root, *(federation.root / s for s in SITES)):
        (where / "study.yaml").write_text(text())
    for name in ("server", *SITES):
        federation.up(name)
    try:
        until = time.monotonic() + 180
        while joined(federation) != sorted(SITES):
            assert time.monotonic() < until
            time.sleep(0.5)
        first = ended(federation, "first")
        assert first["privacy"]["source"] == "system" and first["rounds"] == 4
        ledgers = [(federation.kits / s / "privacy_ledger.json").read_text() for s in SITES]
        assert all(len(json.loads(t)["releases"]) == 4 for t in ledgers)
        again = ended(federation, "again")
        assert again["coefficients"] == first["coefficients"]
        assert [(federation.kits / s / "privacy_ledger.json").read_text() for s in SITES] == ledgers
    finally:
        federation.down()
