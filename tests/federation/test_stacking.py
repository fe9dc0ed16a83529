"""A federated stack is the stack of all rows in one place, its scores never leave, and sites that lie do not move it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from cohortium.contracts.federation import AskSums, TreesPlan, Withdrawn
from cohortium.contracts.federation_stack import AskStackMoments, AskStackParts, AskStackSums, PartQuestion, SiteParts
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.contracts.prepare_plan import PreparePlan
from cohortium.contracts.stack_plan import StackPart, StackPlan
from cohortium.errors import FederationError
from cohortium.federation_coordinator import begin, question, restore, results, step, store
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.stack import model
from cohortium.federation_site import answer
from cohortium.federation_site.cox import cox_sums
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.models import predicted_by
from cohortium.federation_site.stacking import folds_of, has_part
from cohortium.federation_site.trials import take
from cohortium.study.previewing import preview_of
from tests.federation import sites as cut
from tests.federation.test_shaping import sites as whole_sites
from tests.marks import thorough_but

BAD = "south"
LINEAR = tuple(StackPart(f"linear:{m}", "linear", (m,), 1.0) for m in ("clinical", "lab"))
EVERY = StackPart("linear:all", "linear", ("clinical", "lab"), 2.0)
TREES = StackPart("trees:all", "trees", ("clinical", "lab"))
KINDS = ("binary", "survival", "continuous", "multiclass")


def plan(kind, parts=(*LINEAR, EVERY), penalty=20.0, **changes):
    trees = TreesPlan(3, 2, 0.3, 8, least_leaf=5) if any(p.method == "trees" for p in parts) else None
    how = {"trees": trees, "modalities": ("clinical", "lab")} | changes
    return cut.plan(kind, method="stack", stack=StackPlan(tuple(parts), 3, penalty), **how)


def sites(kind):
    """Four sites: one has no table ``lab``; at the others some units lack it, and a few have neither table."""
    out = {}
    for i, (name, s) in enumerate(whole_sites(kind).items()):
        features = []
        for f in s.features:
            values = f.values.copy()
            values[:4] = np.nan
            if i == 0 and f.modality == "lab":
                continue
            features.append(replace(f, values=values))
        out[name] = replace(s, features=tuple(features))
    return out


def three(kind):
    """Without the smallest."""
    return {n: s for n, s in sites(kind).items() if n != "west"}


def driven(made, found, wrong=None, stored=False):
    """The state at the end, and all questions and answers. wrong: changes the answers of one site."""
    state, seen = begin(made, list(found)), []
    while state.phase != "done":
        state = restore(store(state)) if stored else state
        q = decode(encode(question(state)))
        said = {n: decode(encode(answer(s, made, q))) for n, s in found.items() if n in state.here}
        if wrong is not None and BAD in said:
            said[BAD] = wrong(said[BAD])
        seen.append((q, said))
        state = step(state, {n: a for n, a in said.items() if a is not None})
    return state, seen


def loss_of(kind, y, whose, time, entry, codes):
    """Negative log likelihood of scores (n,) or (n, K), a stratum for each site; and its gradient."""

    def value(eta):
        if kind == "survival":
            found = [0.0, np.zeros(len(eta))]
            for s in np.unique(whose):
                r = whose == s
                one = cox_sums(
                    np.eye(r.sum()), time[r], y[r], entry[r], np.ones(r.sum()), np.zeros(r.sum(), int), eta[r]
                )
                found[0] += one[0]
                found[1][r] = one[1]
            return found
        if kind == "continuous":
            return 0.5 * ((eta - y) ** 2).sum(), eta - y
        if kind == "binary":
            return np.logaddexp(0, eta).sum() - y @ eta, 1 / (1 + np.exp(-eta)) - y
        own = np.eye(eta.shape[1])[codes]
        return (logsumexp(eta, axis=1) - (eta * own).sum(1)).sum(), np.exp(
            eta - logsumexp(eta, axis=1, keepdims=True)
        ) - own

    return value


def minimum(f, n, bounds=None):
    found = minimize(f, np.zeros(n), jac=True, method="L-BFGS-B", bounds=bounds,
                     options={"ftol": 1e-18, "gtol": 1e-9, "maxiter": 5000, "maxcor": 60, "maxfun": 20000})  # fmt: skip
    return found.x


def ridge(kind, x, loss, k, penalty):
    """Scores of rows by the ridge model of rows: a function of x. Columns are standardised by known cells, unknown are the mean."""
    m, sd = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    varies = sd > 1e-9

    def coded(v):
        return np.nan_to_num((v[:, varies] - m[varies]) / sd[varies])

    z = coded(x)
    q, t = z.shape[1], 0 if kind == "survival" else 1

    def f(v):
        b, free = v[t * k :].reshape(q, k), v[: t * k]
        eta = z @ b + (free if t else 0)
        value, g = loss(eta if k > 1 else eta[:, 0])
        g = g.reshape(len(z), k)
        parts = [g.sum(0)] if t else []
        return value + penalty / 2 * (b**2).sum(), np.concatenate([*parts, (z.T @ g + penalty * b).ravel()])

    v = minimum(f, (q + t) * k)
    return lambda new: coded(new) @ v[t * k :].reshape(q, k) + (v[: t * k] if t else 0)


def by_hand(made, found, state):
    """Out-of-fold scores (n, P, K) of all rows in one place, what the loss is made of, and the weights."""
    kind, here = made.kind, [found[s] for s in sorted(found)]
    whose = np.repeat(np.arange(len(here)), [len(s) for s in here])
    y, time, entry = (
        np.concatenate([getattr(s, n) for s in here]) if len(here[0].y) else None for n in ("y", "time", "entry")
    )
    codes = y.astype(int) if kind == "multiclass" else None
    if kind == "continuous":
        y = (y - y.mean()) / y.std()
    fold = np.concatenate([folds_of(s, made) for s in here])
    k = 3 if kind == "multiclass" else 1
    scores = np.full((len(y), len(made.stack.parts), k), np.nan)

    def loss(r):
        return loss_of(
            kind,
            y[r],
            whose[r],
            time[r] if len(time) else time,
            entry[r] if len(entry) else entry,
            codes[r] if k > 1 else codes,
        )

    for p in range(len(made.stack.parts)):
        has = np.concatenate([has_part(s, made, p) for s in here])
        lane = next(t for t in state.fit.lanes if (t.part, t.fold) == (p, -1))
        x = np.vstack([columns_of(s, lane.state.columns, 1) for s in here])
        taking = np.isin(np.array(sorted(found))[whose], lane.state.here)
        for f in range(made.stack.folds):
            train, test = has & (fold != f) & taking, has & (fold == f)
            if kind == "continuous":  # the outcome of a part is standardised by its own rows
                m, sd = y[train].mean(), y[train].std()
                part = loss_of(kind, (y[train] - m) / sd, whose[train], None, None, None)
                scores[test, p] = ridge(kind, x[train], part, k, made.stack.parts[p].penalty)(x[test]) * sd + m
            else:
                scores[test, p] = ridge(kind, x[train], loss(train), k, made.stack.parts[p].penalty)(x[test])
    if k > 1:
        scores -= scores.mean(2, keepdims=True)
    some = ~np.isnan(scores).all((1, 2))
    return scores, some, weights(kind, scores[some], loss(some), made.stack.penalty)


def weights(kind, scores, loss, penalty):
    """Intercepts and weights; lacking scores by the moments of ``run``'s own stacking."""
    from cohortium.fusion.stacking import Fill

    n, p, k = scores.shape
    z = Fill.fit(scores.reshape(n, p * k)).complete(scores.reshape(n, p * k)).reshape(n, p, k)
    t = {"survival": 0, "multiclass": k - 1}.get(kind, 1)

    def f(v):
        w = v[t:]
        eta = np.einsum("npk,p->nk", z, w)
        eta[:, k - t :] += v[:t]
        value, g = loss(eta if k > 1 else eta[:, 0])
        g = g.reshape(n, k)
        d = w - w.mean()
        value += penalty / 2 * d @ d + w @ w / p / 2
        return value, np.concatenate([g[:, k - t :].sum(0), np.einsum("npk,nk->p", z, g) + penalty * d + w / p])

    return minimum(f, t + p, [(None, None)] * t + [(0, None)] * p)


@pytest.mark.parametrize("kind", thorough_but(KINDS, "survival", "binary"))
def test_equal_to_the_stack_of_all_rows(kind):
    made, found = plan(kind, least_cell=1, penalty=40.0), sites(kind)
    state, _ = driven(made, found, stored=True)
    assert not state.left and state.fit.parts == (0, 1, 2)
    fitted = next(t.state.here for t in state.fit.lanes if t.part == 1)
    assert fitted == (
        ("north", "south") if kind in ("binary", "multiclass") else ("north", "south", "west")
    )  # too few in a fold
    scores, some, v = by_hand(made, found, state)
    assert 0 < (~some).sum() < 20 and np.isnan(scores[some]).any()
    np.testing.assert_allclose(state.fit.accepted, v, atol=1e-6)
    assert (v[-3:] >= 0).all() and (v[-3:] > 0.1).sum() > 1
    from cohortium.fusion.stacking import Fill

    fill = Fill.fit(scores[some].reshape(some.sum(), -1))
    np.testing.assert_allclose(state.fit.mean, fill.mean, atol=1e-6)
    np.testing.assert_allclose(state.fit.cov, fill.cov, atol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_weights_are_those_of_late_fusion_in_run(kind):
    from cohortium.fusion.stacking import fit_stack

    made, found = plan(kind, least_cell=1), sites(kind)
    state, seen = driven(made, found)
    from cohortium.federation_site.stacking import scores_by

    q = next(q for q, _ in seen if isinstance(q, AskStackMoments))
    here = [found[s] for s in sorted(found)]
    scores = np.concatenate([scores_by(s, made, q.models, q.classes, q.outcome) for s in here])
    y = np.concatenate([s.y for s in here]).astype(int)
    family = _family(kind, y)
    theirs = fit_stack(scores, family, 20.0)
    np.testing.assert_allclose(state.fit.accepted[-3:], theirs.weights, atol=2e-3)
    gone = np.isnan(scores).all((1, 2))
    mine = np.concatenate([predicted_by(s, made, model(state)).reshape(len(s), -1) for s in here])[gone]
    rate = np.bincount(y[~gone]) / (~gone).sum()
    expected = np.log(rate[1] / rate[0]) if kind == "binary" else np.log(rate)
    np.testing.assert_allclose(
        mine - (0 if kind == "binary" else mine.mean()),
        np.broadcast_to(expected - (0 if kind == "binary" else expected.mean()), mine.shape),
        atol=1e-9,
    )


def _family(kind, y):
    from cohortium.contracts import ClassOutcome
    from cohortium.heads.families import family_of
    from cohortium.schema import Endpoint, EndpointKind

    classes = cut.CLASSES[kind]
    units = np.array([str(i) for i in range(len(y))], dtype=object)
    return family_of(ClassOutcome(Endpoint("y", EndpointKind(kind), classes=classes), units, y))


def test_units_that_lack_everything_have_the_base_hazard():
    made, found = plan("survival", least_cell=1), sites("survival")
    state, _ = driven(made, found)
    m = model(state)
    here = [found[s] for s in sorted(found)]
    risk = np.concatenate([predicted_by(s, made, m) for s in here])
    assert (risk[:4] == m.neutral[0]).all() and abs(m.neutral[0]) < 2
    assert np.isfinite(risk).all()


def test_what_leaves_is_no_score():
    """Sums of as many numbers as there are parts; and counts that few patients share are none."""
    made, found = plan("binary", (*LINEAR, TREES), least_cell=6), sites("binary")
    _, seen = driven(made, found)
    kinds = {type(a).__name__ for _, said in seen for a in said.values()}
    assert kinds == {"SiteSchema", "SiteMoments", "SiteParts", "SiteStackMoments", "SiteStackSums"}
    inner = {
        type(p.answer).__name__ for _, said in seen for a in said.values() if isinstance(a, SiteParts) for p in a.parts
    }
    assert inner == {"SiteSchema", "SiteMoments", "SiteSums", "SiteQuantiles", "SiteHistograms", "Withdrawn"}
    q = next(q for q, _ in seen if isinstance(q, AskStackMoments))
    few = replace(found["south"], features=tuple(
        replace(f, values=np.where(np.arange(len(f.values)) < 8, f.values, np.nan)) if f.modality == "lab" else f
        for f in found["south"].features
    ))  # fmt: skip
    said = answer(few, made, q)
    assert said.count[0, 0] > 6 and said.count[1, 1] == 0 == said.products[0, 1] and said.count[0, 1] == 0


def test_counts_with_and_without_a_few_patients_do_not_tell_their_outcomes():
    made, found = plan("binary", LINEAR, least_cell=5), sites("binary")  # four have no table at all
    _, seen = driven(made, found)
    whole = seen[0][1]["north"]
    for q, said in seen:
        if isinstance(q, AskStackParts) and type(q.parts[0].question).__name__ == "AskSchema":
            assert next(p for p in said["north"].parts if (p.part, p.fold) == (0, -1)).answer.counts == whole.counts
        if isinstance(q, AskStackMoments):
            assert said["north"].outcome[0] == whole.counts[1] and said["north"].units[0] == whole.units


def test_a_unit_is_never_scored_by_a_model_that_has_seen_it():
    """On noise trees that had seen a unit would predict it: weights of models of folds say that they do not."""
    found = {}
    for name, s in whole_sites("binary").items():
        rng = np.random.default_rng([9, len(found)])
        found[name] = replace(s, y=rng.permutation(s.y))
    made = (
        plan("binary", (LINEAR[0], TREES), penalty=0.0, trees=TreesPlan(12, 3, 0.7, 8, least_leaf=1), penalty_=None)
        if False
        else replace(plan("binary", (LINEAR[0], TREES), 0.0), trees=TreesPlan(12, 3, 0.7, 8, least_leaf=1))
    )
    state, _ = driven(made, found)
    m = model(state)
    assert state.fit.accepted[-1] < 0.25
    seen_score = np.concatenate(
        [predicted_by(found[s], made, replace(m, parameters=np.array([0.0, 0.0, 1.0]))) for s in sorted(found)]
    )
    y = np.concatenate([found[s].y for s in sorted(found)])
    assert seen_score[y == 1].mean() - seen_score[y == 0].mean() > 1  # in the fit it would look excellent


def test_evaluation_fits_the_whole_stack_anew():
    made, found = plan("binary", LINEAR, folds=2, least_cell=2), three("binary")
    state, _ = driven(made, found)
    assert not any(t.failed for t in state.trials) and len(state.trials) == 5
    e = evaluation(state)
    assert {r.design for r in e.sites if r.value is not None and r.metric == "brier"} == {"leave_one_site_out", "folds"}
    assert all(c.slope is not None for c in e.calibration)
    t = next(t for t in state.trials if t.without == BAD)
    alone, _ = driven(replace(made, folds=0), {n: s for n, s in found.items() if n != BAD})
    np.testing.assert_allclose(t.state.fit.accepted, alone.fit.accepted, atol=1e-9)
    t = next(t for t in state.trials if t.fold == 1)
    from cohortium.federation_site.trials import folds_of as outer

    rest = {n: take(s, np.flatnonzero(outer(s, made) != 1)) for n, s in found.items()}
    alone, _ = driven(replace(made, folds=0, seed=made.seed), rest)
    np.testing.assert_allclose(t.state.fit.accepted, alone.fit.accepted, atol=1e-9)


def test_parts_are_prepared_each_by_itself():
    made, found = plan("binary", LINEAR, prepare=PreparePlan("median", "compress", True)), sites("binary")
    state, _ = driven(made, found)
    lanes = [t.state for t in state.fit.lanes]
    assert all(t.prepared is not None for t in lanes) and state.prepared is None
    assert any(c.compress for t in lanes for c in t.columns)


def test_a_part_without_a_fit_is_left_out_and_said():
    found = {
        n: replace(s, features=tuple(f for f in s.features if f.modality != "lab" or n == BAD))
        for n, s in sites("binary").items()
    }
    made = plan("binary", LINEAR)
    state, _ = driven(made, found)
    assert state.fit.parts == (0,) and not state.left
    assert any("linear:lab" in n and "quorum" in n for n in state.notices)
    r = results(state, [], [], "", "")
    assert [p.weight is None for p in r.stack.parts] == [False, True] and "quorum" in r.stack.parts[1].reason
    none = replace(made, stack=replace(made.stack, folds=10))
    with pytest.raises(FederationError, match=r"No part.*too few for 10 folds"):
        driven(none, found)


def lie(kind, how):
    return lambda a: how(a) if type(a).__name__ == kind else a


def within(kind, how):
    """A lie about one fit of a part."""

    def changed(a):
        if not isinstance(a, SiteParts):
            return a
        parts = [
            replace(p, answer=how(p.answer)) if i == 0 and type(p.answer).__name__ == kind else p
            for i, p in enumerate(a.parts)
        ]
        return replace(a, parts=tuple(parts))

    return changed


LIES = {
    "nan sums of a part": within("SiteSums", lambda a: replace(a, gradient=a.gradient * np.nan)),
    "large sums of a part": within("SiteSums", lambda a: replace(a, hessian=a.hessian * 1000)),
    "large moments of a part": within("SiteMoments", lambda a: replace(a, squares=a.squares * 1000)),
    "old answer of a part": within("SiteSums", lambda a: replace(a, round=a.round - 1)),
    "fewer parts": lie("SiteParts", lambda a: replace(a, parts=a.parts[1:])),
    "silent in parts": lambda a: None if isinstance(a, SiteParts) else a,
    "nan moments": lie("SiteStackMoments", lambda a: replace(a, products=a.products * np.nan)),
    "large moments": lie("SiteStackMoments", lambda a: replace(a, products=a.products * 1000, sums=a.sums * 30)),
    "large counts": lie("SiteStackMoments", lambda a: replace(a, count=a.count * 1000)),
    "silent in moments": lambda a: None if type(a).__name__ == "SiteStackMoments" else a,
    "infinite": lie("SiteStackSums", lambda a: replace(a, loss=np.inf)),
    "large": lie("SiteStackSums", lambda a: replace(a, loss=a.loss * 1000, gradient=a.gradient * 1000, hessian=a.hessian * 1000)),
    "shape": lie("SiteStackSums", lambda a: replace(a, gradient=a.gradient[1:])),
    "negative": lie("SiteStackSums", lambda a: replace(a, hessian=-a.hessian)),
    "old": lie("SiteStackSums", lambda a: replace(a, round=a.round - 1)),
    "silent": lambda a: None if type(a).__name__ == "SiteStackSums" else a,
}  # fmt: skip


@pytest.mark.parametrize(
    "which", thorough_but(list(LIES), "large sums of a part", "fewer parts", "large moments", "large", "silent")
)
def test_a_site_that_lies_is_left_out_and_the_others_are_as_without_it(which):
    made, found = plan("survival", LINEAR), three("survival")
    state, _ = driven(made, found, LIES[which])
    assert set(state.left) == {BAD}
    alone, _ = driven(made, {n: s for n, s in found.items() if n != BAD})
    np.testing.assert_allclose(state.fit.accepted, alone.fit.accepted, atol=1e-12)


def test_gradients_that_contradict_earlier_answers_are_refused():
    made, found, seen = plan("binary", LINEAR), sites("binary"), []

    def wrong(a):
        if type(a).__name__ == "SiteStackSums":
            seen.append(a)
            return replace(a, gradient=a.gradient + 9) if len(seen) == 2 else a
        return a

    state, _ = driven(made, found, wrong)
    assert set(state.left) == {BAD}


def test_a_site_answers_nothing_that_its_study_does_not_declare():
    made, found = plan("binary", LINEAR), sites("binary")
    _, seen = driven(made, found)
    s = found["south"]
    parts, moments, sums = (
        next(q for q, _ in seen if isinstance(q, k)) for k in (AskStackParts, AskStackMoments, AskStackSums)
    )
    other = cut.plan("binary", modalities=("clinical", "lab"))
    for q in (parts, moments, sums):
        said = answer(s, other, replace(q, plan=digest(encode(other))))
        assert isinstance(said, Withdrawn) and "stack" in said.reason
    for q in (
        replace(parts, parts=(replace(parts.parts[0], part=7),)),
        replace(parts, parts=parts.parts[:1] * 2),
        replace(moments, models=moments.models[1:]),
        replace(moments, models=tuple(replace(m, fold=-1) for m in moments.models)),
        replace(moments, models=()),
        replace(sums, parameters=sums.parameters * 1e6),
        replace(sums, cov=sums.cov * np.nan),
        replace(sums, cov=-sums.cov),
        replace(sums, mean=sums.mean[1:]),
    ):
        assert isinstance(answer(s, made, q), Withdrawn)
    # Within a part nothing but a fit is answered.
    nested = replace(parts, parts=(PartQuestion(0, 0, replace(parts, plan=parts.plan)),))
    assert isinstance(answer(s, made, nested).parts[0].answer, Withdrawn)
    far = next(
        p.question for q, _ in seen if isinstance(q, AskStackParts) for p in q.parts if isinstance(p.question, AskSums)
    )
    nested = replace(parts, parts=(PartQuestion(0, 0, replace(far, parameters=far.parameters + 1e6)),))
    assert isinstance(answer(s, made, nested).parts[0].answer, Withdrawn)


def test_the_preview_shows_all_that_leaves():
    made, found = plan("binary", (LINEAR[0], TREES), folds=2, least_cell=2), three("binary")
    shown = preview_of(found["south"], made)
    _, seen = driven(made, found)
    sent = {type(said["south"]).__name__ for _, said in seen}
    assert {m.kind for m in shown.messages if not m.within} == sent and not shown.cut
    assert {"SiteSums", "SiteHistograms"} <= {m.kind for m in shown.messages if m.within == "SiteParts"}
