"""A time that a patient outlives with nominal probability, where follow-up ends early and depends on covariates.

The bound of a unit is the time at which its predicted survival falls to a level; the level is chosen on out-of-fold curves so
that the event comes earlier for a share alpha of units, no more. Who is censored before the bound has not shown which it is.
Each unit stands in with the augmented inverse-censoring value of P(T > t) (Robins & Rotnitzky 1992; Bai, Tsiatis & O'Brien
2013, Biometrics 69:830): right on average when either the curves or the model of censoring are right, given that censoring
does not depend on the event beyond what both see. So do Farina, Tchetgen Tchetgen & Kuchibhotla 2025 (arXiv:2501.04615); no
censoring time of a patient with an event need be known, as in Candès, Lei & Ren 2023 (JRSS B 85:24).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.calibration.patterns import Patterns, fit_patterns
from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.contracts.bounds import LowerBounds

Floats = NDArray[np.float64]

LEAST_FREE = 0.05
"""A unit counts for no more than 20: smaller probabilities of not being censored are cut off, which the curves make good."""

FEWEST_UNITS, FEWEST_EVENTS = 60, 20
LEVELS = np.linspace(0.995, 0.4, 120)
"""Predicted survival at which a bound may lie, earliest bounds first."""


def outlived(outcome: SurvivalOutcome, times: Floats, curves: Survival, free: Survival) -> Floats:
    """(n, L) augmented values of P(T > t) at the times (n, L) of each unit, whose mean over units estimates that share.

    curves: predicted P(T > t). free: predicted P(not censored by t). Without censoring 1 or 0: whether it was outlived.
    Values of single units may lie outside [0, 1].
    """
    grid = curves.times
    s = np.maximum(curves.survival.astype(np.float64), 1e-4)
    before = np.column_stack([np.ones(len(s)), s[:, :-1]])
    g = np.maximum(_just_before(free, grid), LEAST_FREE)
    # Sums over grid times u of (1/S(u) - 1/S(u-)) / G(u-), at risk or not.
    running = np.column_stack([np.zeros(len(s)), np.cumsum((1 / s - 1 / before) / g, axis=1)])
    padded = np.column_stack([np.ones(len(s)), s])
    rows = np.arange(len(s))[:, None]
    at = np.searchsorted(grid, times, side="right")
    seen = np.searchsorted(grid, outcome.time, side="right")
    own = np.maximum(_at_own(free, outcome.time), LEAST_FREE)
    died = outcome.event[:, None] & (outcome.time[:, None] <= times)
    jump = died / (padded[rows[:, 0], seen] * own)[:, None]
    return np.asarray(padded[rows, at] * (1 - jump + running[rows, np.minimum(at, seen[:, None])]), np.float64)


def _just_before(free: Survival, times: Floats) -> Floats:
    """(n, len(times)) P(C >= t): a step function's limit from the left."""
    k = np.searchsorted(free.times, times, side="left")
    padded = np.column_stack([np.ones(len(free)), free.survival])
    return np.asarray(padded[:, k], dtype=np.float64)


def _at_own(free: Survival, time: Floats) -> Floats:
    """(n,) P(C >= the unit's own time)."""
    k = np.searchsorted(free.times, time, side="left")
    padded = np.column_stack([np.ones(len(free)), free.survival])
    return np.asarray(padded[np.arange(len(time)), k], dtype=np.float64)


def _fall(curves: Survival, level: Floats) -> Floats:
    """(n, L) the last grid time at which survival is still at the level or above, 0 where there is none; level: (n, L) or (L,)."""
    s, times = curves.survival, np.concatenate([[0.0], curves.times])
    wanted = np.broadcast_to(level, (len(s), level.shape[-1]))
    # Survival falls with time: how many grid times are at the level or above.
    count = np.stack([(s >= wanted[:, [j]] - 1e-12).sum(axis=1) for j in range(wanted.shape[1])], axis=1)
    return np.asarray(times[count], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LowerBoundMaker:
    """fall: (G,) the predicted survival at which a bound lies; 1: none can be given, the bound is 0."""

    level: float
    patterns: Patterns
    fall: Floats

    def make(
        self, prediction: Survival, presence: NDArray[np.bool_], *, groups: NDArray[np.object_] | None = None
    ) -> LowerBounds:
        """Bounds of units with presence (n, M) and declared groups (n,), at times of the prediction's grid."""
        wanted = self.fall[self.patterns.codes(presence, groups)]
        low = np.where(wanted < 1, _fall(prediction, wanted[:, None])[:, 0], 0.0)
        return LowerBounds(prediction.units, low, self.patterns.labels(presence, groups))

    def state(self) -> dict[str, Any]:
        return {"level": self.level, "patterns": self.patterns.state(), "fall": self.fall}

    @staticmethod
    def restore(s: dict[str, Any]) -> LowerBoundMaker:
        return LowerBoundMaker(s["level"], Patterns.restore(s["patterns"]), np.asarray(s["fall"], dtype=np.float64))


def fit_lower_bounds(
    outcome: SurvivalOutcome, curves: Survival, free: Survival,
    modalities: tuple[str, ...], presence: NDArray[np.bool_], level: float,
    groups: NDArray[np.object_] | None = None,
) -> LowerBoundMaker:  # fmt: skip
    """Calibrated on out-of-fold curves (n, m) of the event and of censoring; an outcome without delayed entry.

    The latest bounds with (estimated events before them + 1) / (n + 1) <= 1 - level there and at every earlier bound. A
    pattern needs 60 units and 20 events.
    """
    alpha = 1.0 - level
    times = _fall(curves, LEVELS)
    early = 1.0 - outlived(outcome, times, curves, free)
    patterns, members = fit_patterns(
        modalities,
        presence,
        lambda rows: len(rows) >= FEWEST_UNITS and int(outcome.event[rows].sum()) >= FEWEST_EVENTS,
        groups,
    )
    fall = np.ones(len(members))
    for g, rows in enumerate(members):
        share = (early[rows].sum(axis=0) + 1) / (len(rows) + 1)
        over = np.flatnonzero(share > alpha)
        last = (over[0] if len(over) else len(LEVELS)) - 1
        if last >= 0:
            fall[g] = LEVELS[last]
    return LowerBoundMaker(level, patterns, fall)
