"""Sites that come when a fit has begun: it begins anew with them, and is that of all."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.contracts.federation import BaselinePlan, TreesPlan
from cohortium.errors import FederationError
from cohortium.federation_coordinator import begin, joined, question, restore, step, store
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_site import answer
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut

LATE = "south"


def fitted(made, found, comes, goes=()):
    """The state at the end; the late site is there from a round on, and silent again in others."""
    state = begin(made, list(found))
    while state.phase != "done":
        there = {n for n in found if n != LATE or (state.round >= comes and state.round not in goes)}
        state = joined(restore(store(state)), there)
        asked = question(state)
        state = step(state, {n: answer(found[n], made, asked) for n in state.here if n in there})
    return state


@pytest.mark.parametrize("comes", [2, 3, 6])
@pytest.mark.parametrize("kind", ["survival", "multiclass"])
def test_the_fit_is_that_of_all_sites(kind, comes):
    made, found = cut.plan(kind), cut.sites(kind)
    state = fitted(made, found, comes)
    calm = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    assert not state.left and state.late == (LATE,)
    assert f"Site '{LATE}' was there from round {comes} on: the fit began anew with it." in state.notices
    np.testing.assert_allclose(estimates(state).coef, estimates(calm).coef, atol=1e-12)


def test_it_may_come_so_once():
    made, found = cut.plan("binary"), cut.sites("binary")
    state = fitted(made, found, 3, goes=(5,))
    assert list(state.left) == [LATE]
    alone = {n: s for n, s in found.items() if n != LATE}
    calm = drive(made, {n: asking(s, made) for n, s in alone.items()}).state
    np.testing.assert_allclose(estimates(state).coef, estimates(calm).coef, atol=1e-12)


def test_one_that_was_left_out_for_its_answers_does_not_come_back():
    made, found = cut.plan("binary"), cut.sites("binary")
    state = begin(made, list(found))
    said = {n: answer(s, made, question(state)) for n, s in found.items()}
    said[LATE] = answer(found[LATE], cut.plan("binary", penalty=1.0), question(state))
    state = step(state, said)
    assert LATE in state.left and joined(state, found) is state


def test_bins_of_time_stay_unions_of_the_first_ones():
    made, found = cut.plan("survival", method="binned", baseline=BaselinePlan()), cut.sites("survival")
    state = begin(made, list(found))
    others = [n for n in found if n != LATE]
    while not len(getattr(state.fit, "asked", ())):
        state = step(state, {n: answer(found[n], made, question(state)) for n in others})
    before = set(state.fit.cuts)
    state = joined(state, found)
    while state.phase != "done":
        state = step(state, {n: answer(found[n], made, question(state)) for n in found})
    assert not state.left and set(state.fit.cuts) <= before


def test_trees_begin_anew_too():
    made = cut.plan("binary", method="trees", trees=TreesPlan(rounds=2, depth=1, bins=4))
    found = cut.sites("binary")
    calm = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    assert store(fitted(made, found, 5).fit) == store(calm.fit)


def test_after_the_main_fit_and_without_a_quorum_it_is_too_late():
    made, found = cut.plan("survival", folds=2), cut.sites("survival")
    state = begin(made, list(found))
    others = [n for n in found if n != LATE]
    while state.phase != "trials":
        state = step(state, {n: answer(found[n], made, question(state)) for n in others})
    assert joined(state, found) is state
    with pytest.raises(FederationError, match="quorum"):
        step(begin(cut.plan("survival", quorum=4), list(found)), {})
