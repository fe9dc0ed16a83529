"""Records of the leaderboard, of added value and of the learning curve, from the scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cohortium.contracts import Estimate
from cohortium.contracts.results import AddedValueRow, LeaderboardRow, LearningCurveRow, Versus
from cohortium.experiment.estimating import difference, estimate
from cohortium.experiment.folds import FoldResult
from cohortium.experiment.scoring import Scores

PROBE = "probe"


def leaderboard(
    name: str, scores: Scores, infos: Sequence[Any], results: Sequence[FoldResult], headline: str
) -> list[LeaderboardRow]:
    """One row per learner that is no probe, in the order of the plan.

    Every learner is compared with ``reference`` and with ``best_single`` where the study has them.
    """
    rows = []
    for info in infos:
        if info.role == PROBE:
            continue
        versus = Versus(_versus(scores, info.name, "reference"), _versus(scores, info.name, "best_single"))
        chosen = Counter(r.learners[info.name].get("chosen") for r in results)
        rows.append(
            LeaderboardRow(
                endpoint=name,
                learner=info.name,
                role=info.role,
                modalities=list(info.modalities),
                estimates=estimates(scores, info.name),
                versus=versus,
                headline=info.name == headline,
                chosen_inside={str(k): n for k, n in sorted(chosen.items(), key=lambda x: str(x[0])) if k is not None},
            )
        )
    return rows


def estimates(scores: Scores, learner: str) -> list[Estimate]:
    """One estimate per metric asked for."""
    return [estimate(scores, learner, i) for i in range(len(scores.asks))]


def _versus(scores: Scores, learner: str, other: str) -> list[Estimate]:
    if learner == other or other not in scores.values:
        return []
    return [difference(scores, learner, other, i) for i in range(len(scores.asks))]


def added_value(name: str, scores: Scores, infos: Sequence[Any], modalities: Sequence[str]) -> list[AddedValueRow]:
    """Paired change when a modality is left out of the late fusion and when it alone joins the reference.

    Positive = it helps: the sign is turned for metrics where lower is better.
    """
    names = {i.name for i in infos}
    rows = []
    for m in modalities:
        out = _helps(scores, "late", f"without:{m}") if {"late", f"without:{m}"} <= names else []
        added = _helps(scores, f"with:{m}", "reference") if {"reference", f"with:{m}"} <= names else []
        if out or added:
            rows.append(AddedValueRow(name, m, out, added))
    return rows


def _helps(scores: Scores, fuller: str, poorer: str) -> list[Estimate]:
    return [difference(scores, fuller, poorer, i, turned=True) for i in range(len(scores.asks))]


def learning_curve(name: str, headline: str, points: Sequence[tuple[float, Scores]]) -> list[LearningCurveRow]:
    """The headline learner at each fraction of the training folds."""
    return [
        LearningCurveRow(name, headline, fraction, round(float(s.n_train.mean())), estimates(s, headline))
        for fraction, s in points
    ]
