"""A coordinator that asks what no honest one does gets nothing of a single site or patient: found by a hostile review, kept as tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts.federation import AskSchema, AskSums, Column, Withdrawn
from cohortium.contracts.federation_private import AskPrivateGradient
from cohortium.contracts.federation_wire import digest, encode
from cohortium.privacy.ledger import Ledger
from cohortium.study.private_plan import answering_privately
from tests.federation import private_sites
from tests.federation import sites as cut
from tests.federation.secure_runs import run, secure_plan, sites_of

AGE = Column("clinical", "age", "numeric", "", ())


def test_a_private_site_answers_no_question_that_fails_for_some_patients_only():
    """Scales so small that numbers overflow for patients below an age told that age, for nothing: the answer failed, and no release was written."""
    plan, site = private_sites.plan("binary"), private_sites.sites("binary")["north"]
    ledger, n = Ledger(3.0, 1e-5), 5
    ask, own = answering_privately(site, plan, ledger), digest(encode(plan))
    for age in (30.0, 50.0, 80.0):
        mean, sd = np.zeros(n), np.ones(n)
        mean[0], sd[0] = 90.0, (90.0 - age) / np.finfo(float).max
        said = ask(AskPrivateGradient(own, 2, mean, sd, np.zeros(1 + n)))
        assert isinstance(said, Withdrawn) and said.reason == "the question scales columns as no bounds do"
    assert not ledger.releases


def test_what_fails_is_paid_for_and_told_once(monkeypatch):
    from cohortium.federation_site import private

    plan, site = private_sites.plan("binary"), private_sites.sites("binary")["north"]
    ledger, n = Ledger(3.0, 1e-5), 5
    ask, own = answering_privately(site, plan, ledger), digest(encode(plan))
    q = AskPrivateGradient(
        own, 2, np.array([55.0, 3.0, 0.3, 0.3, 0.5]), np.array([17.0, 1.5, 0.5, 0.5, 0.5]), np.zeros(1 + n)
    )

    def fails(*_):
        raise FloatingPointError

    monkeypatch.setitem(private._ANSWERING, AskPrivateGradient, fails)
    assert ask(q).reason == "it could not answer" and len(ledger.releases) == 1
    monkeypatch.undo()
    assert ask(q).reason == "it could not answer" and len(ledger.releases) == 1


def test_what_is_not_installed_is_said_and_not_paid_for(monkeypatch):
    from cohortium.errors import MissingExtra
    from cohortium.federation_site import private

    plan, site = private_sites.plan("binary"), private_sites.sites("binary")["north"]
    ledger = Ledger(3.0, 1e-5)
    ask, own = answering_privately(site, plan, ledger), digest(encode(plan))

    def lacks(*_):
        raise MissingExtra("opendp")

    monkeypatch.setitem(private._ANSWERING, AskPrivateGradient, lacks)
    q = AskPrivateGradient(
        own, 2, np.array([55.0, 3.0, 0.3, 0.3, 0.5]), np.array([17.0, 1.5, 0.5, 0.5, 0.5]), np.zeros(6)
    )
    with pytest.raises(MissingExtra):
        ask(q)
    assert not ledger.releases and not ledger.answers


pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")
from cohortium.contracts.federation_secure import AskSealed, AskTotals, SealedQuestion, SiteSealed  # noqa: E402


def asked(plan, sites, *asks, round_=4):
    names = tuple(sorted(sites))
    return sites["north"].answer(AskSealed(digest(encode(plan)), round_, names, asks))


def totals(plan, *columns):
    return SealedQuestion(-1, 0.0, 0.0, AskTotals(digest(encode(plan)), 1, columns, ("no", "yes")))


def sums(plan, weight=260.0, sd=10.0, at=0.0):
    ask = AskSums(
        digest(encode(plan)), 1, (AGE,), ("no", "yes"), np.array([50.0]), np.array([sd]), (0.0, 1.0), np.full(2, at)
    )
    return SealedQuestion(-1, weight, 0.0, ask)


def test_columns_of_a_single_site_are_not_moved():
    """The difference of two sums, one of them with a site's column taken out, was that site's own."""
    p = secure_plan("binary", quorum=4)
    four = sites_of(p)
    assert isinstance(asked(p, four, totals(p, AGE)), SiteSealed)
    for batches in ((("east", 0.0, 0.0),), (("east", np.nan, 1.0),), (("", 0.0, 1.0),)):
        said = asked(p, four, totals(p, replace(AGE, batches=batches)))
        assert said.reason == "the question moves columns of single sites"


def test_a_number_that_is_too_large_is_cut_and_not_refused():
    """A refusal told by its threshold how large the site's own loss was."""
    p = secure_plan("binary", quorum=4)
    four = sites_of(p)
    assert isinstance(asked(p, four, sums(p, sd=1e-15, at=100.0)), SiteSealed)
    assert "larger than any" in four["north"].journal.remarks[-1]


def test_bounds_and_scales_are_those_of_the_first_round_and_nothing_is_asked_twice_in_a_sum():
    """Sums of numbers clipped at many bounds told the sizes of all sites."""
    p = secure_plan("binary", quorum=4)
    four = sites_of(p)
    assert asked(p, four, sums(p, 10.0), sums(p, 20.0)).reason == "the same was asked twice in one sum"
    assert isinstance(asked(p, four, sums(p)), SiteSealed)
    assert isinstance(asked(p, four, sums(p, at=0.5)), SiteSealed)
    for odd in (sums(p, weight=50.0), sums(p, sd=20.0)):
        assert "the same in all rounds" in asked(p, four, odd).reason


def test_other_data_are_not_sealed_under_the_same_masks():
    """Masks belong to a question and a set of sites: two vectors under them would tell by how much a site's data changed."""
    p = secure_plan("binary", quorum=4)
    four = sites_of(p)
    assert all(isinstance(asked(p, four, totals(p, AGE)), SiteSealed) for _ in range(2))
    north = four["north"]
    d = cut.table()
    changed = cut.site("north", d[d.site == "north"].iloc[1:], "binary")
    four["north"] = replace(north, site=changed)
    assert "no longer the same" in asked(p, four, totals(p, AGE)).reason


def test_what_a_site_has_too_few_of_in_a_fold_is_not_named():
    """A level that single sites alone still have in a training part had their count in the sum."""
    d = cut.table()
    own = d[d.site == "north"]
    few = own.index[own.grade == "mid"][:4]
    small = cut.site("north", own.drop([i for i in own.index[own.grade == "mid"] if i not in few]), "binary")
    for folds, named in ((0, True), (2, False)):
        p = secure_plan("binary", folds=folds)
        site = sites_of(p, found={**cut.sites("binary"), "north": small})["north"]
        said = site.answer(AskSchema(digest(encode(p)), 1))
        levels = next((f.levels for f in said.features if f.name == "grade"), ())
        assert ("mid" in levels) is named


def test_an_honest_study_notices_none_of_this():
    p = secure_plan("binary", folds=2, least_cell=1)
    state = run(p, sites_of(p), stored=True)
    assert not state.left
