"""Where a federated fit stands: one record, from which it goes on after the coordinator was restarted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FederationPlan, SiteMoments, SiteSchema, SiteScores, SiteSums
from cohortium.contracts.federation_preparing import SiteCalibration

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """A column that was selected. score: chi-squared statistic with ``freedom`` degrees of freedom and its p, not corrected for the
    number of candidates; or its variance, freedom 0."""

    column: str
    score: float
    freedom: int
    p: float


class Progress:
    """Where a method stands between two rounds; each method has a record of its own."""


@dataclass(frozen=True)
class Fit(Progress):
    """Newton's method between two rounds. asked: (P,) the parameters that sites are asked about now. accepted, loss: the best
    so far, empty and infinite at first; direction, slope, step: from there. kept: (P,) 1 for parameters that are
    estimated. first: (P,) their variances at the start. sums, sums_at: last answers, and at which parameters. best: answers
    at ``accepted``. tries: answers so far."""

    asked: NDArray[np.float64]
    accepted: NDArray[np.float64]
    loss: float
    direction: NDArray[np.float64]
    slope: float
    step: float
    kept: NDArray[np.float64]
    first: NDArray[np.float64]
    sums: dict[str, SiteSums]
    sums_at: NDArray[np.float64]
    best: dict[str, SiteSums]
    tries: int


@dataclass(frozen=True)
class State:
    """phase: ``schema``, ``moments``, ``select`` (where the plan asks for it), ``fit`` (the method's own rounds), with an evaluation then ``trials``, ``scores``, ``calibration``;
    ``done``. round: of the question that is open. left: site -> why it was left
    out. mean, sd: (q,) of columns; outcome: mean and sd of a continuous endpoint. moments: of all columns asked for, as
    they left. late: sites that came when the fit had begun. chosen: selected columns, the best first, of so many ``candidates``. calibration: of scores, by design."""

    plan: FederationPlan
    sites: tuple[str, ...]
    round: int
    phase: str
    schemas: dict[str, SiteSchema]
    asked: tuple[Column, ...]
    moments: dict[str, SiteMoments]
    left: dict[str, str]
    notices: tuple[str, ...]
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    outcome: tuple[float, float]
    fit: Progress | None
    trials: tuple[Trial, ...] = ()
    chosen: tuple[Chosen, ...] = ()
    candidates: int = 0
    calibration: tuple[Calibration, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def here(self) -> tuple[str, ...]:
        """Sites that take part, in order."""
        return tuple(s for s in self.sites if s not in self.left)


@dataclass(frozen=True)
class Trial:
    """A fit of the evaluation: a protocol of its own, without a site (``without``) or a fold of each (``fold``, else -1). failed: why
    there is no fit. scores: of the sites that are held out; unscored: site -> why it has none."""

    without: str
    fold: int
    state: State
    failed: str
    scores: dict[str, SiteScores]
    unscored: dict[str, str]


@dataclass(frozen=True)
class Calibration:
    """Newton's method for intercept and slope of scores, of F fits at once. design: as in
    :class:`cohortium.contracts.federation_results.SitePerformance`. who: empty for all sites together, then sites. at: (F, 2) asked
    now; best, loss: the best so far, infinite at first; step: (F, 2) Newton's from there, slope: (F,) along it, share: (F,) of it that is
    tried; curvature, start: (F, 3) at ``best``, and at first. over: (F,) 1 where it has ended. failed: fit -> why there is none;
    gone: site -> why it takes no part. last, first: trial and site -> answers; last_at: where. tries: answers so far."""

    design: str
    who: tuple[str, ...]
    at: NDArray[np.float64]
    best: NDArray[np.float64]
    loss: NDArray[np.float64]
    step: NDArray[np.float64]
    slope: NDArray[np.float64]
    share: NDArray[np.float64]
    curvature: NDArray[np.float64]
    start: NDArray[np.float64]
    over: NDArray[np.float64]
    failed: dict[str, str]
    gone: dict[str, str]
    last: dict[str, SiteCalibration]
    last_at: NDArray[np.float64]
    first: dict[str, SiteCalibration]
    tries: int


def newton(state: State) -> Fit:
    """The progress of a linear fit."""
    assert isinstance(state.fit, Fit)
    return state.fit
