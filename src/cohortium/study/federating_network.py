"""What a study file declares of a network that is trained across sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.contracts.network_plan import NetworkPlan
from cohortium.errors import StudyError

if TYPE_CHECKING:
    from cohortium.study.load import Study

SERVER_RATE = 0.01
"""Of FedAdam's step, where the study does not say."""

RATES = {"sgd": 0.2, "adam": 0.003}
FEDADAM_RATE = 0.05
"""Of the sites' steps with FedAdam; all chosen on simulated sites of which some lack a modality."""


def network_plan(study: Study) -> NetworkPlan:
    """The network's part of the plan, defaults filled in. Raises :class:`StudyError`."""
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
    for m, said in spec.cohort.modalities.items():
        if getattr(said, "harmonise", "none") != "none" and m in (f.modalities or spec.cohort.modalities):
            raise StudyError(
                f"{where}: modality '{m}' says harmonise: combat, which networks across sites do not know yet. Take it out, or name other "
                "tables under federation: {modalities: [...]}."
            )
    check_lacks(study)
    optimiser = n.optimiser or ("sgd" if n.strategy in ("scaffold", "fedadam") else "adam")
    rate = n.rate or (FEDADAM_RATE if (n.strategy, optimiser) == ("fedadam", "sgd") else RATES[optimiser])
    return NetworkPlan(
        n.strategy, n.rounds, n.local_epochs, n.batch, optimiser, rate, n.decay, n.gradient_clip, n.fusion,
        n.width, n.dropout, n.modality_dropout, n.proximal if n.strategy == "fedprox" else 0.0,
        n.server_rate or (SERVER_RATE if n.strategy == "fedadam" else 1.0), n.clip, n.aggregate, n.personal, n.survival, n.inner,
        spec.seed,
    )  # fmt: skip


def check_lacks(study: Study) -> None:
    """Raise :class:`StudyError` for modalities that a site says it lacks and has, or that are none of the study."""
    spec, f, where = study.spec, study.spec.federation, study.path.name
    for m in f.lacks:
        if m in spec.cohort.modalities:
            raise StudyError(f"{where}: federation.lacks names '{m}', which is a modality of this study file.")
        if m not in (f.modalities or []):
            raise StudyError(
                f"{where}: federation.lacks names '{m}', which federation.modalities does not: it lists those of all sites, in "
                "the same order at each."
            )
