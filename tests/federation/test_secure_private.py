"""Private studies under secure aggregation: noise of each site's own, sums alone are opened, and the ledger knows of it first."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

pytest.importorskip("cryptography", reason="needs pip install 'cohortium[secure]'")
pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")

from cohortium.contracts.federation import AskSchema, AskSums, SecurePlan, Withdrawn
from cohortium.contracts.federation_private import AskPrivateCounts, AskPrivateGradient
from cohortium.contracts.federation_secure import AskSealed, AskTotals, SealedQuestion, SiteOpening, SiteSealed
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import begin, question, results
from cohortium.federation_coordinator.private_state import fit_of, noise_of
from cohortium.federation_coordinator.secure import _sum, _told
from cohortium.federation_coordinator.secure_state import TOGETHER
from cohortium.federation_site.secure import Journal, SecureSite
from cohortium.masking import make_keys
from cohortium.privacy.ledger import Ledger
from cohortium.privacy.schedule import schedule
from cohortium.study.federating import drive
from cohortium.study.private_plan import answering_privately, asking_privately
from tests.federation.private_sites import KINDS, exact, plan, sites
from tests.federation.secure_runs import run
from tests.marks import thorough_but

BAD = "south"


def secure(made):
    return replace(made, secure=SecurePlan(), quorum=3)


def sites_of(made, ledgers=None, found=None):
    found = sites(made.kind) if found is None else found
    keys = make_keys(list(found))
    ledgers = {} if ledgers is None else ledgers
    return {
        n: SecureSite(s, made, keys[n], Journal(), answering_privately(s, made, ledgers.get(n)))
        for n, s in found.items()
    }


def model_of(state):
    return state.lanes[0].model


@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "survival", "multiclass"))
def test_without_noise_it_is_the_fit_without_secure_aggregation(kind):
    made = exact(plan(kind, hold_out=0.3, moments=0.1))
    plain = drive(made, {n: asking_privately(s, made) for n, s in sites(kind).items()}).state
    state = run(secure(made), sites_of(secure(made)), stored=kind == "survival")
    np.testing.assert_allclose(fit_of(model_of(state)).average, fit_of(plain).average, rtol=1e-10, atol=1e-12)
    together = sum(a.counts for a in fit_of(plain).scores.values())
    np.testing.assert_allclose(fit_of(model_of(state)).scores[TOGETHER].counts, together, atol=1e-9)
    found, before = results(state, [], [], "", ""), results(plain, [], [], "", "")
    assert [c.column for c in found.coefficients] == [c.column for c in before.coefficients]
    assert found.secure.units == sum(s.units for s in before.sites) and all(s.units is None for s in found.sites)
    assert found.privacy.releases == before.privacy.releases  # each site spends what it spent
    for a, b in zip(found.privacy.performance, before.privacy.performance, strict=True):
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))


def test_noise_of_the_sum_is_that_of_all_sites():
    """Each adds what is enough by itself: n of them the root of n times as much. Bounds and intervals know that."""
    made = secure(plan("binary", hold_out=0.3))
    state = run(made, sites_of(made))
    one, all_ = schedule(made.privacy), noise_of(model_of(state))
    assert (all_.counts, all_.scores) == pytest.approx((one.counts / 2, one.scores / 2)) and fit_of(
        model_of(state)
    ).summed == 4
    assert results(state, [], [], "", "").privacy.patients.keys() == {TOGETHER}


def test_the_sum_is_of_noisy_answers_that_the_ledgers_had_before(tmp_path):
    """The release is on the disk before masked words leave, opened or not; the same question gives the same numbers and costs nothing."""
    made = secure(plan("binary"))
    p = made.privacy
    ledgers = {n: Ledger(p.epsilon, p.delta, tmp_path / f"{n}.json") for n in sites("binary")}
    four = sites_of(made, ledgers)
    state = begin(made, list(four))
    asked = question(state)
    first = {n: s.answer(asked) for n, s in four.items()}
    assert all(isinstance(a, SiteSealed) for a in first.values())
    for n in four:
        kept = json.loads((tmp_path / f"{n}.json").read_text())
        assert [r["name"] for r in kept["releases"]] == ["counts", "moments"] and len(kept["answers"]) == 1
    again = {n: s.answer(asked) for n, s in four.items()}
    assert all(again[n].masked != first[n].masked and again[n].content == first[n].content for n in four)
    assert all(len(ledger.releases) == 2 for ledger in ledgers.values())
    from cohortium.federation_coordinator import step

    opening = step(state, again)
    told = {i + 1: _told(four[n].answer(question(opening))) for i, n in enumerate(opening.invited)}
    numbers = _sum(opening, told)
    said = [json.loads(next(iter(x.answers.values()))) for x in ledgers.values()]
    from cohortium.contracts.federation_wire import decode

    own = [decode(json.dumps(a).encode()) for a in said]
    k = 1 + len(p.columns)
    np.testing.assert_allclose(numbers[k : k + 2], sum(a.counts for a in own), atol=1e-12)
    np.testing.assert_allclose(numbers[k + 2 :], sum(a.moments for a in own), atol=1e-10)
    assert numbers[0] == 0 and (numbers[1:k] == 4).all()  # a simulation's noise; all sites have all features
    exact_ = sum(np.bincount(s.y.astype(int), minlength=2) for s in sites("binary").values())
    assert not np.allclose(numbers[k : k + 2], exact_, atol=1e-3)


def test_a_budget_that_is_spent_seals_nothing():
    made = secure(plan("binary", rounds=3))
    ledgers = {n: Ledger(made.privacy.epsilon, made.privacy.delta) for n in sites("binary")}
    four = sites_of(made, ledgers)
    state = run(made, four)
    assert state.phase == "done" and all(x.spent() <= made.privacy.epsilon * (1 + 1e-6) for x in ledgers.values())
    m = model_of(state)
    more = AskPrivateGradient(digest(encode(made)), 2, m.mean, m.sd, np.full(len(fit_of(m).parameters), 0.1))
    asked = AskSealed(digest(encode(made)), 4, tuple(sorted(four)), (SealedQuestion(-1, 0.0, 0.0, more),))
    said = four["north"].answer(asked)
    assert isinstance(said, Withdrawn) and "budget" in said.reason and "budget" in four["north"].journal.remarks[-1]


def test_nothing_exact_is_sealed():
    made = secure(plan("binary"))
    north, own = sites_of(made)["north"], digest(encode(made))
    names = tuple(sorted(sites("binary")))
    none = np.zeros(0)
    for fold, inner in (
        (-1, AskTotals(own, 1, (), ("no", "yes"))), (-1, AskSums(own, 1, (), (), none, none, (0.0, 1.0), none)),
        (0, AskPrivateCounts(own, 1)),
    ):  # fmt: skip
        said = north.answer(AskSealed(own, 1, names, (SealedQuestion(fold, 0.0, 0.0, inner),)))
        assert "the study is private" in said.reason
    assert (
        "only masked" in north.answer(AskSchema(own, 1)).reason
    )  # names of levels that enough share would tell of patients
    assert "only masked" in north.answer(AskPrivateCounts(own, 1)).reason
    other = north.answer(AskSealed(own, 1, names, (SealedQuestion(-1, 0.0, 0.0, AskPrivateCounts("0" * 32, 1)),)))
    assert "something else" in other.reason
    assert (
        "no ledger"
        in replace(north, private=None)
        .answer(AskSealed(own, 1, names, (SealedQuestion(-1, 0.0, 0.0, AskPrivateCounts(own, 1)),)))
        .reason
    )


@pytest.mark.parametrize("first", [4, 5])
def test_a_drop_out_leaves_the_others_to_go_on(first):
    made = secure(plan("binary", rounds=4))
    four = sites_of(made)
    state = run(made, four, silent=lambda r, phase: [BAD] if r >= first else [])
    assert list(state.left) == [BAD] and state.fewest == 3 and fit_of(model_of(state)).summed == 3
    assert np.isfinite(fit_of(model_of(state)).average).all()


@pytest.mark.parametrize(("by", "said"), [(1e7, "larger than its noisy counts allow"), (np.nan, "")])
def test_a_lying_site_is_seen_in_the_sum_or_never_sealed(by, said):
    """By a site with other software: its answer is many times too large, or not finite."""
    made = secure(plan("binary", rounds=2))
    four = sites_of(made)
    honest = four[BAD].private

    def lying(q):
        a = honest(q)
        return replace(a, gradient=a.gradient * by) if hasattr(a, "gradient") else a

    four[BAD] = replace(four[BAD], private=lying)
    if np.isnan(by):
        state = run(made, four)
        assert "not finite" in state.left[BAD]
    else:
        with pytest.raises(FederationError, match=said) as e:
            run(made, four)
        assert BAD not in str(e.value) and "cannot be told" in str(e.value)


def test_one_set_of_sites_opens_a_noisy_sum():
    made = secure(plan("binary", rounds=2))
    four = sites_of(made)
    state = run(made, four, stop=3)
    from cohortium.federation_coordinator import step

    opening = step(state, {n: s.answer(question(state)) for n, s in four.items()})
    asked = question(opening)
    assert isinstance(four["north"].answer(asked), SiteOpening)
    assert (
        "opened this sum for other sites"
        in four["north"].answer(replace(asked, inside=("east", "north", "south"))).reason
    )


STUDY = """\
name: trial
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, id: id, columns: [age]}
endpoints:
  died: {kind: binary, column: died, positive: 1}
design: {site: hospital}
federation: {secure: true, quorum: 3, privacy: {epsilon: 3, delta: 1e-5, rounds: 3, bounds: {age: [20, 90]}}FEDERATION}
"""


def test_from_the_study_file_to_the_page_and_the_preview(tmp_path):
    from cohortium.errors import StudyError
    from cohortium.study import simulate_federation
    from cohortium.study.federating import plan_of, site_of_study
    from cohortium.study.load import load_study
    from cohortium.study.previewing import preview_of

    rng = np.random.default_rng(0)
    rows = [f"p{i},{'abcd'[i % 4]},{rng.integers(20, 90)},{rng.integers(0, 2)}" for i in range(160)]
    (tmp_path / "units.csv").write_text("\n".join(["id,hospital,age,died", *rows]))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("FEDERATION", ""))
    found = simulate_federation(path, tmp_path / "out", evaluate=True)
    page = unescape((tmp_path / "out" / "federation.html").read_text())
    assert (
        found.secure.sums == 5
        and "noise is each site's own" in page
        and "nobody saw a single site's noisy sums" in page
    )
    assert "By noisy counts" in page and "SiteSealed" in page and "SitePrivateGradient" not in page
    loaded = load_study(path)
    plan_ = plan_of(loaded)
    seen = preview_of(site_of_study("here", loaded, plan_), plan_)
    assert [m.kind for m in seen.messages] == ["SiteSealed", "SiteOpening"] and not seen.reason
    for more, said in (
        (", method: network", "no private form|does not go through secure"), (", method: trees", "knows linear models and networks"),
        (", select: {features: 1}", "select"),
    ):  # fmt: skip
        path.write_text(STUDY.replace("FEDERATION", more))
        with pytest.raises(StudyError, match=said):
            plan_of(load_study(path))
