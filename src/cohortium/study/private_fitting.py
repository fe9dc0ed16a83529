"""One private fit of sites in this process, as benchmarks and attacks repeat it: patients, epsilon and a seed in, a model out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.private_plan import PrivacyPlan

if TYPE_CHECKING:
    from cohortium.federation_site import Site

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PrivateModel:
    """A fitted model. mean, sd: (q,) of columns. parameters: (P,)."""

    plan: FederationPlan
    mean: Array
    sd: Array
    parameters: Array

    def scores(self, site: Site) -> Array:
        """(n,) of a site's units, or (n, K) of several classes. Direction: of survival, higher is riskier; values in the endpoint's unit."""
        from cohortium.federation_site.private import values_of
        from cohortium.privacy.models import linear
        from cohortium.privacy.planned import classes_of

        x = values_of(site, privacy_of(self.plan))
        z = np.where(np.isnan(x), 0.0, (x - self.mean) / self.sd)
        found = linear(z, self.plan.kind, self.parameters, classes_of(self.plan.kind, self.plan.classes))
        low, high = privacy_of(self.plan).outcome
        # Values are fitted between the declared bounds, as -1 to 1.
        return (low + high) / 2 + (high - low) / 2 * found if self.plan.kind == "continuous" else found


@dataclass(frozen=True, eq=False)
class PrivateNetwork:
    """A network that was fitted privately. base: (H,). change: part -> what was added to its start."""

    plan: FederationPlan
    mean: Array
    sd: Array
    base: Array
    change: dict[str, Array]

    def scores(self, site: Site) -> Array:
        """As of :class:`PrivateModel`."""
        from cohortium.contracts.federation_private import AskPrivateNetworkScores
        from cohortium.federation_site.private_network import Network, as_parts

        q = AskPrivateNetworkScores("", 0, self.mean, self.sd, self.base, as_parts(self.change))
        found = Network(site, self.plan, q).load().scores()
        low, high = privacy_of(self.plan).outcome
        return (low + high) / 2 + (high - low) / 2 * found if self.plan.kind == "continuous" else found


def privacy_of(plan: FederationPlan) -> PrivacyPlan:
    """The plan's privacy."""
    assert plan.privacy is not None
    return plan.privacy


def fit_private(
    sites: Mapping[str, Site], plan: FederationPlan, epsilon: float | None, seed: int
) -> PrivateModel | PrivateNetwork:
    """The model that a private study of these sites gives. plan: a private one, of ``plan_of``. epsilon: None for the same steps without
    noise. seed: of the noise. To fit on some patients, hand over :func:`cohortium.federation_site.trials.take` of each site.

    Raises :class:`cohortium.errors.FederationError`.
    """
    from cohortium.privacy.ledger import Ledger
    from cohortium.study.federating import drive
    from cohortium.study.private_plan import asking_privately

    budget = math.inf if epsilon is None else epsilon
    made = replace(plan, quorum=1, least_patients=1, privacy=replace(privacy_of(plan), epsilon=budget, hold_out=0.0))
    asks = {n: asking_privately(s, made, Ledger(budget, privacy_of(made).delta), seed) for n, s in sites.items()}
    state = drive(made, asks).state
    if made.network is not None:
        fit = state.fit
        return PrivateNetwork(made, state.mean, state.sd, fit.base, fit.average)  # type: ignore[union-attr]
    return PrivateModel(made, state.mean, state.sd, state.fit.average)  # type: ignore[union-attr]
