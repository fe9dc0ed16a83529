"""Which of many columns are fitted: those with the highest score test of the endpoint, or the largest variance; from sums.

The score test of one column by itself, at the model without any (Rao 1948; Cox models: the log-rank test of a column, stratified by
site). Sums of all sites give the test of all rows together. A fit of the evaluation selects anew, by its own training parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from cohortium.contracts.federation_preparing import AskAssociation, SiteAssociation
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator.checking import SLACK, UNLIKE, adjusted_moments
from cohortium.federation_coordinator.state import Chosen, State

Array = NDArray[np.float64]


def to_select(state: State) -> NDArray[np.intp]:
    """Positions of the columns from which some are chosen; empty where all are used."""
    s = state.plan.select
    if s is None:
        return np.zeros(0, dtype=np.intp)
    at = np.flatnonzero([c.modality in s.modalities for c in state.columns])
    return at if len(at) > s.features else np.zeros(0, dtype=np.intp)


def question(state: State) -> AskAssociation:
    """What the score test of each column is made of; only of those that can be left out."""
    at = to_select(state)
    return AskAssociation(
        digest(encode(state.plan)), state.round, tuple(state.columns[j] for j in at), state.classes, state.mean[at], state.sd[at],
        state.outcome,
    )  # fmt: skip


def by_variance(state: State) -> State:
    """The state with the columns of largest variance, in their own units."""
    at = to_select(state)
    return chosen(state, at, state.sd[at] ** 2, 0)


def by_association(state: State, answers: Mapping[str, SiteAssociation]) -> State:
    """The state with the columns most associated with the endpoint. Raises :class:`FederationError`."""
    at = to_select(state)
    statistic, freedom = score_test(state, [answers[s] for s in state.here])
    if not (statistic > 0).any():
        raise FederationError("No column is associated with the endpoint at all: nothing can be selected.")
    return chosen(state, at, statistic, freedom)


def chosen(state: State, at: NDArray[np.intp], score: Array, freedom: int) -> State:
    """The state with the best of the columns at ``at``, and all others, in their order; equal scores in the order of columns."""
    assert state.plan.select is not None
    best = np.argsort(-score, kind="stable")[: state.plan.select.features]
    kept = np.setdiff1d(np.arange(len(state.columns)), np.delete(at, best))
    p = chdtrc(freedom, np.maximum(score, 0.0)) if freedom else np.ones(len(score))
    named = tuple(Chosen(state.columns[at[j]].name, float(score[j]), freedom, float(p[j])) for j in best)
    return replace(
        state, columns=tuple(state.columns[j] for j in kept), mean=state.mean[kept], sd=state.sd[kept], chosen=named,
        candidates=len(at),
    )  # fmt: skip


def score_test(state: State, answers: list[SiteAssociation]) -> tuple[Array, int]:
    """(q,) chi-squared statistics of each column by itself, and their degrees of freedom."""
    weights = sum((a.weights for a in answers), np.zeros_like(answers[0].weights))
    sums = sum((a.sums for a in answers), np.zeros_like(answers[0].sums))
    squares = sum((a.squares for a in answers), np.zeros_like(answers[0].squares))
    kind = state.plan.kind
    if kind == "survival":
        return np.where(squares > 1e-12, sums[:, 0] ** 2 / np.maximum(squares, 1e-300), 0.0), 1
    if kind == "continuous":
        # The endpoint is standardised: its mean is 0 and its residual variance without any column 1.
        total, gradient, variance = sums[:, 0], sums[:, 1], 1.0
        spread = squares - total**2 / weights[0]
        return np.where(spread > 1e-12, gradient**2 / np.maximum(spread * variance, 1e-300), 0.0), 1
    there = weights > 0
    share = weights[there] / weights.sum()
    gradient = sums[:, there] - sums.sum(axis=1)[:, None] * share
    spread = squares - sums.sum(axis=1) ** 2 / weights.sum()
    statistic = (gradient**2 / share).sum(axis=1) / np.maximum(spread, 1e-300)
    return np.where(spread > 1e-12, statistic, 0.0), int(there.sum()) - 1


def check(state: State, answers: Mapping[str, SiteAssociation]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    left = {s: reason for s, a in answers.items() if (reason := _wrong(a, state))}
    each = {s: float(a.squares.sum() / a.weights.sum()) for s, a in answers.items() if s not in left}
    if state.plan.kind == "survival" and len(each) > 1:
        for s, x in each.items():
            if x > UNLIKE * max(float(np.median([y for t, y in each.items() if t != s])), 1e-12):
                left[s] = f"its information per event is more than {UNLIKE:.0f} times that of other sites"
    return left


def _wrong(a: SiteAssociation, state: State) -> str:
    at, kind = to_select(state), state.plan.kind
    groups = len(state.classes) if kind in ("binary", "multiclass") else 1
    wide = 2 if kind == "continuous" else groups
    if a.weights.shape != (groups,) or a.sums.shape != (len(at), wide) or a.squares.shape != (len(at),):
        return "its sums are of another number of columns"
    if not all(np.isfinite(x).all() for x in (a.weights, a.sums, a.squares)):
        return "it sent NaN or infinite numbers"
    if (a.weights < 0).any() or (a.squares < 0).any() or a.weights.sum() <= 0:
        return "it sent negative counts or variances"
    return _beyond(a, state, at)


def _beyond(a: SiteAssociation, state: State, at: NDArray[np.intp]) -> str:
    """What the declared counts and moments say of the sums."""
    m, schema, kind = state.moments[a.site], state.schemas[a.site], state.plan.kind
    count, mean, squares = (x[at] for x in adjusted_moments(state, a.site))
    offset = (mean - state.mean[at]) / state.sd[at]
    size, total = squares / state.sd[at] ** 2 + count * offset**2, count * offset
    slack = SLACK * (1 + m.weight + size)
    large = "its sums are not what its declared counts and variances say"
    if kind == "survival":
        events = float(a.weights[0])
        if not state.plan.weighted and events != schema.counts[-1]:
            return "its counts do not add up to those that it declared"
        over = np.abs(a.sums[:, 0]) > events * np.sqrt(2 * size) + slack
        return large if over.any() or (a.squares > events * size / 2 + slack).any() else ""
    if abs(a.weights.sum() - m.weight) > SLACK * m.weight or not _counted(a, state):
        return "its counts do not add up to those that it declared"
    if (np.abs(a.squares - size) > slack).any():
        return large
    if kind == "continuous":
        sd = state.outcome[1]
        y = m.outcome_squares / sd**2 + m.weight * ((m.outcome_mean - state.outcome[0]) / sd) ** 2
        wrong = (np.abs(a.sums[:, 0] - total) > slack) | (np.abs(a.sums[:, 1]) > np.sqrt(y * size) + slack)
        return large if wrong.any() else ""
    wrong = np.abs(a.sums.sum(axis=1) - total) > slack
    steep = np.abs(a.sums) > np.sqrt(a.weights[None, :] * size[:, None]) + slack[:, None]
    return large if wrong.any() or steep.any() else ""


def _counted(a: SiteAssociation, state: State) -> bool:
    """Whether units by class are those that were declared; weights are not declared by class."""
    if state.plan.weighted or state.plan.kind == "continuous":
        return True
    said = dict(zip(state.schemas[a.site].classes, state.schemas[a.site].counts, strict=False))
    return all(w == said.get(c, 0) for c, w in zip(state.classes, a.weights, strict=True))
