"""Joint representations of all modalities of a unit, and what they say of a modality that is not there.

For learners, ``embed`` and ``impute``. May know: cohorts, encoders, fusion, and networks where they are asked for. May not
know: endpoints, outer folds, files of a study, the command line. Everything is fitted on the cohort it is handed.
"""

from cohortium.joint.factors import JointFactors, cross_modal, fit_joint_factors, weightings
from cohortium.joint.model import Embedding, Joint

__all__ = ["Embedding", "Joint", "JointFactors", "cross_modal", "fit_joint_factors", "weightings"]
