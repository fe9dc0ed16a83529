"""The check with random weights (Adebayo 2018): what it does not compare, and when it warns. Networks: in ``test_parts``."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.explanations import RandomisedCheck
from cohortium.explanation.randomised import alone, randomised, same_order
from cohortium.report.randomised import stays
from tests.explanation.fitted import fitted


def test_learners_without_a_network_are_not_checked() -> None:
    plain = fitted("binary", {"a": 4, "b": 3}, n=90, informative={"a": 1}, missing={}, learner="late")
    assert alone(plain.model.predictor) is None and randomised(plain.model, plain.target, plain.items) is None


def test_orders_that_cannot_be_compared_are_not() -> None:
    x = np.arange(6.0)
    assert same_order(x, x**3) == pytest.approx(1) and same_order(x, -x) == pytest.approx(-1)
    assert (
        np.isnan(same_order(x[:4], x[:4])) and np.isnan(same_order(x, np.zeros(6))) and np.isnan(same_order(x, x[:5]))
    )
    assert np.isnan(same_order(x, np.where(x < 2, np.nan, x)))


def test_an_explanation_that_stays_as_it_was_is_said_to() -> None:
    def check(shuffled: float | None, gradients: float | None) -> RandomisedCheck:
        e = [Estimate("rank_correlation", v, reason=None if v is not None else "none") for v in (shuffled, gradients)]
        return RandomisedCheck(5, *e, Estimate("roc_auc", 0.8), Estimate("roc_auc", 0.5))

    assert stays(check(0.8, 0.0)) and stays(check(None, 0.6)) and not stays(check(0.1, -0.7))
    assert not stays(check(None, None))
