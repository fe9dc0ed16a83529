"""Evaluation without pooling: equal to fits and metrics by hand, bounded where binned, and not to be moved by sites that lie."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from cohortium.contracts import SurvivalOutcome
from cohortium.contracts.federation import (
    AskSchema,
    AskScores,
    AskTrials,
    Histogram,
    SiteSums,
    SiteTrials,
    TrialQuestion,
    Withdrawn,
)
from cohortium.contracts.federation_results import SitePerformance
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.federation_coordinator import begin, question, restore, step, store
from cohortium.federation_coordinator.performance import across_sites, binned_auc
from cohortium.federation_coordinator.results import estimates, evaluation, results
from cohortium.federation_site import answer
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.scoring import _errors, concordance, histogram
from cohortium.federation_site.trials import folds_of, take
from cohortium.metrics.concordance import concordance as whole_concordance
from cohortium.metrics.intervals import delong
from cohortium.schema import Endpoint, EndpointKind
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut

BAD = "south"
FOLDS = {"folds": 2, "seed": 4}


def until(kind, phase, made, found, stored=False):
    """The state at a phase, in which all sites were honest."""
    state = begin(made, list(found))
    while state.phase != phase:
        if stored:
            state = restore(store(state))
        asked = decode(encode(question(state)))
        state = step(state, {n: decode(encode(answer(s, made, asked))) for n, s in found.items()})
    return state


@pytest.fixture(scope="module")
def before():
    """Kind -> plan, sites, the state before scores, and the honest answers."""
    out = {}
    for kind in ("survival", "binary", "continuous"):
        made, found = cut.plan(kind, **FOLDS), cut.sites(kind)
        state = until(kind, "scores", made, found)
        out[kind] = made, found, state, {n: answer(s, made, question(state)) for n, s in found.items()}
    return out


def changed(t, change):
    """A site's answer about a fit, changed; where nothing is left of it, an answer to another question."""
    said = change(t.answer)
    other = SiteSums(t.answer.site, t.answer.plan, t.answer.round, 0.0, np.zeros(0), np.zeros((0, 0)))
    return replace(t, answer=other if said is None else said)


def scored(before, kind, change=None):
    """Records of the evaluation, in which a site's scores are changed."""
    _, _, state, answers = before[kind]
    if change is not None:
        a = answers[BAD]
        answers = {**answers, BAD: replace(a, trials=tuple(changed(t, change) for t in a.trials))}
    return evaluation(finished(before, kind, step(state, answers)))


def finished(before, kind, state):
    """The state at the end, calibration with honest answers included."""
    made, found, *_ = before[kind]
    while state.phase != "done":
        asked = question(state)
        state = step(state, {n: answer(s, made, asked) for n, s in found.items()})
    return state


def rows(found, design, metric):
    return {r.site: r for r in found.sites if (r.design, r.metric) == (design, metric)}


def predicted(fitted, site, at):
    """Linear predictor of a fit, of a site's units."""
    x = columns_of(site, fitted.columns, fitted.plan.least_cell)[at]
    z = np.where(np.isnan(x), 0.0, (x - fitted.mean) / fitted.sd)
    b = fitted.fit.accepted
    return z @ b if fitted.plan.kind == "survival" else b[0] + z @ b[1:]


def fits(kind, found):
    """By hand: (design, held-out site, its rows) -> a fit of the plain protocol on the others, or on the others' folds."""
    made = cut.plan(kind)
    for held in ("east", BAD):
        others = {n: asking(s, made) for n, s in found.items() if n != held}
        yield "leave_one_site_out", held, np.arange(len(found[held])), drive(made, others).state
    dealt = {n: folds_of(s, cut.plan(kind, **FOLDS)) for n, s in found.items()}
    for k in range(FOLDS["folds"]):
        training = {n: asking(take(s, np.flatnonzero(dealt[n] != k)), made) for n, s in found.items()}
        fitted = drive(made, training).state
        for n in found:
            yield "folds", n, np.flatnonzero(dealt[n] == k), fitted


def test_survival_is_harrell_s_c_of_fits_by_hand(before):
    found, sites = scored(before, "survival"), before["survival"][1]
    mine: dict = {}
    for design, n, at, fitted in fits("survival", sites):
        s = take(sites[n], at)
        c, _, pairs = concordance(s.time, s.y > 0, s.entry, predicted(fitted, sites[n], at), s.patient)
        mine.setdefault((design, n), []).append((c, pairs))
    assert len(mine) == 2 + 4
    for (design, n), values in mine.items():
        c, pairs = np.array(values).T
        assert rows(found, design, "c_index")[n].value == pytest.approx(c @ pairs / pairs.sum(), abs=1e-12)
    assert not found.notices and all(p.value is not None and p.sites == 4 for p in found.across)


def test_binary_counts_bound_the_auc_of_fits_by_hand(before):
    from sklearn.metrics import brier_score_loss, roc_auc_score

    found, sites = scored(before, "binary"), before["binary"][1]
    parts: dict = {}
    for design, n, at, fitted in fits("binary", sites):
        y, p = sites[n].y[at], expit(predicted(fitted, sites[n], at))
        parts.setdefault((design, n), []).append((y, p, y.sum() * (1 - y).sum()))
    for (design, n), several in parts.items():
        w = np.array([pairs for *_, pairs in several])
        true = np.array([roc_auc_score(y, p) for y, p, _ in several]) @ w / w.sum()
        r = rows(found, design, "roc_auc")[n]
        assert 0 < r.bound < 0.3 and abs(r.value - true) <= r.bound
        y, p = (np.concatenate([part[i] for part in several]) for i in (0, 1))
        assert rows(found, design, "brier")[n].value == pytest.approx(brier_score_loss(y, p), abs=1e-12)
        assert rows(found, design, "observed_expected")[n].value == pytest.approx(y.sum() / p.sum(), abs=1e-12)
        assert rows(found, design, "observed_minus_expected")[n].value == pytest.approx(y.mean() - p.mean(), abs=1e-12)


def test_continuous_sums_are_scikit_learn_s(before):
    from sklearn.metrics import mean_absolute_error, r2_score

    found, sites = scored(before, "continuous"), before["continuous"][1]
    for design, n, at, fitted in fits("continuous", sites):
        if design == "leave_one_site_out":
            p = fitted.outcome[0] + fitted.outcome[1] * predicted(fitted, sites[n], at)
            assert rows(found, design, "r2")[n].value == pytest.approx(r2_score(sites[n].y, p), abs=1e-12)
            assert rows(found, design, "mae")[n].value == pytest.approx(mean_absolute_error(sites[n].y, p), abs=1e-12)


def test_a_held_out_site_does_not_move_its_own_fit(before):
    made, found, state, _ = before["survival"]
    b = {t.without: t.state.fit.accepted for t in state.trials if t.without}
    garbage = replace(found[BAD], y=found[BAD].y[::-1].copy(), time=found[BAD].time[::-1].copy())
    changed = until("survival", "scores", made, {**found, BAD: garbage})
    for t in changed.trials:
        if t.without:
            assert np.array_equal(t.state.fit.accepted, b[t.without]) == (t.without == BAD)


def test_the_main_fit_is_what_it_is_without_an_evaluation_and_a_stored_state_goes_on(before):
    made, found, state, answers = before["binary"]
    plain = cut.plan("binary")
    alone = drive(plain, {n: asking(s, plain) for n, s in found.items()}).state
    np.testing.assert_array_equal(
        estimates(finished(before, "binary", step(state, answers))).coef, estimates(alone).coef
    )
    assert store(until("binary", "scores", made, found, stored=True)) == store(state)


def test_concordance_and_its_jackknife():
    rng = np.random.default_rng(1)
    n = 60
    time, entry = rng.integers(2, 12, n).astype(float), rng.integers(0, 3, n).astype(float)
    event, risk, patient = rng.integers(0, 2, n) > 0, rng.integers(0, 8, n).astype(float), rng.integers(0, 40, n)

    def by_hand(at):
        o = SurvivalOutcome(Endpoint("y", EndpointKind.SURVIVAL), at, time[at], event[at], entry[at])
        return whole_concordance(o, risk[at])

    c, error, pairs = concordance(time, event, entry, risk, patient)
    assert c == pytest.approx(by_hand(np.arange(n)), abs=1e-14) and pairs > 0
    each = np.array([by_hand(np.flatnonzero(patient != p)) for p in np.unique(patient)])
    k = len(each)
    assert error == pytest.approx(np.sqrt((k - 1) / k * ((each - each.mean()) ** 2).sum()), rel=1e-12)


def test_r2_jackknife():
    d = cut.table().head(50)
    site = replace(cut.site("a", d, "continuous"), patient=np.arange(50) // 2)
    p = site.y + np.random.default_rng(2).normal(size=50)
    each = []
    for k in range(25):
        y, q = site.y[site.patient != k], p[site.patient != k]
        each.append(1 - ((y - q) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    expected = np.sqrt(24 / 25 * ((np.array(each) - np.mean(each)) ** 2).sum())
    assert _errors(site, p)["explained_error"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("least", [1, 3, 10])
def test_bins_hold_enough_and_the_true_auc_is_within_the_bound(least):
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(least)
    for shift, n in ((0.0, 70), (1.0, 200), (3.0, 600)):
        own = rng.permutation(np.arange(n) % 3 == 0)
        score = np.round(rng.normal(size=n) + shift * own, 1)
        h = histogram("yes", score, own, np.arange(n), np.linspace(-4, 4, 33), least)
        assert min(h.negatives.min(), h.positives.min()) >= least and h.positives.sum() == own.sum()
        at = np.searchsorted(h.edges, score, side="right")
        np.testing.assert_array_equal(np.bincount(at[own], minlength=len(h.positives)), h.positives)
        found = binned_auc(h)
        assert abs(found.value - roc_auc_score(own, score)) <= found.bound + 1e-12
        value, low, high = delong(own, at.astype(float))
        assert found.value == pytest.approx(value, abs=1e-12)
        half = (logit(high) - logit(low)) / 2 / 1.959963984540054
        assert found.error / (value * (1 - value)) == pytest.approx(half, rel=1e-9)


def test_bins_are_merged_so_that_the_bound_is_least():
    rng = np.random.default_rng(5)
    own, grid = np.arange(60) % 2 == 0, np.arange(1.0, 9.0)
    score = rng.uniform(0, 9, 60) + own
    h = histogram("yes", score, own, np.arange(60), grid, 6)

    def cost(edges):
        at = np.searchsorted(edges, score, side="right")
        a, b = (np.bincount(at[own == k], minlength=len(edges) + 1) for k in (False, True))
        return a @ b if min(a.min(), b.min()) >= 6 else np.inf

    every = [grid[[i for i in range(8) if m >> i & 1]] for m in range(256)]
    assert h.negatives @ h.positives == min(cost(e) for e in every)


def test_units_of_one_patient_do_not_fill_a_bin():
    own = np.repeat([False, True], 40)
    score = np.tile(np.repeat([-1.0, 1.0], 20), 2)
    grid = np.array([0.0])
    assert len(histogram("yes", score, own, np.arange(80), grid, 10).edges) == 1
    assert not len(histogram("yes", score, own, np.arange(80) // 4, grid, 10).positives)


ORACLE = pd.read_csv(cut.ORACLE / "meta.csv").groupby("metric")


@pytest.mark.parametrize("metric", list(ORACLE.groups))
def test_means_across_sites_are_metafor_s(metric):
    d = ORACLE.get_group(metric)
    x, e = ([float(v) for v in d[c].iloc[0].split()] for c in ("x", "e"))
    found = across_sites(
        "folds", metric, [SitePerformance("folds", metric, str(i), *v) for i, v in enumerate(zip(x, e, strict=True))]
    )
    for name, number in zip(d.name, d.number, strict=True):
        assert getattr(found, name) == pytest.approx(number, abs=2e-7), name


def test_two_sites_have_no_mean_and_none_is_left_out_for_the_other():
    made = cut.plan("survival", **FOLDS)
    found = {n: s for n, s in cut.sites("survival").items() if n in ("north", "south")}
    e = evaluation(drive(made, {n: asking(s, made) for n, s in found.items()}).state)
    assert not [r for r in e.sites if r.design == "leave_one_site_out"]
    assert all(r.value is not None for r in e.sites)
    assert all(p.value is None and "needs 3" in p.reason for p in e.across)


LIES = {
    "NaN": ("survival", lambda s: replace(s, concordance=float("nan")), "NaN"),
    "C above one": ("survival", lambda s: replace(s, concordance=1.2), "not between 0 and 1"),
    "C below nought": ("survival", lambda s: replace(s, concordance=-0.1), "negative"),
    "more pairs": ("survival", lambda s: replace(s, pairs=s.pairs * 100), "more pairs"),
    "more units": ("survival", lambda s: replace(s, units=s.units + 1), "do not add up"),
    "other counts": ("binary", lambda s: replace(s, counts=s.counts[::-1]), "do not add up"),
    "other histogram": ("binary", lambda s: bins(s, positives=lambda x: x + 1), "do not add up"),
    "small bins": ("binary", lambda s: bins(s, positives=lambda x: x * 0 + 1), "fewer than 3"),
    "NaN in bins": ("binary", lambda s: bins(s, edges=lambda x: x * np.nan), "NaN"),
    "no edges": ("binary", lambda s: bins(s, edges=lambda x: x[:0]), "than edges"),
    "too large": ("binary", lambda s: replace(s, expected=s.units * 2.0), "between 0 and 1"),
    "another class": ("binary", lambda s: replace(s, histograms=()), "other classes"),
    "errors": ("continuous", lambda s: replace(s, absolute=s.absolute * 1000), "contradict"),
    "repeated": ("binary", lambda s: replace(s, round=s.round - 1), "repeated"),
    "another's name": ("binary", lambda s: replace(s, site="north"), "another's name"),
    "nothing": ("survival", lambda s: None, "another question"),
}  # fmt: skip


def bins(s, **change):
    h = s.histograms[0]
    return replace(s, histograms=(replace(h, **{k: f(getattr(h, k)) for k, f in change.items()}),))


@pytest.mark.parametrize("name", LIES)
def test_scores_that_cannot_be_are_left_out_and_the_others_stay(before, name):
    kind, change, said = LIES[name]
    honest, found = scored(before, kind), scored(before, kind, change)
    assert any(BAD in n and said in n for n in found.notices), found.notices
    for mine, theirs in zip(found.sites, honest.sites, strict=True):
        assert (mine.value is None and said in mine.reason) if mine.site == BAD else mine == theirs
    assert {p.sites for p in found.across} == {3}


def test_damage_in_the_fits_of_the_evaluation_costs_the_site_its_part_in_them():
    made, found = cut.plan("survival", **FOLDS), cut.sites("survival")
    asks = {n: asking(s, made) for n, s in found.items()}
    honest = asks[BAD]

    def ask(data):
        said = decode(honest(data))
        if isinstance(said, SiteTrials):
            spoilt = tuple(
                replace(t, answer=replace(t.answer, loss=np.inf)) if isinstance(t.answer, SiteSums) else t
                for t in said.trials
            )
            said = replace(said, trials=spoilt)
        return encode(said)

    asks[BAD] = ask
    state = drive(made, asks).state
    assert not state.left and state.here == ("east", "north", BAD, "west")
    e = results(state, [], [], "", "").evaluation
    assert any(BAD in n and "NaN" in n for n in e.notices)
    assert (
        rows(e, "folds", "c_index")[BAD].value is None
        and rows(e, "leave_one_site_out", "c_index")[BAD].value is not None
    )
    others = {n: s for n, s in found.items() if n not in (BAD, "west")}
    plain = cut.plan("survival")
    alone = drive(plain, {n: asking(s, plain) for n, s in others.items()}).state
    west = next(t for t in state.trials if t.without == "west")
    np.testing.assert_allclose(estimates(west.state).coef, estimates(alone).coef, atol=1e-12)


def test_a_site_that_falls_silent_leaves_the_fit_as_it_was(before):
    _, _, state, answers = before["survival"]
    e = evaluation(finished(before, "survival", step(state, {n: a for n, a in answers.items() if n != BAD})))
    assert rows(e, "folds", "c_index")[BAD].reason == "it did not answer in time"


def test_a_site_too_small_for_folds_still_is_held_out_whole():
    made, found = cut.plan("survival", least_events=10, folds=3), cut.sites("survival")
    driven = drive(made, {n: asking(s, made) for n, s in found.items()})
    e = evaluation(driven.state)
    assert "too few for 3 folds" in rows(e, "folds", "c_index")["west"].reason
    assert rows(e, "leave_one_site_out", "c_index")["west"].value is not None
    assert rows(e, "folds", "c_index")["east"].value is not None
    assert [t.state.here for t in driven.state.trials if t.fold >= 0] == [("east", "north", "south")] * 3


def test_a_patient_s_units_share_a_fold_and_folds_are_the_same_again():
    site = replace(cut.sites("binary")["north"], patient=np.arange(95) // 3)
    made = cut.plan("binary", **FOLDS)
    fold = folds_of(site, made)
    assert all(len(set(fold[site.patient == p])) == 1 for p in range(32))
    np.testing.assert_array_equal(fold, folds_of(site, made))
    assert (fold != folds_of(site, replace(made, seed=5))).any()
    assert (fold != folds_of(replace(site, name="other"), made)).any()


def test_a_site_refuses_trials_that_its_study_does_not_declare(before):
    made, found, state, _ = before["binary"]
    site, own = found["north"], digest(encode(made))
    fine = question(state)
    assert isinstance(answer(site, made, fine), SiteTrials)
    schema = AskSchema(own, 1)
    for trials in ((("", 2),), (("", -1),), (("east", 0),), (("", 0), ("", 0))):
        asked = AskTrials(own, 9, tuple(TrialQuestion(w, f, schema) for w, f in trials))
        assert isinstance(answer(site, made, asked), Withdrawn), trials
    none = cut.plan("binary")
    asked = replace(fine, plan=digest(encode(none)))
    assert "declares no evaluation" in answer(site, none, asked).reason
    t = next(t for t in fine.trials if t.fold == 0)
    q, m = t.question, t.question.model
    changed = [replace(q, grid=np.array([1.0, 0.0]))]
    changed += [replace(q, model=replace(m, **c)) for c in ({"parameters": m.parameters * 1e6}, {"sd": m.sd * 0})]
    for one in changed:
        bad = AskTrials(own, 9, (replace(t, question=one),))
        assert isinstance(answer(site, made, bad).trials[0].answer, Withdrawn)


def test_what_is_scored_holds_no_row(before):
    """Arrays of an answer are as long as bins, and of bins there are at most patients over the smallest count."""
    for name, a in before["binary"][3].items():
        for t in a.trials:
            for h in t.answer.histograms:
                assert isinstance(h, Histogram) and 3 * len(h.positives) <= min(t.answer.counts), name
            plain = [getattr(t.answer, f.name) for f in dataclasses.fields(t.answer)]
            assert not any(isinstance(v, np.ndarray) for v in plain)
    assert isinstance(next(iter(question(before["binary"][2]).trials)).question, AskScores)


def test_a_fit_that_has_no_answer_is_said_and_the_rest_goes_on():
    """A column that tells the outcome at all sites but one: without that one the data are separated."""
    d = cut.table()
    d = d.assign(node=np.where(d.site == BAD, d.node, d.resp))
    made = cut.plan("binary", **FOLDS)
    state = drive(made, {str(s): asking(cut.site(str(s), g, "binary"), made) for s, g in d.groupby("site")}).state
    e = evaluation(state)
    assert any(f"without '{BAD}'" in n and "separated" in n for n in e.notices)
    assert "separated" in rows(e, "leave_one_site_out", "brier")[BAD].reason
    assert rows(e, "leave_one_site_out", "brier")["north"].value is not None


def test_classes_in_another_order_at_a_site_and_one_that_nobody_has_there():
    made, d = cut.plan("multiclass", least_events=1, **FOLDS), cut.table()
    d = d[(d.site != "west") & ((d.site != BAD) | (d.cls != "c"))]

    def found(turn):
        sites = {str(s): cut.site(str(s), g, "multiclass") for s, g in d.groupby("site")}
        if turn:
            sites[BAD] = replace(sites[BAD], classes=("c", "a", "b"), y=(sites[BAD].y + 1) % 3)
        return evaluation(drive(made, {n: asking(s, made) for n, s in sites.items()}).state)

    plain, turned = (rows(found(t), "leave_one_site_out", "roc_auc") for t in (False, True))
    assert plain[BAD].value is not None
    assert {n: r.value for n, r in turned.items()} == pytest.approx({n: r.value for n, r in plain.items()}, abs=1e-9)
