"""A site of a differentially private study: sums of clipped shares of its patients, with noise added here.

The coordinator is not trusted: what leaves has its noise already. Nothing here depends on patients but through those sums: whether a
site takes part is decided by its noisy counts, columns by what the plan declares, who is held out by a hash of the patient's id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, FederationPlan, Question, Withdrawn
from cohortium.contracts.federation_private import (
    AskPrivateCounts,
    AskPrivateGradient,
    AskPrivateNetworkScores,
    AskPrivateScores,
    AskPrivateUpdate,
    SitePrivateCounts,
    SitePrivateGradient,
    SitePrivateScores,
)
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.contracts.private_plan import PrivacyPlan
from cohortium.errors import MissingExtra
from cohortium.federation_site.site import Site
from cohortium.privacy import models
from cohortium.privacy.accountant import Release
from cohortium.privacy.grid import Noise, noisy_sum
from cohortium.privacy.ledger import Ledger
from cohortium.privacy.models import Outcomes
from cohortium.privacy.planned import classes_of, columns_of, gradient_bound, groups_of
from cohortium.privacy.refusing import EXACT
from cohortium.privacy.schedule import COUNTS, GRADIENT, MOMENTS, SCORES, Schedule, schedule
from cohortium.privacy.statistics import by_patient, moment_bound, moment_rows

Array = NDArray[np.float64]

FARTHEST = 100.0
NARROW = 0.01
"""Share of a column's bounds that no standard deviation is below."""

MOST_BINS = 64


def private_answer(
    site: Site, plan: FederationPlan, question: Question | Any, ledger: Ledger, noise: Noise
) -> Answer | Any:
    """What a site says in a private study; ``Withdrawn`` where it may not. The same question gets the same answer, from the ledger.

    Raises :class:`cohortium.errors.DataError` for a ledger that is damaged.
    """
    own = digest(encode(plan))
    p = plan.privacy
    assert p is not None
    if question.plan != own:
        return Withdrawn(site.name, question.plan, question.round, "its study file asks for something else")
    how = _answering(plan)
    if type(question) not in how:
        return Withdrawn(site.name, own, question.round, f"the study is private: {EXACT}")
    if reason := _odd(question, site, plan):
        return Withdrawn(site.name, own, question.round, reason)
    asked = digest(encode(question))
    made = schedule(p)
    with ledger.open():
        if asked in ledger.answers:
            return decode(ledger.answers[asked].encode())
        new = _releases(question, made, own)
        if not new:
            return Withdrawn(site.name, own, question.round, "the study declares no such release")
        if reason := ledger.refuses(new, p.epsilon, p.delta, made.releases(own)):
            return Withdrawn(site.name, own, question.round, reason)
        try:
            found = how[type(question)](site, plan, question, made, noise, asked)
        except MissingExtra:  # no patient decides what is installed: said, and not paid for
            raise
        except Exception:  # that it failed may depend on patients: it is paid for, and told but once
            found = Withdrawn(site.name, own, question.round, "it could not answer")
        ledger.record(new, asked, encode(found).decode())
    return found


def out_of_bounds(p: PrivacyPlan, mean: Array, sd: Array) -> bool:
    """Whether columns are scaled otherwise than by what is declared: so far that numbers overflow for some patients, which a failure would tell."""
    low, high = (np.array([getattr(c, a) for c, _ in columns_of(p)]) for a in ("low", "high"))
    width = high - low
    return bool(((mean < low - width) | (mean > high + width) | (sd < NARROW * width) | (sd > 100 * width)).any())


def _releases(question: Any, made: Schedule, own: str) -> list[Release]:
    names = {
        AskPrivateCounts: (COUNTS, MOMENTS), AskPrivateGradient: (GRADIENT,), AskPrivateScores: (SCORES,),
        AskPrivateUpdate: (GRADIENT,), AskPrivateNetworkScores: (SCORES,),
    }  # fmt: skip
    found = [made.release(n, own) for n in names[type(question)]]
    return [r for r in found if r is not None]


def _odd(q: Any, site: Site, plan: FederationPlan) -> str:
    """Why a question is none about a model; told before anything is spent."""
    if isinstance(q, AskPrivateCounts):
        return ""
    if plan.network is not None:
        from cohortium.federation_site import private_network

        return private_network.odd(site, plan, q)
    p = plan.privacy
    assert p is not None
    n = len(columns_of(p))
    classes = classes_of(plan.kind, plan.classes)
    shapes = q.mean.shape == q.sd.shape == (n,)
    shapes = shapes and q.parameters.shape == (models.size(plan.kind, n, p.times, classes),)
    if not (shapes and np.isfinite(q.parameters).all() and np.isfinite(q.mean).all() and np.isfinite(q.sd).all()):
        return "the question does not fit its columns"
    if not (q.sd > 0).all() or np.abs(q.parameters).max(initial=0.0) > FARTHEST:
        return "the question is about parameters that no model has"
    if out_of_bounds(p, q.mean, q.sd):
        return "the question scales columns as no bounds do"
    if isinstance(q, AskPrivateScores) and plan.kind in ("binary", "survival"):
        g = q.grid
        if g.ndim != 1 or not 1 <= len(g) < MOST_BINS or not np.isfinite(g).all() or (np.diff(g) <= 0).any():
            return "the question has no bins of scores"
    return ""


def values_of(site: Site, p: PrivacyPlan) -> Array:
    """(n, q) values of those columns; NaN where unknown, of another level than declared, or not at this site. No small-count
    suppression: that would depend on other patients; noise takes its place."""
    key = ("private", p.columns)
    if key not in site.kept:
        site.kept.clear()
        site.kept[key] = _values_of(site, p)
    found: Array = site.kept[key]
    return found


def _values_of(site: Site, p: PrivacyPlan) -> Array:
    known = {(f.modality, f.name): f for f in site.features}
    out = []
    for c in p.columns:
        f = known.get((c.modality, c.feature))
        if f is None:
            out += [np.full(len(site), np.nan)] * max(len(c.levels) - 1, 1)
        elif not c.levels:
            numbers = f.values if f.kind == "numeric" else _coded(f.values, [_number(n) for n in f.levels])
            out.append(np.where(np.isnan(numbers), np.nan, np.clip(numbers, c.low, c.high)))
        else:
            place = {n: float(i) for i, n in enumerate(c.levels)}
            if f.kind == "numeric":
                code = np.array([place.get(f"{v:g}", np.nan) for v in f.values])
            else:
                code = _coded(f.values, [place.get(n, np.nan) for n in f.levels])
            out += [np.where(np.isnan(code), np.nan, code == i) for i in range(1, len(c.levels))]
    return np.column_stack(out) if out else np.zeros((len(site), 0))


def _coded(codes: Array, meaning: list[float]) -> Array:
    out = np.full(len(codes), np.nan)
    some = ~np.isnan(codes)
    if meaning:
        out[some] = np.array(meaning)[codes[some].astype(int)]
    return out


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def outcomes_of(site: Site, plan: FederationPlan, rows: NDArray[np.bool_]) -> Outcomes:
    """Outcomes of some units, as the models take them; values scaled by the declared bounds."""
    p = plan.privacy
    assert p is not None
    y, none = site.y[rows], np.zeros(int(rows.sum()))
    if plan.kind == "continuous":
        low, high = p.outcome
        y = (np.clip(y, low, high) - (low + high) / 2) * 2 / (high - low)
    if plan.kind == "multiclass":
        place = np.array([plan.classes.index(c) if c in plan.classes else 0 for c in site.classes])
        y = place[y.astype(int)].astype(float)
    times = (site.time[rows], site.entry[rows]) if plan.kind == "survival" else (none, none)
    return Outcomes(plan.kind, y, *times, p.times, classes_of(plan.kind, plan.classes))


def held_out(site: Site, p: PrivacyPlan) -> NDArray[np.bool_]:
    """(n,) units of patients that the model is not fitted on: by their own ids alone."""
    if not p.hold_out or site.draw is None:
        return np.zeros(len(site), bool)
    return site.draw < p.hold_out


def _counts(
    site: Site, plan: FederationPlan, q: AskPrivateCounts, made: Schedule, noise: Noise, asked: str
) -> SitePrivateCounts | Withdrawn:
    p = plan.privacy
    assert p is not None
    rows = np.ones(len(site), bool)
    o = outcomes_of(site, plan, rows)
    one = np.eye(models.cells(plan.kind, p.times, o.classes))[models.unit_cell(o)]
    counts = noisy_sum(by_patient(one, site.patient), 1.0, made.counts, noise, f"{asked}/counts")
    moments = np.zeros(0)
    if made.moments:
        columns = columns_of(p)
        low, high = (np.array([getattr(c, n) for c, _ in columns]) for n in ("low", "high"))
        x = moment_rows(values_of(site, p), low, high, [bool(level) for _, level in columns])
        bound = moment_bound(groups_of(p))
        moments = noisy_sum(by_patient(x, site.patient), bound, made.moments, noise, f"{asked}/moments")
    if reason := too_few_noisy(counts, plan):
        return Withdrawn(site.name, q.plan, q.round, reason)
    there = {(f.modality, f.name) for f in site.features}
    has = tuple(i for i, c in enumerate(p.columns) if (c.modality, c.feature) in there)
    return SitePrivateCounts(site.name, q.plan, q.round, noise.source, has, counts, moments)


def too_few_noisy(counts: Array, plan: FederationPlan) -> str:
    """Why a site of these noisy counts takes no part; post-processing, costs nothing. The other minima protect few patients where sums are
    exact: here noise does."""
    if counts.sum() < plan.least_patients:
        return f"by its noisy counts it has fewer than {plan.least_patients} patients"
    return ""


def _standardised(site: Site, plan: FederationPlan, q: Any, rows: NDArray[np.bool_]) -> Array:
    assert plan.privacy is not None
    x = values_of(site, plan.privacy)[rows]
    return np.where(np.isnan(x), 0.0, (x - q.mean) / q.sd)


def _gradient(
    site: Site, plan: FederationPlan, q: AskPrivateGradient, made: Schedule, noise: Noise, asked: str
) -> SitePrivateGradient:
    p = plan.privacy
    assert p is not None
    rows = ~held_out(site, p)
    z = _standardised(site, plan, q, rows)
    each = models.unit_gradients(z, outcomes_of(site, plan, rows), q.parameters)
    each[~np.isfinite(each).all(1)] = 0.0  # his own alone: who else is there does not matter
    shares = by_patient(each, site.patient[rows])
    return SitePrivateGradient(
        site.name, q.plan, q.round, noisy_sum(shares, gradient_bound(p), made.gradient, noise, asked)
    )


def _scores(
    site: Site, plan: FederationPlan, q: AskPrivateScores, made: Schedule, noise: Noise, asked: str
) -> SitePrivateScores:
    p = plan.privacy
    assert p is not None
    rows = held_out(site, p)
    each, bound = models.score_rows(
        _standardised(site, plan, q, rows), outcomes_of(site, plan, rows), q.parameters, q.grid
    )
    shares = by_patient(each, site.patient[rows])
    return SitePrivateScores(site.name, q.plan, q.round, noisy_sum(shares, bound, made.scores, noise, asked))


_ANSWERING: dict[type, Callable[..., Any]] = {
    AskPrivateCounts: _counts,
    AskPrivateGradient: _gradient,
    AskPrivateScores: _scores,
}
"""What a private study of a linear model may ask. Everything else is refused."""


def _answering(plan: FederationPlan) -> dict[type, Callable[..., Any]]:
    """What the plan's method may ask: what it does not pay for is refused."""
    if plan.network is None:
        return _ANSWERING
    from cohortium.federation_site import private_network

    return {
        AskPrivateCounts: _counts,
        AskPrivateUpdate: private_network.update,
        AskPrivateNetworkScores: private_network.scores,
    }
