"""Competing risks whose cause is unknown for some: the same predictions scored as if those events had been something else.

Nothing is fitted again: the models counted them as a cause of their own. The two treatments bracket what can be: either none
of them tells anything, or all of them were of the cause of interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import CompetingOutcome
from cohortium.contracts.results import SensitivityRow
from cohortium.experiment.estimating import difference, estimate
from cohortium.experiment.scoring import Ask, FoldToScore, Scores, count_events, score_one
from cohortium.schema.declare import UNKNOWN_CAUSE

LEFT_OUT, OF_INTEREST = "left out of the test parts", "of the cause of interest"


def unknown_causes(name: str, scores: Scores, learners: Sequence[str], metric: str) -> list[SensitivityRow]:
    """Rows of the given learners for each treatment; empty where no event is of unknown cause, or those units are left out
    by the study, for whom there are no predictions. metric: the headline's. Differences are to the last learner, the reference."""
    outcome = scores.endpoint.outcome
    if not isinstance(outcome, CompetingOutcome) or UNKNOWN_CAUSE not in outcome.endpoint.classes:
        return []
    code = outcome.endpoint.classes.index(UNKNOWN_CAUSE) + 1
    ask = next((a for a in scores.asks if a[0] == metric), scores.asks[0])
    if not (outcome.cause == code).any() or code == 1:
        return []
    rows = []
    for treatment in (LEFT_OUT, OF_INTEREST):
        made = _scored(scores, learners, ask, code, treatment)
        for learner in learners:
            other = learners[-1] if learner != learners[-1] else None
            versus = None if other is None else difference(made, learner, other, 0)
            rows.append(
                SensitivityRow(name, learner, treatment, made.n, made.n_events, estimate(made, learner, 0), versus)
            )
    return rows


def _scored(scores: Scores, learners: Sequence[str], ask: Ask, code: int, treatment: str) -> Scores:
    """The folds under a treatment, scored by one metric."""
    folds = tuple(_treated(f, learners, code, treatment) for f in scores.folds)
    values = {name: np.full((1, len(folds)), np.nan) for name in learners}
    reasons: dict[tuple[int, int], str] = {}
    for j, fold in enumerate(folds):
        for name in learners:
            value = score_one(scores.endpoint, fold, name, ask)
            if isinstance(value, str):
                reasons[(0, j)] = value
            else:
                values[name][0, j] = value
    outcome = scores.endpoint.outcome
    assert isinstance(outcome, CompetingOutcome)
    tested = np.unique(np.concatenate([f.outcome.units for f in folds]).astype(str))
    whole = _recoded(outcome, code, treatment).take(np.flatnonzero(np.isin(outcome.units.astype(str), tested)))
    return replace(
        scores, asks=(ask,), folds=folds, values=values, reasons=reasons, n=len(tested), n_events=count_events(whole), draws={}
    )  # fmt: skip


def _treated(fold: FoldToScore, learners: Sequence[str], code: int, treatment: str) -> FoldToScore:
    assert isinstance(fold.outcome, CompetingOutcome)
    keep: NDArray[np.intp] = np.arange(len(fold.outcome))
    if treatment == LEFT_OUT:
        keep = np.flatnonzero(fold.outcome.cause != code)
    outcome = _recoded(fold.outcome, code, treatment).take(keep)
    predictions = {name: fold.predictions[name].take(keep) for name in learners}
    return replace(fold, outcome=outcome, patients=fold.patients[keep], predictions=predictions, bounds=None)


def _recoded(outcome: CompetingOutcome, code: int, treatment: str) -> CompetingOutcome:
    if treatment == LEFT_OUT:
        return outcome
    return replace(outcome, cause=np.where(outcome.cause == code, 1, outcome.cause))
