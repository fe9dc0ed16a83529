"""Calibration of scores that were held out: intercept and slope of the outcome's regression on the score, by Newton's method on sums.

For each design (sites held out, folds held out) one fit of all sites together and one of each, all in the same rounds (Cox 1958,
Biometrika 45:562; van Calster 2016, J Clin Epidemiol 74:167). Survival: the slope of a Cox model of the score, stratified by site and
fold, so that no risks of two models are compared. Equal to the regression on all those scores in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FitAnswer, TrialQuestion, Withdrawn
from cohortium.contracts.federation_preparing import AskCalibration, SiteCalibration
from cohortium.federation_coordinator.checking_calibration import wrong_calibration
from cohortium.federation_coordinator.lines import DESIGNS, KINDS
from cohortium.federation_coordinator.methods import method_of
from cohortium.federation_coordinator.state import Calibration, State, Trial

Array = NDArray[np.float64]

ENOUGH = 1e-20
"""Squared Newton decrement, relative to 1 + |loss|, at which one more step ends the fit."""

MOST_ROUNDS = 40
SMALLEST = 1e-9
FLAT = 1e-5
"""Curvature that fell to this share of what it was where nothing mattered belongs to a slope that runs to infinity."""

NO_END = "its scores tell the outcome for certain, or not at all: no finite slope"


def begin(state: State) -> tuple[Calibration, ...]:
    """A record for each design of which sites have scores; intercept and slope nought."""
    if state.plan.kind not in KINDS:
        return ()
    made = []
    for design in DESIGNS:
        sites = tuple(s for s in state.here if _parts(state, design, s))
        if sites:
            made.append(_fresh(design, ("", *sites), {}, {}))
    return tuple(made)


def _fresh(design: str, who: tuple[str, ...], failed: dict[str, str], gone: dict[str, str]) -> Calibration:
    f = len(who)
    none, nothing = np.zeros((f, 2)), np.zeros(f)
    return Calibration(
        design, who, none, none, np.full(f, np.inf), none, nothing, np.ones(f), np.zeros((f, 3)), np.zeros((f, 3)), nothing,
        failed, gone, {}, none, {}, 0,
    )  # fmt: skip


def _trials(state: State, design: str) -> list[Trial]:
    return [t for t in state.trials if not t.failed and bool(t.without) == (design == DESIGNS[0])]


def _parts(state: State, design: str, site: str) -> list[Trial]:
    """The fits of which a site was held out; none where it lacks the scores of one."""
    mine = [t for t in _trials(state, design) if t.without in ("", site)]
    return mine if all(site in t.scores for t in mine) else []


def questions(state: State, plan: str) -> list[TrialQuestion]:
    """About every fit of a design that is not over."""
    asked = []
    for c in state.calibration:
        if c.over.all():
            continue
        open_ = np.flatnonzero(c.over == 0)
        for t in _trials(state, c.design):
            who = tuple(c.who[i] for i in open_ if not t.without or c.who[i] in ("", t.without))
            at = np.array([c.at[i] for i in open_ if c.who[i] in who]).reshape(-1, 2)
            if t.without and (t.without not in c.who or not who):
                continue
            s = t.state
            q = AskCalibration(plan, state.round, method_of(s).model(s), s.classes, who, at)
            asked.append(TrialQuestion(t.without, t.fold, q))
    return asked


Said = Mapping[tuple[str, int, str], FitAnswer | str]
"""(held-out site or empty, fold or -1, answering site) -> its answer, or why there is none."""


def step(state: State, said: Said, plan: str) -> State:
    """The state after a round of all designs; done when every fit has ended."""
    after = tuple(c if c.over.all() else _stepped(state, c, said, plan) for c in state.calibration)
    return replace(state, calibration=after, phase="done" if all(c.over.all() for c in after) else "calibration")


def _stepped(state: State, c: Calibration, said: Said, plan: str) -> Calibration:
    open_ = {c.who[i] for i in np.flatnonzero(c.over == 0)}
    answers: dict[str, SiteCalibration] = {}
    gone = {}
    for site in c.who[1:]:
        expected = tuple(w for w in ("", site) if w in open_)
        if not expected:
            continue
        for t in _parts(state, c.design, site):
            a = said.get((t.without, t.fold, site), "it did not answer about this fit")
            if isinstance(a, Withdrawn):
                a = a.reason
            elif not isinstance(a, str):
                known = t.scores[site]
                reason = wrong_calibration(a, expected, plan, state, known, c, key(t, site))
                a = reason or a
            if isinstance(a, str):
                gone[site] = a
                break
            assert isinstance(a, SiteCalibration)
            answers[key(t, site)] = a
    if gone:  # the fit of all begins anew without them; sites' own fits do so too, which costs a few rounds
        who = tuple(w for w in c.who if w not in gone)
        fresh = _fresh(c.design, who, {}, {**c.gone, **gone})
        return fresh if len(who) > 1 else replace(fresh, over=np.ones(len(who)))
    return _advance(state, c, answers)


def key(t: Trial, site: str) -> str:
    """Of a trial's answer of a site."""
    return f"{t.without}|{t.fold}|{site}"


def _total(
    state: State, c: Calibration, who: str, answers: Mapping[str, SiteCalibration]
) -> tuple[float, Array, Array]:
    loss, gradient, hessian = 0.0, np.zeros(2), np.zeros(3)
    for site in c.who[1:] if who == "" else (who,):
        for t in _parts(state, c.design, site):
            a = answers[key(t, site)]
            i = a.who.index(who)
            loss, gradient, hessian = loss + a.loss[i], gradient + a.gradient[i], hessian + a.hessian[i]
    return float(loss), gradient, hessian


def _advance(state: State, c: Calibration, answers: Mapping[str, SiteCalibration]) -> Calibration:
    at, best, loss, move = c.at.copy(), c.best.copy(), c.loss.copy(), c.step.copy()
    slope, share, curvature, start = c.slope.copy(), c.share.copy(), c.curvature.copy(), c.start.copy()
    over, failed = c.over.copy(), dict(c.failed)
    for i in np.flatnonzero(c.over == 0):
        f, g, h = _total(state, c, c.who[i], answers)
        if f > loss[i] + 1e-4 * share[i] * slope[i] + 1e-12 * (1 + abs(f)):
            share[i] /= 2
            at[i] = best[i] + share[i] * move[i]
            if share[i] < SMALLEST:
                over[i], failed[c.who[i]] = 1, "its sums contradict each other"
            continue
        start[i] = h if not c.tries else start[i]
        step_ = newton_step(g, h, start[i], state.plan.kind)
        if step_ is None or c.tries >= MOST_ROUNDS:
            over[i], failed[c.who[i]] = 1, NO_END
            continue
        best[i], loss[i], curvature[i], move[i] = c.at[i], f, h, step_
        slope[i], share[i], at[i] = float(g @ step_), 1.0, c.at[i] + step_
        if -slope[i] <= ENOUGH * (1 + abs(f)):
            best[i], over[i] = at[i], 1
    return replace(
        c, at=at, best=best, loss=loss, step=move, slope=slope, share=share, curvature=curvature, start=start, over=over,
        failed=failed, last=dict(answers), last_at=c.at, first=c.first or dict(answers), tries=c.tries + 1,
    )  # fmt: skip


def newton_step(g: Array, h: Array, start: Array, kind: str) -> Array | None:
    """(2,) step of intercept and slope; None where the likelihood has become flat: there is no end to go to."""
    if kind == "survival":
        return np.array([0.0, -g[1] / h[2]]) if h[2] > FLAT * start[2] and h[2] > 0 else None
    full = np.array([[h[0], h[1]], [h[1], h[2]]])
    determinant, first = h[0] * h[2] - h[1] ** 2, start[0] * start[2] - start[1] ** 2
    if not (first > 1e-12 * start[0] * start[2] > 0 and determinant > FLAT**2 * first):
        return None
    return np.asarray(-np.linalg.solve(full, g))
