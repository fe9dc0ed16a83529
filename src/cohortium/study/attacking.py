"""``federate simulate --attack``: what an attacker learns from what the study releases, tried out on its own patients.

The attacker of membership knows each candidate's whole row and outcome, and models of the same study on halves of the same
patients: more than a real one has. What he does not find is not there to be found by this way; another may find it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from cohortium.contracts.federation import AskSums, FederationPlan, SiteSums
from cohortium.contracts.federation_results import AttackRecord
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.errors import FederationError
from cohortium.study.attacking_network import MOST_CELLS, update_inverted
from cohortium.study.attacking_private import gradients_told
from cohortium.study.attacking_private_network import fitted, rows_inverted, updates_told
from cohortium.study.federating import asking, drive

if TYPE_CHECKING:
    from cohortium.experiment import ProgressEvent
    from cohortium.federation_coordinator import State
    from cohortium.federation_site import Site

Array = NDArray[np.float64]
Sites = Mapping[str, "Site"]

FEWEST_SHADOWS = 64


def attack(
    plan: FederationPlan,
    sites: Sites,
    state: State,
    shadows: int = FEWEST_SHADOWS,
    tell: Callable[[ProgressEvent], None] | None = None,
) -> list[AttackRecord]:
    """Membership inference against the model and against a site's sums, and reconstruction of a site's rows.

    state: of the study that was fitted. shadows: further fits, each on a random half of the patients of every site. tell: is told of them.
    """
    from cohortium.experiment import ProgressEvent

    # Halves of small sites would be below the minima and withdraw: the attack is on what the model tells, not on them.
    # Of what secure aggregation keeps out of all sums shadows know nothing; else it changes no model, and they do without.
    free = replace(plan, folds=0, least_patients=1, least_events=1, secure=None)
    here = {s: sites[s] for s in state.here}
    if plan.secure is not None:
        known = {(c.modality, c.feature) for c in state.lanes[0].model.columns}  # type: ignore[attr-defined]
        here = {
            n: replace(s, features=tuple(f for f in s.features if (f.modality, f.name) in known))
            for n, s in here.items()
        }
    rng = np.random.default_rng([plan.seed, shadows])
    need = shadows + 1
    drawn = {s: _halves(here[s], 2 * need, rng) for s in here}
    statistics: list[Array] = []
    whole: list[int] = []
    begun = time.perf_counter()
    for k in range(2 * need):  # halves without an estimate of every site's are drawn again
        one = _of_model(here, drawn, k, free)
        if np.isfinite(one).all():
            statistics.append(one)
            whole.append(k)
        if tell is not None:
            done, spent = len(whole), time.perf_counter() - begun
            tell(ProgressEvent("attack", done, need, spent, spent / max(done, 1) * (need - done)))
        if len(whole) == need:
            break
    lost = "" if len(whole) == need else f"{2 * need - len(whole)} of {2 * need} halves had no estimate"
    found = [_record("model", "", statistics, np.hstack([d[whole] for d in drawn.values()]), plan, lost)]
    member = {s: d[:need] for s, d in drawn.items()}
    name = min(here, key=lambda s: (len(here[s]), s))
    if plan.privacy is not None and plan.secure is None:  # else nobody sees a single site's
        told = (gradients_told if plan.network is None else updates_told)(plan, here, name, member[name])
        found.append(_record("gradients", name, told, member[name], plan))
    if plan.network is not None and plan.secure is None:
        found.append((update_inverted if plan.privacy is None else rows_inverted)(plan, here, name))
    if plan.method == "linear" and _sums_are_seen(plan):
        found += _against_sums(plan, here, state, member)
    return found


def _sums_are_seen(plan: FederationPlan) -> bool:
    """Whether the coordinator sees each site's exact sums."""
    return not getattr(plan, "secure", None) and getattr(plan, "privacy", None) is None


def _halves(site: Site, times: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(times, n) units in each random half of a site's patients, of every outcome alike, so that no half lacks one; a patient's units go
    together."""
    _, who = np.unique(site.patient, return_inverse=True)
    people = int(who.max()) + 1
    outcome = np.zeros(people)
    np.maximum.at(outcome, who, site.y if site.classes else 0.0)
    out = np.zeros((times, people), bool)
    for k in range(times):
        for value in np.unique(outcome):
            some = rng.permutation(np.flatnonzero(outcome == value))
            out[k, some[: (len(some) + rng.integers(2)) // 2]] = True
    return out[:, who]


def _of_model(sites: Sites, member: Mapping[str, NDArray[np.bool_]], k: int, plan: FederationPlan) -> Array:
    """(n,) statistic of every candidate under the model of half k; NaN where there is no such model."""
    from cohortium.federation_coordinator.methods import method_of
    from cohortium.federation_site.models import predicted_by
    from cohortium.federation_site.trials import take

    plan = replace(plan, seed=plan.seed + 1 + k)  # noise is drawn anew; the start of a network is known to all
    halves = {s: take(site, np.flatnonzero(member[s][k])) for s, site in sites.items()}
    if plan.privacy is not None:
        return _of_private_model(sites, halves, plan)
    size = sum(len(s) for s in sites.values())
    try:
        state = drive(plan, {s: asking(h, plan) for s, h in halves.items()}).state
    except FederationError:
        return np.full(size, np.nan)
    if state.left:  # its patients would count as members of a model that has not seen them
        return np.full(size, np.nan)
    model = method_of(state).model(state)
    out = []
    for site in sites.values():
        predicted = predicted_by(site, plan, model)
        out.append(
            np.full(len(site), np.nan)
            if isinstance(predicted, str)
            else _statistic(site, plan, predicted, state.classes)
        )
    return np.concatenate(out)


def _of_private_model(sites: Sites, halves: Sites, plan: FederationPlan) -> Array:
    """The same of a fit with noise; patients held out, who cost the model nothing, are left out of it."""
    assert plan.privacy is not None
    try:
        model = fitted(halves, plan, plan.privacy.epsilon, plan.seed)
    except FederationError:
        return np.full(sum(len(s) for s in sites.values()), np.nan)
    return np.concatenate(
        [_statistic(s, plan, model.scores(s), model.plan.classes or s.classes) for s in sites.values()]
    )


def _statistic(site: Site, plan: FederationPlan, predicted: Array, classes: tuple[str, ...]) -> Array:
    """(n,) how well each unit's outcome is predicted: log odds of the true class, log likelihood of others."""
    if plan.kind == "binary":
        return (2 * site.y - 1) * predicted
    if plan.kind == "continuous":
        return -((site.y - predicted) ** 2)
    if plan.kind == "multiclass":
        m = log_softmax(predicted, axis=1)
        at = np.array([classes.index(c) for c in site.classes])[site.y.astype(int)]
        own = m[np.arange(len(m)), at]
        rest = logsumexp(np.where(np.arange(m.shape[1]) == at[:, None], -np.inf, m), axis=1)
        return own - rest
    return site.y * predicted - _cumulative(site, predicted) * np.exp(np.clip(predicted, -30, 30))


def _cumulative(site: Site, risk: Array) -> Array:
    """(n,) Breslow's cumulative hazard of each unit's time, among the site's own units."""
    weight = np.exp(np.clip(risk, -30, 30))
    times = np.unique(site.time[site.y > 0])
    at_risk = (site.time[None, :] >= times[:, None]) & (site.entry[None, :] < times[:, None])
    deaths = ((site.time[None, :] == times[:, None]) & (site.y[None, :] > 0)).sum(1)
    jumps = deaths / np.maximum(at_risk @ weight, 1e-300)
    before = (times[:, None] <= site.time[None, :]) & (times[:, None] > site.entry[None, :])
    return np.asarray(jumps @ before)


def _record(
    surface: str, site: str, rows: list[Array], member: NDArray[np.bool_], plan: FederationPlan, lost: str = ""
) -> AttackRecord:
    """The record of an attack of membership. lost: what is to be said of halves without an estimate."""
    from cohortium.attacks import membership

    try:
        m = membership(np.array(rows).reshape(len(rows), member.shape[1]), member, plan.seed)
    except ValueError as e:
        return AttackRecord("membership", surface, site, reason="; ".join(filter(None, [lost, str(e)])))
    return AttackRecord(
        "membership", surface, site, m.models - 1, m.candidates, float(m.auc), float(m.auc_low), float(m.auc_high), float(m.tpr),
        float(m.tpr_low), float(m.tpr_high), m.fpr, reason=lost,
    )  # fmt: skip


def _against_sums(
    plan: FederationPlan, sites: Sites, state: State, member: Mapping[str, NDArray[np.bool_]]
) -> list[AttackRecord]:
    """Against the first sums of the smallest site, and its rows where its endpoint lets them be looked for."""
    from cohortium.federation_site.models import standardised

    name = min(sites, key=lambda s: (len(sites[s]), s))
    site = sites[name]
    question = AskSums(
        digest(encode(plan)),
        3,
        state.columns,
        state.classes,
        state.mean,
        state.sd,
        state.outcome,
        np.zeros(_size(state)),
    )
    z = standardised(site, plan, question)
    assert not isinstance(z, str)
    each = _scores(site, plan, z, state)
    marks = member[name]
    sums = [each[m].sum(0) for m in marks]
    inverse = np.linalg.pinv(each.T @ each + 1e-9 * np.eye(each.shape[1]))
    found = [_record("sums", name, [np.asarray(each @ inverse @ s) for s in sums], marks, plan)]
    if plan.kind == "binary":
        found.append(_reconstructed(plan, sites, name, z, state))
    return found


def _size(state: State) -> int:
    q, k = len(state.columns), len(state.classes)
    return {"survival": q, "multiclass": k * (q + 1)}.get(state.plan.kind, q + 1)


def _scores(site: Site, plan: FederationPlan, z: Array, state: State) -> Array:
    """(n, P) what each unit adds to the gradient at zero."""
    return site.weight[:, None] * _unweighted(site, plan, z, state)


def _unweighted(site: Site, plan: FederationPlan, z: Array, state: State) -> Array:
    """The same without weights; of Cox models a martingale residual times the columns."""
    if plan.kind == "survival":
        rest = site.y - _cumulative(site, np.zeros(len(site)))
        return rest[:, None] * z
    one = np.hstack([np.ones((len(z), 1)), z])
    if plan.kind == "continuous":
        return ((site.y - state.outcome[0]) / state.outcome[1])[:, None] * one
    if plan.kind == "binary":
        return (site.y - 0.5)[:, None] * one
    at = np.array([state.classes.index(c) for c in site.classes])[site.y.astype(int)]
    off = (np.arange(len(state.classes)) == at[:, None]) - 1 / len(state.classes)
    return np.asarray((off[:, :, None] * one[:, None, :]).reshape(len(z), -1))


def _reconstructed(plan: FederationPlan, sites: Sites, name: str, z: Array, state: State) -> AttackRecord:
    """Rows of a site, from all sums that it sent in a fit with the others."""
    from cohortium.attacks import match, recovered, snapped

    record = AttackRecord("reconstruction", "sums", name)
    if z.size > MOST_CELLS:
        return replace(
            record, reason=f"not tried: {len(z)} rows of {z.shape[1]} columns are more than {MOST_CELLS} cells"
        )
    if plan.weighted:
        return replace(record, reason="not tried: sums are weighted")
    if find_spec("torch") is None:
        return replace(record, reason="not tried: it needs the extra 'deep'")
    seen = _exchanged(plan, sites, name)
    import torch

    y = torch.as_tensor(sites[name].y, dtype=torch.float64)
    upper = np.triu_indices(z.shape[1] + 1)

    def messages(x: Any) -> Any:
        one = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), x], 1)
        out = []
        for at, _ in seen:
            p = torch.sigmoid(one @ torch.as_tensor(at))
            out += [one.T @ (p - y), ((one * (p * (1 - p))[:, None]).T @ one)[upper]]
        return torch.cat(out)

    flat = np.concatenate([np.concatenate([s.gradient, s.hessian[upper]]) for _, s in seen])
    rows, misfit = match(messages, flat, (len(z), z.shape[1]), plan.seed)
    two = {
        j: (-state.mean[j] / state.sd[j], (1 - state.mean[j]) / state.sd[j])
        for j, c in enumerate(state.columns)
        if c.level
    }
    r = recovered(snapped(rows, two), z, misfit, plan.seed)
    return replace(
        record,
        rounds=len(seen),
        candidates=r.rows,
        columns=r.columns,
        share=r.share,
        chance=r.chance,
        distance=r.distance,
        misfit=r.misfit,
    )


def _exchanged(plan: FederationPlan, sites: Sites, name: str) -> list[tuple[Array, SiteSums]]:
    """Parameters and sums of every round of the fit, between the coordinator and one site; the fit is done again for it."""
    plan = replace(plan, folds=0)
    own = asking(sites[name], plan)
    seen: list[tuple[Array, SiteSums]] = []

    def ask(data: bytes) -> bytes:
        question, said = decode(data), own(data)
        answer = decode(said)
        if isinstance(question, AskSums) and isinstance(answer, SiteSums):
            seen.append((question.parameters, answer))
        return said

    drive(plan, {s: ask if s == name else asking(site, plan) for s, site in sites.items()})
    return seen
