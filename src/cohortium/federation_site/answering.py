"""One question, one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import (
    Answer,
    AskMoments,
    AskSchema,
    AskSums,
    AskTrials,
    FederationPlan,
    Question,
    SiteMoments,
    SiteSchema,
    SiteSums,
    Withdrawn,
)
from cohortium.contracts.federation_baseline import AskBin, AskBinnedSums
from cohortium.contracts.federation_network import AskTimes, AskUpdate
from cohortium.contracts.federation_preparing import AskAssociation
from cohortium.contracts.federation_shaping import AskShape
from cohortium.contracts.federation_stack import AskStackMoments, AskStackParts, AskStackSums
from cohortium.contracts.federation_trees import AskHistograms, AskQuantiles
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_site import network, stacking
from cohortium.federation_site.association import association
from cohortium.federation_site.binned import bin_answer, binned_answer
from cohortium.federation_site.cox import cox_sums
from cohortium.federation_site.encoding import columns_of, schema_of
from cohortium.federation_site.models import standardised
from cohortium.federation_site.network_data import enough_of
from cohortium.federation_site.shaping import shape_answer
from cohortium.federation_site.site import Site
from cohortium.federation_site.sums import linear_sums, logistic_sums, multinomial_sums
from cohortium.federation_site.trees import histograms, quantile_counts
from cohortium.federation_site.trials import trial_answers

Array = NDArray[np.float64]

PREPARING = 5
"""Rounds of preparing columns: three of quantiles, one of shapes, one of moments of compressed columns."""


def answer(site: Site, plan: FederationPlan, question: Question) -> Answer:
    """What the site says to a question; ``Withdrawn`` where it may not or cannot answer. plan: by the site's own study file."""
    own = digest(encode(plan))
    if question.plan != own:
        return Withdrawn(site.name, question.plan, question.round, "its study file asks for something else")
    reason = too_few(site, plan)
    if plan.secure is not None:
        reason = "its study file says that sums leave it only masked"
    if not reason and question.round > most_rounds(plan):
        reason = "more rounds were asked for than the study declares"
    if reason:
        return Withdrawn(site.name, own, question.round, reason)
    how = _ANSWERING.get(type(question))
    if how is None:
        return Withdrawn(site.name, own, question.round, "it was sent something that is no question")
    return how(site, plan, question, own)


def most_rounds(plan: FederationPlan) -> int:
    """Rounds after which a site refuses: steps that are halved, and fits that begin anew, take more than the declared ones."""
    if plan.privacy is not None:
        return (
            plan.privacy.rounds + 2 + (0 if plan.secure is None else 3)
        )  # each of them costs: its budget refuses more
    if plan.network is not None:
        # Under secure aggregation some more before the training, and where a modality is taken out.
        before = 6 + PREPARING + (0 if plan.secure is None else 6)
        return (before + plan.network.rounds) * (2 if plan.folds else 1) + (4 * plan.rounds if plan.folds else 0)
    grown = plan.trees.rounds * plan.trees.depth if plan.trees is not None else 0
    asks = PREPARING if plan.prepare is not None and plan.prepare.asks else 0
    weights = plan.rounds if plan.stack is not None else 0
    return (8 if plan.folds else 4) * (plan.rounds + grown + asks + weights)


def too_few(site: Site, plan: FederationPlan) -> str:
    """Why the site may say nothing at all; empty where it may."""
    if site.patients() < plan.least_patients:
        return f"it has fewer than {plan.least_patients} patients with a label"
    if plan.kind == "survival" and site.patients(site.y == 1) < plan.least_events:
        return f"fewer than {plan.least_events} of its patients had the event"
    if plan.kind in ("binary", "multiclass"):
        sizes = [site.patients(site.y == k) for k in range(len(site.classes))]
        if sum(n > 0 for n in sizes) < 2:
            return "all its patients are of one class"
        if any(n < plan.least_events for n in sizes if n or plan.kind == "binary"):
            return f"a class has fewer than {plan.least_events} of its patients"
    return ""


def sums_answer(site: Site, plan: FederationPlan, q: AskSums, own: str) -> SiteSums | Withdrawn:
    """The sums of these units, whatever their number: :func:`too_few` is asked before."""
    return _sums(site, plan, q, own)


def _schema(site: Site, plan: FederationPlan, q: AskSchema, own: str) -> SiteSchema:
    counts = tuple(int(n) for n in _counts(site, plan))
    features = schema_of(site, plan.least_cell)
    if plan.network is not None or plan.stack is not None:
        features = enough_of(site, features, plan.least_patients)
    return SiteSchema(site.name, own, q.round, len(site), site.patients(), site.classes, counts, features)


def _association(site: Site, plan: FederationPlan, q: AskAssociation, own: str) -> Answer:
    found = association(site, plan, q, own)
    return Withdrawn(site.name, own, q.round, found) if isinstance(found, str) else found


def _trials(site: Site, plan: FederationPlan, q: AskTrials, own: str) -> Answer:
    return trial_answers(site, plan, q, own, (answer, too_few))


def _counts(site: Site, plan: FederationPlan) -> NDArray[np.int64]:
    return np.bincount(site.y.astype(int), minlength=len(site.classes)) if site.classes else np.array([len(site)])


def _moments(site: Site, plan: FederationPlan, q: AskMoments, own: str) -> SiteMoments:
    x = columns_of(site, q.columns, plan.least_cell)
    known = ~np.isnan(x)
    w = site.weight[:, None] * known
    total = np.maximum(w.sum(0), 1e-300)
    mean = (w * np.where(known, x, 0.0)).sum(0) / total
    squares = (w * np.where(known, x - mean, 0.0) ** 2).sum(0)
    y_mean, y_squares = 0.0, 0.0
    if plan.kind == "continuous":
        y_mean = float(site.weight @ site.y / site.weight.sum())
        y_squares = float(site.weight @ (site.y - y_mean) ** 2)
    count = w.sum(0) if plan.weighted else known.sum(0).astype(float)
    return SiteMoments(site.name, own, q.round, count, mean, squares, float(site.weight.sum()), y_mean, y_squares)


def _sums(site: Site, plan: FederationPlan, q: AskSums, own: str) -> SiteSums | Withdrawn:
    z = standardised(site, plan, q)
    if isinstance(z, str):
        return Withdrawn(site.name, own, q.round, z)
    if plan.kind == "survival":
        found = cox_sums(z, site.time, site.y, site.entry, site.weight, site.stratum, q.parameters)
    elif plan.kind == "continuous":
        found = linear_sums(z, (site.y - q.outcome[0]) / q.outcome[1], site.weight, q.parameters)
    elif plan.kind == "binary":
        found = logistic_sums(z, site.y, site.weight, q.parameters)
    else:
        place = [q.classes.index(c) if c in q.classes else -1 for c in site.classes]
        codes = np.array(place)[site.y.astype(int)]
        if (codes < 0).any():
            return Withdrawn(site.name, own, q.round, "it has a class that sites did not agree on")
        found = multinomial_sums(z, codes, len(q.classes), site.weight, q.parameters)
    return SiteSums(site.name, own, q.round, *found)


_ANSWERING: dict[type, Callable[[Site, FederationPlan, Any, str], Answer]] = {
    AskSchema: _schema,
    AskMoments: _moments,
    AskSums: _sums,
    AskTrials: _trials,
    AskAssociation: _association,
    AskQuantiles: quantile_counts,
    AskHistograms: histograms,
    AskTimes: network.times,
    AskUpdate: network.update,
    AskBin: bin_answer,
    AskBinnedSums: binned_answer,
    AskShape: shape_answer,
    AskStackParts: stacking.part_answers,
    AskStackMoments: stacking.moments_answer,
    AskStackSums: stacking.sums_answer,
}
"""How each question is answered, once it is one of the site's own study and the site is large enough."""
