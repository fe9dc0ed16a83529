"""What the scores of an evaluation must be: counts that add up to what was declared, sums and shares that can be."""

from __future__ import annotations

import numpy as np

from cohortium.contracts.federation import Histogram, SiteSchema, SiteScores
from cohortium.federation_coordinator.checking import SLACK
from cohortium.federation_coordinator.state import State, Trial


def wrong_scores(a: SiteScores, t: Trial, state: State, plan: str) -> str:
    """Why the answer of a site that was held out is refused, or an empty text."""
    if a.plan != plan or a.round != state.round:
        return "it answered another question: a repeated message"
    numbers = [a.expected, a.brier, a.brier_squares, a.absolute, a.squares, a.variation, a.explained_error]
    numbers += [a.concordance, a.concordance_error]
    if not np.isfinite(numbers).all():
        return "it sent NaN or infinite numbers"
    if min(numbers) < 0:
        return "it sent negative sums"
    declared = state.schemas[a.site]
    units, counts = declared.units, declared.counts
    if t.fold >= 0:  # the fold holds who is not in its training part
        part = t.state.schemas[a.site]
        units, counts = units - part.units, tuple(x - y for x, y in zip(counts, part.counts, strict=False))
    if (a.units, a.counts) != (units, counts):
        return "its counts do not add up to those that it declared"
    return {"survival": _survival, "binary": _classes, "multiclass": _classes, "continuous": _values}[state.plan.kind](
        a, t.state, declared
    )


def _survival(a: SiteScores, s: State, declared: SiteSchema) -> str:
    if a.concordance > 1 or a.concordance_error > 1:
        return "its concordance is not between 0 and 1"
    events = a.counts[-1]
    if not 0 <= a.pairs <= events * (a.units - 1):
        return "it has more pairs than its units and events can form"
    return ""


def _values(a: SiteScores, s: State, declared: SiteSchema) -> str:
    if a.absolute**2 > a.squares * a.units * (1 + SLACK) + SLACK or a.squares > a.absolute**2 * (1 + SLACK) + SLACK:
        return "its errors contradict each other"
    return ""


def _classes(a: SiteScores, s: State, declared: SiteSchema) -> str:
    names = s.classes if s.plan.kind == "multiclass" else s.classes[-1:]
    if tuple(h.outcome for h in a.histograms) != names:
        return "its histograms are of other classes"
    own = dict(zip(declared.classes, a.counts, strict=False))
    for h in a.histograms:
        if reason := _histogram(h, own.get(h.outcome, 0), a.units, s.plan.least_cell):
            return reason
    share = a.units * (1 + SLACK)
    if a.expected > share or a.brier > share or a.brier_squares > a.brier * (1 + SLACK):
        return "its probabilities are not between 0 and 1"
    return ""


def _histogram(h: Histogram, own: int, units: int, least: int) -> str:
    bins = len(h.negatives)
    if (
        h.negatives.shape != (bins,)
        or h.positives.shape != (bins,)
        or h.edges.shape != (max(bins - 1, 0),)
        or bins == 1
    ):
        return "its histograms have other numbers of bins than edges"
    if not bins:
        return ""
    counts = np.concatenate([h.negatives, h.positives])
    if not (np.isfinite(counts).all() and np.isfinite(h.edges).all() and (np.diff(h.edges) > 0).all()):
        return "it sent NaN or infinite numbers"
    if (counts < least).any() or (counts != np.round(counts)).any():
        return f"a bin holds fewer than {least}, or no whole number"
    if h.positives.sum() != own or h.negatives.sum() != units - own:
        return "its counts do not add up to those that it declared"
    return ""
