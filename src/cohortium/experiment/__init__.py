"""One experiment: outer folds, fits on their training parts, predictions on their test parts, comparison.

``run_experiment`` makes (and resumes) the fold files; ``leaderboard``, ``added_value`` and ``learning_curve``
turn them into records; ``refit`` fits the headline learner on everyone.

May know: learners, metrics, resampling, contracts, cohort. May not know: files of the user, study files, reports.
"""

from cohortium.experiment.folds import FoldResult, read_fold
from cohortium.experiment.plan import EndpointPlan, Plan, Task
from cohortium.experiment.progress import Progress, ProgressEvent
from cohortium.experiment.run import Experiment, run_experiment
from cohortium.experiment.scoring import Scores, added_value, leaderboard, learning_curve

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
    "leaderboard",
    "learning_curve",
    "read_fold",
    "run_experiment",
]
