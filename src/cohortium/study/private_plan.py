"""Private studies: what the study file declares of them, and sites that answer with noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_wire import decode, encode

if TYPE_CHECKING:
    from cohortium.federation_site import Site
    from cohortium.privacy.ledger import Ledger


def asking_privately(
    site: Site, plan: FederationPlan, ledger: Ledger | None = None, seed: int | None = None
) -> Callable[[bytes], bytes]:
    """A site of a simulation: noise by the seed, the ledger in memory unless one is given."""
    from cohortium.federation_site.private import private_answer
    from cohortium.privacy.grid import SeededNoise
    from cohortium.privacy.ledger import Ledger

    p = plan.privacy
    assert p is not None
    kept = Ledger(p.epsilon, p.delta) if ledger is None else ledger
    noise = SeededNoise(plan.seed if seed is None else seed, site.name)
    return lambda data: encode(private_answer(site, plan, decode(data), kept, noise))
