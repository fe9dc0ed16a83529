"""What a learner's out-of-fold predictions say of how sure it is of a new one: its sets, intervals or lower bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cohortium.calibration import fit_intervals, fit_lower_bounds, fit_sets
from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    Fold,
    Prediction,
    Probabilities,
    Store,
    Survival,
    SurvivalOutcome,
    ValueOutcome,
    Values,
)
from cohortium.heads.families import family_of, to_prediction
from cohortium.learners.config import LearnerConfig
from cohortium.learners.nodes import ScorePredictor, ZeroNode, coverage_groups, presence_matrix

FEWEST_CENSORED = 30
"""With fewer the time until censoring is taken to be the same for everybody."""


def bound(
    predictor: ScorePredictor, oof: Prediction, fold: Fold, config: LearnerConfig, modalities: tuple[str, ...]
) -> ScorePredictor:
    """The predictor with a maker, calibrated on the out-of-fold predictions of the fold.

    As it was where nothing can be said: survival with delayed entry, competing risks.
    """
    level, presence = config.coverage, presence_matrix(fold.cohort, modalities) > 0
    assert level is not None
    groups = coverage_groups(fold.cohort)
    outcome = fold.outcome
    if isinstance(outcome, ClassOutcome):
        assert isinstance(oof, Probabilities)
        return replace(predictor, maker=fit_sets(outcome, oof, modalities, presence, level, groups))
    if isinstance(outcome, ValueOutcome):
        assert isinstance(oof, Values)
        return replace(predictor, maker=fit_intervals(outcome, oof, modalities, presence, level, groups))
    if isinstance(outcome, CompetingOutcome):
        return predictor
    assert isinstance(oof, Survival)
    if (outcome.entry > 0).any():
        return predictor
    censoring, free = _censoring(outcome, fold, config)
    maker = fit_lower_bounds(outcome, oof, free, modalities, presence, level, groups)
    return replace(predictor, maker=maker, censoring=censoring)


def _censoring(outcome: SurvivalOutcome, fold: Fold, config: LearnerConfig) -> tuple[ScorePredictor, Survival]:
    """How long units are followed: a model, and its out-of-fold P(not censored) of the training units.

    Linear, on the reference modalities where the study has them, else on all of them fused late: who is followed for how
    long is a matter of when and where patients came, and of how they were, more than of molecules.
    """
    from cohortium.learners.suite import Suite

    turned = replace(outcome, event=~outcome.event)
    if turned.event.sum() < FEWEST_CENSORED:
        family, zero = family_of(turned), np.zeros((len(turned), 1))
        finish = family.finish(zero, np.zeros(0))
        made = to_prediction(turned.endpoint, turned.units, zero, finish)
        assert isinstance(made, Survival)
        return ScorePredictor("censoring", turned.endpoint, ZeroNode(1), finish), made
    plain = replace(config, models=("linear",), deep=(), joint=(), presence_as_predictor=False)
    other = replace(fold, outcome=turned, store=Store(), key=f"{fold.key}/censoring", others=())
    suite = Suite(plain, other)
    known = any(m in suite.modalities for m in config.reference)
    predictor, free = suite.finish_with_oof("reference" if known else "late")
    assert isinstance(free, Survival)
    return predictor, free
