"""Learners of other packages: entry points of the group ``cohortium.learners``, compared on the same folds.

An entry point is called without arguments and gives a :class:`~cohortium.contracts.Learner`. Its predictor keeps the laws that
``cohortium.testing.check_learner`` holds it to. It is on the leaderboard as ``plugin:<name>``; ``auto`` does not choose it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cohortium.cohort import Cohort
from cohortium.contracts import Fold, Prediction
from cohortium.errors import StudyError, did_you_mean

GROUP = "cohortium.learners"


def find(name: str) -> Any:
    """The learner called ``name``. Raises StudyError when no installed package has it, or it is no learner."""
    from importlib.metadata import entry_points

    there = {e.name: e for e in entry_points(group=GROUP)}
    if name not in there:
        known = f" Installed: {', '.join(sorted(there))}." if there else " No installed package has any."
        raise StudyError(f"No plug-in learner called '{name}'.{did_you_mean(name, there) or known}")
    try:
        learner = there[name].load()()
    except Exception as e:
        raise StudyError(f"The plug-in learner '{name}' ({there[name].value}) cannot be made: {e}") from e
    if not callable(getattr(learner, "fit", None)):
        raise StudyError(f"The plug-in learner '{name}' ({there[name].value}) has no method 'fit'.")
    return learner


@dataclass(frozen=True, eq=False)
class PluginPredictor:
    """What a plug-in's ``fit`` gave, in the shape that the experiment knows."""

    name: str
    inner: Any
    threshold: float | None = None
    chosen: str | None = None
    maker: None = None

    def predict(self, cohort: Cohort, memo: Any = None) -> Prediction:
        """Predict every unit of the cohort."""
        made: Prediction = self.inner.predict(cohort)
        return made

    def bounds(self, cohort: Cohort, prediction: Prediction) -> None:
        """None: a plug-in does not say how sure it is."""

    def settings(self) -> dict[str, Any]:
        """No facts are known of a plug-in."""
        return {}

    def state(self) -> dict[str, Any]:
        """Of the plug-in's own predictor."""
        made: dict[str, Any] = self.inner.state()
        return made


def fit(name: str, fold: Fold) -> PluginPredictor:
    """The plug-in ``name``, fitted on the fold."""
    return PluginPredictor(f"plugin:{name}", find(name).fit(fold))
