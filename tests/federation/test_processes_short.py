"""A federation of real processes with mutual TLS in under a minute: what CI runs of ``test_processes``, in one study.

Needs the extra ``federated``.
"""

from __future__ import annotations

import csv
import datetime
import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.federation.processes import Federation, certificate, cox_of, said

pytest.importorskip("nvflare", reason="needs pip install 'cohortium[federated]'")
pytestmark = pytest.mark.slow

SITES = ("north", "south")


def own_certificate(folder):
    """A certificate in a site's name that nobody but its holder signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "south")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - datetime.timedelta(1), now + datetime.timedelta(1)
    )
    crt, private = folder / "own.crt", folder / "own.key"
    crt.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    return crt, private


def test_a_killed_site_and_a_killed_server_come_back_and_strangers_do_not_get_in(tmp_path):
    """Site killed in round 2, server in round 3, each started again: the answer is that of a study that nothing disturbed."""
    federation, log, begun = Federation(tmp_path, SITES), [], time.perf_counter()
    federation.prepare()
    try:
        for name in ("server", *SITES):
            federation.up(name)
        started = federation.start("out")
        site = federation.kill_after_round(2, "south", log)
        while not log:
            time.sleep(0.01)
            assert started.poll() is None
        server = federation.kill_in_round(3, "server", log)
        server.join(timeout=60)
        site.join(timeout=60)
        expected = cox_of(SITES)
        _, err = started.communicate(timeout=120)
        assert started.returncode == 0, err
        assert log == ["south killed in round 2", "server killed in round 3"]
        assert said(federation) == b"" and said(federation, *own_certificate(tmp_path)) == b""
        assert said(federation, *certificate(federation.kits / "north")).startswith(b"HTTP/")
    finally:
        federation.down()
    records = json.loads((tmp_path / "out" / "federation.json").read_text())
    np.testing.assert_allclose([c["estimate"] for c in records["coefficients"]], expected, atol=1e-10)
    assert records["notices"] == [] and [s["left"] for s in records["sites"]] == ["", ""]
    for s in SITES:  # every message is in the site's own log, with the digest that the coordinator has
        with (federation.kits / s / "messages.csv").open() as f:
            own = {r["blake2b"] for r in csv.DictReader(f) if r["to"] == "coordinator"}
        assert {m["digest"] for m in records["messages"] if m["site"] == s and m["to"] == "coordinator"} <= own
    print(f"{time.perf_counter() - begun:.0f} s, {err}")


@pytest.mark.parametrize("code", [False, True])
def test_a_site_believes_no_server_that_says_a_job_may_bring_code(tmp_path, code):
    """A job's class list is not asked where its data say ``byoc``. The site takes that word out, and refuses what has code."""
    from nvflare.apis.fl_context import FLContext
    from nvflare.apis.workspace import Workspace
    from nvflare.fuel.sec.authz import AuthorizationService
    from nvflare.fuel.utils.zip_utils import zip_directory_to_bytes
    from nvflare.private.fed.app.default_app_validator import DefaultAppValidator
    from nvflare.private.fed.utils.app_authz import AppAuthzService
    from nvflare.private.fed.utils.app_deployer import AppDeployer
    from nvflare.security.security import FLAuthorizer

    from cohortium.federation_engine import make_kits
    from cohortium.federation_engine.starting import _write_job

    kit = make_kits(SITES, tmp_path / "kits") / "north"
    AuthorizationService.initialize(
        FLAuthorizer("north", json.loads((kit / "local" / "authorization.json").read_text()))
    )
    AppAuthzService.initialize(DefaultAppValidator(site_type="client"))
    app = _write_job(tmp_path, "", SITES, ()) / "app"
    if code:
        (app / "custom").mkdir()
        (app / "custom" / "mine.py").write_text("x = 1\n")
    place = Workspace(str(kit), "north", "config")
    forged = {"byoc": True, "submitter_name": "lead@cohortium.org", "submitter_org": "lead", "submitter_role": "lead", "job_id": "j"}  # fmt: skip
    error = AppDeployer().deploy(place, "j", forged, "app", zip_directory_to_bytes(str(app), ""), FLContext())
    kept = Path(place.get_job_meta_path("j"))
    assert (error, kept.exists()) == (("BYOC not permitted", False) if code else (None, True))
    assert code or "byoc" not in json.loads(kept.read_text())
