"""Medians for unknown cells, compressed columns, clipped values: those of all rows together, on the same bins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cohortium.contracts.federation import AskMoments, FederationPlan
from cohortium.contracts.federation_shaping import AskShape, SiteShape
from cohortium.contracts.federation_trees import AskQuantiles
from cohortium.contracts.federation_wire import decode, encode
from cohortium.contracts.prepare_plan import PreparePlan
from cohortium.federation_coordinator import begin, question, restore, step, store
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_site import Feature, answer
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.grouping import grouped
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.marks import thorough_but

AS_RUN = PreparePlan("median", "compress", True)
BAD = "south"


def sites(kind, seed=0):
    """The sites of the oracle, with a column with a long tail, ranks, unknown cells, and a second table that some units lack."""
    out = {}
    for i, (name, s) in enumerate(cut.sites(kind).items()):
        rng = np.random.default_rng([seed, i])
        n = len(s)
        tail = np.exp(rng.normal(0.5 * i, 1.5, n)) + 0.2 * s.y
        rank = np.minimum(rng.geometric(0.4, n) - 1, 3).astype(float)
        rare = rng.normal(size=n) ** 2 * 3
        gone = rng.random(n) < 0.3
        for x, share in ((tail, 0.2), (rank, 0.1), (rare, 0.2)):
            x[rng.random(n) < share] = np.nan
        other = rng.normal(size=n)
        rare[gone] = other[gone] = np.nan
        other[np.flatnonzero(~gone)[0]] = 12.0 * (-1) ** i if i < 2 else 0.0
        more = (
            Feature("clinical", "tail", "numeric", (), "", "", tail),
            Feature("clinical", "rank", "ordinal", ("0", "1", "2", "3"), "", "", rank),
            Feature("lab", "rare", "numeric", (), "", "", rare),
            Feature("lab", "other", "numeric", (), "", "", other),
        )
        age = s.features[0].values.copy()
        age[rng.random(n) < 0.15] = np.nan
        out[name] = replace(s, features=(replace(s.features[0], values=age), *s.features[1:], *more))
    return out


def plan(kind, prepare=AS_RUN, **changes) -> FederationPlan:
    return cut.plan(kind, modalities=("clinical", "lab"), prepare=prepare, **changes)


def driven(made, found, wrong=None, stored=False):
    """The state at the end, and all questions. wrong: changes the answers of one site."""
    state, asked = begin(made, list(found)), []
    while state.phase != "done":
        state = restore(store(state)) if stored else state
        q = decode(encode(question(state)))
        asked.append(q)
        said = {n: decode(encode(answer(s, made, q))) for n, s in found.items() if n in state.here}
        if wrong is not None and BAD in said:
            said[BAD] = wrong(said[BAD])
        state = step(state, {n: a for n, a in said.items() if a is not None})
    return state, asked


def by_hand(asked, found, least, prepare):
    """Columns (n, q) as all rows in one place give them, quartiles by the last grid; and what stands for unknown cells."""
    shape = next(q for q in asked if isinstance(q, AskShape))
    last = [q for q in asked if isinstance(q, AskQuantiles)][-1]
    here = [found[s] for s in sorted(found)]
    x = np.vstack([columns_of(s, shape.columns, least) for s in here])
    groups = np.vstack([grouped(s, last.columns, least) for s in here])
    has = np.concatenate(
        [~np.isnan(np.stack([f.values for f in s.features if f.modality == "lab"])).all(0) for s in here]
    )
    place = {c.name: i for i, c in enumerate(last.columns)}
    z, fills = np.zeros_like(x), {}
    for j, c in enumerate(shape.columns):
        v, table = x[:, j].copy(), has if c.modality == "lab" else np.ones(len(x), bool)
        known = ~np.isnan(v)
        lacking = table & ~known
        if c.level:
            mid = low = high = np.median(v[known])
        else:
            g = groups[:, place[c.name]]
            share = min(0.25 / (known.sum() / table.sum()), 0.5) if prepare.unknown == "median" else 0.25
            low, mid, high = _by_bins(g[~np.isnan(g)], last.grid[place[c.name]], (share, 0.5, 1 - share), c.kind)
        fill = np.nanmean(v) if prepare.unknown == "mean" else mid
        v[lacking] = fills[c.name] = fill
        some = v[table]
        if prepare.skewed == "compress" and c.kind == "numeric" and abs(stats.skew(some)) > 2:
            v = np.arcsinh((v - mid) / ((high - low) / 1.349))
        m, sd = np.nanmean(v), np.nanstd(v)
        v = (v - m) / sd
        z[:, j] = np.nan_to_num(np.clip(v, -6, 6) if prepare.clip else v)
    return z, fills


def _by_bins(values, grid, shares, kind):
    counts = np.histogram(values, np.concatenate([[-np.inf], np.nextafter(grid, np.inf), [np.inf]]))[0]
    below = np.cumsum(counts)
    out = []
    for q in shares:
        want = q * below[-1]
        c = int((below < want).sum())
        if kind == "ordinal":
            out.append(c)
        else:
            before = below[c - 1]
            out.append(grid[c - 1] + (grid[c] - grid[c - 1]) * (want - before) / counts[c])
    return out


WAYS = [(k, AS_RUN) for k in ("binary", "survival", "continuous", "multiclass")] + [
    ("binary", PreparePlan("median")), ("binary", PreparePlan("mean", "compress")), ("survival", PreparePlan(clip=True)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "how"), thorough_but(WAYS, ("survival", AS_RUN), ("binary", AS_RUN)))
def test_equal_to_preparing_all_rows_on_the_same_bins(kind, how):
    made, found = plan(kind, how), sites(kind)
    state, asked = driven(made, found, stored=True)
    assert not state.left
    if not how.asks:
        assert not any(isinstance(q, AskShape) for q in asked)
        return
    z, fills = by_hand(asked, found, made.least_cell, how)
    for c in state.columns:
        if c.fill:
            assert c.fill[0] == pytest.approx(fills[c.name], abs=1e-9)
    assert {c.name for c in state.columns if c.compress} == ({"tail", "rare"} if how.skewed == "compress" else set())
    assert {c.name for c in state.columns if c.fill} >= {"age", "tail", "rare", "rank"}
    ends = np.cumsum([0, *(len(found[s]) for s in sorted(found))])
    ready = {}
    for s, a, b in zip(sorted(found), ends[:-1], ends[1:], strict=True):
        features = tuple(
            Feature("clinical", c.name, "numeric", (), "", "", z[a:b, j]) for j, c in enumerate(state.columns)
        )
        ready[s] = replace(found[s], features=features)
    assert not how.clip or (np.abs(z) == 6).any()
    plain = cut.plan(kind, least_cell=1)
    alone = drive(plain, {n: asking(s, plain) for n, s in ready.items()}).state
    theirs = estimates(alone).coef
    np.testing.assert_allclose(estimates(state).coef * state.sd[:, None], theirs, atol=1e-9)
    assert np.abs(theirs).max() > 0.1


def test_as_the_encoder_of_run_does_it_but_for_bins():
    from cohortium.encoders.table import TableEncoder

    made, found = plan("binary", least_cell=1), sites("binary")
    state, _ = driven(made, found)
    here = [found[s] for s in sorted(found)]
    names = [c for c in state.columns if c.modality == "clinical" and c.kind == "numeric"]
    x = np.vstack([columns_of(s, [replace(c, fill=(), compress=()) for c in names], 1) for s in here])

    class Like:
        values = x
        n_features = x.shape[1]
        features = pd.DataFrame({"kind": "numeric", "levels": None}, index=[c.name for c in names])

    theirs = TableEncoder().fit(Like())
    at = [state.columns.index(c) for c in names]
    width = state.prepared.width.max()
    assert 0 < width < 1e-3
    mine = np.array([c.fill[0] if c.fill else np.nan for c in names])
    np.testing.assert_allclose(mine[~np.isnan(mine)], theirs.fill_[~np.isnan(mine)], atol=0.06)  # between two values
    assert [bool(c.compress) for c in names] == list(theirs.asinh_) and theirs.asinh_.any() and not theirs.asinh_.all()
    squashed = [c for c in names if c.compress]
    np.testing.assert_allclose([c.compress[1] for c in squashed], theirs.spread_[theirs.asinh_], rtol=0.02)
    np.testing.assert_allclose(state.mean[at], theirs.mean_, atol=0.02)
    np.testing.assert_allclose(state.sd[at], theirs.sd_, rtol=0.02)


def test_a_column_without_quarters_is_scaled_by_its_deviation():
    found = {n: replace(s, features=(*s.features[:2], Feature("clinical", "nil", "numeric", (), "", "", np.where(np.arange(len(s)) % 9 == 0, 50.0 + np.arange(len(s)), 0.0))))
             for n, s in cut.sites("binary").items()}  # fmt: skip
    state, _ = driven(cut.plan("binary", prepare=AS_RUN), found)
    c = state.columns[-1]
    nil = np.concatenate([s.features[-1].values for s in found.values()])
    assert c.name == "nil" and c.compress[1] == pytest.approx(nil.std(), rel=1e-9) and abs(c.compress[0]) < 0.01


def test_only_groups_of_the_least_number_are_counted():
    made, found = plan("binary", least_cell=6), sites("binary")
    _, asked = driven(made, found)
    for q in asked:
        if isinstance(q, AskQuantiles):
            counts = np.concatenate([answer(s, made, q).counts.ravel() for s in found.values()])
            assert (counts[counts > 0] >= 6).all()
    few = replace(found["south"], features=tuple(
        replace(f, values=np.where(np.arange(len(f.values)) < 4, f.values, np.nan)) if f.name == "rare" else f for f in found["south"].features
    ))  # fmt: skip
    q = next(q for q in asked if isinstance(q, AskShape))
    assert answer(few, made, q).cubes[[c.name for c in q.columns].index("rare")] == 0


def test_it_is_done_again_in_every_fit_of_the_evaluation():
    made, found = plan("binary", folds=2, penalty=1.0, least_cell=2), sites("binary")
    state, _ = driven(made, found)
    fills = {tuple(c.fill for c in t.state.columns) for t in state.trials}
    assert len(fills) == len(state.trials) and not any(t.failed for t in state.trials)
    assert all(r.value is not None for r in evaluation(state).sites if r.metric == "brier")
    # Fold 0 by hand: medians of the others' rows alone.
    from cohortium.federation_site.trials import folds_of, take

    rest = {n: take(s, np.flatnonzero(folds_of(s, made) != 0)) for n, s in found.items()}
    alone, _ = driven(replace(made, folds=0), rest)
    t = next(t for t in state.trials if t.fold == 0)
    assert [c.fill for c in t.state.columns] == [c.fill for c in alone.columns]
    np.testing.assert_allclose(t.state.fit.accepted, alone.fit.accepted, atol=1e-9)


def lie(kind, how):
    return lambda a: how(a) if type(a).__name__ == kind else a


LIES = {
    "cubes": lie("SiteShape", lambda a: replace(a, cubes=a.cubes * 1000)),
    "nan": lie("SiteShape", lambda a: replace(a, cubes=a.cubes * np.nan)),
    "present": lie("SiteShape", lambda a: replace(a, present=a.present + 500)),
    "fewer": lie("SiteShape", lambda a: replace(a, present=a.present * 0)),
    "shape": lie("SiteShape", lambda a: replace(a, cubes=a.cubes[1:])),
    "silent": lambda a: None if isinstance(a, SiteShape) else a,
    "counts": lie("SiteQuantiles", lambda a: replace(a, counts=a.counts * 1000)),
    "half": lie("SiteQuantiles", lambda a: replace(a, counts=a.counts + 0.5)),
    "old": lie("SiteQuantiles", lambda a: replace(a, round=a.round - 1)),
}
SQUASHED = {
    "squares": lambda a: replace(a, squares=a.squares * 1000),
    "infinite": lambda a: replace(a, mean=a.mean * np.inf),
    "count": lambda a: replace(a, count=a.count - 1),
}


@pytest.mark.parametrize("which", thorough_but([*LIES, *SQUASHED], "cubes", "silent", "counts", "squares", "present"))
def test_a_site_that_lies_is_left_out_and_the_others_are_as_without_it(which):
    made, found = plan("survival", penalty=1.0), sites("survival")
    seen = [0]

    def squashed(a):
        seen[0] += type(a).__name__ == "SiteMoments"
        return SQUASHED[which](a) if type(a).__name__ == "SiteMoments" and seen[0] == 2 else a

    state, asked = driven(made, found, LIES.get(which, squashed))
    assert set(state.left) == {BAD} and any(isinstance(q, AskMoments) for q in asked)
    alone, _ = driven(made, {n: s for n, s in found.items() if n != BAD})
    assert state.columns == alone.columns
    np.testing.assert_allclose(state.fit.accepted, alone.fit.accepted, atol=1e-12)


def test_a_site_is_asked_for_no_shape_that_its_study_does_not_declare():
    made, found = plan("binary"), sites("binary")
    _, asked = driven(made, found)
    other = replace(made, prepare=None)
    from cohortium.contracts.federation_wire import digest

    for q in asked:
        if isinstance(q, AskShape | AskQuantiles):
            said = answer(found["north"], other, replace(q, plan=digest(encode(other))))
            assert type(said).__name__ == "Withdrawn"
