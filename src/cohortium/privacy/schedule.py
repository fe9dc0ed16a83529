"""What a plan releases, with how much noise: derived from the plan alone, so that lead and sites agree without a word.

The budget is one mu (:mod:`cohortium.privacy.gaussian`). Shares of mu² go to counts and moments, of everyone; the rest to the fit and, of
the patients held out, to the evaluation: they are other patients, and each has the rest for himself. Steps that take each patient by chance
(networks) have no mu: their noise is searched for, so that counts, moments and all steps together spend the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from cohortium.contracts.private_plan import PrivacyPlan
from cohortium.privacy.accountant import EVERYONE, FITTED, GRID_SHARE, HELD_OUT, Release, spent
from cohortium.privacy.gaussian import mu_of

COUNTS, MOMENTS, GRADIENT, SCORES = "counts", "moments", "gradient", "evaluation"

NEAR = 1e-4
"""Share of epsilon that a search for noise may leave unspent."""


@dataclass(frozen=True)
class Schedule:
    """mu of each release: of one step for the gradient (the reciprocal of its noise, where patients are in a step by chance); 0 where there is none.
    steps: of a round."""

    counts: float
    moments: float
    gradient: float
    scores: float
    rounds: int
    steps: int = 1
    sampled: float = 1.0

    def releases(self, plan: str = "") -> list[Release]:
        """Everything that a site will have released at the end. plan: digest of the plan."""
        made = [
            self.release(COUNTS, plan), self.release(MOMENTS, plan), self.release(GRADIENT, plan, self.rounds),
            self.release(SCORES, plan),
        ]  # fmt: skip
        return [r for r in made if r is not None]

    def release(self, what: str, plan: str, times: int = 1) -> Release | None:
        """One of them, of the gradient that of ``times`` rounds; None where the plan has none."""
        mu = {COUNTS: self.counts, MOMENTS: self.moments, GRADIENT: self.gradient, SCORES: self.scores}[what]
        part = {GRADIENT: FITTED, SCORES: HELD_OUT}.get(what, EVERYONE)
        if not mu:
            return None
        noise = 0.0 if math.isinf(mu) else 1 / mu
        if what != GRADIENT:
            return Release(what, "gaussian", noise, times, 1.0, part, plan)
        kind = "sampled_gaussian" if self.sampled < 1 else "gaussian"
        return Release(what, kind, noise, times * self.steps, self.sampled, part, plan)


@lru_cache
def schedule(p: PrivacyPlan) -> Schedule:
    """The schedule that spends the budget and no more. Raises ``ValueError`` where nothing is left for the model,
    :class:`cohortium.errors.MissingExtra` for steps of patients by chance without dp-accounting."""
    rest = 1 - p.counts - p.moments
    if not (p.counts > 0 and p.moments >= 0 and rest > 0 and p.rounds >= 1 and p.steps >= 1 and 0 < p.sampled <= 1):
        raise ValueError("shares of the budget leave nothing for the model")
    mu = mu_of(p.epsilon, p.delta * (1 - GRID_SHARE))
    made = Schedule(
        mu * math.sqrt(p.counts), mu * math.sqrt(p.moments) if p.moments else 0.0,
        mu * math.sqrt(rest / (p.rounds * p.steps)), mu * math.sqrt(rest) if p.hold_out else 0.0, p.rounds, p.steps, p.sampled,
    )  # fmt: skip
    return made if p.sampled == 1 or math.isinf(mu) else replace(made, gradient=1 / _noise(made, p))


def _noise(made: Schedule, p: PrivacyPlan) -> float:
    """The least noise of sampled steps with which everything of a patient of the fit spends at most epsilon."""
    fit = replace(made, scores=0.0)

    def over(log_noise: float) -> float:
        return spent(replace(fit, gradient=math.exp(-log_noise)).releases(), p.delta) / p.epsilon - 1

    # Where steps are many and noisy, those of a share q of the patients cost as the q-th part of their mu (Bu 2020, HDSR 2:3).
    total = made.gradient * math.sqrt(made.rounds * made.steps)
    each = (total / made.sampled) ** 2 / (made.rounds * made.steps)
    high = -0.5 * math.log(math.log1p(each))
    low, at_high = high, over(high)
    while at_high > 0:
        low, high = high, high + 0.1
        at_high = over(high)
    at_low = at_high
    while at_low <= 0 and at_high < -NEAR:
        low = min(low, high) - 0.1
        at_low = over(low)
        if at_low <= 0:
            high, at_high = low, at_low
    while at_high < -NEAR:  # regula falsi on epsilon, with the end that is within the budget moved outwards a little
        middle = high + (low - high) * min(max(at_high / (at_high - at_low) * (1 - NEAR), 0.02), 0.98)
        at = over(middle)
        if at > 0:
            low, at_low = middle, at
        else:
            high, at_high = middle, at
    return math.exp(high)
