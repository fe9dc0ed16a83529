"""What answers of a stack must be before they are added up; each check gives why they are refused, or an empty text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cohortium.contracts.federation_stack import SiteParts, SiteStackMoments, SiteStackSums
from cohortium.federation_coordinator.checking import SLACK, UNLIKE
from cohortium.federation_coordinator.stack_state import n_scores, stacking
from cohortium.federation_coordinator.state import State

NUMBERS = "it sent NaN or infinite numbers"


def wrong_parts(a: SiteParts, state: State) -> str:
    """Answers about other fits than were asked about, or in another's name."""
    asked = {(t.part, t.fold) for t in stacking(state).lanes if not t.failed and t.state.phase != "done"}
    if len(a.parts) != len(asked) or {(p.part, p.fold) for p in a.parts} != asked:
        return "it answered about other parts than were asked about"
    if any(getattr(p.answer, "site", None) != a.site for p in a.parts):
        return "it answered in another's name"
    return ""


def wrong_score_moments(answers: Mapping[str, SiteStackMoments], state: State) -> dict[str, str]:
    """Site -> reason: shapes, numbers that are none, counts of nobody, products that cannot be; scores many times those of others."""
    left = {s: reason for s, a in answers.items() if (reason := _moments(a, state))}
    return left | _unlike({
        s: float(np.trace(a.products)) / max(float(np.trace(a.count)), 1.0) for s, a in answers.items() if s not in left
    }, "its scores are more than {:.0f} times those of other sites")  # fmt: skip


def _moments(a: SiteStackMoments, state: State) -> str:
    d, k = len(stacking(state).parts) * n_scores(state), n_scores(state)
    several = (a.count, a.sums, a.products)
    if any(x.shape != (d, d) for x in several) or a.outcome.shape != (k,) or a.units.shape != (1,):
        return "its moments are of another number of parts"
    if not all(np.isfinite(x).all() for x in (*several, a.outcome, a.units)):
        return NUMBERS
    weight, slack = state.moments[a.site].weight, SLACK * (1 + state.moments[a.site].weight)
    if (a.count < 0).any() or (a.count > a.units[0] + slack).any() or not 0 <= a.units[0] <= weight + slack:
        return "its counts do not fit the number of its units"
    few = (a.count > 0) & (a.count < state.plan.least_cell)
    if not state.plan.weighted and (few.any() or (a.count != np.round(a.count)).any()):
        return f"a count is below {state.plan.least_cell}, or no whole number"
    own = np.diag(a.products)
    scale = np.sqrt(np.maximum(np.outer(own, own), 0.0))
    symmetric = (
        np.abs(a.products - a.products.T).max() <= SLACK * (1 + scale.max())
        and np.abs(a.count - a.count.T).max() <= slack
    )
    if not symmetric or (own < 0).any() or (np.abs(a.products) > scale * (1 + SLACK) + SLACK).any():
        return "its products contradict each other"
    if (a.sums**2 > a.count * own[:, None] * (1 + SLACK) + SLACK * (1 + own.max())).any():
        return "its sums contradict its products"
    if state.plan.kind in ("binary", "multiclass") and ((a.outcome < 0).any() or a.outcome.sum() > a.units[0] + slack):
        return "its counts do not add up"
    return ""


def wrong_stack_sums(answers: Mapping[str, SiteStackSums], state: State) -> dict[str, str]:
    """Site -> reason: shapes, numbers that are none, what no likelihood has, information many times that of others."""
    left = {s: reason for s, a in answers.items() if (reason := _sums(a, state) or _not_convex(a, state))}
    each = {}
    for s, a in answers.items():
        if s not in left:
            schema = state.schemas[s]
            n = schema.counts[-1] if state.plan.kind == "survival" else schema.units
            each[s] = float(np.trace(a.hessian)) / max(n, 1)
    return left | _unlike(each, "its information is more than {:.0f} times that of other sites")


def _sums(a: SiteStackSums, state: State) -> str:
    p = len(stacking(state).asked)
    if a.gradient.shape != (p,) or a.hessian.shape != (p, p):
        return "its sums are of another number of parameters"
    if not (
        np.isfinite([a.loss, a.time, a.hazard]).all() and np.isfinite(a.gradient).all() and np.isfinite(a.hessian).all()
    ):
        return NUMBERS
    scale = max(float(np.abs(a.hessian).max()), 1e-300)
    if (
        np.abs(a.hessian - a.hessian.T).max() > SLACK * scale
        or np.linalg.eigvalsh(a.hessian + a.hessian.T)[0] < -SLACK * scale
    ):
        return "its Hessian is not that of a likelihood"
    if a.loss < -SLACK or a.time < 0 or a.hazard < 0 or (state.plan.kind != "survival" and (a.time or a.hazard)):
        return "it sent negative sums"
    weight = state.moments[a.site].weight
    if state.plan.kind == "continuous":
        if (a.gradient**2 > 2 * a.loss * np.diag(a.hessian) * (1 + SLACK) + SLACK).any():
            return "its gradient is larger than its loss allows"
    elif state.plan.kind == "binary" and abs(a.gradient[0]) > weight * (1 + SLACK):
        return "its gradient is larger than its declared counts allow"
    return ""


def _not_convex(a: SiteStackSums, state: State) -> str:
    """A convex function lies above its tangents: between this answer and the last of the same site."""
    fit = stacking(state)
    last = fit.sums.get(a.site)
    if last is None or len(fit.sums_at) != len(fit.asked):
        return ""
    move, slack = fit.asked - fit.sums_at, SLACK * (1 + abs(a.loss) + abs(last.loss))
    if a.loss < last.loss + last.gradient @ move - slack or last.loss < a.loss - a.gradient @ move - slack:
        return "its answer contradicts its last one: not a likelihood of the same patients"
    return ""


def _unlike(each: Mapping[str, float], said: str) -> dict[str, str]:
    """Site -> reason, where its figure is far above that of all others."""
    out = {}
    for s, x in each.items():
        others = [y for t, y in each.items() if t != s and y > 0]
        if others and x > UNLIKE * float(np.median(others)):
            out[s] = said.format(UNLIKE)
    return out
