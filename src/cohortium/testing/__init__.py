"""Simulated cohorts with planted truth, as objects and as real files, and the laws that every learner keeps.

Public: for tests of plug-ins and for trying a study before there are patients. May know: everything below the
study room. Nothing that is shipped imports it.
"""

from cohortium.testing.files import write_study_folder
from cohortium.testing.items import (
    asked_instances,
    between_modalities,
    followed_codes,
    patient_communities,
    rare_instances,
)
from cohortium.testing.laws import LawBroken, check_learner, simulated_fold
from cohortium.testing.simulate import Simulated, simulate_cohort

__all__ = [
    "LawBroken",
    "Simulated",
    "asked_instances",
    "between_modalities",
    "check_learner",
    "followed_codes",
    "patient_communities",
    "rare_instances",
    "simulate_cohort",
    "simulated_fold",
    "write_study_folder",
]
