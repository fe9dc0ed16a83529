"""What a study file may say of a network that is trained with differential privacy, and what it may not, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cohortium.contracts.network_plan import NetworkPlan
from cohortium.errors import StudyError
from cohortium.privacy.refusing import COX
from cohortium.study.federating_network import SERVER_RATE
from cohortium.study.federating_stack import check_lacking

if TYPE_CHECKING:
    from cohortium.federation_site import Site
    from cohortium.study.load import Study

NETWORK_ROUNDS, NETWORK_CLIP, NETWORK_STEP = 15, 0.4, 8.0
NETWORK_WIDTH, NETWORK_FUSION = 8, "gated"
"""Where the study file does not say; chosen on simulated sites (``benchmarks/private_networks.py --tune``), of which some lack a modality."""

SAID = {
    "rounds": "rounds are paid for: say federation.privacy.rounds",
    "local_epochs": "steps are paid for: say federation.privacy.steps",
    "batch": "patients are taken by chance or all: say federation.privacy.sampled",
    "optimiser": "a site takes plain noisy steps, of length federation.privacy.step; strategy: fedadam makes the coordinator's step one of Adam",
    "rate": "say federation.privacy.step",
    "decay": "cutting and noise hold the weights back, and nothing else does",
    "gradient_clip": "each patient's gradient is cut: say federation.privacy.clip",
    "clip": "each patient's gradient is cut: say federation.privacy.clip",
    "dropout": "nothing is dropped: gradients are noisy as they are",
    "modality_dropout": "nothing is dropped: gradients are noisy as they are",
}
"""Keys of ``federation.network`` that have no meaning under privacy."""


def private_network_plan(study: Study) -> NetworkPlan:
    """The network's part of a private plan, defaults filled in. Raises :class:`StudyError`."""
    f, where = study.spec.federation, study.path.name
    n, given = f.network, f.network.model_fields_set
    if f.penalty:
        raise StudyError(f"{where}: federation.penalty is of linear models. Take it out.")
    check_lacking(study)
    reason = ""
    if n.survival == "cox":
        reason = f"survival: cox: {COX} Take it out, and declare federation.privacy.times"
    elif n.strategy == "scaffold":
        reason = (
            "strategy: scaffold: its control variates are gradients of all of a site's patients in each round, and would be paid for as the steps are. "
            "Take fedavg, fedprox or fedadam"
        )
    elif n.personal:
        reason = (
            "personal: true: a site's own head is fitted exactly to all its patients, and gradients of the body are taken at it: one patient "
            "would change those of all others. Take it out"
        )
    elif n.inner:
        reason = (
            "inner: a round is chosen by exact losses of patients kept from training. Take it out: the rounds are fixed"
        )
    elif some := [k for k in SAID if k in given]:
        reason = f"{some[0]}: {SAID[some[0]]}. Take it out of federation.network"
    if reason:
        raise StudyError(f"{where}: federation.privacy does not go with federation.network.{reason}.")
    return NetworkPlan(
        n.strategy, 0, 1, 0, "sgd", 0.0, 0.0, 0.0, n.fusion if "fusion" in given else NETWORK_FUSION,
        n.width if "width" in given else NETWORK_WIDTH, 0.0, 0.0, n.proximal if n.strategy == "fedprox" else 0.0,
        n.server_rate or (SERVER_RATE if n.strategy == "fedadam" else 1.0), 0.0, n.aggregate, False, "discrete_time", 0.0,
        study.spec.seed,
    )  # fmt: skip


def as_declared(sites: Mapping[str, Site]) -> dict[str, Site]:
    """Sites of a simulation as real ones would be: a table that nobody at a site is in would not be in its study file (``lacks``)."""
    out = {}
    for name, s in sites.items():
        has = {f.modality for f in s.features if not np.isnan(f.values).all()}
        out[name] = replace(s, features=tuple(f for f in s.features if f.modality in has))
    return out
