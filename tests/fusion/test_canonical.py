"""Canonical variates: against a second implementation, with absent blocks, more features than units, and nothing in common."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from cohortium.fusion.canonical import Canonical, fit_canonical, fit_directions
from cohortium.fusion.factors import Block


def drawn(seed: int, n: int, sizes: tuple[int, ...], strength: float = 1.0, absent: float = 0.0):
    """Blocks of units that share two variables, and these (n, 2)."""
    rng = np.random.default_rng(seed)
    z, blocks = rng.normal(size=(n, 2)), []
    for q in sizes:
        x = strength * z @ rng.normal(size=(2, q)) + rng.normal(size=(n, q))
        rows = np.flatnonzero(rng.random(n) >= absent)
        blocks.append(Block(x[rows], rows))
    return blocks, z


def folds(n: int, k: int = 3):
    of = np.arange(n) % k
    return [(np.flatnonzero(of != j), np.flatnonzero(of == j)) for j in range(k)]


def test_two_complete_blocks_give_the_correlations_of_hotelling():
    blocks, _ = drawn(0, 300, (6, 5))
    found = fit_directions(blocks, 300, 3, 0.0)
    said = [found.said(b.x, j) for j, b in enumerate(blocks)]
    oracle = CCA(3, scale=False, max_iter=5000, tol=1e-12).fit(blocks[0].x, blocks[1].x)
    u, v = oracle.transform(blocks[0].x, blocks[1].x)
    for k in range(3):
        mine = np.corrcoef(said[0][:, k], said[1][:, k])[0, 1]
        assert mine == pytest.approx(np.corrcoef(u[:, k], v[:, k])[0, 1], abs=1e-9)
        assert abs(np.corrcoef(said[0][:, k], u[:, k])[0, 1]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("sizes", [(6, 5, 4), (400, 7, 350)])
def test_a_variate_is_the_mean_of_what_a_units_blocks_say(sizes):
    blocks, _ = drawn(1, 120, sizes, absent=0.3)
    found = fit_directions(blocks, 120, 4, 0.5)
    total, count = np.zeros((120, 4)), np.zeros((120, 1))
    for j, b in enumerate(blocks):
        total[b.rows] += found.said(b.x, j)
        count[b.rows] += 1
    g = total / np.maximum(count, 1)
    weighted = (g * count).T @ g / count.sum()
    np.testing.assert_allclose(weighted, np.eye(4), atol=1e-8)


@pytest.mark.parametrize("sizes", [(8, 6, 5), (500, 8, 300)])
def test_what_blocks_share_is_found_whatever_a_unit_has(sizes):
    blocks, z = drawn(2, 300, sizes, 0.5, absent=0.3)
    found = fit_canonical(blocks, 300, 8, folds(300))
    assert 2 <= found.size <= 3 and (found.agreement[:2] > 0.3).all() and (found.agreement[2:] < 0.2).all()
    mean, variance = found.infer(blocks, 300)
    q = np.linalg.qr(mean - mean.mean(axis=0))[0]
    left = z - z.mean(axis=0) - q @ (q.T @ (z - z.mean(axis=0)))
    assert (1 - np.square(left).sum(axis=0) / np.square(z).sum(axis=0) > 0.6).all()
    alone, wider = found.infer([blocks[0], None, None], 300)
    assert (wider[blocks[0].rows] >= variance[blocks[0].rows]).all()
    nobody = np.setdiff1d(np.arange(300), blocks[0].rows)
    assert not alone[nobody].any() and (wider[nobody] == 1).all()


def test_blocks_that_share_nothing_agree_on_nothing():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        blocks = [Block(rng.normal(size=(90, q)), np.arange(90)) for q in (200, 10)]
        found.append(fit_canonical(blocks, 90, 6, folds(90)))
    # In sample such blocks correlate perfectly; on units held out they do not.
    directions = fit_directions(blocks, 90, 1, 1e-6)
    said = [directions.said(b.x, j)[:, 0] for j, b in enumerate(blocks)]
    assert np.corrcoef(*said)[0, 1] > 0.95
    assert abs(np.mean([f.agreement[0] for f in found])) < 0.2
    assert np.mean([f.size for f in found]) < 2


def test_stored_and_restored_infers_the_same_and_one_block_has_components():
    blocks, _ = drawn(4, 80, (5, 90))
    found = fit_canonical(blocks, 80, 5, folds(80))
    again = Canonical.restore(found.state())
    np.testing.assert_array_equal(again.infer(blocks, 80)[0], found.infer(blocks, 80)[0])
    alone = fit_canonical(blocks[:1], 80, 3, folds(80))
    assert alone.size == 3 and np.isnan(alone.agreement).all()
