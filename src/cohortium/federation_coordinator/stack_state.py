"""Where a stack stands: fits of its parts, then the fit of their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_stack import SiteStackMoments, SiteStackSums
from cohortium.contracts.stack_plan import StackPlan
from cohortium.federation_coordinator.state import Progress, State


@dataclass(frozen=True)
class Lane:
    """A fit of a part: a protocol of its own, without a fold of each site's units (``fold``, else -1: all). failed: why there is none."""

    part: int
    fold: int
    state: State
    failed: str


@dataclass(frozen=True)
class Stacking(Progress):
    """lanes: all fits of all parts. moments: of scores, by site; mean (d,), cov (d, d): of all. Newton's method with weights not below 0, parameters as in
    :mod:`cohortium.contracts.federation_stack`: asked now; accepted, loss: the best so far, empty and infinite at first; direction, slope, step: from there. sums, sums_at: last
    answers, and at which parameters. tries: answers so far."""

    lanes: tuple[Lane, ...]
    moments: dict[str, SiteStackMoments]
    mean: NDArray[np.float64]
    cov: NDArray[np.float64]
    asked: NDArray[np.float64]
    accepted: NDArray[np.float64]
    loss: float
    direction: NDArray[np.float64]
    slope: float
    step: float
    sums: dict[str, SiteStackSums]
    sums_at: NDArray[np.float64]
    tries: int

    @property
    def fitting(self) -> bool:
        """Whether some part is not fitted yet."""
        return any(not t.failed and t.state.phase != "done" for t in self.lanes)

    @property
    def parts(self) -> tuple[int, ...]:
        """Parts that have all their models."""
        lost = {t.part for t in self.lanes if t.failed}
        return tuple(dict.fromkeys(t.part for t in self.lanes if t.part not in lost))


def stacking(state: State) -> Stacking:
    """The progress of a stack."""
    assert isinstance(state.fit, Stacking)
    return state.fit


def stack_of(state: State) -> StackPlan:
    """What the plan says of the stack."""
    assert state.plan.stack is not None
    return state.plan.stack


def n_scores(state: State) -> int:
    """Scores K of a part."""
    return len(state.classes) if state.plan.kind == "multiclass" else 1
