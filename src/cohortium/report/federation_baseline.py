"""On the page of a federated fit: a baseline hazard that all sites share."""

from __future__ import annotations

import math

from cohortium.contracts.federation_results import FederatedResults
from cohortium.report.words import count


def baseline_model(r: FederatedResults) -> str:
    """The model's name, or an empty text where each site has a baseline of its own."""
    if r.plan.baseline is None:
        return ""
    bins = count(len(r.cuts) + 1, "bin")
    return f"Cox model with one baseline hazard for all sites, constant within {bins} of time"


def baseline_facts(r: FederatedResults) -> list[tuple[str, str]]:
    """The bins, and the hazard in each with every column at 0: rows of the list of facts."""
    if r.plan.baseline is None:
        return []
    unit = r.plan.time_unit or "units of time"
    hazards = "; ".join(f"{name} {unit} {math.exp(min(x, 700)):.3g}" for name, x in r.intercepts.items())
    how = "declared" if r.plan.baseline.times is not None else "as many as hold enough events at every site"
    return [("bins of time", how), (f"hazard (per {unit}) with every column at 0", hazards)]
