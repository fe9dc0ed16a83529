"""What a study file declares of a network that is trained across sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.contracts.network_plan import NetworkPlan
from cohortium.errors import StudyError
from cohortium.study.federating_stack import check_lacking

if TYPE_CHECKING:
    from cohortium.study.load import Study

SERVER_RATE = 0.01
"""Of FedAdam's step, where the study does not say."""

RATES = {"sgd": 0.2, "adam": 0.003}
FEDADAM_RATE = 0.05
"""Of the sites' steps with FedAdam; all chosen on simulated sites of which some lack a modality."""


SECURE_CLIP = 5.0
"""Norm of a site's change under secure aggregation, where the study does not say: about five times that of a site of 200 patients in a round."""

EXCLUDES = (
    "federation.network.aggregate: {how} compares single updates, which federation.secure hides: the two exclude each other. Take aggregate: mean; "
    "each site cuts the norm of its change to federation.network.clip before it is masked"
)


def network_plan(study: Study, secure: bool = False) -> NetworkPlan:
    """The network's part of the plan, defaults filled in. secure: with secure aggregation. Raises :class:`StudyError`."""
    spec, f = study.spec, study.spec.federation
    n, where = f.network, study.path.name
    if f.penalty:
        raise StudyError(
            f"{where}: federation.penalty is of linear models; for a network say federation.network.decay."
        )
    if spec.design.weight is not None:
        raise StudyError(
            f"{where}: networks across sites do not know design.weight yet. Take it out, or method: linear."
        )
    if f.select is not None:
        raise StudyError(f"{where}: federation.select is of linear models; a network takes all columns of its tables.")
    if secure and n.aggregate != "mean":
        raise StudyError(f"{where}: {EXCLUDES.format(how=n.aggregate)}.")
    for m, said in spec.cohort.modalities.items():
        if getattr(said, "harmonise", "none") != "none" and m in (f.modalities or spec.cohort.modalities):
            raise StudyError(
                f"{where}: modality '{m}' says harmonise: combat, which networks across sites do not know yet. Take it out, or name other "
                "tables under federation: {modalities: [...]}."
            )
    check_lacking(study)
    optimiser = n.optimiser or ("sgd" if n.strategy in ("scaffold", "fedadam") else "adam")
    rate = n.rate or (FEDADAM_RATE if (n.strategy, optimiser) == ("fedadam", "sgd") else RATES[optimiser])
    return NetworkPlan(
        n.strategy, n.rounds, n.local_epochs, n.batch, optimiser, rate, n.decay, n.gradient_clip, n.fusion,
        n.width, n.dropout, n.modality_dropout, n.proximal if n.strategy == "fedprox" else 0.0,
        n.server_rate or (SERVER_RATE if n.strategy == "fedadam" else 1.0),
        n.clip or (SECURE_CLIP if secure else 0.0), n.aggregate, n.personal, n.survival, n.inner,
        spec.seed,
    )  # fmt: skip
