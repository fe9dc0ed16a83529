"""Competing risks: Fine and Gray's subdistribution hazard, and cause-specific hazards put together.

Fine & Gray 1999, JASA 94:496: the partial likelihood of the cause of interest, in which who had another event stays in the
risk set with the weight G(t-) / G(s-), s the time of that event, G the training fold's probability of being uncensored.
Events come before censorings at tied times, as in R's ``survival::finegray``. It is Cox's likelihood on other risk sets,
so that everything that is fitted to censored times is fitted to it, trees included.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import CompetingOutcome, CumulativeIncidence, TimeOutcome
from cohortium.heads.cox import Cox, RiskSets
from cohortium.heads.families import Array, Hvp
from cohortium.metrics import Censoring, censoring_distribution


class WeightedRiskSets(RiskSets):
    """Risk sets of the subdistribution; times: distinct event times of the cause of interest."""

    def __init__(self, time: Array, cause: NDArray[np.int64], censoring: Censoring) -> None:
        super().__init__(time, cause == 1, np.zeros(len(time)))
        others = np.flatnonzero(cause > 1)
        self._others = others[np.argsort(time[others], kind="stable")]
        at = time[self._others]
        self._inverse = 1.0 / censoring.before(at)
        self._stay = censoring.before(self.times)
        self._gone = np.searchsorted(at, self.times, side="left")
        self._after = np.searchsorted(self.times, at, side="right")

    def sums(self, x: Array) -> Array:
        """(m,) weighted sum of x over each risk set."""
        left = np.concatenate([[0.0], np.cumsum(x[self._others] * self._inverse)])
        return super().sums(x) + self._stay * left[self._gone]

    def spread(self, a: Array) -> Array:
        """(n,) weighted sum of a (m,) over the event times at which each unit is at risk."""
        return self._spread(super().spread(a), a * self._stay, self._inverse)

    def spread_squares(self, a: Array) -> Array:
        return self._spread(super().spread(a), a * self._stay**2, self._inverse**2)

    def _spread(self, whole: Array, a: Array, weight: Array) -> Array:
        c = np.concatenate([[0.0], np.cumsum(a)])
        whole[self._others] += weight * (c[-1] - c[self._after])
        return whole


class FineGray(Cox):
    """Fine and Gray's partial likelihood; one score, a log subdistribution hazard ratio. censoring: of the training fold."""

    def __init__(
        self, outcome: CompetingOutcome, exposure: Array | None = None, censoring: Censoring | None = None
    ) -> None:
        self.censoring = censoring_distribution(outcome.any_cause) if censoring is None else censoring
        super().__init__(outcome, exposure)

    def _risk_sets(self, outcome: TimeOutcome) -> RiskSets:
        return WeightedRiskSets(outcome.time, cast(CompetingOutcome, outcome).cause, self.censoring)

    def take(self, rows: NDArray[np.intp]) -> FineGray:
        return FineGray(cast(CompetingOutcome, self.outcome.take(rows)), self.exposure[rows], self.censoring)


class CauseSpecific:
    """A Cox model of each cause, the others censored; one score per cause, that of interest first; no theta.

    Prentice 1978, Biometrics 34:541. The loss is the sum over causes: incidence needs the hazards of all.
    """

    def __init__(self, outcome: CompetingOutcome, parts: tuple[Cox, ...] | None = None) -> None:
        self.outcome, self.endpoint, self.n = outcome, outcome.endpoint, len(outcome)
        self.n_scores = len(outcome.endpoint.classes)
        self.parts = parts or tuple(Cox(outcome.of_cause(k + 1)) for k in range(self.n_scores))

    def start(self) -> Array:
        return np.zeros(0)

    def value_grad(self, eta: Array, theta: Array) -> tuple[float, Array, Array]:
        made = [p.value_grad(eta[:, [k]], theta) for k, p in enumerate(self.parts)]
        return sum(f for f, _, _ in made), np.hstack([g for _, g, _ in made]), np.zeros(0)

    def hvp(self, eta: Array, theta: Array) -> Hvp:
        products = [p.hvp(eta[:, [k]], theta) for k, p in enumerate(self.parts)]

        def product(u: Array, v: Array) -> tuple[Array, Array]:
            return np.hstack([q(u[:, [k]], v)[0] for k, q in enumerate(products)]), np.zeros(0)

        return product

    def diagonal(self, eta: Array, theta: Array) -> Array:
        raise TypeError("several causes have no diagonal; fit one after the other")

    def unit_loss(self, eta: Array, theta: Array) -> Array:
        return np.asarray(sum(p.unit_loss(eta[:, [k]], theta) for k, p in enumerate(self.parts)), np.float64)

    def take(self, rows: NDArray[np.intp]) -> CauseSpecific:
        return CauseSpecific(self.outcome.take(rows), tuple(p.take(rows) for p in self.parts))

    def finish(self, eta: Array, theta: Array) -> dict[str, Any]:
        """Breslow baselines: distinct event times (m,) of any cause, and each cause's hazard (K, m) there at eta = 0."""
        times = np.unique(self.outcome.time[self.outcome.cause > 0])
        hazard = np.zeros((self.n_scores, len(times)))
        for k, p in enumerate(self.parts):
            own = p.finish(eta[:, [k]], theta)
            hazard[k, np.searchsorted(times, own["times"])] = np.diff(own["cumulative_hazard"], prepend=0.0)
        return {"theta": theta, "times": times, "hazard": hazard}


def incidence_prediction(units: NDArray[np.object_], eta: Array, finish: dict[str, Any]) -> CumulativeIncidence:
    """Incidence of the cause of interest.

    Fine-Gray: 1 - exp(-H0(t) exp(eta)); the risk is eta. Cause-specific: the sum over s <= t of the survival of all causes
    just before s times the hazard of the first at s (Benichou & Gail 1990, Biometrics 46:813); the risk is the
    log(-log(1 - .)) of the last incidence.
    """
    times = np.asarray(finish["times"], dtype=np.float64)
    ratio = np.exp(np.clip(eta, -30, 30))
    if "hazard" not in finish:
        h = np.asarray(finish["cumulative_hazard"], dtype=np.float64)
        return CumulativeIncidence(units, eta[:, 0].copy(), times, -np.expm1(-ratio[:, :1] * h[None, :]))
    hazard = np.asarray(finish["hazard"], dtype=np.float64)
    before = np.exp(-np.cumsum(np.pad(ratio @ hazard, ((0, 0), (1, 0)))[:, :-1], axis=1))
    made = np.minimum(np.cumsum(before * ratio[:, :1] * hazard[:1], axis=1), 1.0)
    last = made[:, -1] if len(times) else np.zeros(len(eta))
    risk = np.log(-np.log1p(-np.clip(last, 1e-12, 1 - 1e-12)))
    return CumulativeIncidence(units, np.asarray(risk, np.float64), times, made)
