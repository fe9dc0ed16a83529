"""The joint representation of a study's units, with the study's settings: for ``embed``, ``impute`` and ``subtype``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cohortium.errors import DataError

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.experiment import Progress
    from cohortium.joint import Joint
    from cohortium.study.load import Study

METHODS = ("factors", "vae")
FEWEST = 10
"""Units without which no representation is learned."""


def settings_of(study: Study, method: str) -> Any:
    """The first entry of the study's ``joint`` for the method, or its defaults."""
    from cohortium.schema.joint import JointLearner

    return next((j for j in study.spec.joint if j.model == method), JointLearner(model=method))


def vae_settings(study: Study) -> Any:
    """Of the autoencoder, as the study's entry has them. Raises :class:`MissingExtra` without torch."""
    from cohortium._optional import require
    from cohortium.joint.vae import VaeSettings

    require("torch", extra="deep", purpose="The representation 'vae'")
    j = settings_of(study, "vae")
    return VaeSettings(j.posterior, j.size, j.width, j.dropout, j.batch, j.rate, j.decay, j.epochs, tuple(j.counts))


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
            return _fit_factors(study, cohort, tell) if method == "factors" else _fit_vae(study, cohort, tell)
        except ValueError as e:
            raise DataError(f"{study.path.name}: {e}.") from e


def _fit_vae(study: Study, cohort: Cohort, tell: Progress) -> tuple[Joint, dict[str, Any]]:
    settings, seed = vae_settings(study), study.spec.seed
    from cohortium.experiment import ProgressEvent
    from cohortium.joint.choosing import check_folds
    from cohortium.joint.vae_training import EPOCHS, fit_joint_vae

    looks = sum(e < settings.epochs for e in EPOCHS) + 2
    told = iter(range(1, looks))
    each = lambda: tell(ProgressEvent("fit", next(told, looks - 1), looks))  # noqa: E731
    tell(ProgressEvent("fit", 0, looks))
    joint, epochs = fit_joint_vae(cohort, settings, seed, check_folds(cohort, seed), each)
    tell(ProgressEvent("fit", looks, looks))
    return joint, {"epochs": epochs, "posterior": settings.posterior}


def _fit_factors(study: Study, cohort: Cohort, tell: Progress) -> tuple[Joint, dict[str, Any]]:
    from cohortium.experiment import ProgressEvent
    from cohortium.joint.choosing import choose_factors, fits_to_choose

    fits = fits_to_choose(cohort)
    told = iter(range(1, fits + 1))
    tell(ProgressEvent("fit", 0, fits))
    size = settings_of(study, "factors").size
    joint, cap = choose_factors(cohort, size, study.spec.seed, lambda: tell(ProgressEvent("fit", next(told), fits)))
    return joint, {} if cap is None else {"wide_modalities_count_as": f"{cap:g} features each"}
