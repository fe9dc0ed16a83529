"""Sums with noise: the norm holds whatever a patient is, outputs lie on a grid, noise has the size that was paid for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cohortium.privacy import SeededNoise, SystemNoise, noisy_sum
from cohortium.privacy.grid import grid_of, shares_on_grid


def test_no_share_is_longer_than_its_bound():
    rng = np.random.default_rng(0)
    for _ in range(200):
        d, bound = int(rng.integers(1, 20)), float(10 ** rng.uniform(-6, 6))
        shares = rng.standard_normal((50, d)) * 10.0 ** rng.uniform(-9, 9, (50, 1)) * bound
        shares[0], shares[1] = 0.0, 1e200
        grid = grid_of(bound / float(10 ** rng.uniform(-2, 2)), bound)
        cut = shares_on_grid(shares, bound, grid)
        exact = [sum(int(v) ** 2 for v in row) for row in cut]  # integers: no rounding in the check
        assert max(exact) <= (bound / grid) ** 2
    assert np.abs(cut).max() > 0


def test_adding_a_patient_moves_the_sum_by_at_most_the_bound():
    rng = np.random.default_rng(1)
    shares = rng.standard_normal((40, 5)) * rng.uniform(0, 5, (40, 1))
    whole = noisy_sum(shares, 1.5, np.inf, SeededNoise(0, "a"), "q")
    for i in range(40):
        rest = noisy_sum(np.delete(shares, i, 0), 1.5, np.inf, SeededNoise(0, "a"), "q")
        assert np.linalg.norm(whole - rest) <= 1.5
    assert any(np.linalg.norm(s) > 1.5 for s in shares)


def test_outputs_lie_on_the_same_grid_for_all_data():
    rng = np.random.default_rng(2)
    grid = grid_of(2.0 / 0.5, 2.0)
    for i in range(50):
        out = noisy_sum(rng.standard_normal((7, 3)) * 1e-7 * i, 2.0, 0.5, SeededNoise(i, "a"), "q")
        assert (out / grid == np.rint(out / grid)).all()
    assert grid <= 4.0 * 2.0**-30 and np.log2(grid) == int(np.log2(grid))


def test_noise_has_the_deviation_that_was_paid_for():
    drawn = np.concatenate([noisy_sum(np.zeros((1, 500)), 3.0, 0.25, SeededNoise(s, "a"), "q") for s in range(20)])
    assert stats.kstest(drawn / 12.0, "norm").pvalue > 1e-3
    assert stats.kstest(drawn / 11.0, "norm").pvalue < 1e-3


def test_noise_by_seed_differs_by_site_and_question_and_comes_again():
    def draw(seed, site, asked):
        return tuple(SeededNoise(seed, site).integers(2.0**31, 4, asked))

    every = {draw(s, n, q) for s in (0, 1) for n in "ab" for q in "xy"}
    assert len(every) == 8 and draw(0, "a", "x") in every


def test_system_noise_is_gaussian_and_never_the_same():
    pytest.importorskip("opendp")
    noise = SystemNoise()
    drawn = noise.integers(2.0**31, 4000)
    assert stats.kstest(drawn / 2.0**31, "norm").pvalue > 1e-4
    assert not (drawn[:20] == noise.integers(2.0**31, 4000)[:20]).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        noisy_sum(np.array([[bad, 1.0]]), 1.0, 1.0, SeededNoise(0, "a"), "q")
