"""The check with random weights (Adebayo 2018): what it does not compare, and when it warns. Networks: in ``test_parts``."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.explanations import RandomisedCheck
from cohortium.explanation.randomised import alone, randomised, same_order
from cohortium.report.randomised import stays
from tests.explanation.fitted import fitted


def test_learners_without_a_network_are_not_checked() -> None:
    plain = fitted("binary", {"a": 4, "b": 3}, n=90, informative={"a": 1}, missing={}, learner="late")
    assert alone(plain.model.predictor) is None and randomised(plain.model, plain.target, plain.items) is None


def test_orders_are_compared_within_modalities_or_not_at_all() -> None:
    x, one = np.arange(6.0), ["m"] * 6
    assert same_order(x, x**3, one) == pytest.approx(1) and same_order(x, -x, one) == pytest.approx(-1)
    rng = np.random.default_rng(0)
    a, b = rng.permutation(30).astype(float), rng.permutation(30).astype(float)
    assert same_order(a, b, ["m"] * 30) == pytest.approx(spearmanr(a, b).statistic)
    # One modality moves more than the other whatever the weights are: that is no order of features.
    a[:15] += 100
    b[:15] += 100
    assert spearmanr(a, b).statistic > 0.6 > 0.3 > abs(same_order(a, b, ["m"] * 15 + ["n"] * 15))
    for y in (np.zeros(6), np.where(x < 2, np.nan, x), x[:5]):
        assert np.isnan(same_order(x, y, one))
    assert np.isnan(same_order(x[:4], x[:4], one[:4])) and np.isnan(same_order(x, x, list("abcdef")))


def test_an_explanation_that_stays_as_it_was_is_said_to() -> None:
    def check(shuffled: float | None, gradients: float | None, half: float = 0.2) -> RandomisedCheck:
        e = [
            Estimate("rank_correlation", None, reason="none") if v is None else Estimate("rank_correlation", v, v - half, v + half)
            for v in (shuffled, gradients)
        ]  # fmt: skip
        return RandomisedCheck(5, *e, Estimate("roc_auc", 0.8), Estimate("roc_auc", 0.5))

    assert stays(check(0.8, 0.0)) and stays(check(None, 0.6)) and not stays(check(0.1, -0.7))
    assert not stays(check(None, None)) and not stays(check(0.6, 0.1, half=0.9)), "with so few folds it cannot be said"
