"""Observed outcomes, one frozen record per endpoint family, aligned to unit ids.

Outcomes hold usable labels only: units without one were excluded, and counted, by the reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.schema import Endpoint

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassOutcome:
    """Binary, multiclass or ordinal labels.

    units: (n,) unit ids (str). codes: (n,) int in ``0..len(endpoint.classes)-1``.
    """

    endpoint: Endpoint
    units: NDArray[np.object_]
    codes: IntArray

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.intp]) -> ClassOutcome:
        """The outcome of the given positions, in that order."""
        return ClassOutcome(self.endpoint, self.units[rows], self.codes[rows])

    @property
    def strata(self) -> IntArray:
        """(n,) codes to stratify folds by."""
        return self.codes


@dataclass(frozen=True, eq=False)
class ValueOutcome:
    """Continuous values. units: (n,). values: (n,) float, finite."""

    endpoint: Endpoint
    units: NDArray[np.object_]
    values: FloatArray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.intp]) -> ValueOutcome:
        """The outcome of the given positions, in that order."""
        return ValueOutcome(self.endpoint, self.units[rows], self.values[rows])

    @property
    def strata(self) -> IntArray:
        """(n,) quintile of the value, to stratify folds by."""
        ranks = np.argsort(np.argsort(self.values, kind="stable"), kind="stable")
        return (ranks * 5 // max(len(ranks), 1)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class SurvivalOutcome:
    """Right-censored times, optionally with delayed entry.

    time: (n,) > 0, in ``endpoint.time_unit``, from the index time. event: (n,) bool, True = the event
    was seen, False = censored. entry: (n,) in ``[0, time)``: under observation from then on (0 unless
    left-truncated); a unit is at risk at t when ``entry < t <= time``.
    """

    endpoint: Endpoint
    units: NDArray[np.object_]
    time: FloatArray
    event: NDArray[np.bool_]
    entry: FloatArray

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.intp]) -> SurvivalOutcome:
        """The outcome of the given positions, in that order."""
        return SurvivalOutcome(self.endpoint, self.units[rows], self.time[rows], self.event[rows], self.entry[rows])

    @property
    def strata(self) -> IntArray:
        """(n,) event indicator, to stratify folds by."""
        return self.event.astype(np.int64)


@dataclass(frozen=True, eq=False)
class CompetingOutcome:
    """Right-censored times to the first of several events that exclude each other; no delayed entry.

    time: (n,) > 0, in ``endpoint.time_unit``. cause: (n,) 0 = censored, 1 = the cause of interest, 2.. = the others, in the
    order of ``endpoint.classes``.
    """

    endpoint: Endpoint
    units: NDArray[np.object_]
    time: FloatArray
    cause: IntArray

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.intp]) -> CompetingOutcome:
        """The outcome of the given positions, in that order."""
        return CompetingOutcome(self.endpoint, self.units[rows], self.time[rows], self.cause[rows])

    @property
    def event(self) -> NDArray[np.bool_]:
        """(n,) the cause of interest was seen."""
        return np.asarray(self.cause == 1, np.bool_)

    @property
    def entry(self) -> FloatArray:
        """(n,) zeros: everybody is under observation from the start."""
        return np.zeros(len(self.time))

    @property
    def any_cause(self) -> SurvivalOutcome:
        """Time to the first event of any cause: its censoring is the censoring of this outcome."""
        return SurvivalOutcome(self.endpoint, self.units, self.time, self.cause > 0, self.entry)

    def of_cause(self, k: int) -> SurvivalOutcome:
        """Time to cause ``k`` >= 1, follow-up ended by the others: what a cause-specific hazard is estimated from."""
        return SurvivalOutcome(self.endpoint, self.units, self.time, self.cause == k, self.entry)

    @property
    def strata(self) -> IntArray:
        """(n,) 1 = the cause of interest, 2 = another, 0 = censored, to stratify folds by."""
        return np.minimum(self.cause, 2)


TimeOutcome = SurvivalOutcome | CompetingOutcome
"""What has ``time``, ``event`` and ``entry``."""

Outcome = ClassOutcome | ValueOutcome | SurvivalOutcome | CompetingOutcome
