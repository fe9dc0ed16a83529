"""Federated boosting equals boosting on all rows in one place: written down by hand, LightGBM's, and across restarts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts.federation import TreesPlan
from cohortium.federation_coordinator import begin, question, restore, step, store
from cohortium.federation_site import Feature, answer
from cohortium.federation_site.boosting import scores_by
from cohortium.federation_site.cox import cox_derivatives, cox_sums
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_coordinator.trees import model
from cohortium.study.federating import asking, drive
from tests.federation import boosting_by_hand
from tests.federation import sites as cut

KINDS = ("binary", "survival", "continuous", "multiclass")


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("least", [1, 6])
def test_equal_to_boosting_by_hand(kind, least):
    made, found = plan(kind, least), sites(kind)
    state = fit(made, found)
    assert not state.left
    x, y, whose, time, entry = rows(state, found)
    edges = [row[np.isfinite(row)] for row in state.fit.edges]
    f, trees = boosting_by_hand.boost(kind, x, y, whose, edges, made.trees, least, state.fit.base, state.outcome, time, entry)
    np.testing.assert_allclose(scores(state, found), f, rtol=0, atol=1e-9)
    mine = state.fit.splits.reshape(len(trees), -1, 3)
    for t, theirs in enumerate(trees):
        levels = [(int(np.log2(i + 1)), int(c), int(b)) for i, (c, b, _) in enumerate(mine[t]) if c >= 0]
        assert sorted(levels) == sorted(theirs)
    assert len({s[1] for t in trees for s in t}) > 2 and max(s[0] for t in trees for s in t) == 2
