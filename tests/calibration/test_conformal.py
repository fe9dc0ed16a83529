"""Sets and intervals hold at their level where calibration and new units are exchangeable, whatever the model is worth."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.calibration import IntervalMaker, SetMaker, fit_intervals, fit_sets
from cohortium.contracts import ClassOutcome, Probabilities, ValueOutcome, Values
from cohortium.schema import Endpoint, EndpointKind

CLASSES = ("no", "yes")
BOTH = ("labs", "rna")


def ids(n):
    return np.array([f"u{i}" for i in range(n)], dtype=object)


def drawn(rng, n, prevalence=0.5):
    """Labels, probabilities of a poor model, presence: half lack rna, and of those the model knows less."""
    y = (rng.random(n) < prevalence).astype(int)
    presence = np.column_stack([np.ones(n, bool), rng.random(n) < 0.5])
    score = rng.normal(size=n) + y * np.where(presence[:, 1], 2.0, 0.5)
    p = 1 / (1 + np.exp(-3 * (score - 1)))
    endpoint = Endpoint("y", EndpointKind.BINARY, CLASSES)
    return ClassOutcome(endpoint, ids(n), y), Probabilities(ids(n), CLASSES, np.column_stack([1 - p, p])), presence


def by_p_value(outcome, prediction, presence, made, level):
    """A second implementation: for each new unit and class the conformal p-value, counted within its group and class."""
    new, have = made
    inside = np.zeros(new.p.shape, bool)
    for i in range(len(new.p)):
        same = (presence == have[i]).all(axis=1)
        for k in range(new.p.shape[1]):
            others = prediction.p[same & (outcome.codes == k), k]
            inside[i, k] = (np.sum(others <= new.p[i, k]) + 1) / (len(others) + 1) > 1 - level + 1e-12
    return inside


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_sets_are_those_of_conformal_p_values_within_pattern_and_class(level):
    rng = np.random.default_rng(0)
    outcome, prediction, presence = drawn(rng, 400)
    maker = fit_sets(outcome, prediction, BOTH, presence, level)
    _, new, have = drawn(rng, 100)
    assert set(maker.patterns.own) == {"labs", "labs + rna"}
    np.testing.assert_array_equal(
        maker.make(new, have).inside, by_p_value(outcome, prediction, presence, (new, have), level)
    )


@pytest.mark.slow
def test_sets_hold_at_their_level_in_each_pattern_and_class_and_randomised_ones_exactly():
    rng = np.random.default_rng(1)
    plain, exact = [], []
    for _ in range(400):
        outcome, prediction, presence = drawn(rng, 300, 0.4)
        maker = fit_sets(outcome, prediction, BOTH, presence, 0.9)
        truth, new, have = drawn(rng, 300, 0.4)
        at = np.arange(300), truth.codes
        cells = [(truth.codes == k) & (have[:, 1] == x) for k in (0, 1) for x in (False, True)]
        for kept, sets in ((plain, maker.make(new, have)), (exact, maker.make(new, have, rng))):
            kept.append([sets.inside[at][c].mean() for c in cells])
    se = np.std(exact, axis=0).max() / 20
    np.testing.assert_allclose(np.mean(exact, axis=0), 0.9, atol=3.5 * se)
    assert (np.mean(plain, axis=0) > 0.9 - 3 * se).all()
    assert (np.mean(plain, axis=0) < 0.93).all()


def test_a_class_of_too_few_units_to_rule_out_is_always_inside():
    rng = np.random.default_rng(2)
    outcome, prediction, presence = drawn(rng, 200, 0.03)
    assert (outcome.codes == 1).sum() < 9
    maker = fit_sets(outcome, prediction, BOTH, presence, 0.9)
    _, new, have = drawn(rng, 50)
    assert maker.make(new, have).inside[:, 1].all()
    assert maker.patterns.names == ("everyone",)


def test_patterns_with_too_few_units_share_a_calibration_and_unseen_ones_are_given_it():
    rng = np.random.default_rng(3)
    outcome, prediction, presence = drawn(rng, 400)
    presence[:30, 0] = False
    maker = fit_sets(outcome, prediction, BOTH, presence, 0.9)
    nobody = maker.make(prediction.take(np.array([0])), np.zeros((1, 2), bool))
    assert nobody.groups[0] == maker.patterns.rest == "everyone"
    few = fit_sets(outcome, prediction, BOTH, presence & (rng.random((400, 2)) < 0.5), 0.9)
    assert few.patterns.rest in ("other patterns", "everyone")


@pytest.mark.slow
def test_intervals_hold_at_their_level_in_each_pattern_with_as_many_above_as_below():
    rng = np.random.default_rng(4)
    held, above = [], []

    def values(n):
        presence = np.column_stack([np.ones(n, bool), rng.random(n) < 0.5])
        x = rng.normal(size=n)
        y = x + rng.exponential(size=n) * np.where(presence[:, 1], 0.5, 2.0)
        return ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), ids(n), y), Values(ids(n), x + 0.7), presence

    for _ in range(300):
        maker = fit_intervals(*values(250)[:2], BOTH, np.ones((250, 2), bool), 0.9)
        assert maker.patterns.own == ("labs + rna",)
        outcome, prediction, presence = values(250)
        maker = fit_intervals(outcome, prediction, BOTH, presence, 0.9)
        new, guess, have = values(250)
        made = maker.make(guess, have)
        inside = (new.values >= made.low) & (new.values <= made.high)
        held.append([inside[have[:, 1] == x].mean() for x in (False, True)])
        above.append((new.values > made.high).mean())
    assert (np.abs(np.mean(held, axis=0) - 0.9) < 0.012).all()
    assert np.mean(above) == pytest.approx(0.05, abs=0.008)


def test_with_too_few_units_an_interval_has_no_ends_and_is_stored_so():
    n = 15
    outcome = ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), ids(n), np.arange(n, dtype=float))
    maker = fit_intervals(outcome, Values(ids(n), np.zeros(n)), ("labs",), np.ones((n, 1), bool), 0.9)
    made = IntervalMaker.restore(maker.state()).make(Values(ids(2), np.zeros(2)), np.ones((2, 1), bool))
    assert np.isneginf(made.low).all() and np.isposinf(made.high).all()


def test_ties_are_counted_against_the_set_being_too_small():
    n = 200
    y = np.tile([0, 1], n // 2)
    outcome = ClassOutcome(Endpoint("y", EndpointKind.BINARY, CLASSES), ids(n), y)
    same = Probabilities(ids(n), CLASSES, np.full((n, 2), 0.5))
    maker = SetMaker.restore(fit_sets(outcome, same, ("labs",), np.ones((n, 1), bool), 0.9).state())
    assert maker.make(same, np.ones((n, 1), bool)).inside.all()
