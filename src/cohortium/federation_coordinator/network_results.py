"""From the end of training to records."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from cohortium.contracts.federation_network import NetworkModel
from cohortium.contracts.federation_results import FederatedResults, MessageRow, NetworkFit
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.network_checking import names
from cohortium.federation_coordinator.network_state import network
from cohortium.federation_coordinator.performance import evaluation
from cohortium.federation_coordinator.results import site_records
from cohortium.federation_coordinator.state import State


def network_results(
    state: State,
    model: NetworkModel,
    messages: Sequence[MessageRow],
    seconds: Sequence[float],
    engine: str,
    version: str,
) -> FederatedResults:
    """Everything that is reported of a network across sites."""
    plan, fit = state.plan, network(state)
    modalities = [n.removeprefix("modality:") for n in names(state) if n.startswith("modality:")]
    have = {s: {m: n.get(f"modality:{m}", 0) for m in modalities} for s, n in fit.have.items()}
    inner = [float(x) if np.isfinite(x) else None for x in fit.inner]
    found = NetworkFit(
        int(fit.sizes.sum()),
        modalities,
        have,
        [float(x) for x in fit.losses],
        inner,
        fit.best,
        json.loads(encode(model)),
        [],
    )
    return FederatedResults(
        plan.study, plan.endpoint, plan.kind, plan, digest(encode(plan)), site_records(state), state.classes, "", [], {},
        float(fit.losses[-1]), state.round - 1, None, list(state.notices), list(messages), list(seconds), engine, version,
        evaluation=evaluation(state), network=found,
    )  # fmt: skip
