"""Calibration of held-out scores: the regression on all of them in one place, by sums; and not to be moved by sites that lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from cohortium.contracts.federation import AskTrials, SiteTrials, Withdrawn
from cohortium.contracts.federation_preparing import AskCalibration, SiteCalibration
from cohortium.contracts.federation_wire import decode, encode
from cohortium.federation_coordinator import question, restore, step, store
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_site import answer
from cohortium.federation_site.models import predicted_by
from cohortium.federation_site.trials import folds_of
from tests.federation import sites as cut
from tests.federation.test_evaluation import FOLDS, before, until  # noqa: F401  (a fixture)

BAD = "south"


def finish(made, found, state, change=None, stored=False, from_round=0):
    """The state at the end; ``change`` is done to the calibration's answers of one site."""
    first = None
    while state.phase != "done":
        state = restore(store(state)) if stored else state
        asked = decode(encode(question(state)))
        answers = {n: answer(s, made, asked) for n, s in found.items()}
        first = state.round if state.phase == "calibration" and first is None else first
        if change is not None and state.phase == "calibration" and state.round >= first + from_round:
            a = answers[BAD]
            answers[BAD] = replace(a, trials=tuple(replace(t, answer=change(t.answer)) for t in a.trials))
        state = step(state, {n: decode(encode(a)) for n, a in answers.items()})
    return state


@pytest.fixture(scope="module")
def ended(before):  # noqa: F811
    return {k: finish(made, found, step(state, said)) for k, (made, found, state, said) in before.items()}


def held_out(state, found, design):
    """(site, stratum, scores, outcomes, times) of those whom the fits of a design were not fitted on."""
    for t in state.trials:
        if bool(t.without) != (design == "leave_one_site_out"):
            continue
        for n in (t.without,) if t.without else found:
            s = found[n]
            at = np.arange(len(s)) if t.without else np.flatnonzero(folds_of(s, state.plan) == t.fold)
            from cohortium.federation_coordinator.methods import method_of

            p = predicted_by(s, state.plan, method_of(t.state).model(t.state))[at]
            yield n, f"{n} {t.fold}", p, s.y[at], s.time[at] if len(s.time) else None


def derivatives(kind, several, a, b):
    """Gradient and Hessian by hand, patient by patient, of the regression on all scores together."""
    g, h = np.zeros(2), np.zeros((2, 2))
    for _, _, p, y, time in several:
        if kind == "survival":
            for t in np.unique(time[y > 0]):
                dead, risk = (time == t) & (y > 0), time >= t
                r = np.exp(b * p)
                for k in range(dead.sum()):  # Efron's ties
                    w = np.where(risk, r, 0) - k / dead.sum() * np.where(dead, r, 0)
                    mean = w @ p / w.sum()
                    g[1] += mean
                    h[1, 1] += w @ (p - mean) ** 2 / w.sum()
                g[1] -= p[dead].sum()
            continue
        x = np.column_stack([np.ones(len(p)), p])
        mu = expit(x @ [a, b]) if kind == "binary" else x @ [a, b]
        v = mu * (1 - mu) if kind == "binary" else np.ones(len(p))
        g += x.T @ (mu - y)
        h += (x * v[:, None]).T @ x
    return g, h


@pytest.mark.parametrize("kind", ["binary", "survival", "continuous"])
def test_equal_to_the_regression_on_all_scores_together(before, ended, kind):  # noqa: F811
    found, state = before[kind][1], ended[kind]
    e = evaluation(state)
    assert [c.design for c in e.calibration] == ["leave_one_site_out", "folds"]
    for c in e.calibration:
        several = list(held_out(state, found, c.design))
        for who in ("", "north"):
            mine = [x for x in several if not who or x[0] == who]
            at = {r.metric: r for r in e.sites if (r.design, r.site) == (c.design, who)}
            a, b = (c.intercept or 0.0, c.slope) if not who else (
                at["calibration_intercept"].value if kind != "survival" else 0.0, at["calibration_slope"].value
            )  # fmt: skip
            g, h = derivatives(kind, mine, a, b)
            k = 1 if kind == "survival" else 0
            off = np.linalg.solve(h[k:, k:], g[k:])
            assert np.abs(off).max() < 1e-9, (c.design, who)
            n = sum(len(x[2]) for x in mine)
            rest = sum(((x[3] - a - b * x[2]) ** 2).sum() for x in mine) / (n - 2) if kind == "continuous" else 1.0
            error = np.sqrt(rest * np.linalg.inv(h[k:, k:])[-1, -1])
            assert (c.slope_error if not who else at["calibration_slope"].error) == pytest.approx(error, rel=1e-9)


def test_true_scores_have_slope_one_and_those_of_another_scale_do_not():
    """Planted: the endpoint follows the scores, or half of them."""
    from cohortium.federation_site.calibrating import calibration_of

    rng = np.random.default_rng(3)
    score = rng.normal(size=4000)
    site = replace(
        cut.site("a", cut.table().head(40), "binary"), y=(rng.uniform(size=4000) < expit(score / 2 - 1)) * 1.0
    )
    q = AskCalibration("p", 1, None, (), ("",), np.array([[-1.0, 0.5]]))
    said = calibration_of(site, score, cut.plan("binary"), q, "p")
    h = np.array([[said.hessian[0, 0], said.hessian[0, 1]], [said.hessian[0, 1], said.hessian[0, 2]]])
    assert said.gradient[0] @ np.linalg.solve(h, said.gradient[0]) < 10  # chi-squared with two degrees of freedom


def test_a_stored_state_goes_on_between_any_two_rounds(before, ended):  # noqa: F811
    made, found, state, said = before["binary"]
    assert store(finish(made, found, step(state, said), stored=True)) == store(ended["binary"])


LIES = {
    "NaN": (lambda a: replace(a, loss=a.loss * np.nan), "NaN", 0),
    "shape": (lambda a: replace(a, gradient=a.gradient[:, :1]), "number of parameters", 0),
    "large": (lambda a: replace(a, loss=a.loss * 1000, gradient=a.gradient * 1000, hessian=a.hessian * 1000), "not what", 0),
    "large later": (lambda a: replace(a, loss=a.loss * 1000, gradient=a.gradient * 1000, hessian=a.hessian * 1000), "", 2),
    "gradient": (lambda a: replace(a, gradient=a.gradient * 1000), "", 1),
    "negative": (lambda a: replace(a, hessian=-a.hessian), "negative curvature", 1),
    "repeated": (lambda a: replace(a, round=a.round - 1), "repeated", 1),
    "who": (lambda a: replace(a, who=("east",) * len(a.who)), "number of parameters", 0),
    "name": (lambda a: replace(a, site="north"), "another's name", 0),
    "withdrawn": (lambda a: Withdrawn(a.site, a.plan, a.round, "no more"), "no more", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("kind", ["binary", pytest.param("survival", marks=pytest.mark.thorough)])
def test_what_cannot_be_is_left_out_and_the_others_go_on(before, ended, name, kind):  # noqa: F811
    change, reason, from_round = LIES[name]
    if kind == "survival" and name == "gradient":
        pytest.skip("Cox gradients are not bounded; see the fit of all, which says that sums contradict each other")
    made, found, state, said = before[kind]
    e = evaluation(finish(made, found, step(state, said), change, from_round=from_round))
    assert any(f"'{BAD}' was left out of the calibration" in n and reason in n for n in e.notices), e.notices
    honest = evaluation(ended[kind])
    for mine, theirs in zip(e.sites, honest.sites, strict=True):
        if mine.site == BAD and mine.metric.startswith("calibration"):
            assert mine.value is None and reason in mine.reason
        else:
            assert mine == theirs
    others = [x for x in held_out(ended[kind], found, "folds") if x[0] != BAD]
    line = e.calibration[1]
    g, h = derivatives(kind, others, line.intercept or 0.0, line.slope)
    k = 1 if kind == "survival" else 0
    assert line.sites == 3 and np.abs(np.linalg.solve(h[k:, k:], g[k:])).max() < 1e-9


def test_scores_that_tell_all_have_no_slope():
    d = cut.table()
    made = cut.plan("binary", penalty=1.0, **FOLDS)
    d = d.assign(size=d.resp * 4.0 + d["size"] / 100)
    found = {str(s): cut.site(str(s), g, "binary") for s, g in d.groupby("site")}
    state = until("binary", "scores", made, found)
    e = evaluation(finish(made, found, state))
    rows = [r for r in e.sites if r.metric == "calibration_slope"]
    assert rows and all(r.value is None and "for certain" in r.reason for r in rows)
    assert all(c.slope is None and "for certain" in c.reason for c in e.calibration)


def test_a_site_refuses_questions_that_do_not_fit(before):  # noqa: F811
    made, found, state, said = before["binary"]
    after = step(state, said)
    asked = question(after)
    t = next(t for t in asked.trials if t.fold == 0)
    for q in (replace(t.question, at=t.question.at * np.nan), replace(t.question, at=t.question.at[:1]),
              replace(t.question, who=("",))):  # fmt: skip
        bad = AskTrials(asked.plan, asked.round, (replace(t, question=q),))
        assert isinstance(answer(found["north"], made, bad).trials[0].answer, Withdrawn)
    fine = answer(found["north"], made, asked)
    assert isinstance(fine, SiteTrials) and all(isinstance(t.answer, SiteCalibration) for t in fine.trials)
    assert {t.answer.who for t in fine.trials} == {("", "north")}
