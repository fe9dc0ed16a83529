"""Learners: encoders, heads and fusion composed into the candidates of a leaderboard.

May know: encoders, heads, fusion, metrics (thresholds), contracts, cohort. May not know: outer folds,
files of a study, reports. Everything is fitted on one :class:`~cohortium.contracts.Fold`.
"""

from cohortium.learners.config import DeepSpec, JointSpec, LearnerConfig, LearnerInfo, fitted_config, plan
from cohortium.learners.saving import load_predictor, restore, save_predictor
from cohortium.learners.suite import fit_all, learner, predict_all

__all__ = [
    "DeepSpec",
    "JointSpec",
    "LearnerConfig",
    "LearnerInfo",
    "fit_all",
    "fitted_config",
    "learner",
    "load_predictor",
    "plan",
    "predict_all",
    "restore",
    "save_predictor",
]
