"""One experiment: outer folds, fits on their training parts, predictions on their test parts, comparison.

``run_experiment`` makes (and resumes) the fold files; ``leaderboard``, ``added_value``,
``learning_curve``, ``calibration``, ``decisions``, ``subgroups`` and ``coverage`` turn them into records; ``refit`` fits the headline learner on everyone.

May know: learners, metrics, resampling, contracts, cohort. May not know: files of the user, study files, reports.
"""

from cohortium.experiment.board import added_value, leaderboard, learning_curve
from cohortium.experiment.calibrating import calibration
from cohortium.experiment.covering import coverage
from cohortium.experiment.deciding import decisions
from cohortium.experiment.folds import FoldResult, read_fold
from cohortium.experiment.grouping import subgroups
from cohortium.experiment.plan import EndpointPlan, Plan, Task, cohort_hash, endpoint_plan
from cohortium.experiment.progress import Progress, ProgressEvent
from cohortium.experiment.run import Experiment, run_experiment
from cohortium.experiment.scoring import Scores, asks_of, score_endpoint
from cohortium.experiment.unknown_causes import unknown_causes

__all__ = [
    "EndpointPlan",
    "Experiment",
    "FoldResult",
    "Plan",
    "Progress",
    "ProgressEvent",
    "Scores",
    "Task",
    "added_value",
    "asks_of",
    "calibration",
    "cohort_hash",
    "coverage",
    "decisions",
    "endpoint_plan",
    "leaderboard",
    "learning_curve",
    "read_fold",
    "run_experiment",
    "score_endpoint",
    "subgroups",
    "unknown_causes",
]
