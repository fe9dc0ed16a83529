"""Federated boosting equals boosting on all rows in one place: written down by hand, LightGBM's, and across restarts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts.federation import TreesPlan
from cohortium.federation_coordinator.trees import model
from cohortium.federation_site.boosting import scores_by
from cohortium.federation_site.cox import cox_derivatives, cox_sums
from cohortium.federation_site.encoding import columns_of
from cohortium.study.federating import asking, drive
from tests.federation import boosting_by_hand
from tests.federation import sites as cut
from tests.marks import thorough_but

KINDS = ("binary", "survival", "continuous", "multiclass")
HAND = [(kind, least) for kind in KINDS for least in (1, 6)]


def plan(kind, least_cell=1, folds=0, seed=0, **trees):
    how = {"rounds": 3, "depth": 3, "learning_rate": 0.5, "bins": 8, "least_leaf": 5} | trees
    return cut.plan(kind, method="trees", trees=TreesPlan(**how), least_cell=least_cell, folds=folds, seed=seed)


def sites(kind, gaps=True):
    """The sites of the oracle; with gaps: some cells unknown, few of them at one site, and a column that a site lacks."""
    found = cut.sites(kind, **({"entry": True} if kind == "survival" else {}))
    if not gaps:
        return found
    out = {}
    for i, (name, s) in enumerate(found.items()):
        rng = np.random.default_rng([5, i])
        features = []
        for f in s.features:
            values = f.values.copy()
            share = {"age": 0.2, "size": 0.02 if i == 1 else 0.3}.get(f.name, 0.0)
            values[rng.random(len(values)) < share] = np.nan
            features.append(replace(f, values=values))
        out[name] = replace(s, features=tuple(f for f in features if not (i == 2 and f.name == "node")))
    return out


def fit(made, found):
    return drive(made, {n: asking(s, made) for n, s in found.items()}).state


def rows(state, found):
    """Columns, outcome, site, time, entry of all rows, sites in order."""
    here = [found[s] for s in state.here]
    x = np.vstack([columns_of(s, state.columns, state.plan.least_cell) for s in here])
    y = np.concatenate([s.y for s in here])
    whose = np.repeat(np.arange(len(here)), [len(s) for s in here])
    time, entry = (np.concatenate([getattr(s, n) for s in here]) for n in ("time", "entry"))
    return x, y, whose, time, entry


def scores(state, found, groups=True):
    return np.vstack([scores_by(found[s], state.plan, model(state), groups) for s in state.here])


@pytest.mark.parametrize(("kind", "least"), thorough_but(HAND, ("survival", 1), ("binary", 6)))
def test_equal_to_boosting_by_hand(kind, least):
    made, found = plan(kind, least, rounds=2), sites(kind)
    state = fit(made, found)
    assert not state.left
    x, y, whose, time, entry = rows(state, found)
    edges = [row[np.isfinite(row)] for row in state.fit.edges]
    f, trees = boosting_by_hand.boost(
        kind, x, y, whose, edges, made.trees, least, state.fit.base, state.outcome, time, entry
    )
    np.testing.assert_allclose(scores(state, found), f, rtol=0, atol=1e-9)
    mine = state.fit.splits.reshape(len(trees), -1, 3)
    for t, theirs in enumerate(trees):
        levels = [(int(np.log2(i + 1)), int(c), int(b)) for i, (c, b, _) in enumerate(mine[t]) if c >= 0]
        assert sorted(levels) == sorted(theirs)
    assert len({s[1] for t in trees for s in t}) > 2 and max(s[0] for t in trees for s in t) == 2


LIGHT = {"binary": "binary", "continuous": "regression", "multiclass": "multiclass"}


@pytest.mark.parametrize("kind", thorough_but(list(LIGHT), "multiclass"))
def test_the_same_trees_as_lightgbm(kind):
    """Its sums are of single precision, so that scores of rows that are binned alike are the same to that. (Its counts of a leaf are
    guessed from second derivatives: the least number of units in one is off.)"""
    import lightgbm

    from cohortium.federation_site.grouping import binned

    ridge = (
        0.0 if kind == "multiclass" else 1.0
    )  # with one, it tries no column again that gained nothing in the node above
    made = plan(kind, rounds=8, learning_rate=0.2, bins=12, least_leaf=1, least_curvature=3.0, ridge=ridge)
    found = sites(kind, gaps=False)
    state = fit(made, found)
    x, y, *_ = rows(state, found)
    k, t = len(state.fit.base), made.trees
    how = {
        "objective": LIGHT[kind], "learning_rate": t.learning_rate, "num_leaves": 2**t.depth, "max_depth": t.depth,
        "lambda_l2": t.ridge, "min_data_in_leaf": t.least_leaf, "min_sum_hessian_in_leaf": t.least_curvature, "max_bin": 64,
        "min_data_in_bin": 1, "feature_pre_filter": False, "verbose": -1, "num_threads": 1, "seed": 1,
    }  # fmt: skip
    how |= {"num_class": k} if k > 1 else {}
    z = (y - state.outcome[0]) / state.outcome[1] if kind == "continuous" else y
    theirs = lightgbm.train(how, lightgbm.Dataset(binned(x, state.fit.edges).astype(float), z), t.rounds)
    f = theirs.predict(binned(x, state.fit.edges).astype(float), raw_score=True).reshape(len(x), k)
    np.testing.assert_allclose(scores(state, found), f, rtol=0, atol=2e-6)
    assert np.ptp(f) > 1


def test_cox_derivatives_are_those_of_the_linear_model():
    """By a column for each unit; and those are derivatives of the loss (tests/federation/test_exact.py)."""
    rng = np.random.default_rng(3)
    n = 30
    time, entry = rng.integers(2, 9, n) + 0.5, rng.integers(0, 3, n).astype(float)
    event, w, eta = rng.integers(0, 2, n).astype(float), rng.uniform(0.5, 2, n), rng.normal(size=n)
    loss, g, h = cox_derivatives(eta, time, event, entry, w)
    found = cox_sums(np.eye(n), time, event, entry, w, np.zeros(n, int), eta)
    assert loss == pytest.approx(found[0], rel=1e-12)
    np.testing.assert_allclose(g, found[1], atol=1e-12)
    np.testing.assert_allclose(h, np.diag(found[2]), atol=1e-12)
    step, again = 1e-5, [cox_derivatives(eta + d * 1e-5 * np.eye(n)[4], time, event, entry, w) for d in (1, -1)]
    assert (again[0][0] - again[1][0]) / (2 * step) == pytest.approx(g[4], abs=1e-8)
    assert (again[0][1][4] - again[1][1][4]) / (2 * step) == pytest.approx(h[4], abs=1e-7)


def for_xgboost(kind):
    """A plan, and sites with unknown cells; of survival one site without ties: it knows neither strata nor Efron."""
    made, found = plan(kind, rounds=6, learning_rate=0.2, bins=12, least_leaf=1), sites(kind)
    if kind == "survival":
        s = found["north"]
        found = {
            "north": replace(s, time=np.round(s.time, 3) + 1e-2 * np.argsort(np.argsort(s.time)), entry=s.entry * 0)
        }
        made = replace(made, quorum=1)
    return made, found


@pytest.mark.parametrize("kind", ["binary", "survival"])
def test_the_same_scores_as_xgboost(kind):
    """Unknown cells go to the side that gains more; values of oracle/trees_xgboost.py, of single precision."""
    made, found = for_xgboost(kind)
    theirs = pd.read_csv(cut.ORACLE / "trees.csv").query("kind == @kind").score.to_numpy()
    np.testing.assert_allclose(scores(fit(made, found), found)[:, 0], theirs, rtol=0, atol=2e-6)
    assert np.ptp(theirs) > 1
