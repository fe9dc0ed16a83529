"""What a plan releases, with how much noise: derived from the plan alone, so that lead and sites agree without a word.

The budget is one mu (:mod:`cohortium.privacy.gaussian`). Shares of mu² go to counts and moments, of everyone; the rest to the fit and, of
the patients held out, to the evaluation: they are other patients, and each has the rest for himself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cohortium.contracts.private_plan import PrivacyPlan
from cohortium.privacy.accountant import EVERYONE, FITTED, GRID_SHARE, HELD_OUT, Release
from cohortium.privacy.gaussian import mu_of

COUNTS, MOMENTS, GRADIENT, SCORES = "counts", "moments", "gradient", "evaluation"


@dataclass(frozen=True)
class Schedule:
    """mu of each release: of one step for the gradient; 0 where there is none."""

    counts: float
    moments: float
    gradient: float
    scores: float
    rounds: int

    def releases(self, plan: str = "") -> list[Release]:
        """Everything that a site will have released at the end. plan: digest of the plan."""
        made = [
            self.release(COUNTS, plan), self.release(MOMENTS, plan), self.release(GRADIENT, plan, self.rounds),
            self.release(SCORES, plan),
        ]  # fmt: skip
        return [r for r in made if r is not None]

    def release(self, what: str, plan: str, times: int = 1) -> Release | None:
        """One of them; None where the plan has none."""
        mu = {COUNTS: self.counts, MOMENTS: self.moments, GRADIENT: self.gradient, SCORES: self.scores}[what]
        part = {GRADIENT: FITTED, SCORES: HELD_OUT}.get(what, EVERYONE)
        return Release(what, "gaussian", 0.0 if math.isinf(mu) else 1 / mu, times, 1.0, part, plan) if mu else None


def schedule(p: PrivacyPlan) -> Schedule:
    """The schedule that spends the budget and no more. Raises ``ValueError`` where nothing is left for the model."""
    rest = 1 - p.counts - p.moments
    if not (p.counts > 0 and p.moments >= 0 and rest > 0 and p.rounds >= 1):
        raise ValueError("shares of the budget leave nothing for the model")
    mu = mu_of(p.epsilon, p.delta * (1 - GRID_SHARE))
    return Schedule(
        mu * math.sqrt(p.counts), mu * math.sqrt(p.moments) if p.moments else 0.0, mu * math.sqrt(rest / p.rounds),
        mu * math.sqrt(rest) if p.hold_out else 0.0, p.rounds,
    )  # fmt: skip
