"""A private network of sites in this process, with the gradients of all of them made at once: what attacks and benchmarks do hundreds of times.

The coordinator's steps are its own; only the sites' sums are made here, with Gaussian noise of the same size on no grid. For plans that take one step of all
patients in a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_private import AskPrivateUpdate, PrivatePart, SitePrivateUpdate
from cohortium.contracts.federation_wire import decode, encode
from cohortium.study.private_fitting import PrivateNetwork, privacy_of

if TYPE_CHECKING:
    from cohortium.federation_site import Site
    from cohortium.federation_site.private_network import Network

Array = NDArray[np.float64]

Seen = Callable[[AskPrivateUpdate, Array, "Network"], None]
"""Called in each round with the question, the gradients of all patients, each cut to its norm (n, P), and the network."""


def fits(plan: FederationPlan) -> bool:
    """Whether a plan is of the kind that this knows."""
    return plan.network is not None and (privacy_of(plan).steps, privacy_of(plan).sampled) == (1, 1.0)


def fit_together(
    sites: Mapping[str, Site], plan: FederationPlan, epsilon: float | None, seed: int, seen: Seen | None = None
) -> PrivateNetwork:
    """As :func:`cohortium.study.private_fitting.fit_private`. Raises :class:`cohortium.errors.FederationError`."""
    from cohortium.federation_coordinator import begin, question, step
    from cohortium.federation_site.private_network import Network
    from cohortium.privacy.ledger import Ledger
    from cohortium.privacy.schedule import schedule
    from cohortium.study.private_plan import asking_privately

    budget = math.inf if epsilon is None else epsilon
    p = replace(privacy_of(plan), epsilon=budget, hold_out=0.0)
    made = replace(plan, quorum=1, least_patients=1, privacy=p)
    state = begin(made, list(sites))
    asked = encode(question(state))
    counts = {n: decode(asking_privately(s, made, Ledger(budget, p.delta), seed)(asked)) for n, s in sites.items()}
    state = step(state, counts)
    one, whose = together({n: sites[n] for n in state.here})
    rng = np.random.default_rng([seed, 1])
    mu = schedule(p).gradient
    while state.phase != "done":
        q = question(state)
        here = Network(one, made, q).load()
        each = np.vstack(list(here.shares(np.unique(one.patient))))
        each *= np.minimum(1.0, p.clip / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-300))
        if seen is not None:
            seen(q, each, here)
        answers = {}
        for n in state.here:
            total = each[whose == n].sum(0) + p.clip / mu * rng.standard_normal(each.shape[1])
            answers[n] = _update(n, sites[n], q, -p.step / q.patients * total * here.weight, here)
        state = step(state, answers)
    fit: Any = state.fit
    return PrivateNetwork(made, state.mean, state.sd, fit.base, fit.average)


def _update(name: str, site: Site, q: AskPrivateUpdate, by: Array, here: Network) -> SitePrivateUpdate:
    """The parts of the modalities that the site has."""
    there = {f.modality for f in site.features}
    parts, at = [], 0
    for short, full in zip(here.layout.names, here.names, strict=True):
        size = here.layout.sizes[short]
        if not short.isdigit() or here.modalities[int(short)] in there:
            parts.append(PrivatePart(full, by[at : at + size]))
        at += size
    return SitePrivateUpdate(name, q.plan, q.round, tuple(parts))


def together(sites: Mapping[str, Site]) -> tuple[Site, NDArray[np.str_]]:
    """All units as one site, and (m,) of each of its patients, in order, whose he is."""
    first, several = next(iter(sites.values())), list(sites.values())
    known: dict[tuple[str, str], Any] = {}
    for s in several:
        known |= {(f.modality, f.name): f for f in s.features if (f.modality, f.name) not in known}
    features = []
    for key, f in known.items():
        own = [
            next((g.values for g in s.features if (g.modality, g.name) == key), np.full(len(s), np.nan))
            for s in several
        ]
        features.append(replace(f, values=np.concatenate(own)))
    codes, whose, at = [], [], 0
    for n, s in sites.items():
        who, code = np.unique(s.patient, return_inverse=True)
        codes.append(code + at)
        whose += [n] * len(who)
        at += len(who)
    rest = {k: np.concatenate([getattr(s, k) for s in several]) for k in ("weight", "stratum", "y", "time", "entry")}
    return replace(
        first, name="all", features=tuple(features), patient=np.concatenate(codes), draw=None, **rest
    ), np.array(whose)
