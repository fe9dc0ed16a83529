"""Attacks on private fits: on their model, and on the noisy gradients of one site, of which the coordinator sees all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_private import AskPrivateGradient
from cohortium.contracts.federation_wire import decode
from cohortium.study.federating import drive

if TYPE_CHECKING:
    from cohortium.federation_site import Site

Array = NDArray[np.float64]


def gradients_told(
    plan: FederationPlan, sites: Mapping[str, Site], name: str, member: NDArray[np.bool_]
) -> list[Array]:
    """For each random half of a site's units (a row of ``member``) how much its noisy gradients of all steps point to each candidate: their
    products with his own, summed over the steps. Steps are those of one fit of everybody."""
    from cohortium.federation_site.private import outcomes_of, values_of
    from cohortium.privacy.grid import SeededNoise, noisy_sum
    from cohortium.privacy.models import unit_gradients
    from cohortium.privacy.planned import gradient_bound
    from cohortium.privacy.schedule import schedule
    from cohortium.privacy.statistics import by_patient

    assert plan.privacy is not None
    made = replace(plan, quorum=1, least_patients=1, privacy=replace(plan.privacy, hold_out=0.0))
    p, site = made.privacy, sites[name]
    assert p is not None
    x, everyone = values_of(site, p), np.ones(len(site), bool)
    bound, mu = gradient_bound(p), schedule(p).gradient
    _, who = np.unique(site.patient, return_inverse=True)
    chosen = np.array([np.bincount(who, half) > 0 for half in member])
    told = np.zeros((len(member), len(site)))
    for step, q in enumerate(_questions(made, sites, name)):
        z = np.where(np.isnan(x), 0.0, (x - q.mean) / q.sd)
        each = by_patient(unit_gradients(z, outcomes_of(site, made, everyone), q.parameters), site.patient)
        own = each * np.minimum(1.0, bound / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-300))
        for k, people in enumerate(chosen):
            noise = SeededNoise(plan.seed + 1 + k, name)
            told[k] += (own @ noisy_sum(each[people], bound, mu, noise, f"attack {step}"))[who]
    return list(told)


def _questions(plan: FederationPlan, sites: Mapping[str, Site], name: str) -> list[AskPrivateGradient]:
    """What a site is asked in a fit of all its patients and the others'."""
    from cohortium.privacy.ledger import Ledger
    from cohortium.study.private_plan import asking_privately

    assert plan.privacy is not None
    budget, delta = plan.privacy.epsilon, plan.privacy.delta
    asks = {n: asking_privately(s, plan, Ledger(budget, delta)) for n, s in sites.items()}
    seen: list[AskPrivateGradient] = []

    def ask(data: bytes) -> bytes:
        question = decode(data)
        if isinstance(question, AskPrivateGradient):
            seen.append(question)
        return asks[name](data)

    drive(plan, {n: ask if n == name else a for n, a in asks.items()})
    return seen
