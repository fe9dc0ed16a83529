"""The coordinator of a differentially private study: noisy counts, a fixed number of noisy gradient steps, noisy scores.

The schedule is the plan's: not one question more, since each costs. A site that is lost keeps its part in the steps that were made; the
fit goes on without it (to begin anew would spend the others' budget twice). All that is done to answers here costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FederationPlan
from cohortium.contracts.federation_private import (
    AskPrivateCounts,
    AskPrivateGradient,
    AskPrivateScores,
    SitePrivateCounts,
    SitePrivateGradient,
    SitePrivateScores,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import checking
from cohortium.federation_coordinator.private_results import results
from cohortium.federation_coordinator.private_state import (
    PrivateFit,
    Released,
    fit_of,
    noise_of,
    privacy_of,
    released,
)
from cohortium.federation_coordinator.state import State
from cohortium.privacy import models
from cohortium.privacy.planned import classes_of, columns_of, gradient_bound, groups_of
from cohortium.privacy.schedule import Schedule, schedule
from cohortium.privacy.statistics import means, moment_bound

__all__ = ["begin", "progress", "question", "restarts", "results", "step", "wrong"]

Array = NDArray[np.float64]

SILENT = "it did not answer in time"
TAILS = 8.0
"""Noise beyond so many standard deviations is none: the answer is damaged."""

AVERAGED = 0.5
"""Share of the steps, the last, whose parameters are averaged: noise of single steps cancels (Polyak & Juditsky 1992)."""

LARGEST = 20.0


progress = PrivateFit
restarts = False


def begin(plan: FederationPlan, sites: Sequence[str]) -> State:
    """The state before the first question. Raises :class:`FederationError` for a plan that leaves nothing for the model."""
    none = np.zeros(0)
    check_schedule(plan)
    fit = PrivateFit({}, {}, none, none, 0, 0, 1.0)
    return begun(plan, sites, fit)


def check_schedule(plan: FederationPlan) -> None:
    """Raise :class:`FederationError` for a plan that leaves nothing for the model."""
    try:
        schedule(privacy_of(plan))
    except ValueError as e:
        raise FederationError(f"federation.privacy: {e}.") from e


def begun(plan: FederationPlan, sites: Sequence[str], fit: Released) -> State:
    """The state of a private study before its first question."""
    none = np.zeros(0)
    classes = plan.classes or (("censored", "event") if plan.kind == "survival" else ("no", "yes"))
    return State(
        plan, tuple(sorted(sites)), 1, "counts", {}, (), {}, {}, (), () if plan.kind == "continuous" else classes, model_columns(plan),
        none, none, (0.0, 1.0), fit,
    )  # fmt: skip


def model_columns(plan: FederationPlan) -> tuple[Column, ...]:
    """Columns of the model, as other methods name them."""
    return tuple(
        Column(c.modality, c.feature, "level" if level else "numeric", level, c.levels)
        for c, level in columns_of(privacy_of(plan))
    )


def question(state: State) -> Any:
    """What all sites that are here are asked now."""
    plan = digest(encode(state.plan))
    if state.phase == "counts":
        return AskPrivateCounts(plan, state.round)
    if state.phase == "gradient":
        return AskPrivateGradient(plan, state.round, state.mean, state.sd, fit_of(state).parameters)
    average = fit_of(state).average
    grid = score_grid(state.plan.kind, average, len(columns_of(privacy_of(state.plan))))
    return AskPrivateScores(plan, state.round, state.mean, state.sd, average, grid)


def score_grid(kind: str, parameters: Array, q: int) -> Array:
    """Edges between bins of the score: the quantiles it would have, were columns independent and normal."""
    if kind not in ("binary", "survival"):
        return np.zeros(0)
    from scipy.stats import norm

    b = parameters[len(parameters) - q :]
    wide = max(float(np.sqrt(b @ b)), 1e-3)
    middle = float(parameters[0]) if kind == "binary" else 0.0
    return np.asarray(middle + wide * norm.ppf(np.arange(1, models.BINS) / models.BINS))


def step(state: State, answers: Mapping[str, Any]) -> State:
    """The state after a round. Raises :class:`FederationError` when fewer sites than the quorum are left."""
    kinds = {"counts": SitePrivateCounts, "gradient": SitePrivateGradient, "scores": SitePrivateScores}
    plan = digest(encode(state.plan))
    left: dict[str, str] = {}
    for site in state.here:
        if site not in answers:
            left[site] = SILENT
        elif (reason := checking.wrong_envelope(answers[site], kinds[state.phase], plan, state)) or (
            reason := wrong(answers[site], state)
        ):  # type: ignore[arg-type]
            left[site] = reason
    good = {s: a for s, a in answers.items() if s in state.here and s not in left}
    state = leave(state, left)
    after = {"counts": _counted, "gradient": _stepped, "scores": _scored}[state.phase]
    return replace(after(state, good), round=state.round + 1)


def wrong(a: Any, state: State) -> str:
    """Why an answer of the kind that was asked for is refused; empty where it is fine."""
    return str(_WRONG[state.phase](a, state, noise_of(state)))


def leave(state: State, left: Mapping[str, str]) -> State:
    """The state without these sites. Raises :class:`FederationError` when the quorum is lost."""
    named = {s: f"round {state.round}: {reason}" for s, reason in sorted(left.items())}
    state = replace(
        state,
        left={**state.left, **named},
        notices=(*state.notices, *(f"Site '{s}' was left out in {reason}." for s, reason in named.items())),
    )
    if len(state.here) < state.plan.quorum:
        said = "; ".join(f"'{s}' in {reason}" for s, reason in list(state.left.items())[:5])
        raise FederationError(
            f"{len(state.here)} of {len(state.sites)} sites are left, and the study declares a quorum of "
            f"{state.plan.quorum}. Left out: {said}."
        )
    return state


def wrong_counts(a: SitePrivateCounts, state: State, made: Schedule) -> str:
    """Why noisy counts are refused, or an empty text."""
    plan, p = state.plan, privacy_of(state.plan)
    n_cells = models.cells(plan.kind, p.times, classes_of(plan.kind, plan.classes))
    q = len(columns_of(p))
    if a.counts.shape != (n_cells,) or a.moments.shape != ((3 * q,) if made.moments else (0,)):
        return "its counts are of another number of cells"
    if not (np.isfinite(a.counts).all() and np.isfinite(a.moments).all()):
        return "it sent NaN or infinite numbers"
    if a.source not in ("system", "seed") or any(not 0 <= i < len(p.columns) for i in a.features):
        return "it names features or noise that there are not"
    if a.counts.sum() < plan.least_patients:
        return f"by its noisy counts it has fewer than {plan.least_patients} patients"
    if (a.counts < -TAILS / made.counts).any():
        return "it sent counts far below none"
    if made.moments:
        noise = moment_bound(groups_of(p)) / made.moments
        if np.abs(a.moments).max(initial=0.0) > 1 + a.counts.sum() + TAILS * (n_cells / made.counts + noise):
            return "its sums are larger than its noisy counts allow"
    return ""


def _wrong_gradient(a: SitePrivateGradient, state: State, made: Schedule) -> str:
    p, size = privacy_of(state.plan), len(fit_of(state).parameters)
    if a.gradient.shape != (size,):
        return "its gradient is of another number of parameters"
    if not np.isfinite(a.gradient).all():
        return "it sent NaN or infinite numbers"
    cells = len(fit_of(state).counts[a.site].counts)
    patients = 1 + max(float(fit_of(state).counts[a.site].counts.sum()), 0.0) + TAILS * np.sqrt(cells) / made.counts
    noise = (np.sqrt(size) + TAILS) / made.gradient
    if np.linalg.norm(a.gradient) > gradient_bound(p) * (patients + noise):
        return "its gradient is larger than its noisy counts allow"
    return ""


def wrong_scores(a: SitePrivateScores, state: State, made: Schedule) -> str:
    """Why noisy scores are refused, or an empty text."""
    plan, p = state.plan, privacy_of(state.plan)
    cells = models.cells(plan.kind, p.times, classes_of(plan.kind, plan.classes))
    bins = {"continuous": 4, "multiclass": classes_of(plan.kind, plan.classes) ** 2}.get(plan.kind, models.BINS * cells)
    if a.counts.shape != (bins,):
        return "its scores are of another number of cells"
    if not np.isfinite(a.counts).all():
        return "it sent NaN or infinite numbers"
    most = (
        1
        + float(released(state).counts[a.site].counts.sum())
        + TAILS * (np.sqrt(cells) / made.counts + 2 / made.scores)
    )
    return "its scores are larger than its noisy counts allow" if (np.abs(a.counts) > most).any() else ""


_WRONG: dict[str, Any] = {"counts": wrong_counts, "gradient": _wrong_gradient, "scores": wrong_scores}


def _counted(state: State, good: dict[str, SitePrivateCounts]) -> State:
    state, total = scaled(state, good)
    plan, p = state.plan, privacy_of(state.plan)
    start, curvature, _ = models.start(
        plan.kind, len(columns_of(p)), p.times, classes_of(plan.kind, plan.classes), total
    )
    fit = replace(fit_of(state), counts=good, parameters=start, average=np.zeros(len(start)), curvature=curvature)
    return replace(state, phase="gradient", fit=fit)


def scaled(state: State, good: dict[str, SitePrivateCounts]) -> tuple[State, Array]:
    """With means and deviations of columns by what sites released, and the counts of all of them. Raises :class:`FederationError` where delta is too large."""
    plan, p = state.plan, privacy_of(state.plan)
    columns = columns_of(p)
    total = sum(
        (good[s].counts for s in state.here),
        np.zeros(models.cells(plan.kind, p.times, classes_of(plan.kind, plan.classes))),
    )
    n = max(float(total.sum()), 1.0)
    if p.delta > 1 / n:
        raise FederationError(
            f"federation.privacy.delta is {p.delta:g}, and there are about {n:,.0f} patients: a delta above 1/n lets a release give one "
            "of them away whole. Take one well below it."
        )
    low, high = (np.array([getattr(c, a) for c, _ in columns]) for a in ("low", "high"))
    coded = [bool(level) for _, level in columns]
    if p.moments:
        sums = sum((good[s].moments for s in state.here), np.zeros(3 * len(columns)))
        mean, sd = means(sums, low, high, coded)
    else:
        # Without a release: as if numbers spread evenly over the middle of their bounds, and levels were as frequent as each other.
        share = np.array([1 / len(c.levels) if level else 0.0 for c, level in columns])
        mean = np.where(coded, share, (low + high) / 2)
        sd = np.where(coded, np.sqrt(share * (1 - share)), (high - low) / 4)
    return replace(state, mean=mean, sd=sd), total


def _stepped(state: State, good: dict[str, SitePrivateGradient]) -> State:
    plan, p, fit = state.plan, privacy_of(state.plan), fit_of(state)
    q = len(columns_of(p))
    n = max(sum(float(fit.counts[s].counts.sum()) for s in state.here) * (1 - p.hold_out), 1.0)
    gradient = sum((good[s].gradient for s in state.here), np.zeros(len(fit.parameters))) / n
    ridge = np.full(len(gradient), plan.penalty / n)
    ridge[: models.intercepts(plan.kind, p.times, classes_of(plan.kind, plan.classes))] = 0.0
    length = p.step / (fit.curvature + plan.penalty / n) / max(1.0, np.log2(max(q, 2)) / 2)
    b = np.clip(fit.parameters - length * (gradient + ridge * fit.parameters), -LARGEST, LARGEST)
    steps = fit.steps + 1
    late = steps > p.rounds * (1 - AVERAGED)
    averaged = fit.averaged + int(late)
    average = fit.average + (b - fit.average) / averaged if late else fit.average
    state = replace(state, fit=replace(fit, parameters=b, average=average, averaged=averaged, steps=steps))
    if steps < p.rounds:
        return state
    return replace(state, phase="scores" if p.hold_out else "done")


def _scored(state: State, good: dict[str, SitePrivateScores]) -> State:
    return replace(state, phase="done", fit=replace(fit_of(state), scores=good))
