"""From the end of a private fit to records: coefficients, how well it predicts by noisy counts, and what was spent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import Coefficient, FederatedResults, MessageRow, SiteRecord
from cohortium.contracts.federation_wire import digest, encode
from cohortium.contracts.private_results import PrivacyStatement, PrivatePerformance, PrivateRelease
from cohortium.federation_coordinator.private_state import fit_of, privacy_of, released, summed
from cohortium.federation_coordinator.state import State
from cohortium.privacy import models
from cohortium.privacy.accountant import spent
from cohortium.privacy.gaussian import epsilon_of
from cohortium.privacy.planned import classes_of, gradient_bound, groups_of
from cohortium.privacy.schedule import COUNTS, GRADIENT, MOMENTS, SCORES, schedule
from cohortium.privacy.statistics import moment_bound

Array = NDArray[np.float64]

DRAWS = 400
WIDEST = 0.35
"""A standard error of a share above this says nothing: there is a reason in place of a value."""


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of a private fit that is done."""
    plan = state.plan
    coefficients, level = _coefficients(state)
    sites = site_records(state)
    reference = state.classes[0] if plan.kind in ("binary", "multiclass") else ""
    return FederatedResults(
        plan.study, plan.endpoint, plan.kind, plan, digest(encode(plan)), sites, state.classes, reference, coefficients, level,
        math.nan, state.round - 1, None, list(state.notices), list(messages), list(seconds), engine, version,
        privacy=statement(state),
    )  # fmt: skip


def site_records(state: State) -> list[SiteRecord]:
    """Sites by their noisy counts."""
    sites = []
    for s in state.sites:
        a = released(state).counts.get(s)
        n = None if a is None else max(round(float(a.counts.sum())), 0)
        sites.append(SiteRecord(s, n, n, () if a is None else by_class(a.counts, state), state.left.get(s, "")))
    return sites


def by_class(counts: Array, state: State) -> tuple[int, ...]:
    """Noisy counts as other methods report them: of survival without and with the event."""
    k = len(privacy_of(state.plan).times)
    every = [counts[k:].sum(), counts[:k].sum()] if state.plan.kind == "survival" else list(counts)
    return tuple(max(round(float(x)), 0) for x in every)


def _coefficients(state: State) -> tuple[list[Coefficient], dict[str, float]]:
    """Per unit of the columns; intercepts where all columns are nought. Noisy: without intervals."""
    plan, p, b = state.plan, privacy_of(state.plan), fit_of(state).average
    q, half, middle = len(state.columns), 1.0, 0.0
    if plan.kind == "continuous":
        half, middle = (p.outcome[1] - p.outcome[0]) / 2, (p.outcome[1] + p.outcome[0]) / 2
    k = models.intercepts(plan.kind, p.times, classes_of(plan.kind, plan.classes))
    if plan.kind == "multiclass":
        by = b.reshape(1 + q, k)
        by = by[:, 1:] - by[:, :1]
        slopes, starts, outcomes, names = by[1:], by[0], state.classes[1:], list(state.classes[1:])
    else:
        slopes, starts, outcomes = b[k:, None], b[:k], ("",)
        ends = ["0", *(f"{t:g}" for t in p.times)]
        names = (
            [f"{a} to {e}" for a, e in itertools.pairwise(ends)]
            if plan.kind == "survival"
            else [state.classes[-1] if plan.kind == "binary" else plan.endpoint]
        )
    raw = slopes * half / state.sd[:, None]
    level = starts * half + middle - (state.mean @ raw if raw.shape[1] == len(starts) else (state.mean @ raw)[0])
    found = [
        Coefficient(c.name, o, float(raw[j, i])) for i, o in enumerate(outcomes) for j, c in enumerate(state.columns)
    ]
    return found, {n: float(x) for n, x in zip(names, np.atleast_1d(level), strict=True)}


def statement(state: State) -> PrivacyStatement:
    """What was promised, spent, and on what."""
    plan, p, fit = state.plan, privacy_of(state.plan), released(state)
    made, norm = schedule(p), norm_of(plan)
    bounds = {
        COUNTS: 1.0,
        MOMENTS: moment_bound(groups_of(p)),
        GRADIENT: norm,
        SCORES: 2.0 if plan.kind == "continuous" else 1.0,
    }
    rows = []
    for r in made.releases():
        alone = epsilon_of(r.mu, p.delta) if r.mu is not None else spent([r], p.delta)
        rows.append(
            PrivateRelease(r.name, r.part, r.times, bounds[r.name], bounds[r.name] * r.noise, r.mu or 0.0, alone)
        )
    said = {c.feature: ", ".join(c.levels) if c.levels else f"{c.low:g} to {c.high:g}" for c in p.columns}
    if plan.kind == "continuous":
        said[plan.endpoint] = f"{p.outcome[0]:g} to {p.outcome[1]:g}"
    lacking = {
        s: [c.feature for i, c in enumerate(p.columns) if i not in fit.counts[s].features]
        for s in state.here
        if len(fit.counts[s].features) < len(p.columns)
    }
    if summed(state) > 1 and lacking:  # of all together: of single sites it is not known
        lacking = {"every site": next(iter(lacking.values()))}
    source = "seed" if any(a.source == "seed" for a in fit.counts.values()) else "system"
    patients = {s: float(fit.counts[s].counts.sum()) for s in state.here}
    return PrivacyStatement(
        p.epsilon, p.delta, spent(made.releases(), p.delta), source, p.hold_out, p.rounds, norm, rows,
        patients, said, performance(state), lacking, p.rounds * p.steps, p.sampled, plan.network is not None,
    )  # fmt: skip


def norm_of(plan: FederationPlan) -> float:
    """L2 norm that a patient's gradient is cut to."""
    p = privacy_of(plan)
    return gradient_bound(p) if plan.network is None else p.clip


def performance(state: State) -> list[PrivatePerformance]:
    """How well the model predicts patients held out, from the noisy counts of all sites together; costs nothing more."""
    plan, p, fit = state.plan, privacy_of(state.plan), released(state)
    if not fit.scores:
        return []
    made = schedule(p)
    total = np.sum([a.counts for a in fit.scores.values()], axis=0)
    sensitivity = 2.0 if plan.kind == "continuous" else 1.0
    noise = sensitivity / made.scores * math.sqrt(len(fit.scores) * summed(state))
    cells = models.cells(plan.kind, p.times, classes_of(plan.kind, plan.classes))
    shape = (-1, cells) if plan.kind != "continuous" else (1, 4)
    patients = float(total[0]) if plan.kind == "continuous" else float(total.sum())
    rng = np.random.default_rng(plan.seed)
    # What another noise, and other patients, would have given: counts vary as Poisson's.
    spread = np.sqrt(noise**2 + np.maximum(total, 0.0))
    out = []
    for metric, of in MEASURES[plan.kind].items():
        value = of(total.reshape(shape), len(p.times))
        others = np.array(
            [of((total + spread * rng.standard_normal(len(total))).reshape(shape), len(p.times)) for _ in range(DRAWS)]
        )
        usable = np.isfinite(others)
        error = float(np.std(others[usable])) if usable.sum() > DRAWS / 2 else math.inf
        if not math.isfinite(value) or error > WIDEST:
            out.append(
                PrivatePerformance(metric, None, None, None, patients, "the noise is larger than what it would say")
            )
            continue
        low, high = value - 1.96 * error, value + 1.96 * error
        out.append(PrivatePerformance(metric, _share(value), max(low, -1.0), min(high, 1.0), patients))
    return out


def _share(x: float) -> float:
    return min(max(x, -1.0), 1.0)


def auc(table: Array, _: int = 0) -> float:
    """Of (bins, 2) counts without and with the outcome, by rising score."""
    no, yes = table[:, 0], table[:, 1]
    below = np.cumsum(no) - no
    pairs = no.sum() * yes.sum()
    if no.sum() <= 0 or yes.sum() <= 0:
        return math.nan
    return float((yes * (below + no / 2)).sum() / pairs)


def concordance(table: Array, k: int) -> float:
    """Harrell's C of (bins, 2 k + 1) counts: events by interval, then censored after so many whole ones; by rising risk."""
    good = pairs = 0.0
    for i in range(k):
        event = table[:, i]
        longer = table[:, i + 1 : k].sum(1) + table[:, k + i + 1 :].sum(1)
        below = np.cumsum(longer) - longer
        good += float((event * (below + longer / 2)).sum())
        pairs += float(event.sum() * longer.sum())
    return good / pairs if pairs > 0 else math.nan


def accuracy(table: Array, _: int = 0) -> float:
    """Of (predicted, true) counts."""
    return float(np.trace(table) / table.sum()) if table.sum() > 0 else math.nan


def explained(table: Array, _: int = 0) -> float:
    """R² of (1, 4) sums: patients, values, squares, squared errors over the square of the most that is counted."""
    n, y, yy, ee = table[0]
    whole = yy - y * y / max(n, 1.0)
    return float(1 - ee * models.MOST_RESIDUAL**2 / whole) if whole > 0 else math.nan


MEASURES: dict[str, dict[str, Callable[[Array, int], float]]] = {
    "survival": {"c_index": concordance},
    "binary": {"roc_auc": auc},
    "multiclass": {"accuracy": accuracy},
    "continuous": {"r2": explained},
}
