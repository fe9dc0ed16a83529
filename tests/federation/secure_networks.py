"""Networks under secure aggregation in one process: sites of :mod:`tests.federation.network_sites` with keys."""

from __future__ import annotations

from dataclasses import replace

from cohortium.contracts.federation import SecurePlan
from tests.federation import network_sites as cut
from tests.federation.secure_runs import run, sites_of

LACKING = {"east": ("images",)}
"""Three sites have each modality: of fewer there would be no sum."""


def secure_plan(kind: str, bits: int = 64, clip: float = 50.0, quorum: int = 3, **how):
    return replace(cut.plan(kind, clip=clip, **how), secure=SecurePlan(3, bits), quorum=quorum)


def found(kind: str, sizes=(40, 60, 50, 45), lacks=LACKING, seed: int = 1):
    import numpy as np

    rng = np.random.default_rng(seed)
    names = ("north", "east", "west", "south")
    return {n: cut.site(n, k, kind, rng, lacks.get(n, ())) for n, k in zip(names, sizes, strict=False)}


def secured(plan, sites, **how):
    """The state at the end of a study with new keys, and the sites."""
    made = sites_of(plan, found=sites)
    return run(plan, made, **how), made
