"""What assays cost, where the study declares it."""

from __future__ import annotations

from dataclasses import dataclass

from cohortium.contracts.results import LeaderboardRow, Results
from cohortium.report.words import learner_name, names


def money(x: float, currency: str) -> str:
    """``EUR 1,234``, with cents only where there are some and the sum is small."""
    amount = f"{x:,.0f}" if abs(x) >= 100 or float(x).is_integer() else f"{x:,.2f}"
    return f"{currency} {amount.replace('-', '−')}".strip()


@dataclass(frozen=True)
class Further:
    """What the assays of a learner cost beyond those of the reference, for a patient. each: mean over the study's units, of which
    each is charged for the assays that it had. words: that in a sentence."""

    each: float
    currency: str
    words: str

    def paid(self, gain: float) -> str:
        """For one further true decision, of which there are ``gain`` per patient."""
        return money(self.each / gain, self.currency)


def further(r: Results, row: LeaderboardRow | None) -> Further | None:
    """None without costs, without a reference, and of a learner that picks one modality in each fold."""
    costs = {m.name: m.cost for m in r.cohort.modalities}
    if row is None or not r.study.reference or row.learner == "best_single" or not r.cohort.n_units:
        return None
    beyond = [m for m in row.modalities if m not in r.study.reference]
    if not beyond or any(costs.get(m) is None for m in beyond):
        return None
    units = {m.name: m.n_units for m in r.cohort.modalities}
    each = sum((costs[m] or 0.0) * units[m] for m in beyond) / r.cohort.n_units
    said = names([f"{m} {money(costs[m] or 0.0, r.study.currency)}" for m in beyond], most=99)
    words = (
        f"Beyond the reference {learner_name(row.learner)} takes {said} for each patient who is measured, {money(each, r.study.currency)} on average over "
        "all units of the study, some of which lack an assay. Divided by the further true decisions for each patient that is the cost of one; "
        "what a decision saves or costs later is not in it."
    )
    return Further(each, r.study.currency, words)
