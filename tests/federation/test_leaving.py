"""What would leave a site is shown before anything does, and leaves only when a person there approved it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts.federation import AskSchema, Withdrawn
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.federation_engine.approving import approved, approved_only, permitted, read_approvals, write_approval
from cohortium.study.federating import asking, drive
from cohortium.study.previewing import preview_of
from tests.federation import sites as cut


def study(tmp_path, more=""):
    from tests.cli.test_federate import STUDY

    (tmp_path / "data.csv").write_bytes((cut.ORACLE / "data.csv").read_bytes())
    file = tmp_path / "study.yaml"
    file.write_text(STUDY + more)
    return file


@pytest.mark.parametrize("plan", [{}, {"folds": 3, "least_cell": 2}])
@pytest.mark.parametrize("kind", ["survival", "binary"])
def test_it_is_what_the_site_sends_in_a_federation(kind, plan):
    made, found = cut.plan(kind, **plan), cut.sites(kind)
    shown = preview_of(found["north"], made)
    sent = [m for m in drive(made, {n: asking(s, made) for n, s in found.items()}).messages if m.site == "north"]
    answers = {m.kind: m.holds for m in sent if m.to == "coordinator"}
    assert {m.kind for m in shown.messages if not m.within} == set(answers)
    for m in shown.messages:
        if not m.within and m.kind != "SiteTrials":
            assert {f for f, _, _ in m.fields} == set(answers[m.kind]) - {"site", "plan", "round"}
    schema = next(m for m in shown.messages if m.kind == "SiteSchema")
    assert ("patients", "95") in [(f, how) for f, _, how in schema.fields]
    assert not shown.reason and shown.plan == digest(encode(made)) and not shown.cut
    assert bool([m for m in shown.messages if m.kind == "SiteScores"]) == bool(plan)


def test_the_list_is_the_same_again_and_another_for_other_shapes():
    made, s = cut.plan("binary"), cut.sites("binary")["north"]
    assert preview_of(s, made).digest == preview_of(s, made).digest
    assert preview_of(replace(s, features=s.features[1:]), made).digest != preview_of(s, made).digest


def test_a_site_that_may_say_nothing_is_told_so():
    shown = preview_of(cut.sites("binary")["west"], cut.plan("binary", least_patients=100))
    assert "fewer than 100" in shown.reason and not shown.messages


def test_nothing_leaves_without_approval_of_this_plan(tmp_path):
    made, s = cut.plan("binary"), cut.sites("binary")["north"]
    ask = approved_only(tmp_path, "north", asking(s, made))
    question = encode(AskSchema(digest(encode(made)), 1))
    said = decode(ask(question))
    assert (
        isinstance(said, Withdrawn) and said.reason == "its person has not approved this study" and said.site == "north"
    )
    assert isinstance(decode(ask(b"{}")), Withdrawn)
    shown = preview_of(s, made)
    write_approval(tmp_path, shown, "who")
    assert type(decode(ask(question))).__name__ == "SiteSchema"
    assert approved(tmp_path, shown.plan, shown.digest) and not approved(tmp_path, shown.plan, "other")
    other = replace(made, penalty=2.0)
    assert isinstance(decode(ask(encode(AskSchema(digest(encode(other)), 1)))), Withdrawn)
    write_approval(tmp_path, preview_of(s, other), "who")
    assert [a["by"] for a in read_approvals(tmp_path)] == ["who", "who"]
    assert (tmp_path / "approval.json").stat().st_mode & 0o077 == 0
    (tmp_path / "approval.json").write_text("{")
    assert not approved(tmp_path, shown.plan)


def test_data_of_other_features_need_another_approval(tmp_path):
    made, s = cut.plan("binary"), cut.sites("binary")["north"]
    write_approval(tmp_path, preview_of(s, made), "who")
    assert permitted(tmp_path, s, made)
    assert not permitted(tmp_path, replace(s, features=(*s.features, replace(s.features[0], name="new"))), made)
    assert permitted(tmp_path, s, replace(made, least_patients=1000))  # it says nothing at all


def test_a_site_without_an_estimate_of_its_own_is_shown_everything_that_leaves():
    """A column that tells the outcome there: the trial goes on with a ridge."""
    s = cut.sites("binary")["north"]
    told = replace(s.features[0], name="told", values=s.y * 2 + np.linspace(0, 0.5, len(s)))
    shown = preview_of(replace(s, features=(told,)), cut.plan("binary", folds=3, least_cell=2))
    assert not shown.cut and {"SiteTrials", "SiteScores", "SiteCalibration"} <= {m.kind for m in shown.messages}


def test_only_a_person_at_a_terminal_is_asked(monkeypatch, capsys):
    from cohortium.cli.show_leaving import asked_to_approve

    shown = preview_of(cut.sites("binary")["north"], cut.plan("binary"))
    assert asked_to_approve(shown, False) == ""
    assert asked_to_approve(shown, True) != ""
    assert "SiteSums" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for typed, approves in ((True, True), (False, False)):
        monkeypatch.setattr("typer.confirm", lambda *_, typed=typed, **__: typed)
        assert bool(asked_to_approve(shown, False)) == approves


def test_a_site_does_not_start_without(monkeypatch, tmp_path):
    from cohortium.errors import StudyError
    from cohortium.federation_engine import processes

    kit = tmp_path / "kit"
    kit.mkdir()
    (kit / "kit.json").write_text(
        json.dumps({"role": "site", "name": "north", "host": "h", "port": 1, "sites": ["north"]})
    )
    became = []
    monkeypatch.setattr(processes, "_engine", lambda: None)
    monkeypatch.setattr(processes, "_become", lambda *a: became.append(a))
    file = study(tmp_path)
    with pytest.raises(StudyError, match="--approve"):
        processes.run_site(kit, file, None, lambda shown: "")
    assert not became
    asked = []
    for _ in range(2):  # the second time it is approved already
        processes.run_site(kit, file, None, lambda shown: asked.append(shown.digest) or "me")
    assert len(became) == 2 and len(asked) == 1
    file.write_text(file.read_text().replace("least_cell: 3", "least_cell: 4"))
    processes.run_site(kit, file, None, lambda shown: asked.append(shown.digest) or "me")
    assert len(asked) == 2
