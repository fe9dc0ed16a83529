"""Evaluation without pooling: after the fit, fits that leave out a site, or a fold of each, and the scores of who was left out.

Each of these fits is the protocol of :mod:`cohortium.federation_coordinator.protocol` again, with a state of its own; all of
them go on in the same rounds. What is wrong at a site costs it its part in that fit; the main fit stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cohortium.contracts.federation import (
    Answer,
    AskScores,
    AskTrials,
    FederationPlan,
    FitAnswer,
    Question,
    SiteScores,
    SiteTrials,
    TrialAnswer,
    TrialQuestion,
    Withdrawn,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import binned, calibrating, checking, protocol
from cohortium.federation_coordinator.checking_scores import wrong_scores
from cohortium.federation_coordinator.methods import method_of
from cohortium.federation_coordinator.state import State, Trial

FEWEST_SITES = 3
"""With fewer, a fit that leaves one out would be the other's alone."""

BINS = 160
PHASES = ("trials", "scores", "calibration")
"""Phases after the main fit."""


def question(state: State) -> Question:
    """What all sites that are here are asked now."""
    if state.plan.method in protocol.PRIVATE:
        return protocol.PRIVATE[state.plan.method].question(state)
    if state.phase not in PHASES:
        return protocol.question(state)
    plan = digest(encode(state.plan))
    if state.phase == "calibration":
        return AskTrials(plan, state.round, tuple(calibrating.questions(state, plan)))
    asked = []
    for t in state.trials:
        if t.failed or (state.phase == "trials" and t.state.phase == "done"):
            continue
        if state.phase == "scores":
            s, method = t.state, method_of(t.state)
            inner = AskScores(plan, state.round, method.model(s), s.classes, method.grid(s, BINS))
        else:
            inner = replace(protocol.question(t.state), plan=plan)
        asked.append(TrialQuestion(t.without, t.fold, inner))
    return AskTrials(plan, state.round, tuple(asked))


def step(state: State, answers: Mapping[str, Answer]) -> State:
    """The state after a round. answers: of the sites that answered; the others are left out.

    Raises :class:`FederationError` when fewer sites than the quorum are left, or the fit has no finite answer.
    """
    if state.plan.method in protocol.PRIVATE:
        return protocol.PRIVATE[state.plan.method].step(state, answers)  # type: ignore[no-any-return]
    if state.phase in PHASES:
        return replace(_evaluated(state, answers), round=state.round + 1)
    state = protocol.step(state, answers)
    return replace(state, phase="trials", trials=_begin(state)) if state.phase == "done" and state.plan.folds else state


def _begin(state: State) -> tuple[Trial, ...]:
    """The fits of the evaluation. Those without a site begin with what sites have said of all their patients."""
    here = state.here
    made = []
    if len(here) >= FEWEST_SITES:
        for site in here:
            others = tuple(s for s in here if s != site)
            made.append(
                _known(state, Trial(site, -1, protocol.begin(_inner_plan(state, len(others)), others), "", {}, {}))
            )
    for fold in range(state.plan.folds):
        made.append(Trial("", fold, protocol.begin(_inner_plan(state, len(here)), here), "", {}, {}))
    return tuple(made)


def _inner_plan(state: State, sites: int) -> FederationPlan:
    """A common baseline has the bins of the main fit, or fewer: see :func:`cohortium.federation_coordinator.binned.start`."""
    baseline = state.plan.baseline
    if baseline is not None:
        baseline = replace(baseline, times=tuple(map(float, binned.binned(state).cuts)))
    return replace(state.plan, folds=0, quorum=min(state.plan.quorum, sites), baseline=baseline)


def _known(state: State, t: Trial) -> Trial:
    """A fit that leaves out a site, after the rounds of which the answers are known; features are agreed without that site."""
    own = digest(encode(t.state.plan))
    try:
        inner = protocol.step(t.state, {s: replace(state.schemas[s], plan=own, round=1) for s in t.state.sites})
        if inner.asked == state.asked:
            inner = protocol.step(inner, {s: replace(state.moments[s], plan=own, round=2) for s in inner.here})
        return replace(t, state=inner)
    except FederationError as e:
        return replace(t, failed=str(e))


def _evaluated(state: State, answers: Mapping[str, Answer]) -> State:
    plan = digest(encode(state.plan))
    said: dict[str, dict[tuple[str, int], TrialAnswer] | str] = {}
    for site in state.here:
        a = answers.get(site)
        if a is None:
            said[site] = protocol.SILENT
        elif reason := checking.wrong_envelope(a, SiteTrials, plan, state):
            said[site] = reason
        else:
            assert isinstance(a, SiteTrials)
            said[site] = {(t.without, t.fold): t for t in a.trials}
    if state.phase == "calibration":
        return calibrating.step(state, _calibrated(state, said), plan)
    if state.phase == "scores":
        state = replace(state, trials=tuple(_scored(state, t, said, plan) for t in state.trials))
        lines = calibrating.begin(state)
        return replace(state, phase="calibration" if lines else "done", calibration=lines)
    trials = tuple(_stepped(t, said, plan) for t in state.trials)
    over = all(t.failed or t.state.phase == "done" for t in trials)
    phase = "trials" if not over else "done" if all(t.failed for t in trials) else "scores"
    return replace(state, trials=trials, phase=phase)


Said = Mapping[str, dict[tuple[str, int], TrialAnswer] | str]


def _answer(said: Said, site: str, t: Trial, kind: type) -> Answer | str:
    """A site's answer about a fit, or why there is none."""
    found = said[site]
    if isinstance(found, str):
        return found
    one = found.get((t.without, t.fold))
    if one is None:
        return "it did not answer about this fit"
    a: Answer = one.answer
    if isinstance(a, Withdrawn):
        return a.reason
    if not isinstance(a, kind):
        return "it answered another question about this fit"
    return a if a.site == site else "it answered in another's name"


def _stepped(t: Trial, said: Said, plan: str) -> Trial:
    """A fit after a round, by its own protocol."""
    if t.failed or t.state.phase == "done":
        return t
    own = digest(encode(t.state.plan))
    answers: dict[str, Answer] = {}
    for site in t.state.here:
        a = _answer(said, site, t, FitAnswer)
        if a == protocol.SILENT:
            continue
        if isinstance(a, str):
            a = Withdrawn(site, own, t.state.round, a)
        answers[site] = replace(a, plan=own) if a.plan == plan else a
    try:
        return replace(t, state=protocol.step(t.state, answers))
    except FederationError as e:
        return replace(t, failed=str(e))


def _scored(state: State, t: Trial, said: Said, plan: str) -> Trial:
    if t.failed:
        return t
    scores, unscored = {}, {}
    for site in (t.without,) if t.without else t.state.here:
        a = _answer(said, site, t, SiteScores)
        reason = a if isinstance(a, str) else wrong_scores(a, t, state, plan)
        if reason:
            unscored[site] = reason
        else:
            scores[site] = a
    return replace(t, scores=scores, unscored=unscored)


def _calibrated(state: State, said: Said) -> calibrating.Said:
    """Answers about the calibration of each fit, of the sites that were held out."""
    found: dict[tuple[str, int, str], FitAnswer | str] = {}
    for t in state.trials:
        for site in t.scores:
            found[t.without, t.fold, site] = _answer(said, site, t, FitAnswer)
    return found
