"""Differential privacy: what a release costs, noise that keeps its promise, and a ledger of what was released.

Everywhere here the unit is a patient with all his units, and two data sets are neighbours where one has a patient of one site more
than the other (add or remove). May know: numpy, scipy, errors, optional packages. May not know: cohorts, files of patients, messages.
"""

from cohortium.privacy.accountant import Release, refused, spent
from cohortium.privacy.gaussian import delta_of, epsilon_of, mu_of
from cohortium.privacy.grid import SeededNoise, SystemNoise, noisy_sum

__all__ = [
    "Release",
    "SeededNoise",
    "SystemNoise",
    "delta_of",
    "epsilon_of",
    "mu_of",
    "noisy_sum",
    "refused",
    "spent",
]
