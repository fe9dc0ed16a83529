"""A Cox model with one baseline hazard for all sites, constant within bins: R's Poisson regression, and what each bin must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts.federation import BaselinePlan, SiteSums, Withdrawn
from cohortium.contracts.federation_baseline import BASELINE_ANSWERS, AskBin, AskBinnedSums, SiteBin
from cohortium.contracts.federation_network import GRID
from cohortium.contracts.federation_wire import decode
from cohortium.federation_coordinator import begin, question, restore, step, store
from cohortium.federation_coordinator.methods import METHODS
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_site import answer
from cohortium.federation_site.binned import binned_sums
from cohortium.federation_site.cox import cox_sums
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.federation.test_peers import BAD, changing


def plan(times=None, **changes):
    return cut.plan("survival", method="binned", baseline=BaselinePlan(times), **changes)


def fit(times=None, asks=None, how=None, **changes):
    made = plan(times, **changes)
    honest = {n: asking(s, made) for n, s in cut.sites("survival", **(how or {})).items()}
    return drive(made, {n: (asks or {}).get(n, lambda a: a)(ask) for n, ask in honest.items()}).state


CASES = {
    "plain": ((1.0, 2.0), {}), "entry": ((1.0, 2.0), {"entry": True}), "weighted": ((1.0, 2.0), {"weighted": True}),
    "fine": (None, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equal_to_r_s_poisson_regression_on_the_split_data(name):
    times, how = CASES[name]
    state = fit(times, how=how, weighted="weighted" in how)
    wanted = pd.read_csv(cut.ORACLE / "binned.csv").set_index("case").loc[name]
    found, k = estimates(state), len(state.fit.cuts) + 1
    np.testing.assert_allclose(np.r_[found.intercepts, found.coef[:, 0]], wanted.value, atol=1e-9)
    np.testing.assert_allclose(found.error[:, 0], wanted.se[k:], rtol=1e-7)


def test_bins_that_are_chosen_hold_enough_events_of_every_site():
    state = fit()
    for s in cut.sites("survival").values():
        at = np.searchsorted(state.fit.cuts, s.time[s.y > 0], side="left")
        assert np.bincount(at, minlength=len(state.fit.cuts) + 1).min() >= state.plan.least_events
    assert len(state.fit.cuts) >= 3 and np.isin(state.fit.cuts, GRID).all()


def test_fine_bins_come_near_to_cox():
    d = cut.table()
    d["time"] += np.random.default_rng(0).uniform(-0.05, 0.05, len(d))  # no ties
    s = cut.site("all", d, "survival")
    z = np.column_stack([(f.values - f.values.mean()) / f.values.std() for f in s.features])
    cuts = np.unique(s.time[s.y > 0])[1::2]

    def solved(sums, b):
        for _ in range(30):
            _, g, h = sums(b)
            b = b - np.linalg.lstsq(h, g)[0]
        return b[-4:]

    none, one = np.zeros(len(s), int), np.ones(len(s))
    cox = solved(lambda b: cox_sums(z, s.time, s.y, s.entry, one, none, b), np.zeros(4))
    start = np.r_[np.full(len(cuts) + 1, np.log(s.y.sum() / s.time.sum())), np.zeros(4)]
    mine = solved(lambda b: binned_sums(z, s.time, s.y, s.entry, one, cuts, b), start)
    np.testing.assert_allclose(mine, cox, atol=0.012)
    assert np.abs(cox).max() > 0.1


def test_derivatives_are_those_of_the_loss():
    s = cut.site("all", cut.table(), "survival", entry=True)
    z, b, cuts = (
        np.column_stack([f.values for f in s.features[:2]]) / 50,
        np.array([-1.0, -2.0, 0.3, 0.5]),
        np.array([1.5]),
    )

    def at(b):
        return binned_sums(z, s.time, s.y, s.entry, s.weight, cuts, b)

    _, g, h = at(b)
    for i, e in enumerate(np.eye(4) * 1e-5):
        assert (at(b + e)[0] - at(b - e)[0]) / 2e-5 == pytest.approx(g[i], rel=1e-6)
        np.testing.assert_allclose((at(b + e)[1] - at(b - e)[1]) / 2e-5, h[i], rtol=1e-5, atol=1e-6)


def fewer(s):
    k = 3
    g = s.gradient.copy()
    g[:2] += (1.0, -1.0)  # an event moved to another bin
    g[k - 1] += 0.5
    return replace(s, gradient=g)


DAMAGED = {
    "NaN": (lambda s: replace(s, gradient=s.gradient * np.nan), "NaN"),
    "shape": (lambda s: replace(s, gradient=s.gradient[1:]), "number of parameters"),
    "times 1000": (lambda s: replace(s, loss=s.loss * 1000, gradient=s.gradient * 1000, hessian=s.hessian * 1000), "events"),
    "half an event": (fewer, "no whole number"),
    "coefficients alone times 1e5": (lambda s: replace(s, gradient=s.gradient * np.r_[1, 1, 1, np.full(5, 1e5)]), "larger than"),
    "repeated": (lambda s: replace(s, round=s.round - 1), "repeated message"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_sums_are_left_out_and_the_others_go_on(name):
    change, said = DAMAGED[name]
    state = fit((1.0, 2.0), {BAD: changing(change, from_round=4)})
    assert said in state.left[BAD] and list(state.left) == [BAD]
    made = plan((1.0, 2.0))
    alone = drive(made, {n: asking(s, made) for n, s in cut.sites("survival").items() if n != BAD}).state
    np.testing.assert_allclose(estimates(state).coef, estimates(alone).coef, atol=1e-11)


WRONG_ENDS = {
    "no step": (lambda a: replace(a, until=1.234), "no time after"),
    "before": (lambda a: replace(a, until=float(GRID[1]) if a.round > 3 else a.until), "no time after"),
    "no time": (lambda a: replace(a, exposure=0.0), "no number above 0"),
    "no events": (lambda a: replace(a, until=-1.0), "too few for a bin"),
    "NaN": (lambda a: replace(a, until=np.nan), "no time after"),
}


@pytest.mark.parametrize("name", WRONG_ENDS)
def test_damaged_ends_of_bins_are_left_out_and_bins_are_chosen_without_them(name):
    change, said = WRONG_ENDS[name]
    state = fit(None, {BAD: changing(change, SiteBin)})
    assert said in state.left[BAD]
    made = plan()
    alone = drive(made, {n: asking(s, made) for n, s in cut.sites("survival").items() if n != BAD}).state
    assert state.fit.cuts.tolist() == alone.fit.cuts.tolist()


def asked(state):
    q = question(state)
    assert isinstance(q, AskBinnedSums)
    return q


def begun():
    """A fit whose sums are asked for next, and a site."""
    made, found = plan((1.0, 2.0)), cut.sites("survival")
    state = begin(made, list(found))
    while not isinstance(question(state), AskBinnedSums):
        state = step(state, {n: answer(s, made, question(state)) for n, s in found.items()})
    return made, state, found[BAD]


ODD = {
    "a bin with hardly anybody": (lambda q: replace(q, cuts=np.r_[GRID[1], q.cuts], parameters=np.r_[0.0, q.parameters]), "fewer than 3"),
    "cuts that fall": (lambda q: replace(q, cuts=q.cuts[::-1].copy()), "do not rise"),
    "NaN": (lambda q: replace(q, cuts=q.cuts * np.nan), "do not rise"),
    "far away": (lambda q: replace(q, parameters=q.parameters + 1000), "no model has"),
    "another length": (lambda q: replace(q, parameters=q.parameters[1:]), "does not fit"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_site_refuses_questions_about_single_patients(name):
    made, state, own = begun()
    change, said = ODD[name]
    assert isinstance(answer(own, made, asked(state)), SiteSums)
    found = answer(own, made, change(asked(state)))
    assert isinstance(found, Withdrawn) and said in found.reason


def test_a_study_without_a_common_baseline_gets_no_bins():
    _, state, own = begun()
    other = cut.plan("survival")
    q = replace(asked(state), plan=question(begin(other, ["a", "b"])).plan)
    assert "does not have" in answer(own, other, q).reason


def test_declared_bins_that_are_too_small_at_a_site_are_joined():
    d = cut.table()
    small = cut.site(BAD, d[(d.site == BAD) & ((d.time > 1) | (d.status == 0))], "survival")
    made = plan((1.0, 2.0))
    found = cut.sites("survival") | {BAD: small}
    state = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    assert not state.left and state.fit.cuts.tolist() == [2.0]
    assert any("joined: at 1 a site" in n for n in state.notices)


def test_after_a_site_is_left_out_and_in_the_evaluation_bins_are_unions_of_the_first_ones():
    """Counts by two sets of bins of the same patients would tell how many are in smaller ones."""
    asked: list[AskBinnedSums] = []

    def listening(ask):
        def heard(data):
            found = decode(data)
            for q in [found, *(t.question for t in getattr(found, "trials", ()))]:
                asked.extend([q] if isinstance(q, AskBinnedSums) else [])
            return ask(data)

        return heard

    late = changing(lambda s: replace(s, gradient=s.gradient * np.nan), from_round=8)
    state = fit(None, {BAD: late, "north": listening}, least_patients=2, folds=2)
    cuts = [set(q.cuts) for q in asked]
    assert BAD in state.left and len(cuts) > 10 and len(cuts[0]) > 1
    assert all(c <= cuts[0] for c in cuts)


def test_a_restarted_coordinator_goes_on_to_the_same_bits():
    made, found = plan(), cut.sites("survival")
    calm = fit()
    state = begin(made, list(found))
    while state.phase != "done":
        state = restore(store(state))
        state = step(state, {n: answer(s, made, question(state)) for n, s in found.items()})
    assert state.fit.accepted.tobytes() == calm.fit.accepted.tobytes()


def test_a_cut_that_leaves_a_site_too_few_is_taken_back_and_there_are_never_more_than_twenty():
    d = cut.table()
    early = cut.site("early", d[(d.site == "north") & (d.time < 1.2)], "survival")
    late = cut.site("late", d[(d.site == "south") & (d.time > 1.2)], "survival")
    made = plan(least_patients=1)
    state = drive(made, {s.name: asking(s, made) for s in (early, late)}).state
    assert not state.left and len(state.fit.cuts) == 0
    made = plan(quorum=1, least_events=1)
    one = cut.site("all", d, "survival")
    found = drive(made, {"all": asking(one, made)}).state.fit.cuts
    dead = one.time[one.y > 0]
    assert 10 < len(found) < 20
    assert np.bincount(np.searchsorted(found, dead, side="left"))[:-1].min() >= 0.05 * len(dead)


def test_bins_are_only_chosen_on_the_grid():
    made, own = plan(), cut.sites("survival")[BAD]
    digest = question(begin(made, ["a", "b"])).plan
    assert isinstance(answer(own, made, AskBin(digest, 3, float(GRID[40]), GRID[41:])), SiteBin)
    assert "no steps of the grid" in answer(own, made, AskBin(digest, 3, 0.0, np.array([1.2345]))).reason


def test_the_page_of_the_baseline_lists_what_leaves():
    text = (cut.ORACLE.parents[2] / "docs/federation.md").read_text()
    for kind in BASELINE_ANSWERS:
        for field, said in kind.LEAVES.items():
            assert f"| `{kind.__name__}` | `{field}` | {said} |" in text


def test_the_records_name_bins_and_hazards():
    state = fit((1.0, 2.0))
    found = METHODS["binned"].results(state, [], [], "", "")
    assert list(found.intercepts) == ["from 0 to 1", "from 1 to 2", "from 2"] and found.cuts == [1.0, 2.0]
