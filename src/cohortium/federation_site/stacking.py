"""A stack at a site: its own units of each part, and sums over scores that never leave it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from cohortium.contracts.federation import FederationPlan, Withdrawn
from cohortium.contracts.federation_stack import (
    AskStackMoments,
    AskStackParts,
    AskStackSums,
    PartAnswer,
    PartModel,
    SiteParts,
    SiteStackMoments,
    SiteStackSums,
    StackModel,
    intercepts,
    part_plan,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.contracts.stack_plan import StackPlan
from cohortium.federation_site.association import class_codes
from cohortium.federation_site.cox import cox_sums
from cohortium.federation_site.shaping import tables_of
from cohortium.federation_site.site import Site
from cohortium.federation_site.sums import linear_sums, logistic_sums
from cohortium.federation_site.trials import take
from cohortium.fusion import Fill
from cohortium.resampling.dealing import deal

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]

WITHOUT = "its study file does not ask for a stack"
FARTHEST = 100.0
"""Weights and intercepts beyond are of no stack."""


def stack_of(plan: FederationPlan) -> StackPlan:
    """What the plan says of the stack."""
    assert plan.stack is not None
    return plan.stack


def folds_of(site: Site, plan: FederationPlan) -> NDArray[np.int64]:
    """(n,) fold of each unit, as those of an evaluation are dealt, but others: by the plan's seed and the site's name. All 0 at a site of
    fewer patients than folds, which no fit of a part takes in."""
    k = stack_of(plan).folds
    if ("stack", "folds", k) not in site.folds:
        name = int.from_bytes(hashlib.blake2b(site.name.encode(), digest_size=8).digest(), "little")
        strata = site.y.astype(np.int64) if site.classes else np.zeros(len(site), np.int64)
        few = site.patients() < k
        rng = np.random.default_rng([plan.seed, name, 3])
        made = np.zeros(len(site), np.int64) if few else deal(strata, site.patient, k, [], rng)
        site.folds["stack", "folds", k] = made
    found: NDArray[np.int64] = site.folds["stack", "folds", k]
    return found


def has_part(site: Site, plan: FederationPlan, part: int) -> Rows:
    """(n,) which units have a table of the part. Where fewer than the least number of patients lack it they count as the others do, all
    their cells unknown: counts of outcomes with and without them would tell theirs."""
    tables, found = tables_of(site, plan.least_cell), np.zeros(len(site), bool)
    for m in stack_of(plan).parts[part].modalities:
        found |= tables.get(m, found & False)
    return found | True if found.any() and site.patients(~found) < plan.least_cell else found


def part_sites(site: Site, plan: FederationPlan, part: int) -> dict[int, Site] | str:
    """Fold (-1: none) -> the units that have a table of the part and are outside the fold; or why the site takes no part in it. A fold, too, must hold
    the least numbers: sums of all less those of a training part are sums of it."""
    key = ("stack", "part", part, plan)
    if key not in site.folds:
        site.folds[key] = _part_sites(site, plan, part)
    found: dict[int, Site] | str = site.folds[key]
    return found


def _part_sites(site: Site, plan: FederationPlan, part: int) -> dict[int, Site] | str:
    from cohortium.federation_site.answering import too_few  # which imports this file

    inner, rows, fold = part_plan(plan, part), has_part(site, plan, part), folds_of(site, plan)
    names = stack_of(plan).parts[part].modalities
    own = replace(site, features=tuple(f for f in site.features if f.modality in names))
    if not rows.any():
        return "none of its patients has these tables"
    every = own if rows.all() else take(own, np.flatnonzero(rows))
    if reason := too_few(every, inner):
        return f"of those who have these tables, {reason}"
    made = {-1: every}
    for k in range(stack_of(plan).folds):
        held = take(own, np.flatnonzero(rows & (fold == k)))
        made[k] = take(own, np.flatnonzero(rows & (fold != k)))
        if reason := too_few(held, inner) or too_few(made[k], inner):
            return f"its patients are too few for {stack_of(plan).folds} folds: in one of them, {reason}"
    return made


def part_answers(site: Site, plan: FederationPlan, q: AskStackParts, own: str) -> SiteParts | Withdrawn:
    """What the site says about each fit of each part."""
    from cohortium.federation_site.answering import answer  # which imports this file

    if plan.stack is None:
        return Withdrawn(site.name, own, q.round, WITHOUT)
    asked = [(p.part, p.fold) for p in q.parts]
    fits = all(0 <= p < len(plan.stack.parts) and -1 <= k < plan.stack.folds for p, k in asked)
    if not fits or len(set(asked)) < len(asked):
        return Withdrawn(site.name, own, q.round, "the question is about parts that the study does not declare")
    said = []
    for p in q.parts:
        inner, units = part_plan(plan, p.part), part_sites(site, plan, p.part)
        one: Any = p.question
        if isinstance(units, str):
            found = Withdrawn(site.name, own, one.round, units)
        else:
            mark = digest(encode(inner))
            found = replace(answer(units[p.fold], inner, replace(one, plan=mark)), plan=own)
        said.append(PartAnswer(p.part, p.fold, found))
    return SiteParts(site.name, own, q.round, tuple(said))


def scores_by(
    site: Site,
    plan: FederationPlan,
    models: Sequence[PartModel],
    classes: tuple[str, ...],
    outcome: tuple[float, float],
) -> Array | str:
    """(n, P, K) scores of the parts that there are models of, NaN where a unit has none of a part's tables. A part with models of folds scores each unit by that
    of its own fold. On the scale of log odds, log hazards, or standardised values."""
    from cohortium.federation_site.models import predicted_by  # which imports this file

    stack, k = stack_of(plan), len(classes) if plan.kind == "multiclass" else 1
    parts = list(dict.fromkeys(m.part for m in models))
    out = np.full((len(site), len(parts), k), np.nan)
    fold = folds_of(site, plan)
    for j, part in enumerate(parts):
        own = {m.fold: m.model for m in models if m.part == part}
        if not 0 <= part < len(stack.parts) or set(own) not in ({-1}, set(range(stack.folds))):
            return "the question is about parts that the study does not declare"
        inner, rows = part_plan(plan, part), has_part(site, plan, part)
        for f, model in own.items():
            mine = rows if f < 0 else rows & (fold == f)
            if not mine.any():
                continue
            found = predicted_by(site, inner, model)
            if isinstance(found, str):
                return found
            if getattr(model, "classes", classes) != classes and plan.kind == "multiclass":
                return "a part is of other classes"
            found = found.reshape(len(site), -1)
            if plan.kind == "multiclass":
                found = found - found.mean(axis=1, keepdims=True)
            out[mine, j] = ((found - outcome[0]) / outcome[1])[mine]
    return out


def _kept(site: Site, plan: FederationPlan, q: AskStackMoments | AskStackSums) -> Array | str:
    """The scores behind a question, which is asked again and again with the same models."""
    mark = digest(b"".join(encode(m.model) for m in q.models) + repr((q.classes, q.outcome)).encode())
    key = ("stack", "scores")
    if site.folds.get(key, ("", None))[0] != mark:
        if not (np.isfinite(q.outcome).all() and q.outcome[1] > 0 and q.models):
            return "the question does not fit its parts"
        site.folds[key] = (mark, scores_by(site, plan, q.models, q.classes, q.outcome))
    found: Array | str = site.folds[key][1]
    return found


def _reason(site: Site, plan: FederationPlan, q: AskStackMoments | AskStackSums) -> str:
    if plan.stack is None:
        return WITHOUT
    if any(m.fold < 0 for m in q.models):
        return "the question is about models that were fitted on everybody"
    if plan.kind == "multiclass" and (class_codes(site, q.classes) < 0).any():
        return "it has a class that sites did not agree on"
    return ""


def moments_answer(site: Site, plan: FederationPlan, q: AskStackMoments, own: str) -> SiteStackMoments | Withdrawn:
    """How the scores of parts vary together, at those with a score of two."""
    found = _reason(site, plan, q) or _kept(site, plan, q)
    if isinstance(found, str):
        return Withdrawn(site.name, own, q.round, found)
    flat = found.reshape(len(site), -1)
    seen, w = ~np.isnan(flat), site.weight
    z = np.where(seen, flat, 0.0)
    shown = np.array([[site.patients(a & b) >= plan.least_cell for b in seen.T] for a in seen.T])
    weighted = seen * w[:, None]
    count, sums, products = weighted.T @ seen, (z * w[:, None]).T @ seen, (z * w[:, None]).T @ z
    some = seen.any(1)
    if site.patients(some) < plan.least_cell:
        shown, some = shown & False, some & False
    some |= (
        site.patients(~some) < plan.least_cell
    )  # or what is told of the others would tell of the few that lack everything
    outcome = _outcome(site, plan, q) * (some * w)[:, None]
    return SiteStackMoments(
        site.name, own, q.round, *(np.where(shown, x, 0.0) for x in (count, sums, products)), outcome.sum(0), np.array([float(w @ some)]),
    )  # fmt: skip


def _outcome(site: Site, plan: FederationPlan, q: AskStackMoments) -> Array:
    """(n, K) outcome as the base rate takes it."""
    if plan.kind == "survival":
        return np.zeros((len(site), 1))
    if plan.kind == "multiclass":
        return np.eye(len(q.classes))[class_codes(site, q.classes)]
    y = site.y if plan.kind == "binary" else (site.y - q.outcome[0]) / q.outcome[1]
    return np.asarray(y)[:, None]


def completed(scores: Array, mean: Array, cov: Array) -> Array:
    """(n, P, K) with every score that a unit lacks at its expectation given those that it has."""
    return Fill(mean, cov).complete(scores.reshape(len(scores), -1)).reshape(scores.shape)


def _fits(q: AskStackSums | StackModel, shape: tuple[int, ...], kind: str) -> bool:
    d, t = shape[1] * shape[2], intercepts(kind, shape[2])
    shapes = q.mean.shape == (d,) and q.cov.shape == (d, d) and q.parameters.shape == (t + shape[1],)
    numbers = np.concatenate([q.mean, q.cov.ravel(), q.parameters])
    return bool(
        shapes and np.isfinite(numbers).all() and np.abs(q.parameters).max(initial=0.0) <= FARTHEST
        and (np.diag(q.cov) > 0).all() and np.linalg.eigvalsh(q.cov + q.cov.T)[0] > -1e-6 * np.trace(q.cov)
    )  # fmt: skip


def sums_answer(site: Site, plan: FederationPlan, q: AskStackSums, own: str) -> SiteStackSums | Withdrawn:
    """Sums of the fit of weights."""
    scores = _reason(site, plan, q) or _kept(site, plan, q)
    if not isinstance(scores, str) and not _fits(q, scores.shape, plan.kind):
        scores = "the question does not fit its parts"
    if isinstance(scores, str):
        return Withdrawn(site.name, own, q.round, scores)
    lacks = np.isnan(scores).all(axis=(1, 2))
    # A few who lack every part are in the counts: left out here alone, their outcomes would be the difference.
    some = np.flatnonzero(~lacks | (site.patients(lacks) < plan.least_cell))
    n = intercepts(plan.kind, scores.shape[2]) + scores.shape[1]
    if site.patients(np.isin(np.arange(len(site)), some)) < plan.least_cell:
        return SiteStackSums(site.name, own, q.round, 0.0, np.zeros(n), np.zeros((n, n)), 0.0, 0.0)
    part = take(replace(site, features=()), some)
    z = completed(scores[some], q.mean, q.cov)
    time = hazard = 0.0
    if plan.kind == "survival":
        found = cox_sums(z[:, :, 0], part.time, part.y, part.entry, part.weight, part.stratum, q.parameters)
        exposed = part.weight * (part.time - part.entry)
        time, hazard = float(exposed.sum()), float(exposed @ np.exp(np.clip(z[:, :, 0] @ q.parameters, -30, 30)))
    elif plan.kind == "continuous":
        found = linear_sums(z[:, :, 0], (part.y - q.outcome[0]) / q.outcome[1], part.weight, q.parameters)
    elif plan.kind == "binary":
        found = logistic_sums(z[:, :, 0], part.y, part.weight, q.parameters)
    else:
        found = class_sums(z, class_codes(part, q.classes), part.weight, q.parameters)
    return SiteStackSums(site.name, own, q.round, *found, time, hazard)


def class_sums(z: Array, codes: NDArray[np.intp], w: Array, parameters: Array) -> tuple[float, Array, Array]:
    """Loss, gradient and Hessian of softmax of intercepts and scores z (n, P, K) times weights; one weight of a part for all classes."""
    n, _, k = z.shape
    design = np.concatenate([np.broadcast_to(np.eye(k)[1:], (n, k - 1, k)), z], axis=1)  # (n, T + P, K)
    eta = np.einsum("npk,p->nk", design, parameters)
    share, y = softmax(eta, axis=1), np.eye(k)[codes]
    loss = float(w @ (logsumexp(eta, axis=1) - (y * eta).sum(1)))
    gradient = np.einsum("npk,nk->p", design, w[:, None] * (share - y))
    mean = np.einsum("npk,nk->np", design, share)
    hessian = np.einsum("npk,nqk,nk->pq", design, design, w[:, None] * share) - (mean * w[:, None]).T @ mean
    return loss, gradient, hessian


def predicted(site: Site, plan: FederationPlan, model: StackModel) -> Array | str:
    """As :func:`cohortium.federation_site.models.predicted_by`."""
    if plan.stack is None:
        return "it was sent a model that its study file does not ask for"
    if any(m.fold >= 0 for m in model.parts) or not (np.isfinite(model.outcome).all() and model.outcome[1] > 0):
        return "the question does not fit its parts"
    scores = scores_by(site, plan, model.parts, model.classes, model.outcome)
    if isinstance(scores, str):
        return scores
    if not _fits(model, scores.shape, plan.kind) or model.neutral.shape != (scores.shape[2],):
        return "the question does not fit its parts"
    t = intercepts(plan.kind, scores.shape[2])
    out = np.einsum("npk,p->nk", completed(scores, model.mean, model.cov), model.parameters[t:])
    out[:, out.shape[1] - t :] += model.parameters[:t]
    out[np.isnan(scores).all(axis=(1, 2))] = model.neutral
    if plan.kind == "multiclass":
        return out
    return model.outcome[0] + model.outcome[1] * out[:, 0] if plan.kind == "continuous" else out[:, 0]
