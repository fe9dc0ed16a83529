"""Prediction sets and intervals from out-of-fold predictions of the training part.

Split-conformal counting (Vovk, Gammerman & Shafer 2005; Lei 2018, JASA 113:1094) on scores that inner folds gave: exact
for a calibration part that no model saw, and close to it here, where the model that predicts was fitted to all inner folds.
Within calibration groups (Mondrian), and for sets within each class (Sadinle 2019, JASA 114:223), so that a
rare class is held as often as a common one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.calibration.patterns import Patterns, fit_patterns
from cohortium.contracts import ClassOutcome, Probabilities, ValueOutcome, Values
from cohortium.contracts.bounds import Intervals, Sets

Floats = NDArray[np.float64]
Groups = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class SetMaker:
    """A class is in the set of a unit from a least probability on.

    least: (G, K), the least probability of class k in group g. next_least: (G, K), the next that calibration units had, and
    doubt: (G, K) the probability with which a randomised set leaves out a class that lies between the two.
    """

    level: float
    patterns: Patterns
    least: Floats
    next_least: Floats
    doubt: Floats

    def make(
        self, prediction: Probabilities, presence: NDArray[np.bool_], rng: np.random.Generator | None = None,
        groups: Groups | None = None,
    ) -> Sets:  # fmt: skip
        """Sets of units with presence (n, M) and declared groups (n,). rng: randomise, which holds at the level exactly; without it sets are a
        little larger and hold at least at the level."""
        g = self.patterns.codes(presence, groups)
        inside = prediction.p >= self.least[g]
        if rng is not None:
            between = inside & (prediction.p < self.next_least[g])
            inside &= ~(between & (rng.random(len(g))[:, None] < self.doubt[g]))
        return Sets(prediction.units, prediction.classes, inside, self.patterns.labels(presence, groups))

    def state(self) -> dict[str, Any]:
        return {"level": self.level, "patterns": self.patterns.state(), "least": self.least,
                "next_least": self.next_least, "doubt": self.doubt}  # fmt: skip

    @staticmethod
    def restore(s: dict[str, Any]) -> SetMaker:
        numbers = (np.asarray(s[k], dtype=np.float64) for k in ("least", "next_least", "doubt"))
        return SetMaker(s["level"], Patterns.restore(s["patterns"]), *numbers)


def fit_sets(
    outcome: ClassOutcome,
    prediction: Probabilities,
    modalities: tuple[str, ...],
    presence: NDArray[np.bool_],
    level: float,
    groups: Groups | None = None,
) -> SetMaker:
    """Calibrated on out-of-fold probabilities (n, K). level: share of units whose class is to be in their set. groups: (n,)
    declared groups, within which it is calibrated where they are large enough.

    Of n units of a class the set leaves out those less probable than the floor((1 - level)(n + 1))-th lowest; with fewer
    than level / (1 - level) units of a class it is always inside. A pattern needs four times that of every class.
    """
    alpha, k = 1.0 - level, len(outcome.endpoint.classes)
    fewest = 4 * level / alpha
    patterns, members = fit_patterns(
        modalities, presence, lambda rows: bool(np.bincount(outcome.codes[rows], minlength=k).min() >= fewest), groups
    )
    least, following, doubt = (np.zeros((len(members), k)) for _ in range(3))
    for g, rows in enumerate(members):
        for c in range(k):
            p = np.sort(prediction.p[rows[outcome.codes[rows] == c], c])
            at = alpha * (len(p) + 1)
            out = int(np.floor(at + 1e-9))
            least[g, c] = p[out - 1] if out else 0.0
            following[g, c] = p[out] if out < len(p) else np.inf
            doubt[g, c] = max(at - out, 0.0)
    return SetMaker(level, patterns, least, following, doubt)


@dataclass(frozen=True, eq=False)
class IntervalMaker:
    """below, above: (G,) added to the predicted value, -inf and inf where calibration units were too few."""

    level: float
    patterns: Patterns
    below: Floats
    above: Floats

    def make(self, prediction: Values, presence: NDArray[np.bool_], *, groups: Groups | None = None) -> Intervals:
        """Intervals of units with presence (n, M) and declared groups (n,)."""
        g = self.patterns.codes(presence, groups)
        low, high = prediction.values + self.below[g], prediction.values + self.above[g]
        return Intervals(prediction.units, low, high, self.patterns.labels(presence, groups))

    def state(self) -> dict[str, Any]:
        # JSON has no infinity.
        finite = {n: [float(x) if np.isfinite(x) else None for x in getattr(self, n)] for n in ("below", "above")}
        return {"level": self.level, "patterns": self.patterns.state(), **finite}

    @staticmethod
    def restore(s: dict[str, Any]) -> IntervalMaker:
        ends = [
            np.array([far if x is None else x for x in s[n]], dtype=np.float64)
            for n, far in (("below", -np.inf), ("above", np.inf))
        ]
        return IntervalMaker(s["level"], Patterns.restore(s["patterns"]), *ends)


def fit_intervals(
    outcome: ValueOutcome, prediction: Values, modalities: tuple[str, ...], presence: NDArray[np.bool_], level: float,
    groups: Groups | None = None,
) -> IntervalMaker:  # fmt: skip
    """Calibrated on out-of-fold values (n,): as many units are to lie below the interval as above.

    A pattern needs four times 2 / (1 - level) units.
    """
    tail = (1.0 - level) / 2
    residual = outcome.values - prediction.values
    patterns, members = fit_patterns(modalities, presence, lambda rows: len(rows) >= 4 / tail, groups)
    below, above = np.full(len(members), -np.inf), np.full(len(members), np.inf)
    for g, rows in enumerate(members):
        r = np.sort(residual[rows])
        out = int(np.floor(tail * (len(r) + 1) + 1e-9))
        if out:
            below[g], above[g] = r[out - 1], r[-out]
    return IntervalMaker(level, patterns, below, above)
