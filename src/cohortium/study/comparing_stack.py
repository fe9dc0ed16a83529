"""A federated stack beside each site's own, and beside the stack of all rows, on the same folds; only a simulation can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import FederatedResults
from cohortium.errors import FederationError
from cohortium.study.comparing_networks import beside, wanted_pairs

if TYPE_CHECKING:
    from cohortium.federation_coordinator import State
    from cohortium.federation_site import Site


def compared_stack(
    found: FederatedResults, state: State, sites: Mapping[str, Site], plan: FederationPlan
) -> FederatedResults:
    """The results with the performance of each site's own stack, and of one on all rows; both only where there is an evaluation."""
    if found.evaluation is None or found.stack is None:
        note = "Stacks are compared by how well they predict: say --evaluate too."
        return replace(found, notices=[*found.notices, note])
    try:
        found, evaluation = beside(found, state, sites, plan)
    except FederationError as e:
        return replace(found, notices=[*found.notices, f"There is nothing to compare with: {e}"])
    assert found.stack is not None
    return replace(found, evaluation=evaluation, stack=replace(found.stack, paired=wanted_pairs(evaluation)))
