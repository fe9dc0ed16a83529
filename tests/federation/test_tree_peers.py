"""Boosting with sites that send what cannot be, with groups that are large enough, and with a study that is broken off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts.federation import Withdrawn
from cohortium.contracts.federation_trees import AskQuantiles, SiteHistograms, SiteQuantiles
from cohortium.contracts.federation_wire import decode, encode
from cohortium.federation_coordinator import begin, question, restore, step, store
from cohortium.federation_coordinator.quantiles import CELLS
from cohortium.federation_site import answer
from cohortium.federation_site.grouping import grouped
from cohortium.federation_site.small_nodes import merged, shared
from cohortium.federation_site.trees import held_rows
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.federation.test_peers import BAD, changing
from tests.federation.test_trees import fit, plan, sites
from tests.marks import thorough_but

LEAST = 5
SMALL = {"rounds": 2, "depth": 2, "bins": 8}


def with_bad(kind, change, what=SiteHistograms, from_round=0):
    made, found = plan(kind, LEAST, **SMALL), sites(kind)
    asks = {n: asking(s, made) for n, s in found.items()}
    asks[BAD] = changing(change, what, from_round)(asks[BAD])
    return drive(made, asks).state


@pytest.fixture(scope="module")
def alone():
    """Kind -> the trees without the bad site."""
    kept: dict = {}

    def of(kind):
        if kind not in kept:
            made = plan(kind, LEAST, **SMALL)
            kept[kind] = fit(made, {n: s for n, s in sites(kind).items() if n != BAD})
        return kept[kind]

    return of


def times(field, by):
    return lambda a: replace(a, **{field: getattr(a, field) * by})


def all_times(a):
    return replace(a, gradient=a.gradient * 1000, hessian=a.hessian * 1000, loss=a.loss * 1000)


DAMAGED = {
    "NaN": (times("gradient", np.nan), "NaN"),
    "infinite": (lambda a: replace(a, loss=float("inf")), "NaN"),
    "negative": (times("hessian", -1.0), "second derivatives"),
    "shape": (lambda a: replace(a, gradient=a.gradient[:, 1:]), "other nodes or cells"),
    "nodes": (lambda a: replace(a, count=np.vstack([a.count, a.count])), "other nodes or cells"),
    "counts": (times("count", 1000.0), "number of its units"),
    "one column": (lambda a: replace(a, count=a.count + np.eye(1, a.count.shape[1])), "units|same sums"),
    "gradients": (times("gradient", 1000.0), "larger"),
    "curvature": (times("hessian", 1000.0), "larger|second derivatives"),
    "large": (all_times, "larger|second derivatives"),
    "held": (lambda a: replace(a, held=7), "number of its units"),
    "round": (lambda a: replace(a, round=a.round - 1), "repeated message"),
    "plan": (lambda a: replace(a, plan="0" * 32), "something else"),
}
CASES = [(k, n, r) for k in ("survival", "binary", "continuous", "multiclass") for n in DAMAGED for r in (0, 6)]
SHOWN = [("survival", n, 0) for n in ("NaN", "shape", "counts", "round")]
SHOWN += [
    ("survival", "large", 6),
    ("continuous", "gradients", 6),
    ("binary", "one column", 0),
    ("multiclass", "curvature", 6),
]


@pytest.mark.parametrize(("kind", "name", "from_round"), thorough_but(CASES, *SHOWN))
def test_damaged_sums_are_left_out_and_the_others_go_on(kind, name, from_round, alone):
    change, said = DAMAGED[name]
    state = with_bad(kind, change, from_round=from_round)
    assert list(state.left) == [BAD] and any(s in state.left[BAD] for s in said.split("|")), state.notices
    np.testing.assert_array_equal(state.fit.values, alone(kind).fit.values)
    np.testing.assert_array_equal(state.fit.edges, alone(kind).fit.edges)


def test_impossible_counts_by_cell():
    for change, said in (
        (times("counts", 1000.0), "number of its units"),
        (times("counts", -1.0), "whole"),
        (lambda a: replace(a, counts=a.counts[:, 1:]), "other cells"),
        (lambda a: replace(a, counts=a.counts + np.eye(*a.counts.shape)), f"fewer than {LEAST}"),
        (lambda a: replace(a, counts=a.counts + np.inf), "NaN"),
    ):
        state = with_bad("binary", change, SiteQuantiles)
        assert list(state.left) == [BAD] and said in state.left[BAD]


def test_an_old_answer_under_a_new_number_is_left_out():
    first: list = []

    def old(a):
        first.append(a)
        return replace(first[0], round=a.round)

    made, found = plan("binary", LEAST, **(SMALL | {"depth": 1})), sites("binary")
    asks = {n: asking(s, made) for n, s in found.items()}
    asks[BAD] = changing(old, SiteHistograms)(asks[BAD])
    state = drive(made, asks).state
    assert "repeated message" in state.left[BAD] and len(state.fit.values) == 2


def test_a_stored_state_goes_on_to_the_bit_and_order_does_not_matter():
    made, found = plan("survival", LEAST, **SMALL), sites("survival")
    whole = fit(made, dict(reversed(found.items())))
    state = begin(made, list(found))
    while state.phase != "done":
        state = restore(store(state))
        fresh = {n: replace(s) for n, s in found.items()}  # sites that were restarted, too
        state = step(
            state, {n: decode(encode(answer(s, made, decode(encode(question(state)))))) for n, s in fresh.items()}
        )
    assert store(state) == store(whole)


def test_a_site_refuses_models_that_no_honest_coordinator_sends():
    made, found = plan("binary", LEAST, **SMALL), sites("binary")
    site, state = found["north"], begin(made, list(found))
    asked = []
    while state.phase != "done":
        asked.append(question(state))
        state = step(state, {n: answer(s, made, asked[-1]) for n, s in found.items()})
    fine, grid = asked[-1], next(q for q in asked if isinstance(q, AskQuantiles))
    m = fine.model
    assert isinstance(answer(site, made, fine), SiteHistograms)
    many = replace(m, splits=np.vstack([m.splits] * 3), values=np.vstack([m.values] * 3))
    models = [
        replace(m, edges=-m.edges), replace(m, edges=m.edges * np.nan), replace(m, edges=np.tile(m.edges, 9)), replace(m, base=np.zeros(2)),
        replace(m, splits=m.splits + 0.5), replace(m, splits=m.splits + 99), replace(m, splits=m.splits[1:]),
        replace(m, values=m.values + 1e3), replace(m, values=m.values * np.nan), many,
    ]  # fmt: skip
    bad = [replace(fine, model=x) for x in models]
    bad += [
        replace(fine, growing=fine.growing[1:]),
        replace(fine, growing=fine.growing + 9),
        replace(fine, level=2),
        replace(fine, level=-1),
    ]
    bad += [
        replace(grid, grid=-grid.grid),
        replace(grid, grid=grid.grid * np.nan),
        replace(grid, grid=grid.grid[:1]),
        replace(fine, round=9999),
    ]
    bad += [replace(grid, grid=np.tile(np.arange(600.0), (len(grid.columns), 1)))]
    for q in bad:
        assert isinstance(answer(site, made, q), Withdrawn)
    assert isinstance(answer(site, replace(made, trees=None), fine), Withdrawn)


def test_groups_are_of_enough_patients_and_keep_order():
    site = sites("binary")["north"]
    site = replace(site, patient=np.arange(len(site)) // 2)
    columns = fit(plan("binary", **SMALL), sites("binary")).columns
    raw, x = grouped(site, columns, 1), grouped(site, columns, 7)
    for j in range(len(columns)):
        for v in np.unique(x[~np.isnan(x[:, j]), j]):
            assert len(set(site.patient[x[:, j] == v])) >= 7
        known = ~np.isnan(raw[:, j])
        order = np.argsort(raw[known, j], kind="stable")
        assert (np.diff(x[known, j][order]) >= -1e-12).all()
        assert np.nanmean(x[known, j]) == pytest.approx(np.nanmean(raw[:, j]))
    whole = replace(cut.sites("binary")["north"], patient=site.patient)
    gone = np.arange(len(site)) < 6
    few = replace(whole, features=tuple(replace(f, values=np.where(gone, np.nan, f.values)) for f in whole.features))
    assert not np.isnan(grouped(few, columns[:1], 7)).any()  # three patients lack it: counted with the middle


def test_no_bin_of_a_node_and_none_of_its_sibling_is_of_few():
    rng = np.random.default_rng(2)
    for _ in range(40):
        left, right = rng.poisson(rng.uniform(0.2, 4), (2, 3, 4, 9)).astype(float) * rng.integers(0, 2, (2, 3, 4, 9))
        left[..., -2:] += 7.0  # in all there are enough
        right[..., 0] += 7.0
        parent = rng.random(left.shape) < 0.7
        parent[..., -1] = True
        ends = merged(left, right, parent, 6)
        assert not (ends & ~parent).any()
        root = left + right + 1
        for side in (left, right):
            sums = np.add.reduceat(side.ravel(), np.r_[0, np.flatnonzero(ends.ravel())[:-1] + 1])
            assert ((sums == 0) | (sums >= 6)).all()
            np.testing.assert_allclose(shared(side, ends, root[0, 0]).sum(-1), side.sum(-1))
    alone = merged(np.full((1, 1, 5), 6.0), np.full((1, 1, 5), 9.0), np.ones((1, 1, 5), bool), 6)
    assert alone.all()


def test_edges_are_quantiles_of_all_sites_within_the_stated_error():
    made, found = plan("continuous", 1, bins=10, rounds=1, depth=1), cut.sites("continuous")
    skewed = {
        n: replace(
            s, features=tuple(replace(f, values=np.exp(f.values / 2)) if f.name == "size" else f for f in s.features)
        )
        for n, s in found.items()
    }
    for least in (1, 6):
        state = fit(replace(made, least_cell=least), skewed)
        assert not state.left
        n = sum(len(s) for s in found.values())
        error = state.fit.off + len(found) * (2 * least - 1) / n * (least > 1)
        for j, name in enumerate(("age", "size")):
            x = np.concatenate([f.values for s in skewed.values() for f in s.features if f.name == name])
            edges = state.fit.edges[j][np.isfinite(state.fit.edges[j])]
            rank = np.array([(x <= e).mean() for e in edges])
            wanted = np.arange(1, 10) / 10
            assert len(edges) == 9 if least == 1 else len(edges) > 5
            if least == 1:
                np.testing.assert_allclose(rank, wanted, atol=1.5 / CELLS + error)
            assert max(np.abs(r - wanted).min() for r in rank) <= error + 1e-9
        assert state.fit.off < (0.02 if least == 1 else 0.06)


def test_it_stops_when_held_out_patients_gain_no_more():
    made = plan("binary", LEAST, rounds=30, depth=2, bins=8, learning_rate=1.0, stop=2, ridge=0.1, least_leaf=1)
    found = sites("binary")
    state = fit(made, found)
    t = len(state.fit.values)
    losses = state.fit.held_losses
    assert 0 < t < 30 and len(losses) == t + 3 and losses[t] == losses.min()
    assert state.fit.held == sum(held_rows(s, made).sum() for s in found.values()) > 0.1 * sum(map(len, found.values()))
    small = replace(made, least_patients=60)  # nobody can be held out: all trees are grown
    assert len(fit(replace(small, trees=replace(made.trees, rounds=5)), found).fit.values) == 5


def test_scores_of_an_evaluation_are_those_of_trees_by_the_others():
    """A site held out: the model is that of the others to the bit, and its scores are those of exact values."""
    from cohortium.federation_coordinator.trees import model
    from cohortium.federation_site.models import predicted_by
    from cohortium.federation_site.scoring import concordance

    made, found = plan("survival", LEAST, folds=2, seed=4, **SMALL), sites("survival")
    state = fit(made, found)
    t = next(t for t in state.trials if t.without == BAD)
    others = fit(replace(made, folds=0), {n: s for n, s in found.items() if n != BAD})
    np.testing.assert_array_equal(t.state.fit.values, others.fit.values)
    s = found[BAD]
    c, _, _ = concordance(s.time, s.y > 0, s.entry, predicted_by(s, made, model(others)), s.patient)
    assert t.scores[BAD].concordance == c
