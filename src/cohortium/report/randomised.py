"""The section "Do they tell of what was learned?" of the page of explanations."""

from __future__ import annotations

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.explanations import Explanation, RandomisedCheck
from cohortium.report.tables import Cell, Table, estimate_cell
from cohortium.report.words import estimate_text, metric_name

STAYS = 0.5
"""A rank correlation from which on an explanation is said to stay as it was."""


def stays(c: RandomisedCheck) -> bool:
    """Whether an explanation clearly keeps its order when the weights change."""
    return any(_high(e) and e.low is not None and e.low > 0 for e in (c.shuffled, c.gradients))


def _high(e: Estimate) -> bool:
    return e.value is not None and e.value >= STAYS


def randomised_text(r: Explanation) -> str | None:
    """The check in two sentences; None of learners without a network."""
    c = r.randomised
    if c is None:
        return None
    metric = metric_name(r.metric)
    if c.shuffled.value is None and c.gradients.value is None:
        return f"The network's own part moves nothing here, or there are too few features to compare: the check with random weights says nothing ({metric} of the network alone {estimate_text(c.full)})."  # fmt: skip
    parts = [
        f"{what} {estimate_text(e, True)}"
        for what, e in (("by shuffling", c.shuffled), ("by integrated gradients", c.gradients))
        if e.value is not None
    ]
    verdict = (
        "Features keep much of their order when the network's weights are drawn anew: what is shown tells of the data or of the network's build as well, not of what was learned alone"
        if stays(c)
        else "Too few folds to say whether features lose their order when the network's weights are drawn anew"
        if _high(c.shuffled) or _high(c.gradients)
        else "With its weights drawn anew the network's features lose their order"
    )
    return (
        f"{verdict}: rank correlation with those of the fitted one {' and '.join(parts)}. {metric} of the fitted network alone "
        f"{estimate_text(c.full)}, of random ones {estimate_text(c.again)}."
    )


def randomised_table(r: Explanation) -> Table | None:
    """The figures."""
    c = r.randomised
    if c is None:
        return None
    rows = [
        [Cell("order of features by shuffling"), estimate_cell(c.shuffled)],
        [Cell("order of features by integrated gradients"), estimate_cell(c.gradients)],
        [Cell(f"{metric_name(r.metric)}, fitted weights"), estimate_cell(c.full)],
        [Cell(f"{metric_name(r.metric)}, random weights"), estimate_cell(c.again)],
    ]
    note = (
        f"The check of Adebayo 2018 (NeurIPS): {c.draws} networks of random weights in each fold, each tensor as large as the fitted one. Rank correlation "
        "with the fitted network, within modalities: 1, the same order; 0, none of it. Where the network starts from late fusion, that start is left out."
    )
    return Table(["compared", "over folds"], rows, note=note)
