"""Subtypes: clusters of the joint representation of a cohort, whether there are any, what differs between them and what marks them.

May know: cohorts, encoders, joint representations, metrics. May not know: files of a study, learners, the command
line. Endpoints are compared between clusters, never used to form them.
"""

from cohortium.subtypes.finding import Found, find_subtypes
from cohortium.subtypes.model import Subtypes
from cohortium.subtypes.saving import load_subtypes

__all__ = ["Found", "Subtypes", "find_subtypes", "load_subtypes"]
