"""Attacks on private networks: on the noisy updates of one site, of which the coordinator sees all, and on rows behind an early one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_private import AskPrivateUpdate
from cohortium.contracts.federation_results import AttackRecord
from cohortium.study.attacking_network import MOST_CELLS, ROUND
from cohortium.study.fitting_together import fit_together
from cohortium.study.private_fitting import PrivateModel, PrivateNetwork, fit_private, privacy_of

if TYPE_CHECKING:
    from cohortium.federation_site import Site

Array = NDArray[np.float64]


def fitted(
    sites: Mapping[str, Site], plan: FederationPlan, epsilon: float | None, seed: int
) -> PrivateModel | PrivateNetwork:
    """A shadow model, by the faster way where the plan allows it."""
    from cohortium.study.fitting_together import fits

    if not fits(plan):
        return fit_private(sites, plan, epsilon, seed)
    return fit_together(sites, plan, epsilon, seed)


def _questions(plan: FederationPlan, sites: Mapping[str, Site]) -> list[AskPrivateUpdate]:
    """What sites are asked in a fit of everybody, as if it took one step of all patients in each round."""
    p = privacy_of(plan)
    seen: list[AskPrivateUpdate] = []
    one = replace(plan, privacy=replace(p, steps=1, sampled=1.0))
    fit_together(sites, one, p.epsilon, plan.seed, lambda q, each, here: seen.append(q))
    return seen


def _noise(plan: FederationPlan) -> float:
    """Of a step on each number of a site's sum, by its standard deviation."""
    from cohortium.privacy.schedule import schedule

    p = replace(privacy_of(plan), steps=1, sampled=1.0, hold_out=0.0)
    return p.clip / schedule(p).gradient


def _shares(site: Site, plan: FederationPlan, q: AskPrivateUpdate) -> Array:
    """(m, P) of each patient, cut to his norm, over the numbers that the site sends."""
    from cohortium.federation_site.private_network import Network

    each = np.vstack(list(Network(site, plan, q).load().shares(np.unique(site.patient))))
    norm = np.linalg.norm(each, axis=1, keepdims=True)
    return np.asarray(each * np.minimum(1.0, privacy_of(plan).clip / np.maximum(norm, 1e-300)))


def updates_told(plan: FederationPlan, sites: Mapping[str, Site], name: str, member: NDArray[np.bool_]) -> list[Array]:
    """For each random half of a site's units (a row of ``member``) how much its noisy updates of all rounds point to each candidate: their
    products with his own, summed. Rounds are those of one fit of everybody."""
    site, deviation = sites[name], _noise(plan)
    _, who = np.unique(site.patient, return_inverse=True)
    chosen = np.array([np.bincount(who, half) > 0 for half in member])
    rng = np.random.default_rng([plan.seed, 2])
    told = np.zeros((len(member), len(site)))
    for q in _questions(plan, sites):
        own = _shares(site, plan, q)
        for k, people in enumerate(chosen):
            released = own[people].sum(0) + deviation * rng.standard_normal(own.shape[1])
            told[k] += (own @ released)[who]
    return list(told)


def rows_inverted(plan: FederationPlan, sites: Mapping[str, Site], name: str) -> AttackRecord:
    """Rows of a site whose clipped gradients add up to what it released in an early round, noise and all; outcomes, and who has which modality, are known
    to the attacker."""
    from cohortium.attacks import match, recovered
    from cohortium.federation_site.private_network import Network

    record = AttackRecord("reconstruction", "update", name, rounds=1)
    if find_spec("torch") is None:
        return replace(record, reason="not tried: it needs the extra 'deep'")
    asked = _questions(plan, sites)
    here = Network(sites[name], plan, asked[min(ROUND, len(asked)) - 1]).load()
    x, present = here.rows()
    marks = [present[:, j].numpy() for j in range(len(x))]
    cells = int(sum(m.sum() * v.shape[1] for m, v in zip(marks, x, strict=True)))
    if cells > MOST_CELLS or len(np.unique(sites[name].patient)) < len(sites[name]):
        return replace(record, reason=f"not tried: {cells} cells, or several units of a patient; at most {MOST_CELLS}")
    gradient = _summed(here)
    truth = np.hstack([np.where(m[:, None], v.numpy(), 0.0) for m, v in zip(marks, x, strict=True)])
    import torch

    rng = np.random.default_rng([plan.seed, 3])
    seen = gradient(torch.as_tensor(truth)).detach().numpy()
    seen = seen + _noise(plan) * rng.standard_normal(len(seen))
    flat, misfit = match(gradient, seen, truth.shape, plan.seed, steps=100)
    known = np.hstack([np.repeat(m[:, None], v.shape[1], 1) for m, v in zip(marks, x, strict=True)])
    r = recovered(flat * known, truth, misfit, plan.seed)
    return replace(
        record,
        candidates=r.rows,
        columns=r.columns,
        share=r.share,
        chance=r.chance,
        distance=r.distance,
        misfit=r.misfit,
    )


def _summed(here: Any) -> Any:
    """(n, q) rows -> sum of their gradients over all numbers, each cut to the norm. Differentiable."""
    import torch

    from cohortium.federation_site.private import outcomes_of
    from cohortium.federation_site.private_network import unit_loss
    from cohortium.networks.per_patient import gradients
    from cohortium.privacy import models

    site, plan = here.site, here.plan
    x, present = here.rows()
    sizes = [v.shape[1] for v in x]
    target, mark = map(torch.as_tensor, models.targets(outcomes_of(site, plan, np.ones(len(site), bool))))
    loss, clip = unit_loss(plan.kind, torch), privacy_of(plan).clip

    def summed(rows: Any) -> Any:
        found = gradients(here.model, list(torch.split(rows, sizes, 1)), present, loss, target, mark)
        each = torch.cat([(g * w).flatten(1) for g, w in zip(found, here.weights, strict=True)], 1)
        return (each * (clip / each.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1.0)).sum(0)

    return summed
