"""Federated selection and ComBat: equal to those on all rows together, chosen anew in each fit, and not to be moved by sites that lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts.federation import AskSums, Selection
from cohortium.contracts.federation_preparing import AskAssociation, SiteAssociation
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.encoders.combat import ComBat
from cohortium.errors import FederationError
from cohortium.federation_coordinator import begin, question, restore, results, step, store
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_coordinator.selecting import score_test
from cohortium.federation_site import Feature, Site, answer
from cohortium.federation_site.encoding import columns_of
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.marks import thorough_but

BAD = "south"
BY = Selection(2, "association", ("clinical",))


def at(kind, phase, found, stored=False, **changes):
    """Plan, and the state at the first round of a phase."""
    made = cut.plan(kind, **changes)
    state = begin(made, list(found))
    while state.phase != phase:
        state = restore(store(state)) if stored else state
        asked = decode(encode(question(state)))
        state = step(state, {n: decode(encode(answer(s, made, asked))) for n, s in found.items() if n in state.here})
    return made, state


@pytest.mark.parametrize(
    ("kind", "name"), [(k, k) for k in ("binary", "survival", "continuous")] + [("survival", "entry")]
)
def test_scores_are_r_s(kind, name):
    found = cut.sites(kind, **({"entry": True} if name == "entry" else {}))
    made, state = at(kind, "select", found, select=BY)
    asked = question(state)
    said = [answer(s, made, asked) for s in found.values()]
    statistic, freedom = score_test(state, said)
    r = pd.read_csv(cut.ORACLE / "selecting.csv")
    r = r[r.kind == name].set_index("column").value
    np.testing.assert_allclose(statistic, r[[c.name for c in asked.columns]], rtol=1e-9)
    assert freedom == 1
    assert all(a.sums.size + a.squares.size <= 3 * len(asked.columns) for a in said)


def test_scores_of_several_classes_are_those_of_the_multinomial_model():
    found = cut.sites("multiclass")
    made, state = at("multiclass", "select", found, select=BY)
    statistic, freedom = score_test(state, [answer(s, made, question(state)) for s in found.values()])
    d = cut.table()
    share = d.cls.value_counts(normalize=True)[["b", "c"]].to_numpy()
    residual = np.column_stack([d.cls == "b", d.cls == "c"]) - share
    for j, c in enumerate(state.columns):
        x = (d[c.feature].astype(str) == c.level if c.level else d[c.feature]).to_numpy(float)
        x = x - x.mean()
        information = (np.diag(share) - np.outer(share, share)) * (x @ x)
        u = residual.T @ x
        assert statistic[j] == pytest.approx(u @ np.linalg.solve(information, u), rel=1e-9)
    assert freedom == 2


@pytest.mark.parametrize("by", ["association", "variance"])
def test_the_fit_is_that_of_the_columns_that_were_chosen(by):
    found = cut.sites("survival")
    _made, state = at("survival", "done", found, stored=True, select=replace(BY, by=by))
    assert [c.column for c in state.chosen] == (["size", "age"] if by == "association" else ["age", "size"])
    assert state.candidates == 5 and [c.name for c in state.columns] == ["age", "size"]
    only = {n: replace(s, features=s.features[:2]) for n, s in found.items()}
    plain = cut.plan("survival")
    alone = drive(plain, {n: asking(s, plain) for n, s in only.items()}).state
    np.testing.assert_allclose(estimates(state).coef, estimates(alone).coef, atol=1e-12)
    if by == "variance":
        sd = cut.table()[["age", "size"]].std(ddof=0)
        np.testing.assert_allclose([c.score for c in state.chosen], sd**2)


def test_columns_of_other_tables_are_all_kept_and_few_columns_are_not_asked_about():
    found = {n: replace(s, features=(*s.features[:2], *(replace(f, modality="rare") for f in s.features[2:])))
             for n, s in cut.sites("binary").items()}  # fmt: skip
    _, state = at(
        "binary", "done", found, modalities=("clinical", "rare"), select=Selection(1, "association", ("rare",))
    )
    assert [c.name for c in state.columns][:2] == ["age", "size"] and len(state.columns) == 3 and state.candidates == 3
    _, state = at(
        "binary", "fit", found, modalities=("clinical", "rare"), select=Selection(5, "association", ("rare",))
    )
    assert state.round == 3 and len(state.columns) == 5 and not state.chosen


def wide(rng, signal=0.0, n=60, q=80):
    """Three sites with many columns, of which the first three matter by ``signal``."""
    out = {}
    for name in ("a", "b", "c"):
        x = rng.normal(size=(n, q))
        y = (rng.uniform(size=n) < 1 / (1 + np.exp(-signal * x[:, :3].sum(axis=1)))) * 1.0
        features = tuple(Feature("rna", f"g{j}", "numeric", (), "", "", x[:, j]) for j in range(q))
        none = np.zeros(0)
        out[name] = Site(name, features, np.arange(n), np.ones(n), np.zeros(n, int), y, ("no", "yes"), none, none)
    return out


def area(found):
    changes = {"modalities": ("rna",), "folds": 2, "penalty": 3.0}
    _made, state = at("binary", "done", found, select=Selection(6, "association", ("rna",)), **changes)
    e = evaluation(state)
    return np.mean([r.value for r in e.sites if r.metric == "roc_auc" and r.design == "leave_one_site_out"]), state


def test_selection_is_done_again_in_every_fit_so_that_noise_gives_chance():
    rng = np.random.default_rng(8)
    noise = [area(wide(rng))[0] for _ in range(2)]
    leaked = []
    for _ in range(2):  # what evaluation would say, had columns been selected with everybody
        found = wide(rng)
        _, state = at("binary", "done", found, modalities=("rna",), select=Selection(6, "association", ("rna",)))
        kept = {c.feature for c in state.columns}
        few = {n: replace(s, features=tuple(f for f in s.features if f.name in kept)) for n, s in found.items()}
        _made, state = at("binary", "done", few, modalities=("rna",), folds=2, penalty=3.0)
        e = evaluation(state)
        leaked.append(np.mean([r.value for r in e.sites if r.metric == "roc_auc" and r.design == "leave_one_site_out"]))
    assert abs(np.mean(noise) - 0.5) < 0.06 and np.mean(leaked) > 0.58
    planted, state = area(wide(rng, 0.9))
    assert planted > 0.65
    assert {"g0", "g1", "g2"} <= {c.column for c in state.chosen}
    assert all(t.state.chosen and t.state.columns != state.columns for t in state.trials)


DAMAGED = {
    "NaN": (lambda a: replace(a, sums=a.sums * np.nan), "NaN"),
    "shape": (lambda a: replace(a, squares=a.squares[1:]), "number of columns"),
    "negative": (lambda a: replace(a, squares=-a.squares), "negative"),
    "large": (lambda a: replace(a, sums=a.sums * 1000, squares=a.squares * 1000, weights=a.weights * 1000), ""),
    "large sums": (lambda a: replace(a, sums=a.sums * 1000), "not what its declared"),
    "large squares": (lambda a: replace(a, squares=a.squares * 1000), "" ),
    "counts": (lambda a: replace(a, weights=a.weights + 1), "do not add up"),
    "repeated": (lambda a: replace(a, round=a.round - 1), "repeated message"),
}  # fmt: skip


CASES = [(kind, name) for kind in ("binary", "survival") for name in DAMAGED]
KEPT = [c for c in CASES if c[0] == "binary" or c[1].startswith("large")]


@pytest.mark.parametrize(("kind", "name"), thorough_but(CASES, *KEPT))
def test_damaged_sums_are_left_out_and_the_others_go_on(kind, name):
    change, reason = DAMAGED[name]
    found = cut.sites(kind)
    made = cut.plan(kind, select=BY)
    asks = {n: asking(s, made) for n, s in found.items()}
    honest = asks[BAD]

    def ask(data):
        said = decode(honest(data))
        return encode(change(said) if isinstance(said, SiteAssociation) else said)

    state = drive(made, {**asks, BAD: ask}).state
    assert list(state.left) == [BAD] and reason in state.left[BAD]
    alone = drive(made, {n: a for n, a in asks.items() if n != BAD}).state
    assert state.columns == alone.columns
    np.testing.assert_allclose([c.score for c in state.chosen], [c.score for c in alone.chosen], rtol=1e-9)
    np.testing.assert_allclose(estimates(state).coef, estimates(alone).coef, atol=1e-11)


def test_a_site_that_leaves_later_takes_its_part_of_the_selection_with_it():
    found, made = cut.sites("binary"), cut.plan("binary", select=BY)
    asks = {n: asking(s, made) for n, s in found.items()}
    kinds = []

    def ask(data):
        asked = decode(data)
        kinds.append(type(asked))
        return b"no" if isinstance(asked, AskSums) and asked.round > 5 else asking(found[BAD], made)(data)

    state = drive(made, {**asks, BAD: ask}).state
    alone = drive(made, {n: a for n, a in asks.items() if n != BAD}).state
    assert list(state.left) == [BAD]
    np.testing.assert_allclose([c.score for c in state.chosen], [c.score for c in alone.chosen], rtol=1e-9)
    np.testing.assert_allclose(estimates(state).coef, estimates(alone).coef, atol=1e-11)


def test_a_site_answers_no_selection_that_its_study_does_not_ask_for():
    found = cut.sites("binary")
    made, state = at("binary", "select", found, select=BY)
    asked = question(state)
    assert isinstance(asked, AskAssociation)
    plain = cut.plan("binary")
    assert "no selection" in answer(found["north"], plain, replace(asked, plan=digest(encode(plain)))).reason
    assert "does not fit" in answer(found["north"], made, replace(asked, sd=asked.sd * 0)).reason


def batches(rng, n=(40, 60, 30), p=12, holes=0.0, kind="continuous"):
    """Sites that measure on other scales."""
    out, every = {}, []
    for k, name in enumerate(("a", "b", "c")):
        x = rng.normal(size=(n[k], p)) * (1 + 0.3 * k * rng.uniform(size=p)) + k * rng.normal(size=p) + 5
        y = x[:, 0] - x[:, 1] + rng.normal(size=n[k])
        x[rng.uniform(size=x.shape) < holes] = np.nan
        x[:, p - 1] = np.where(k == 1, 3.0, x[:, p - 1])  # does not vary at one site
        x[0, 0] = x[0, 0] if np.isfinite(x[0, 0]) else 1.0
        features = [Feature("rna", f"g{j}", "numeric", (), "", "", x[:, j]) for j in range(p)]
        features.append(Feature("rna", "sex", "level", ("f", "m"), "", "", rng.integers(0, 2, n[k]).astype(float)))
        none = np.zeros(0)
        out[name] = Site(name, tuple(features), np.arange(n[k]), np.ones(n[k]), np.zeros(n[k], int), y, (), none, none)
        every.append(x)
    return out, np.vstack(every), np.repeat(np.array(["a", "b", "c"], dtype=object), n)


@pytest.mark.parametrize("holes", [0.0, 0.05])
def test_combat_is_the_pooled_one(holes):
    found, x, label = batches(np.random.default_rng(1), holes=holes)
    if holes:  # units that have the table are counted by its most complete feature
        for s, b in zip(found.values(), "abc", strict=True):
            full = np.random.default_rng(2).normal(size=len(s)) + 5
            s.features[2].values[:] = full
            x[label == b, 2] = full
    _made, state = at("continuous", "fit", found, modalities=("rna",), harmonise=("rna",))
    expected = ComBat().fit(x, label).transform(x, label)
    mine = np.vstack([columns_of(s, state.columns, 1) for s in found.values()])
    place = [c.feature for c in state.columns]
    at_ = [place.index(f"g{j}") for j in range(x.shape[1])]
    np.testing.assert_allclose(mine[:, at_], expected, atol=1e-12)
    assert np.nanmax(np.abs(mine[:, at_] - x)) > 0.5
    numeric = state.columns[at_[0]]
    assert (
        len(numeric.batches) == 3
        and not state.columns[at_[-1]].batches
        and not state.columns[place.index("sex")].batches
    )
    np.testing.assert_allclose(state.mean, np.nanmean(mine, axis=0), atol=1e-12)
    np.testing.assert_allclose(state.sd, np.nanstd(mine, axis=0), atol=1e-12)


def test_fits_on_harmonised_columns_are_those_of_the_rows_harmonised_before():
    found, x, label = batches(np.random.default_rng(3))
    _made, state = at("continuous", "done", found, stored=True, modalities=("rna",), harmonise=("rna",), penalty=1.0)
    expected = ComBat().fit(x, label).transform(x, label)
    before = {n: replace(s, features=(*(replace(f, values=expected[label == n, j]) for j, f in enumerate(s.features[:-1])),
                                      s.features[-1])) for n, s in found.items()}  # fmt: skip
    _, plain = at("continuous", "done", before, modalities=("rna",), penalty=1.0)
    np.testing.assert_allclose(estimates(state).coef, estimates(plain).coef, atol=1e-11)
    assert results(state, [], [], "", "").preparing.batches


def test_a_site_that_is_held_out_keeps_its_values_and_selection_sees_harmonised_ones():
    found, x, label = batches(np.random.default_rng(4))
    select = Selection(4, "association", ("rna",))
    _, state = at(
        "continuous", "done", found, modalities=("rna",), harmonise=("rna",), select=select, folds=2, penalty=1.0
    )
    t = next(t for t in state.trials if t.without == "c")
    assert {n for c in t.state.columns for n, *_ in c.batches} == {"a", "b"}
    rows = label != "c"
    pooled = ComBat().fit(x[rows], label[rows])
    mine = {c.feature: columns_of(found["c"], [c], 1)[:, 0] for c in t.state.columns}
    for name, values in mine.items():  # as ComBat itself does with a batch that it does not know
        theirs = pooled.transform(x[~rows], label[~rows])[:, int(name[1:])] if name != "sex" else values
        np.testing.assert_array_equal(values, theirs)
    adjusted = pooled.transform(x[rows], label[rows])
    y = np.concatenate([found[n].y for n in "ab"])
    r = [len(y) * np.corrcoef(adjusted[:, j], y)[0, 1] ** 2 for j in range(x.shape[1])]
    best = sorted(r, reverse=True)[: len(t.state.chosen)]
    mine_ = [c.score for c in t.state.chosen if c.column != "sex"]
    np.testing.assert_allclose(mine_, best[: len(mine_)], rtol=1e-9)


def test_a_lie_about_moments_is_seen_with_harmonised_columns_too():
    found, *_ = batches(np.random.default_rng(5))
    made = cut.plan("continuous", modalities=("rna",), harmonise=("rna",))
    asks = {n: asking(s, made) for n, s in found.items()}

    def ask(data):
        said, asked = decode(asks["b"](data)), decode(data)
        return encode(replace(said, hessian=said.hessian * 1.5) if isinstance(asked, AskSums) else said)

    state = drive(made, {**asks, "b": ask}).state
    assert "not what its declared counts" in state.left["b"]
    with pytest.raises(FederationError, match="quorum"):
        drive(
            replace(made, quorum=3),
            {n: ask if n == "b" else asking(s, replace(made, quorum=3)) for n, s in found.items()},
        )


def test_a_few_odd_columns_of_a_wide_table_are_not_used_and_cost_no_site_its_part():
    rng = np.random.default_rng(6)
    found = wide(rng, 0.9)
    found["b"].features[7].values[:] *= 1000
    made = cut.plan("binary", modalities=("rna",), penalty=3.0)
    state = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    assert not state.left and "g7" not in [c.name for c in state.columns] and len(state.columns) == 79
    assert any("'g7' is of another size at some site" in n for n in state.notices)
    for j in range(10, 20):
        found["b"].features[j].values[:] *= 1000
    other = wide(rng)["b"]  # sites keep what they computed: another object
    odd = replace(other, features=found["b"].features)
    state = drive(made, {n: asking(odd if n == "b" else s, made) for n, s in found.items()}).state
    assert list(state.left) == ["b"] and "other units" in state.left["b"]
