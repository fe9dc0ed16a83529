"""What an answer must be before it is added to a sum; each check gives why it is refused, or an empty text.

Likelihoods are convex, and curvature is bounded by the declared moments: an answer that is damaged, repeated, of other data or
many times too large breaks one of these bounds. An answer within them can still be wrong: sums cannot show that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, SiteMoments, SiteSums, Withdrawn
from cohortium.contracts.federation_wire import MessageError, decode
from cohortium.federation_coordinator.state import State, newton

Array = NDArray[np.float64]

SLACK = 1e-6
"""Relative; sums of another order differ by far less."""

UNLIKE = 100.0
"""Information per event that is so many times the other sites' is no other population."""


def read_answer(data: bytes, site: str, state: State) -> Answer:
    """The answer in a site's bytes; what is no answer of this site is a withdrawal that says so."""
    try:
        found = decode(data)
    except MessageError as e:
        return Withdrawn(site, "", state.round, f"it sent something that is no answer ({e})")
    if getattr(found, "site", None) != site:
        return Withdrawn(site, "", state.round, "it answered in another's name")
    return found  # type: ignore[no-any-return]


def wrong_envelope(answer: Answer, kind: type, plan: str, state: State) -> str:
    """An answer to another question: of another round, plan or kind; or a withdrawal, with its reason."""
    if isinstance(answer, Withdrawn):
        return answer.reason
    if answer.plan != plan:
        return "its study file asks for something else"
    if answer.round != state.round:
        return f"it answered round {answer.round} where round {state.round} was asked: a repeated message"
    if not isinstance(answer, kind):
        return f"it sent {type(answer).__name__} where {kind.__name__} was asked"
    return ""


def wrong_schema(units: int, patients: int, counts: tuple[int, ...], classes: tuple[str, ...], state: State) -> str:
    """Counts that cannot be, or are below what the plan declares."""
    plan = state.plan
    if min([units, patients, *counts]) < 0 or sum(counts) != units or patients > units:
        return "its counts do not add up"
    if patients < plan.least_patients:
        return f"it has fewer than {plan.least_patients} patients"
    if classes and len(classes) != len(counts):
        return "its counts do not fit its classes"
    least = min((n for n in counts if n), default=0) if plan.kind != "survival" else counts[-1] if counts else 0
    if plan.kind != "continuous" and least < plan.least_events:
        return f"it has fewer than {plan.least_events} events, or patients in a class"
    return ""


def wrong_moments(m: SiteMoments, units: int, state: State) -> str:
    """Shapes, numbers that are none, counts above the declared units, shares outside 0 and 1."""
    q = len(state.asked)
    if not (m.count.shape == m.mean.shape == m.squares.shape == (q,)):
        return "its moments are of another number of columns"
    numbers = np.concatenate([m.count, m.mean, m.squares, [m.weight, m.outcome_mean, m.outcome_squares]])
    if not np.isfinite(numbers).all():
        return "it sent NaN or infinite numbers"
    if (m.count < 0).any() or (m.squares < 0).any() or m.weight <= 0 or m.outcome_squares < 0:
        return "it sent negative counts or variances"
    least = 0 if state.plan.weighted else state.plan.least_cell
    most = m.weight if state.plan.weighted else units
    few = (m.count > 0) & (m.count < least)
    if (m.count > most * (1 + SLACK)).any() or few.any() or (not state.plan.weighted and m.weight != units):
        return "its counts do not fit the number of its units"
    share = np.array([bool(c.level) for c in state.asked])
    fits = np.abs(m.squares - m.count * m.mean * (1 - m.mean)) <= SLACK * (1 + m.count)
    if not ((m.mean >= -SLACK) & (m.mean <= 1 + SLACK) & fits)[share & (m.count > 0)].all():
        return "shares of levels are not between 0 and 1"
    return ""


def wrong_sums(s: SiteSums, state: State) -> str:
    """Shapes, numbers that are none, curvature and gradients beyond what the declared moments allow."""
    return misshapen(s, state) or _beyond(s, state) or not_convex(s, state)


def misshapen(s: SiteSums, state: State) -> str:
    """Sums that are those of no likelihood with these parameters."""
    p = len(newton(state).asked)
    if s.gradient.shape != (p,) or s.hessian.shape != (p, p):
        return "its sums are of another number of parameters"
    if not (np.isfinite(s.loss) and np.isfinite(s.gradient).all() and np.isfinite(s.hessian).all()):
        return "it sent NaN or infinite numbers"
    scale = float(np.abs(s.hessian).max(initial=0.0))
    if p and np.abs(s.hessian - s.hessian.T).max() > SLACK * max(scale, 1e-300):
        return "its Hessian is not symmetric"
    if p and np.linalg.eigvalsh((s.hessian + s.hessian.T) / 2)[0] < -SLACK * max(scale, 1e-300):
        return "its Hessian is not that of a likelihood: it has negative curvature"
    return ""


def adjusted_moments(state: State, site: str) -> tuple[Array, Array, Array]:
    """Counts, means and squares (q,) of the state's columns at a site, with the effects of sites taken out where columns say so."""
    m = state.moments[site]
    place = {(c.modality, c.feature, c.kind, c.level): i for i, c in enumerate(state.asked)}
    at = [place[c.modality, c.feature, c.kind, c.level] for c in state.columns]
    own = [next(((shift, f) for n, shift, f in c.batches if n == site), (0.0, 1.0)) for c in state.columns]
    shift, factor = np.array(own).reshape(-1, 2).T
    return m.count[at], shift + factor * m.mean[at], factor**2 * m.squares[at]


def _beyond(s: SiteSums, state: State) -> str:
    """The bounds that follow from the declared counts and moments."""
    fit, kind = newton(state), state.plan.kind
    m, schema = state.moments[s.site], state.schemas[s.site]
    count, mean, squares = adjusted_moments(state, s.site)
    size = (squares + count * (mean - state.mean) ** 2) / state.sd**2
    diagonal, g = np.diag(s.hessian), np.abs(s.gradient)
    large = "its sums are larger than its declared counts and variances allow"
    tolerance = SLACK * (1 + m.weight)
    if kind == "survival":
        events = m.weight if state.plan.weighted else float(schema.counts[-1])
        bound, steep = events * size / 2, events * np.sqrt(2 * size)
        null = events * np.log(max(len(m.count) and schema.units, 2)) if not state.plan.weighted else np.inf
        if not fit.tries and not fit.asked.any() and s.loss > null + tolerance:
            return large
        return large if (diagonal > bound + tolerance).any() or (g > steep + tolerance).any() else ""
    whole = np.concatenate([[m.weight], size])
    if kind == "continuous":
        if (np.abs(diagonal - whole) > tolerance + SLACK * whole).any():
            return large.replace("larger than", "not what").replace(" allow", " say")
        return large if (g > np.sqrt(2 * max(s.loss, 0) * whole) + tolerance).any() else ""
    whole = np.repeat(whole, len(state.classes) if kind == "multiclass" else 1)
    if (diagonal > whole / 4 + tolerance).any() or (g > np.sqrt(m.weight * whole) + tolerance).any():
        return large
    null = m.weight * np.log(max(len(state.classes), 2))
    if not fit.asked.any() and abs(s.loss - null) > tolerance + SLACK * null:
        return "its loss is not what its declared counts say"
    return ""


def not_convex(s: SiteSums, state: State) -> str:
    """A convex function lies above its tangents: between this answer and the last of the same site."""
    fit = newton(state)
    last = fit.sums.get(s.site)
    if last is None or len(fit.sums_at) != len(fit.asked):
        return ""
    move = fit.asked - fit.sums_at
    slack = SLACK * (1 + abs(s.loss) + abs(last.loss))
    if s.loss < last.loss + last.gradient @ move - slack or last.loss < s.loss - s.gradient @ move - slack:
        return "its answer contradicts its last one: not a likelihood of the same patients"
    return ""


def unlike_others(answers: Mapping[str, SiteSums], state: State) -> dict[str, str]:
    """Site -> reason, where its information per event (or unit) is far from that of all others."""
    if len(answers) < 2 or state.plan.kind != "survival":
        return {}
    each = {s: float(np.trace(a.hessian)) / max(state.schemas[s].counts[-1], 1) for s, a in answers.items()}
    out = {}
    for s, x in each.items():
        others = float(np.median([y for t, y in each.items() if t != s]))
        if x > UNLIKE * max(others, 1e-12):
            out[s] = f"its information per event is more than {UNLIKE:.0f} times that of other sites"
    return out
