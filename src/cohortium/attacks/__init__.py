"""Attacks on what a federated study releases, as tests of it: who took part, and what his row was.

Arrays in, figures out. May know: contracts, metrics, numpy, scipy, torch where it is used. May not know: cohort, files, how a
model was fitted, sites, engines.
"""

from cohortium.attacks.inversion import Recovered, match, recovered, snapped
from cohortium.attacks.membership import Membership, likelihood_ratios, membership

__all__ = ["Membership", "Recovered", "likelihood_ratios", "match", "membership", "recovered", "snapped"]
