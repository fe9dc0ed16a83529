"""The joint representation of a study's units, with the study's settings: for ``embed``, ``impute`` and ``subtype``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cohortium.errors import DataError

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.experiment import Progress
    from cohortium.joint import Joint
    from cohortium.study.load import Study

METHODS = ("factors", "cca", "vae", "contrastive")
FEWEST = 10
"""Units without which no representation is learned."""


def settings_of(study: Study, method: str) -> Any:
    """The first entry of the study's ``joint`` for the method, or its defaults."""
    from cohortium.schema.joint import JointLearner

    return next((j for j in study.spec.joint if j.model == method), JointLearner(model=method))


def network_settings(study: Study, method: str) -> Any:
    """Of a network, as the study's entry has them. Raises :class:`MissingExtra` without torch."""
    from cohortium._optional import require
    from cohortium.joint.coordinated import CoordinatedSettings
    from cohortium.joint.vae import VaeSettings

    require("torch", extra="deep", purpose=f"The representation '{method}'")
    j = settings_of(study, method)
    shared = {k: getattr(j, k) for k in ("width", "dropout", "batch", "rate", "decay", "epochs")}
    shared |= {"latent": j.size, "counts": tuple(j.counts)}
    if method == "vae":
        return VaeSettings(posterior=j.posterior, **shared)
    return CoordinatedSettings(alignment=j.alignment, **shared)


def fit_representation(
    study: Study, cohort: Cohort, method: str, tell: Progress, fewest: int = FEWEST
) -> tuple[Joint, dict[str, Any]]:
    """The representation of the units, and what was chosen for it. fewest: units that have any modality.

    Raises :class:`DataError`.
    """
    from threadpoolctl import threadpool_limits

    n = int(cohort.presence().any(axis=1).sum())
    if n < fewest:
        what = "a joint representation needs" if fewest == FEWEST else "subtypes need"
        raise DataError(f"Only {n} units have any modality; {what} {fewest}.")
    with threadpool_limits(limits=1):  # the same numbers whatever the machine is doing
        try:
            if method in ("vae", "contrastive"):
                return _fit_network(study, cohort, method, tell)
            return (_fit_factors if method == "factors" else _fit_canonical)(study, cohort, tell)
        except ValueError as e:
            raise DataError(f"{study.path.name}: {e}.") from e


def _fit_network(study: Study, cohort: Cohort, method: str, tell: Progress) -> tuple[Joint, dict[str, Any]]:
    settings, seed = network_settings(study, method), study.spec.seed
    from cohortium.experiment import ProgressEvent
    from cohortium.joint.choosing import check_folds
    from cohortium.joint.coordinated_training import CoordinatedRun
    from cohortium.joint.network_training import EPOCHS, fit_network
    from cohortium.joint.vae_training import VaeRun

    looks = sum(e < settings.epochs for e in EPOCHS) + 2
    told = iter(range(1, looks))
    each = lambda: tell(ProgressEvent("fit", next(told, looks - 1), looks))  # noqa: E731
    tell(ProgressEvent("fit", 0, looks))
    run, names = VaeRun if method == "vae" else CoordinatedRun, list(cohort.modalities)
    folds = check_folds(cohort, seed)
    joint, epochs = fit_network(lambda c: run(c, names, settings, seed), cohort, settings.epochs, folds, each)
    tell(ProgressEvent("fit", looks, looks))
    how = {"posterior": settings.posterior} if method == "vae" else {"alignment": settings.alignment}
    return joint, {"epochs": epochs, **how}


def _fit_canonical(study: Study, cohort: Cohort, tell: Progress) -> tuple[Joint, dict[str, Any]]:
    import numpy as np

    from cohortium.experiment import ProgressEvent
    from cohortium.joint.canonical import fit_joint_canonical

    tell(ProgressEvent("fit", 0, 1))
    joint = fit_joint_canonical(cohort, size=settings_of(study, "cca").size)
    tell(ProgressEvent("fit", 1, 1))
    found = joint.model.agreement
    seen = {} if np.isnan(found).any() else {"agreement_of_units_held_out": [round(float(r), 4) for r in found]}
    return joint, {"ridge": joint.model.ridge, **seen}


def _fit_factors(study: Study, cohort: Cohort, tell: Progress) -> tuple[Joint, dict[str, Any]]:
    from cohortium.experiment import ProgressEvent
    from cohortium.joint.choosing import choose_factors, fits_to_choose

    fits = fits_to_choose(cohort)
    told = iter(range(1, fits + 1))
    tell(ProgressEvent("fit", 0, fits))
    size = settings_of(study, "factors").size
    joint, cap = choose_factors(cohort, size, study.spec.seed, lambda: tell(ProgressEvent("fit", next(told), fits)))
    return joint, {} if cap is None else {"wide_modalities_count_as": f"{cap:g} features each"}
