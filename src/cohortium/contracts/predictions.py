"""Typed predictions. The direction is part of the type, so a metric cannot be handed the wrong one.

``Probabilities.p[:, k]`` grows with class k; ``Values.values`` is on the outcome's scale;
``Survival.risk`` grows with hazard (short survival) and ``Survival.survival`` falls with time;
``CumulativeIncidence.risk`` and ``.incidence`` grow with the cause of interest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Class probabilities. units: (n,) ids. classes: (K,) names. p: (n, K), rows sum to 1."""

    units: NDArray[np.object_]
    classes: tuple[str, ...]
    p: FloatArray

    def __len__(self) -> int:
        return len(self.p)

    def take(self, rows: NDArray[np.intp]) -> Probabilities:
        return Probabilities(self.units[rows], self.classes, self.p[rows])


@dataclass(frozen=True, eq=False)
class Values:
    """Expected values of a continuous endpoint. units: (n,) ids. values: (n,)."""

    units: NDArray[np.object_]
    values: FloatArray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.intp]) -> Values:
        return Values(self.units[rows], self.values[rows])


@dataclass(frozen=True, eq=False)
class Survival:
    """Survival curves and a risk score.

    units: (n,) ids. risk: (n,), larger = event sooner (a log hazard up to a constant: comparable only
    within one fitted model). times: (m,) increasing, > 0. survival: (n, m), P(T > times), right-continuous
    steps, 1 before ``times[0]``, constant after ``times[-1]``; stored ones are float32.
    """

    units: NDArray[np.object_]
    risk: FloatArray
    times: FloatArray
    survival: NDArray[np.float64] | NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.risk)

    def take(self, rows: NDArray[np.intp]) -> Survival:
        return Survival(self.units[rows], self.risk[rows], self.times, self.survival[rows])

    def at(self, times: FloatArray) -> FloatArray:
        """(n, len(times)) survival probabilities at ``times`` (step function)."""
        k = np.searchsorted(self.times, times, side="right")
        out = np.ones((len(self), len(times)))
        out[:, k > 0] = self.survival[:, k[k > 0] - 1]
        return out

    def on(self, times: FloatArray) -> Survival:
        """The same prediction on another grid."""
        return Survival(self.units, self.risk, times, self.at(times))


@dataclass(frozen=True, eq=False)
class CumulativeIncidence:
    """How likely the cause of interest has come by a time, in the presence of the others, and a risk score.

    units: (n,) ids. risk: (n,), larger = the cause of interest likelier and sooner (comparable only within one fitted
    model). times: (m,) increasing, > 0. incidence: (n, m), P(T <= times, cause of interest), right-continuous steps, 0 before
    ``times[0]``, constant after ``times[-1]``; stored ones are float32.
    """

    units: NDArray[np.object_]
    risk: FloatArray
    times: FloatArray
    incidence: NDArray[np.float64] | NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.risk)

    def take(self, rows: NDArray[np.intp]) -> CumulativeIncidence:
        return CumulativeIncidence(self.units[rows], self.risk[rows], self.times, self.incidence[rows])

    def at(self, times: FloatArray) -> FloatArray:
        """(n, len(times)) incidences at ``times`` (step function)."""
        k = np.searchsorted(self.times, times, side="right")
        out = np.zeros((len(self), len(times)))
        out[:, k > 0] = self.incidence[:, k[k > 0] - 1]
        return out

    def on(self, times: FloatArray) -> CumulativeIncidence:
        """The same prediction on another grid."""
        return CumulativeIncidence(self.units, self.risk, times, self.at(times))


Prediction = Probabilities | Values | Survival | CumulativeIncidence
