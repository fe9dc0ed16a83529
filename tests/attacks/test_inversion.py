"""Rows from sums: found where there are few of them and many sums, and not where they stand in one round of many."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.attacks import match, recovered, snapped  # noqa: E402


def attacked(n, q, rounds, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, q))
    y = torch.tensor(rng.integers(2, size=n), dtype=torch.float64)
    asked = [torch.zeros(q + 1, dtype=torch.float64)]
    asked += [torch.tensor(rng.normal(size=q + 1) * 0.4) for _ in range(rounds - 1)]
    upper = np.triu_indices(q + 1)

    def messages(rows):
        one = torch.cat([torch.ones(len(rows), 1, dtype=torch.float64), rows], 1)
        out = []
        for b in asked:
            p = torch.sigmoid(one @ b)
            out += [one.T @ (p - y), ((one * (p * (1 - p))[:, None]).T @ one)[upper]]
        return torch.cat(out)

    rows, misfit = match(messages, messages(torch.tensor(x)).numpy(), (n, q), seed, restarts=2)
    return recovered(rows, x, misfit, seed)


def test_one_patient_is_read_off_and_few_are_recovered_from_several_rounds():
    one = attacked(1, 5, 1)
    assert one.share == 1 and one.distance < 1e-4
    few = attacked(6, 3, 6)
    assert few.share == 1 and few.distance < 0.1 and few.chance < 0.2


def test_one_round_of_many_patients_has_many_answers():
    """Sums that are met to the last digit by rows that are not the true ones."""
    found = attacked(25, 4, 1)
    assert found.misfit < 1e-4 and found.share < 0.3 and found.distance > 0.25


def test_two_values_are_snapped_to():
    rows = np.array([[0.2, 5.0], [-0.9, 6.0]])
    np.testing.assert_array_equal(snapped(rows, {0: (-1.0, 1.0)}), [[1.0, 5.0], [-1.0, 6.0]])
