"""Secure aggregation: the fit is that without it, with drop-outs too, and the coordinator can open no single site's message."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cohortium.contracts.federation import AskMoments, AskSchema, AskSums
from cohortium.contracts.federation_secure import (
    SECURE_ANSWERS,
    AskHeld,
    AskSealed,
    AskTotals,
    SiteOpening,
    SiteSealed,
)
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import begin, question, results, store
from cohortium.federation_coordinator.newton import inverse
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_coordinator.state import newton
from cohortium.federation_site.secure import Journal
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.federation.test_peers import without
from tests.marks import thorough_but

pytest.importorskip("cryptography", reason="needs pip install 'cohortium[secure]'")
pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")
from tests.federation.secure_runs import run, secure_plan, sites_of

BAD = "south"
KINDS = ("continuous", "binary", "multiclass", "survival")


def fitted(state):
    return estimates(state.lanes[0].model)


@cache
def open_fit(kind):
    made = cut.plan(kind)
    return drive(made, {n: asking(s, made) for n, s in cut.sites(kind).items()}).state


@pytest.mark.parametrize("kind", KINDS)
def test_the_fit_is_that_without_secure_aggregation(kind):
    p = secure_plan(kind)
    sites = sites_of(p)
    state, plain = run(p, sites, stored=kind == "binary"), open_fit(kind)
    assert not any(s.journal.remarks for s in sites.values())  # an honest site's sums are never changed
    np.testing.assert_allclose(fitted(state).coef, estimates(plain).coef, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(fitted(state).error, estimates(plain).error, rtol=1e-12)
    found = results(state, [], [], "", "")
    assert found.secure.units == 260 and found.secure.dropped == () and found.secure.bound == 4 * 2.0**-65
    assert all(s.units is None and s.counts == () for s in found.sites) and not any(c.i2 for c in found.coefficients)


@pytest.mark.parametrize("kind", thorough_but(["binary", "survival"], "survival"))
def test_quantisation_moves_the_fit_by_no_more_than_derived(kind):
    """With 30 bits instead of 64. At the root of the quantised gradient the exact one is at most n 2^-(f+1) in every part, so that
    the root moves by at most that times the largest row sum of |H^-1|."""
    p = secure_plan(kind, bits=30)
    state, plain = run(p, sites_of(p)), newton(open_fit(kind))
    fit = newton(state.lanes[0].model)
    covariance = inverse(sum(s.hessian for s in plain.best.values()), plain.kept > 0)
    bound = 4 * 2.0**-31 * np.abs(covariance).sum(1).max()
    moved = np.abs(fit.accepted - plain.accepted).max()
    assert bound / 1000 < moved <= bound * 1.01


def test_weights_and_penalty():
    p = secure_plan("binary", weighted=True, penalty=2.0)
    found = cut.sites("binary", weighted=True)
    plain = replace(p, secure=None)
    expected = estimates(drive(plain, {n: asking(s, plain) for n, s in found.items()}).state).coef
    np.testing.assert_allclose(fitted(run(p, sites_of(p, found=found))).coef, expected, rtol=1e-12, atol=1e-13)


def test_a_site_that_never_seals_is_in_no_sum():
    p = secure_plan("survival")
    state = run(p, sites_of(p), silent=lambda r, phase: [BAD] if r >= 2 else [])
    np.testing.assert_allclose(fitted(state).coef, without("survival"), rtol=1e-10, atol=1e-12)
    assert list(state.left) == [BAD] and state.dropped == () and results(state, [], [], "", "").secure.first == 3


LATER = [(kind, gone) for kind in ("survival", "continuous") for gone in (3, 5, 7, 8)]


@pytest.mark.parametrize(("kind", "gone"), thorough_but(LATER, ("survival", 3), ("survival", 8), ("continuous", 7)))
def test_a_site_that_drops_out_later(kind, gone):
    """In round 3 and 7 between sealing and opening: the sum has it, those after it do not. The fit is that of the others."""
    p = secure_plan(kind)
    state = run(p, sites_of(p), silent=lambda r, phase: [BAD] if r >= gone else [])
    found = results(state, [], [], "", "")
    left = 200 if kind == "continuous" else 260  # a linear model's curvature tells how many are left
    assert (found.secure.units, found.secure.patients, found.secure.first, found.secure.fewest) == (left, 260, 4, 3)
    np.testing.assert_allclose(fitted(state).coef, without(kind), rtol=1e-9, atol=1e-11)
    expected = drive_without(kind)
    np.testing.assert_allclose(fitted(state).error, expected.error, rtol=1e-7)  # both are of the step before the last
    assert state.dropped == (BAD,) and any("Dropped out after sums with them" in n for n in found.notices)


def drive_without(kind):
    made = cut.plan(kind)
    return estimates(drive(made, {n: asking(s, made) for n, s in cut.sites(kind).items() if n != BAD}).state)


def test_with_three_sites_nobody_may_drop_out_between_sealing_and_opening():
    p, found = secure_plan("survival"), cut.sites("survival")
    three = {n: found[n] for n in list(found)[:3]}
    for r, said in (
        (2, "2 of 3 sites are left, and a sum has to be of 3"),
        (3, "cannot be opened: shares of 3 of its 3"),
    ):
        with pytest.raises(FederationError, match=said):
            run(p, sites_of(p, found=three), silent=lambda at, phase, r=r: ["north"] if at >= r else [])


def test_fewer_than_three_sites_and_other_methods_are_refused():
    p, found = secure_plan("survival", quorum=2), cut.sites("survival")
    with pytest.raises(
        FederationError, match=r"at least 3 sites, and there are 2.*each of them knows the other's part"
    ):
        begin(p, list(found)[:2])
    with pytest.raises(FederationError, match="not method 'trees'"):
        begin(replace(p, method="trees"), list(found))
    p = secure_plan("survival", quorum=4)
    with pytest.raises(FederationError, match="a sum has to be of 4"):
        run(p, sites_of(p), silent=lambda r, phase: [BAD] if r >= 4 else [])


@pytest.mark.parametrize("stop", [2, 3, 6, 7])
def test_the_coordinator_holds_nothing_that_opens_a_message(stop):
    """Its state is all that it has (a restarted one goes on from it): no private key, no number of a site, and no sum of one."""
    p = secure_plan("survival")
    sites = sites_of(p)
    state = run(p, sites, stop=stop)
    held = store(state)
    for s in sites.values():
        assert s.keys.private not in held and s.keys.private.hex().encode() not in held
        assert not any(shared.hex().encode() in held for shared in s.keys.derived.values())
    if state.phase == "open":
        from cohortium.federation_coordinator.secure import _sum, _told
        from cohortium.masking import MaskError

        one = replace(state, inside=(BAD,))
        told = {i + 1: _told(s.answer(question(state))) for i, s in enumerate(sites[n] for n in state.invited)}
        assert len(_sum(state, told))  # shares of the legitimate sum, which do not open a single site's
        with pytest.raises(MaskError):
            _sum(one, told)
        # All others refuse to open it, whatever the coordinator says.
        asked = question(one)
        for s in sites.values():
            assert "fewer sites than the study declares" in s.answer(asked).reason or s.site.name != BAD


def test_only_names_masked_numbers_and_shares_leave_a_site():
    kinds = []

    def watch(name, said, asked):
        kinds.append(type(said))
        return said

    p = secure_plan("binary")
    run(p, sites_of(p), change=watch)
    assert set(kinds) == set(SECURE_ANSWERS)
    one = next(iter(sites_of(p).values()))
    own = digest(encode(p))
    for bad in (AskMoments(own, 2, ()), AskSums(own, 2, (), (), np.zeros(0), np.zeros(0), (0, 1), np.zeros(1))):
        assert "only masked" in one.answer(bad).reason
        assert "only masked" in decode(asking(one.site, p)(encode(bad))).reason  # not by the way without keys either
    assert "only masked" in decode(asking(one.site, p)(encode(AskSchema(own, 1)))).reason
    assert "something else" in one.answer(AskSchema("0" * 32, 1)).reason


def at_round(number, make, name=BAD):
    return lambda site, said, asked: make(said, asked) if site == name and asked.round >= number else said


def test_levels_and_features_of_fewer_than_three_sites_are_in_no_sum():
    """Or the sum would be theirs: counts of the level would be that site's."""
    p = secure_plan("survival")
    found = cut.sites("survival")
    d = cut.table()
    d.loc[(d.site == BAD) & (d.grade == "high"), "grade"] = "odd"
    found[BAD] = cut.site(BAD, d[d.site == BAD], "survival")
    for name in ("east", BAD):
        f = found[name].features
        hidden = replace(f[1], values=np.full(len(found[name]), np.nan))
        found[name] = replace(found[name], features=(f[0], hidden, *f[2:]))
    sites = sites_of(p, found=found)
    state = run(p, sites, stop=4)
    model = state.lanes[0].model
    assert [c.name for c in model.asked] == ["age", "grade=low", "grade=mid", "node"] and "odd" not in model.asked[
        1
    ].levels
    assert any("'size', grade=odd" in n for n in state.notices)
    one = cut.sites("survival")  # and where a site drops out by which others are three
    f = one["east"].features
    one["east"] = replace(one["east"], features=(f[0], replace(f[1], values=np.full(len(one["east"]), np.nan)), *f[2:]))
    with pytest.raises(FederationError, match="fewer than 3 know 'size'"):
        run(p, sites_of(p, found=one), silent=lambda r, phase: [BAD] if r >= 4 else [])


def test_a_class_of_fewer_than_three_sites_is_refused_by_name():
    p = secure_plan("multiclass")
    found = cut.sites("multiclass")
    for name in ("east", BAD):
        found[name] = replace(found[name], y=np.where(found[name].y == 2, 1, found[name].y))
    with pytest.raises(FederationError, match="Class 'c' is known to 2 of the sites"):
        run(p, sites_of(p, found=found))


def other_bytes(said, asked):
    return replace(said, masked=said.masked[:-8]) if isinstance(said, SiteSealed) else said


HOSTILE = {
    "garbage": (lambda s, q: b"\x80\x04 nothing", "no answer"),
    "wrong length": (other_bytes, "another number of numbers"),
    "no base64": (lambda s, q: replace(s, masked="!" + s.masked[1:]) if isinstance(s, SiteSealed) else s, "base64"),
    "fewer numbers": (lambda s, q: replace(s, numbers=1) if isinstance(s, SiteSealed) else s, "another number"),
    "no boxes": (lambda s, q: replace(s, boxes=()) if isinstance(s, SiteSealed) else s, "share"),
    "replayed": (lambda s, q: replace(s, round=s.round - 2), "repeated message"),
    "other content": (lambda s, q: replace(s, content="0" * 32), "repeated message"),
    "other name": (lambda s, q: replace(s, site="north"), "another's name"),
    "a question": (lambda s, q: q, "another's name"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_a_sealed_answer_is_left_out_and_the_others_go_on(name):
    make, said = HOSTILE[name]
    p = secure_plan("survival")
    state = run(p, sites_of(p), change=at_round(2, make), stop=0 if name == "garbage" else 4)
    assert said in state.left[BAD] and list(state.left) == [BAD] and state.fewest == 3
    if name == "garbage":
        np.testing.assert_allclose(fitted(state).coef, without("survival"), rtol=1e-9, atol=1e-11)


def test_an_old_sealed_message_under_a_new_number_is_another_content():
    kept = {}

    def make(said, asked):
        if not isinstance(said, SiteSealed):
            return said
        return replace(kept.setdefault("first", said), round=said.round)

    p = secure_plan("survival")
    state = run(p, sites_of(p), change=at_round(2, make), stop=6)
    assert state.left[BAD].endswith("repeated message")


def test_a_site_with_another_key_is_left_out_before_anything_is_opened():
    from cohortium.masking import make_keys

    p = secure_plan("survival")
    sites = sites_of(p)
    keys = make_keys(list(sites))
    sites[BAD] = replace(sites[BAD], keys=replace(keys[BAD], public={**sites["north"].keys.public}))
    state = run(p, sites)
    assert "another key" in state.left[BAD] and list(state.left) == [BAD]
    np.testing.assert_allclose(fitted(state).coef, without("survival"), rtol=1e-9, atol=1e-11)


def test_shares_that_are_wrong_are_borne():
    def make(said, asked):
        bad = tuple(replace(s, text="A" * 22 + "==") for s in said.shares) if isinstance(said, SiteOpening) else None
        return said if bad is None else replace(said, shares=bad)

    p = secure_plan("survival")
    state = run(p, sites_of(p), change=at_round(2, make))
    np.testing.assert_allclose(fitted(state).coef, estimates(open_fit("survival")).coef, rtol=1e-12, atol=1e-13)


def test_nan_at_a_site_and_small_sites_withdraw_without_a_number():
    p = secure_plan("binary")
    found = cut.sites("binary")
    few = cut.site(BAD, cut.table()[cut.table().site == BAD].head(4), "binary")
    state = run(p, sites_of(p, found={**found, BAD: few}), stop=3)
    assert "fewer than 5 patients" in state.left[BAD]
    broken = replace(found[BAD], weight=np.full(len(found[BAD]), np.nan))
    p = secure_plan("binary", weighted=True)
    state = run(p, sites_of(p, found={**cut.sites("binary", weighted=True), BAD: broken}), stop=3)
    assert "not finite" in state.left[BAD]


def swollen(factor):
    """A site whose sums are many times too large, from the fit's second sum on."""
    from cohortium.federation_site import numbers

    honest = numbers.sums_answer

    def larger(site, plan, q, own):
        s = honest(site, plan, q, own)
        by = factor if site.name == BAD and q.parameters.any() else 1.0
        return replace(s, loss=s.loss * by, gradient=s.gradient * by, hessian=s.hessian * by)

    return larger


@pytest.mark.parametrize("kind", thorough_but(["binary", "survival", "continuous"], "survival"))
def test_a_thousand_times_too_large_is_clipped_and_the_sum_refused(kind, monkeypatch):
    """The site's own check holds the damage to what all sites together can have; the coordinator sees that the sum is too large, not whose."""
    from cohortium.federation_site import numbers

    p = secure_plan(kind)
    sites = sites_of(p)
    monkeypatch.setattr(numbers, "sums_answer", swollen(1000.0))
    with pytest.raises(FederationError, match="sums together cannot be") as e:
        run(p, sites)
    assert BAD not in str(e.value) and "cannot be told" in str(e.value)
    if kind != "continuous":  # the linear fit is at its end by then
        assert sites[BAD].journal.remarks and not sites["north"].journal.remarks


def test_a_site_that_lies_within_what_can_be_is_believed(monkeypatch):
    """Nothing shows it: its sums are those of a fifth more patients."""
    from cohortium.federation_site import numbers

    monkeypatch.setattr(numbers, "sums_answer", swollen(1.2))
    p = secure_plan("survival")
    state = run(p, sites_of(p))
    assert not state.left
    off = np.abs(fitted(state).coef - estimates(open_fit("survival")).coef).max()
    assert 1e-4 < off < 0.5


# What a coordinator that lies could try: a site tells shares for one sum of each content, of enough sites, and of no larger set.


@pytest.fixture(scope="module")
def opened():
    """A site, its last question to open a sum, and the state then."""
    p = secure_plan("survival")
    sites = sites_of(p)
    state = run(p, sites, stop=7)
    return sites, state, question(state)


def test_a_sum_is_opened_for_one_set_of_sites(opened):
    sites, state, asked = opened
    north = sites["north"]
    fewer = replace(asked, inside=("east", "north", "south"))
    pairs = tuple(b for s in fewer.inside for b in state.sealed[s].pair_boxes)
    assert isinstance(north.answer(asked), SiteOpening) and isinstance(north.answer(asked), SiteOpening)
    assert "opened this sum for other sites" in north.answer(replace(fewer, pairs=pairs)).reason
    assert "fewer sites than" in north.answer(replace(asked, inside=("north", "south"))).reason
    # Another site, which has not opened it yet, tells shares for the smaller set and then not for the larger one.
    east = replace(sites["east"], journal=Journal())
    found = east.answer(replace(fewer, pairs=pairs))
    assert {(s.of, s.other) for s in found.shares if s.other} == {(s, "west") for s in fewer.inside}
    assert "opened this sum for other sites" in east.answer(asked).reason
    larger = replace(asked, content="0" * 32)
    assert "was not in the last sum" in east.answer(larger).reason


def test_questions_that_no_honest_coordinator_asks(opened):
    sites, state, asked = opened
    north = sites["north"]
    sealing = AskSealed(asked.plan, 8, ("east", "north", "south", "west"), state.asks)
    assert isinstance(north.answer(sealing), SiteSealed)
    few = ("east", "north", "south")
    for bad, said in (
        (replace(sealing, sites=("north", "south")), "fewer sites"), (replace(sealing, sites=few[::-1]), "no set of sites"),
        (replace(sealing, sites=("east", "south", "west")), "no set of sites"),
        (replace(sealing, sites=(*few, "stranger")), "no key"), (replace(sealing, plan="0" * 32), "something else"),
        (replace(sealing, round=10_000), "more rounds"),
        (replace(sealing, asks=(replace(state.asks[0], fold=0),)), "does not declare"),
        (replace(sealing, asks=(replace(state.asks[0], question=AskTotals("0" * 32, 8, (), ())),)), "something else"),
        (replace(sealing, asks=(replace(state.asks[0], question=AskMoments(asked.plan, 8, ())),)), "no question"),
        (replace(sealing, sites=few, asks=(replace(state.asks[0], question=AskTotals(asked.plan, 8, (), ())),)), "fewer sites than before"),
        (replace(asked, sites=few, inside=("east", "north", "south", "west")), "no set of sites"),
    ):  # fmt: skip
        assert said in north.answer(bad).reason, said
    garbled = replace(asked, own=tuple(replace(b, text="!") for b in asked.own), content="1" * 32)
    assert north.answer(garbled).unreadable == asked.inside and north.answer(garbled).shares == ()
    assert north.answer(replace(garbled, own=())).unreadable == asked.inside


def test_the_journal_outlives_the_process(opened, tmp_path):
    sites, _, asked = opened
    file = tmp_path / "opened.json"
    north = replace(sites["north"], journal=Journal(file))
    assert isinstance(north.answer(asked), SiteOpening) and file.stat().st_mode & 0o777 == 0o600
    again = replace(north, journal=Journal(file))
    assert isinstance(again.answer(asked), SiteOpening)
    assert "for other sites" in again.answer(replace(asked, inside=("east", "north", "south"))).reason
    file.write_text("{")
    with pytest.raises(ValueError):
        Journal(file)


def test_what_a_lone_site_says_against_another_is_not_believed():
    def make(said, asked):
        return replace(said, shares=(), unreadable=("north",)) if isinstance(said, SiteOpening) else said

    p = secure_plan("survival")
    state = run(p, sites_of(p), change=at_round(2, make), stop=4)
    assert (
        list(state.left) == [BAD]
        and "which others can" in state.left[BAD]
        and state.opened == ("east", "north", "south", "west")
    )


def test_measures_of_folds_are_those_of_pairs_and_patients():
    """One site: Harrell's C and its jackknife error, AUC, Brier score, R2 against functions that know nothing of sums."""
    from sklearn.metrics import r2_score, roc_auc_score

    from cohortium.federation_coordinator.secure_results import ratio
    from cohortium.federation_site.held import held_numbers
    from cohortium.federation_site.scoring import concordance

    rng = np.random.default_rng(3)
    for kind in ("survival", "binary", "continuous"):
        site = cut.sites(kind)["north"]
        score = rng.normal(size=len(site)) + 0.3 * site.y
        x = held_numbers(site, np.arange(len(site)), score, cut.plan(kind), AskHeld("", 0, None, ()))
        value, error, _ = ratio(x[2:7], kind != "continuous")
        assert x[0] == len(site) and len(x) == 2 + 5 * {"survival": 1, "binary": 4, "continuous": 2}[kind]
        if kind == "survival":
            c, jackknife, pairs = concordance(site.time, site.y > 0, site.entry, score, site.patient)
            assert value == pytest.approx(c, abs=1e-12) and x[3] == 2 * pairs and x[1] == site.y.sum()
            assert error == pytest.approx(jackknife, rel=0.05)
        elif kind == "binary":
            p = 1 / (1 + np.exp(-score))
            assert value == pytest.approx(roc_auc_score(site.y, score), abs=1e-12)
            assert ratio(x[7:12], False)[0] == pytest.approx(((p - site.y) ** 2).mean())
            assert ratio(x[12:17], False)[0] == pytest.approx(site.y.sum() / p.sum())
            squares = (p - site.y) ** 2
            assert ratio(x[7:12], False)[1] == pytest.approx(squares.std() / np.sqrt(len(site)), rel=1e-9)
        else:
            assert 1 - value == pytest.approx(r2_score(site.y, score))
            assert ratio(x[7:12], False)[0] == pytest.approx(np.abs(site.y - score).mean())


@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "survival"))
def test_an_evaluation_is_of_folds_of_all_sites_together(kind):
    p = secure_plan(kind, folds=2, seed=1)
    found = results(run(p, sites_of(p)), [], [], "", "").evaluation
    made = cut.plan(kind, folds=2, seed=1)
    plain = results(
        drive(made, {n: asking(s, made) for n, s in cut.sites(kind).items()}).state, [], [], "", ""
    ).evaluation
    assert found.sites == [] and {r.design for r in found.across} == {"folds"}
    by_site = [r for r in plain.sites if r.design == "folds" and r.metric == found.across[0].metric]
    if kind in ("survival", "continuous"):  # the others are exact here and binned there
        low, high = min(r.value for r in by_site), max(r.value for r in by_site)
        assert (
            low <= found.across[0].value <= high and found.across[0].low < found.across[0].value < found.across[0].high
        )
    assert all(r.i2 is None and r.next_low is None for r in found.across)


def test_a_drop_out_ends_the_evaluation_and_leaves_the_fit():
    """Counts of the folds without a site would show that site's."""
    p = secure_plan("continuous", folds=2, least_cell=1)
    sites = sites_of(p)
    for gone in (8, 14):
        state = run(
            p, sites_of(p) if gone == 8 else sites, silent=lambda r, phase, gone=gone: [BAD] if r >= gone else []
        )
        found = results(state, [], [], "", "")
        assert found.evaluation.across[0].value is None and "dropped out" in found.evaluation.across[0].reason
        assert all(c.estimate is not None for c in found.coefficients)


def test_two_processes_of_a_site_share_its_journal(opened, tmp_path):
    sites, _, asked = opened
    file = tmp_path / "opened.json"
    one, two = (replace(sites["north"], journal=Journal(file)) for _ in range(2))
    assert isinstance(one.answer(asked), SiteOpening)
    assert "for other sites" in two.answer(replace(asked, inside=("east", "north", "south"))).reason


def test_the_table_of_the_documentation_has_every_field():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "federation_secure.md").read_text(encoding="utf-8")
    rows = [r.split(" | ") for r in text.split("<!-- messages -->")[1].split("\n\n")[1].splitlines()[2:]]
    written = [(a.strip("| `"), b.strip("`"), c.rstrip(" |")) for a, b, c in rows]
    assert written == [(t.__name__, f, said) for t in SECURE_ANSWERS for f, said in t.LEAVES.items()]
    for t in SECURE_ANSWERS:
        assert ["site", "plan", "round", *t.LEAVES] == [f.name for f in dataclasses.fields(t)]
