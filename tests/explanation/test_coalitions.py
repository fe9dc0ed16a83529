"""Shapley values: their axioms, closed forms, and the mean over all orders counted out."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from cohortium.explanation import shapley


def game(n: int, seed: int, d: int = 2):
    """A game without any structure: a number for every coalition."""
    table = np.random.default_rng(seed).normal(size=(2**n, d))
    return lambda mask: table[int((mask * 2 ** np.arange(n)).sum())]


def counted_out(n: int, value) -> np.ndarray:
    """The definition: the mean gain over all n! orders."""
    total, orders = 0.0, list(permutations(range(n)))
    for order in orders:
        gain, mask = np.zeros((n, len(value(np.zeros(n, dtype=bool))))), np.zeros(n, dtype=bool)
        for i in order:
            before = value(mask)
            mask[i] = True
            gain[i] = value(mask) - before
        total = total + gain
    return total / len(orders)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_exact_values_are_the_mean_over_all_orders(n: int) -> None:
    value = game(n, n)
    found = shapley(n, value, np.random.default_rng(0))
    np.testing.assert_allclose(found.values, counted_out(n, value), atol=1e-12)
    assert found.exact and not found.error.any()


def test_glove_game() -> None:
    # One right glove, two left ones; a pair is worth 1 (Shapley 1953; Osborne & Rubinstein 1994, example 259.3).
    value = lambda m: np.array([float(m[0] and (m[1] or m[2]))])  # noqa: E731
    found = shapley(3, value, np.random.default_rng(0))
    np.testing.assert_allclose(found.values[:, 0], [2 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize("exact_up_to", [12, 0])
def test_axioms_hold_for_exact_and_drawn_values(exact_up_to: int) -> None:
    weights = np.array([0.5, -1.0, 2.0, 0.0, 0.3, 0.3])

    def value(mask: np.ndarray) -> np.ndarray:  # 3 is a null player; 4 and 5 are the same; 0 and 1 interact
        return np.array([mask @ weights + 4.0 * (mask[0] and mask[1]) + 1.5 * (mask[4] or mask[5]), 7.0])

    found = shapley(6, value, np.random.default_rng(0), exact_up_to=exact_up_to, pairs=400)
    np.testing.assert_allclose(found.values.sum(axis=0), found.everything - found.nothing, atol=1e-12)
    np.testing.assert_allclose(found.values[3], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.values[:, 1], 0.0, atol=1e-12)
    loose = 1e-12 if found.exact else 4 * float(found.error.max()) + 1e-12
    assert abs(found.values[4, 0] - found.values[5, 0]) <= loose
    np.testing.assert_allclose(found.values[:, 0], [2.5, 1.0, 2.0, 0.0, 1.05, 1.05], atol=loose)
    assert found.exact == (exact_up_to > 0)


def test_drawn_values_are_within_their_stated_error() -> None:
    value, n = game(8, 5, 1), 8
    exact = shapley(n, value, np.random.default_rng(0)).values
    z = []
    for seed in range(40):
        drawn = shapley(n, value, np.random.default_rng(seed), exact_up_to=0, pairs=60)
        z.append((drawn.values - exact) / drawn.error)
    spread = float(np.std(np.array(z)))
    assert 0.8 < spread < 1.2, "the stated Monte-Carlo error is that of the draws"


def test_coalitions_are_asked_once_and_nobody_is_an_answer() -> None:
    asked: list[bytes] = []

    def value(mask: np.ndarray) -> np.ndarray:
        asked.append(mask.tobytes())
        return np.array([1.0])

    shapley(4, value, np.random.default_rng(0))
    assert len(asked) == len(set(asked)) == 16
    asked.clear()
    shapley(4, value, np.random.default_rng(0), exact_up_to=0, pairs=50)
    assert len(asked) == len(set(asked)) <= 16
    none = shapley(0, value, np.random.default_rng(0))
    assert none.values.shape == (0, 1) and none.nothing == none.everything == 1.0
