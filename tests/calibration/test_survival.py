"""Lower bounds of survival times: right without censoring, and under censoring that depends on what the model sees."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.calibration import LowerBoundMaker, fit_lower_bounds, outlived
from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.schema import Endpoint, EndpointKind

GRID = np.linspace(0.02, 6, 150)


def ids(n):
    return np.array([f"u{i}" for i in range(n)], dtype=object)


def curves(rate):
    """(n,) rates -> exponential survival on the grid."""
    return Survival(ids(len(rate)), np.log(rate), GRID, np.exp(-rate[:, None] * GRID))


def drawn(rng, n):
    """Outcome, whole times, event rates, censoring rates; whoever is at risk is lost earlier."""
    x = rng.normal(size=n)
    rate, lost = np.exp(x), 0.8 * np.exp(1.2 * x)
    whole, end = rng.exponential(size=n) / rate, rng.exponential(size=n) / lost
    time, event = np.minimum(whole, end), whole <= end
    outcome = SurvivalOutcome(Endpoint("y", EndpointKind.SURVIVAL), ids(n), time, event, np.zeros(n))
    return outcome, whole, rate, lost


def test_without_censoring_a_unit_outlived_its_time_or_did_not():
    rng = np.random.default_rng(0)
    n = 60
    time = rng.choice(GRID, n)
    outcome = SurvivalOutcome(Endpoint("y", EndpointKind.SURVIVAL), ids(n), time, np.ones(n, bool), np.zeros(n))
    never = Survival(ids(n), np.zeros(n), GRID, np.ones((n, len(GRID))))
    asked = np.column_stack([np.full(n, 0.5), rng.choice(GRID, n), np.zeros(n), time])
    got = outlived(outcome, asked, curves(rng.exponential(size=n) + 0.1), never)
    np.testing.assert_allclose(got, time[:, None] > asked, atol=1e-9)


def test_a_sum_over_the_grid_unit_by_unit_gives_the_same():
    rng = np.random.default_rng(1)
    outcome, _, rate, lost = drawn(rng, 40)
    s, g = curves(rate), curves(lost)
    t = np.quantile(outcome.time, 0.6)
    expected = []
    for i in range(40):
        before, total = 1.0, 1.0

        def left(u, i=i):
            k = np.searchsorted(GRID, u, side="left")
            return max(1.0 if k == 0 else g.survival[i, k - 1], 0.05)

        for u, now in zip(GRID, s.survival[i], strict=True):
            now = max(now, 1e-4)
            if u <= min(t, outcome.time[i]):
                total += (1 / now - 1 / before) / left(u)
            before = now
        at = s.at(np.array([t, outcome.time[i]]))[i]
        if outcome.event[i] and outcome.time[i] <= t:
            total -= 1 / (max(at[1], 1e-4) * left(outcome.time[i]))
        expected.append(at[0] * total)
    np.testing.assert_allclose(outlived(outcome, np.full((40, 1), t), s, g)[:, 0], expected, rtol=1e-10)


@pytest.mark.parametrize("wrong", ["neither", "curves", "censoring"])
def test_it_is_right_on_average_when_either_model_is(wrong):
    rng = np.random.default_rng(2)
    outcome, whole, rate, lost = drawn(rng, 60_000)
    s = curves(np.full_like(rate, 1.3) if wrong == "curves" else rate)
    g = curves(np.full_like(lost, 1.0) if wrong == "censoring" else lost)
    t = np.full((len(whole), 1), 0.3)
    values = outlived(outcome, t, s, g)[:, 0]
    truth = (whole > 0.3).mean()
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / np.sqrt(len(values)) + 0.006)
    # What is seen alone would be far off.
    assert abs((outcome.time > 0.3).mean() - truth) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_bounds_are_outlived_at_the_level_under_censoring_that_depends_on_covariates(wrong):
    rng = np.random.default_rng(3)
    held, naive = [], []
    have = np.ones((300, 1), bool)
    for _ in range(150):
        outcome, _, rate, lost = drawn(rng, 300)
        # A wrong model: too sure, and shrunk.
        maker = fit_lower_bounds(
            outcome, curves(1.8 * rate**0.5 if wrong else rate), curves(lost), ("labs",), have, 0.9
        )
        _, whole, rate, _ = drawn(rng, 300)
        made = maker.make(curves(1.8 * rate**0.5 if wrong else rate), have)
        held.append((whole >= made.low).mean())
        end = np.quantile(outcome.time, 0.1)  # what an unweighted quantile of observed times would give
        naive.append((whole >= end).mean())
    assert 0.885 < np.mean(held) < 0.93
    assert np.mean(naive) > 0.93  # far too early


def test_where_no_bound_can_be_given_it_is_zero_and_restored_ones_are_the_same():
    rng = np.random.default_rng(4)
    outcome, _, rate, lost = drawn(rng, 8)
    have = np.ones((8, 1), bool)
    maker = fit_lower_bounds(outcome, curves(rate), curves(lost), ("labs",), have, 0.9)
    assert (maker.make(curves(rate), have).low == 0).all()
    outcome, _, rate, lost = drawn(rng, 300)
    have = np.ones((300, 1), bool)
    maker = fit_lower_bounds(outcome, curves(rate), curves(lost), ("labs",), have, 0.9)
    again = LowerBoundMaker.restore(maker.state())
    np.testing.assert_array_equal(maker.make(curves(rate), have).low, again.make(curves(rate), have).low)
    assert (maker.make(curves(rate), have).low > 0).mean() > 0.9


def test_a_later_level_gives_earlier_bounds():
    rng = np.random.default_rng(5)
    outcome, _, rate, lost = drawn(rng, 500)
    have = np.ones((500, 1), bool)
    low = [
        np.median(
            fit_lower_bounds(outcome, curves(rate), curves(lost), ("a",), have, level).make(curves(rate), have).low
        )
        for level in (0.7, 0.8, 0.9)
    ]
    assert low[0] > low[1] > low[2] > 0
