"""The numbers that a site seals: one vector for each question, in an order that the coordinator knows.

Before they are sealed they are checked and clipped here: nobody can look at them afterwards. What all sites together have
(``weight``, ``events``) bounds what a single one can; an honest site's sums are never changed by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import AskSums, FederationPlan
from cohortium.contracts.federation_network import AskTimes, AskUpdate
from cohortium.contracts.federation_preparing import AskAssociation
from cohortium.contracts.federation_secure import AskBatches, AskHeld, AskParts, AskSpread, AskTotals, SealedQuestion
from cohortium.federation_site.answering import sums_answer
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.held import held_numbers
from cohortium.federation_site.models import predicted_by
from cohortium.federation_site.refusing import RefusedError
from cohortium.federation_site.secure_batches import association_numbers, batches_numbers, own_effects
from cohortium.federation_site.secure_network import parts_numbers, times_numbers, update_numbers
from cohortium.federation_site.site import Site
from cohortium.federation_site.trials import parts_of

Array = NDArray[np.float64]

SLACK = 1 + 1e-6


def numbers_of(site: Site, plan: FederationPlan, q: SealedQuestion, own: str) -> tuple[Array, list[str]]:
    """The numbers (n,) of a question, and what was clipped, in words. Raises :class:`RefusedError`."""
    inner, part, rows = q.question, site, np.arange(len(site))
    if not -1 <= q.fold < plan.folds or (isinstance(inner, AskHeld) and q.fold < 0):
        raise RefusedError("the question is about folds that the study does not declare")
    if getattr(inner, "plan", "") != own:
        raise RefusedError("its study file asks for something else")
    if q.fold >= 0:
        cut = parts_of(site, plan)
        if isinstance(cut, str):
            raise RefusedError(cut)
        part, rows = cut[q.fold]
    inner = own_effects(part, plan, inner)
    if isinstance(inner, AskHeld):
        predicted = predicted_by(site, plan, inner.model, part)
        if isinstance(predicted, str):
            raise RefusedError(predicted)
        return held_numbers(site, rows, predicted[rows], plan, inner), []
    if isinstance(inner, AskSums):
        found, clipped = fit_sums(part, plan, inner, own, q.weight, q.events)
        return found, [f"{clipped} numbers larger than all sites together can have"] if clipped else []
    if isinstance(inner, AskAssociation):
        steep, curved = largest_sums(plan.kind, q.weight, q.events)
        squares = curved if plan.kind == "survival" else q.weight
        return association_numbers(part, plan, inner, own, (steep * SLACK, squares * SLACK))
    if isinstance(inner, AskUpdate):
        return update_numbers(part, plan, inner, own)
    how = _COUNTING.get(type(inner))
    if how is None:
        raise RefusedError("it was sent something that is no question")
    return how(part, plan, inner), []


def totals(site: Site, plan: FederationPlan, q: AskTotals) -> Array:
    """Units, patients, units by class (K), weight, weighted sum of the endpoint; then by column known cells and sum."""
    x, w = _columns(site, plan, q.columns)
    code = np.array([q.classes.index(c) if c in q.classes else -1 for c in site.classes])
    if site.classes and (code[site.y.astype(int)] < 0).any():
        raise RefusedError("it has a class that sites did not agree on")
    counts = np.bincount(code[site.y.astype(int)], minlength=len(q.classes)) if site.classes else np.zeros(0)
    count = w.sum(0) if plan.weighted else (w > 0).sum(0).astype(float)
    y = float(site.weight @ site.y) if plan.kind == "continuous" else 0.0
    return np.concatenate(
        [[len(site), site.patients()], counts, [site.weight.sum(), y], count, (w * np.where(w > 0, x, 0.0)).sum(0)]
    )


def spread(site: Site, plan: FederationPlan, q: AskSpread) -> Array:
    """Squared deviations of a continuous endpoint, then by column; then deviations by column, where effects of sites are taken out."""
    x, w = _columns(site, plan, q.columns)
    if q.mean.shape != (x.shape[1],) or not (np.isfinite(q.mean).all() and np.isfinite(q.outcome)):
        raise RefusedError("the question does not fit its columns")
    y = float(site.weight @ (site.y - q.outcome) ** 2) if plan.kind == "continuous" else 0.0
    off = np.where(w > 0, x - q.mean, 0.0)
    moved = (w * off).sum(0) if any(c.batches for c in q.columns) else np.zeros(0)
    return np.concatenate([[y], (w * off**2).sum(0), moved])


def fit_sums(site: Site, plan: FederationPlan, q: AskSums, own: str, weight: float, events: float) -> tuple[Array, int]:
    """Loss, gradient (P,), upper triangle of the Hessian; and how many of them were clipped."""
    found = sums_answer(site, plan, q, own)
    if hasattr(found, "reason"):
        raise RefusedError(found.reason)
    upper = np.triu_indices(len(found.gradient))
    numbers = np.concatenate([[found.loss], found.gradient, found.hessian[upper]])
    steep, curved = largest_sums(plan.kind, weight, events)
    if plan.kind == "continuous":
        steep = max(steep, float(np.sqrt(2 * max(found.loss, 0.0) * weight)))
    bound = np.concatenate([[np.inf], np.full(len(found.gradient), steep), np.full(len(upper[0]), curved)]) * SLACK
    clipped = np.clip(numbers, -bound, bound)
    return clipped, int((clipped != numbers).sum())


def largest_sums(kind: str, weight: float, events: float) -> tuple[float, float]:
    """What no gradient and no Hessian entry can be larger than, of columns that all sites together have standardised.

    Squares of a column add up to at most ``weight``. Gradients: Cauchy-Schwarz. Curvature of a logit is at most 1/4; that of a
    Cox term is a variance within a risk set, at most half of the column's squares, for each event.
    """
    if kind == "survival":
        return events * float(np.sqrt(2 * weight)), events * weight / 2
    return weight, weight if kind == "continuous" else weight / 4


def _columns(site: Site, plan: FederationPlan, columns: tuple) -> tuple[Array, Array]:  # type: ignore[type-arg]
    """(n, q) values, and their weights: 0 where unknown."""
    x = columns_of(site, columns, plan.least_cell)
    return x, site.weight[:, None] * ~np.isnan(x)


_COUNTING: dict[type, Callable[[Site, FederationPlan, Any], Array]] = {
    AskTotals: totals, AskSpread: spread, AskTimes: times_numbers, AskParts: parts_numbers,
    AskBatches: batches_numbers,
}  # fmt: skip
"""Questions whose numbers are what they are: nothing is clipped."""
