"""Reading a finished run's leaderboard in tests."""

from __future__ import annotations

from typing import Any


def roc_auc(result: Any, learner: str) -> float:
    """The learner's estimate."""
    row = next(r for r in result.results.leaderboard if r.learner == learner)
    return float(next(e.value for e in row.estimates if e.metric == "roc_auc"))
