"""Server, sites and lead as processes of their own with mutual TLS: at length. ``test_processes_short`` is what CI runs."""

from __future__ import annotations

import csv
import json
import shutil
import time

import numpy as np
import pytest

from tests.federation.processes import SITES, Federation, certificate, cox_of, said
from tests.federation.sites import table

pytest.importorskip("nvflare", reason="needs pip install 'cohortium[federated]'")
pytestmark = [pytest.mark.slow, pytest.mark.thorough]


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    made = Federation(tmp_path_factory.mktemp("federation"))
    made.prepare()
    for name in ("server", *SITES):
        made.up(name)
    try:
        until = time.monotonic() + 120
        while joined(made) != sorted(SITES):
            assert time.monotonic() < until
            time.sleep(0.5)
        yield made
    finally:
        made.down()


def joined(federation):
    """Sites that the server knows; none while it is not up."""
    try:
        lead = session(federation, "lead@cohortium.org", federation.kits / "lead")
    except Exception:
        return []
    try:
        return sorted(c.name for c in lead.get_system_info().client_info)
    finally:
        lead.close()


def found(federation, out):
    records = json.loads((federation.root / out / "federation.json").read_text())
    return np.array([c["estimate"] for c in records["coefficients"]]), records


def test_a_killed_site_comes_back_and_the_answer_is_that_of_an_undisturbed_study(federation):
    log: list[str] = []
    watch = federation.kill_in_round(2, "south", log)
    started = federation.start("out")
    _, err = started.communicate(timeout=300)
    assert started.returncode == 0, err
    watch.join(timeout=5)
    assert log == ["south killed in round 2"]
    coef, records = found(federation, "out")
    np.testing.assert_allclose(coef, cox_of(SITES), atol=1e-10)
    assert records["notices"] == [] and [s["left"] for s in records["sites"]] == ["", "", ""]
    print(f"{records['rounds']} rounds, seconds {[round(s, 2) for s in records['seconds']]}")
    for s in SITES:  # every message is in the site's own log, with the digest that the coordinator has
        own = {
            r["blake2b"]
            for r in csv.DictReader((federation.kits / s / "messages.csv").open())
            if r["to"] == "coordinator"
        }
        assert {m["digest"] for m in records["messages"] if m["site"] == s and m["to"] == "coordinator"} <= own
    assert not list((federation.kits / "server").glob("studies/*/state.json"))


def session(federation, user, kit):
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    return new_secure_session(user, str(kit), timeout=5.0)


def job(federation, tmp_path, change):
    """The lead's own job, changed."""
    from cohortium.federation_engine.starting import _write_job

    folder = _write_job(tmp_path, "", SITES, ())
    change(folder)
    lead = session(federation, "lead@cohortium.org", federation.kits / "lead")
    try:
        job_id = lead.submit_job(str(folder))
        until = time.monotonic() + 60
        while time.monotonic() < until and not str(lead.get_job_meta(job_id)["status"]).startswith("FINISHED"):
            time.sleep(0.3)
        return lead.get_job_meta(job_id)["status"]
    finally:
        lead.close()


def test_code_in_a_job_is_refused_even_of_the_lead(federation, tmp_path):
    marker = tmp_path / "ran.txt"

    def with_code(folder):
        custom = folder / "app" / "custom"
        custom.mkdir()
        (custom / "mine.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\nclass Mine: pass\n")
        config = folder / "app" / "config" / "config_fed_client.json"
        said = json.loads(config.read_text())
        said["executors"][0]["executor"]["path"] = "mine.Mine"
        config.write_text(json.dumps(said))

    assert job(federation, tmp_path, with_code) == "FINISHED:FAILED_TO_RUN"
    assert not marker.exists()


def test_a_class_of_another_package_is_refused(federation, tmp_path):
    marker = tmp_path / "ran.txt"

    def other_class(folder):
        config = folder / "app" / "config" / "config_fed_client.json"
        said = json.loads(config.read_text())
        said["executors"][0]["executor"] = {"path": "subprocess.Popen", "args": {"args": ["touch", str(marker)]}}
        config.write_text(json.dumps(said))

    assert "COMPLETED" not in job(federation, tmp_path, other_class)
    assert not marker.exists()


def test_nobody_but_the_lead_can_start_a_study(federation, tmp_path):
    """A site's certificate in the lead's place, and the lead's kit of another federation."""
    posing = tmp_path / "posing"
    shutil.copytree(federation.kits / "lead", posing)
    for name in ("client.crt", "client.key"):
        shutil.copy(federation.kits / "north" / "startup" / name, posing / "startup" / name)
    foreign = stranger(federation, tmp_path)
    for kit in (posing, foreign.kits / "lead"):
        with pytest.raises(Exception) as refused:
            session(federation, "lead@cohortium.org", kit)
        print(type(refused.value).__name__, refused.value)


def stranger(federation, tmp_path):
    """Kits of another authority for the same server."""
    made = Federation(tmp_path / "foreign", ("stranger", "other"), port=federation.port)
    made.root.mkdir()
    made.prepare()
    return made


def test_a_site_of_another_authority_does_not_join(federation, tmp_path):
    foreign = stranger(federation, tmp_path)
    console = foreign.kits / "stranger" / "console.txt"
    try:
        foreign.up("stranger")
        until = time.monotonic() + 60
        while not (console.exists() and "CertificateError" in console.read_text()):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert joined(federation) == sorted(SITES)
    finally:
        foreign.down()


def test_without_a_certificate_of_this_federation_nothing_is_said(federation, tmp_path):
    """Even to one who trusts this federation's authority."""
    assert said(federation) == b""
    assert said(federation, *certificate(stranger(federation, tmp_path).kits / "stranger")) == b""
    assert said(federation, *certificate(federation.kits / "north")).startswith(b"HTTP/")


def test_keys_for_secure_aggregation_are_in_the_kits_of_sites_alone(federation):
    kits = {k.name for k in federation.kits.iterdir() if (k / "sealing.json").exists()}
    assert kits == set(SITES)
    private = [json.loads((federation.kits / s / "sealing.json").read_text())["private"] for s in SITES]
    assert len(set(private)) == len(SITES)
    for name in SITES:
        assert (federation.kits / name / "sealing.json").stat().st_mode & 0o777 == 0o600
    for kit in ("server", "lead"):
        for file in (federation.kits / kit).rglob("*"):
            assert not file.is_file() or not any(p.encode() in file.read_bytes() for p in private), file


@pytest.mark.thorough
def test_a_site_that_comes_late_is_taken_in_and_the_fit_is_that_of_all(federation, tmp_path):
    """The job goes on without it when the patience is over, ends when it comes, and the next one begins anew with it."""
    text = federation.text.replace(
        "federation: {", "federation: {patience: 4, method: trees, trees: {rounds: 300, depth: 1}, "
    )
    for s in SITES:
        (federation.root / s / "study.yaml").write_text(text)
        federation.kill(s)
        if s != "west":
            federation.up(s)
    (federation.root / "late.yaml").write_text(text)
    until = time.monotonic() + 60
    while joined(federation) != ["north", "south"]:
        assert time.monotonic() < until
        time.sleep(0.5)
    started = federation.command(
        "start", federation.root / "late.yaml", "--kit", federation.kits / "lead", "--out", federation.root / "late"
    )
    while federation.round() < 4:
        assert started.poll() is None and time.monotonic() < until + 200
        time.sleep(0.1)
    federation.up("west")
    _, err = started.communicate(timeout=600)
    assert started.returncode == 0, err
    records = json.loads((federation.root / "late" / "federation.json").read_text())
    assert "west joined late" in err and any("'west' was there from round" in n for n in records["notices"])
    assert [s["left"] for s in records["sites"]] == ["", "", ""]
    d = table()
    d[d.site.isin(SITES)].to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "study.yaml").write_text(text)
    from cohortium.study import simulate_federation

    assert records["loss"] == pytest.approx(simulate_federation(tmp_path / "study.yaml").loss, rel=1e-12)
