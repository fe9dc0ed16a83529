"""What predictions rest on: of a learner on held-out units, and of one patient.

Shapley values over modalities, permutation importance of modalities, groups of correlated features and features, and
deletion curves, which show whether the order holds. All are functions of predictions, for any learner.

May know: learners, joint (who is like whom), metrics, contracts, cohort. May not know: outer splits and how they are
made, files, study files, reports. Nothing is fitted here but how features go together, which no prediction depends on.
"""

from cohortium.explanation.coalitions import Shapley, shapley
from cohortium.explanation.deleting import deletion
from cohortium.explanation.grouping import FeatureGroup, group_features
from cohortium.explanation.held_out import FoldModel, FoldValues, explain_fold
from cohortium.explanation.shown import Shown
from cohortium.explanation.target import Target, target_of

__all__ = [
    "FeatureGroup",
    "FoldModel",
    "FoldValues",
    "Shapley",
    "Shown",
    "Target",
    "deletion",
    "explain_fold",
    "group_features",
    "shapley",
    "target_of",
]
