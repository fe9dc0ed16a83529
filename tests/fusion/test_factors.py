"""Factor analysis of several blocks: against mofapy2, scikit-learn and the formulas; gaps of blocks and of cells."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.fusion import factors
from cohortium.fusion.factors import Block, FactorModel, fit_factors

ORACLE = Path(__file__).parent / "oracle"
ACTIVE = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 1]])


def test_rows_with_the_same_gaps_are_found_whatever_the_width():
    from cohortium.fusion.factors import _kinds

    rng = np.random.default_rng(0)
    for gaps in (rng.random((40, 3)) < 0.4, rng.random((30, 70)) < 0.02, np.zeros((5, 9), dtype=bool)):
        kinds, which = _kinds(gaps)
        expected, place = np.unique(gaps, axis=0, return_inverse=True)
        np.testing.assert_array_equal(kinds, expected)
        np.testing.assert_array_equal(which, place.ravel())


def canonical(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Canonical correlations of two sets of columns."""
    qa, qb = (np.linalg.qr(x - x.mean(0))[0] for x in (a, b))
    return np.linalg.svd(qa.T @ qb)[1]


def planted(seed: int, n: int = 160, sizes=(40, 30, 20), absent=0.3, unknown=0.05):
    """Blocks of four factors (:data:`ACTIVE`), the factors, and the blocks as they were before anything went missing."""
    rng = np.random.default_rng(seed)
    z, blocks, whole = rng.normal(size=(n, 4)), [], []
    for p, active in zip(sizes, ACTIVE, strict=True):
        x = z @ (rng.normal(size=(p, 4)) * active * 0.8).T + rng.normal(size=(n, p)) * rng.uniform(0.5, 1.5, p)
        x = x / x.std(0) + rng.normal(size=p)
        rows = np.flatnonzero(rng.random(n) >= absent * bool(blocks))
        seen = x[rows].copy()
        seen[rng.random(seen.shape) < unknown] = np.nan
        blocks.append(Block(seen, rows))
        whole.append(x)
    return blocks, z, whole


def test_factors_are_those_of_mofapy2():
    x = pd.read_csv(ORACLE / "mofa_data.csv")
    theirs, r2 = (pd.read_csv(ORACLE / f"mofa_{name}.csv") for name in ("factors", "r2"))
    blocks = []
    for m in range(3):
        view = x.loc[:, x.columns.str.startswith(f"v{m}_")].to_numpy()
        rows = np.flatnonzero(~np.isnan(view).all(axis=1))
        blocks.append(Block(view[rows], rows))
    model = fit_factors(blocks, len(x), 12)
    ours = model.latent(blocks, len(x))
    assert model.size == theirs.shape[1] == 5
    assert canonical(ours.mean, theirs.to_numpy()).min() > 0.99
    for m, b in enumerate(blocks):
        values, _ = model.predict(m, ours)
        known = ~np.isnan(b.x)
        left = np.square(b.x - values[b.rows])[known].sum() / np.square(b.x - np.nanmean(b.x, 0))[known].sum()
        assert 1 - left == pytest.approx(r2["total"][m], abs=0.02)
    # The same factors are in the same views: shares of variance, matched by the largest.
    for m in range(3):
        np.testing.assert_allclose(np.sort(model.explained[m]), np.sort(r2.iloc[m, :5]), atol=0.05)


def test_complete_data_have_the_covariance_that_scikit_learn_finds():
    from sklearn.decomposition import FactorAnalysis

    rng = np.random.default_rng(3)
    w = rng.normal(size=(12, 3))
    x = rng.normal(size=(4000, 3)) @ w.T + rng.normal(size=(4000, 12)) * rng.uniform(0.5, 1.5, 12) + 5
    x /= x.std(0)
    ours = fit_factors([Block(x, np.arange(4000))], 4000, 3, tolerance=1e-7)
    theirs = FactorAnalysis(3, tol=1e-8, max_iter=5000).fit(x)
    (loadings,), (noise,), (intercept,) = ours.loadings, ours.noise, ours.intercepts
    np.testing.assert_allclose(loadings @ loadings.T + np.diag(noise), theirs.get_covariance(), atol=0.01)
    np.testing.assert_allclose(noise, theirs.noise_variance_, atol=0.02)
    np.testing.assert_allclose(intercept, theirs.mean_, atol=0.01)
    assert canonical(ours.latent([Block(x, np.arange(4000))], 4000).mean, theirs.transform(x)).min() > 0.999


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_never_falls_and_planted_factors_are_found_in_their_blocks(seed):
    blocks, z, _ = planted(seed)
    model = fit_factors(blocks, 160, 12)
    steps = np.diff(model.bound)
    # Leaving out a factor is no step of the algorithm; it costs less than it had explained.
    assert (steps[np.arange(1, len(steps) + 1) % 10 != 1] > -1e-6).all()
    assert model.size == 4
    found = model.latent(blocks, 160).mean
    match = np.abs(np.corrcoef(found.T, z.T)[:4, 4:]).argmax(axis=1)
    np.testing.assert_array_equal(model.explained > 0.02, ACTIVE[:, match] == 1)
    assert canonical(found[:, [0]], z[:, match[[0]]])[0] > 0.9


def test_noise_alone_has_no_factors():
    rng = np.random.default_rng(0)
    blocks = [Block(rng.normal(size=(200, p)), np.arange(200)) for p in (30, 50)]
    model = fit_factors(blocks, 200, 10)
    assert model.explained.sum(axis=1).max() < 0.02


def test_new_units_get_the_gaussian_posterior_for_every_pattern_of_what_is_known():
    blocks, _, whole = planted(4)
    model = fit_factors(blocks, 160, 8)
    rng, k = np.random.default_rng(1), model.size
    for have in product([False, True], repeat=3):
        x = [w[:3].copy() for w in whole]
        for b in x:
            b[rng.random(b.shape) < 0.3] = np.nan
        parts = [Block(b, np.arange(3)) if h else None for b, h in zip(x, have, strict=True)]
        latent = model.latent(parts, 3)
        for i in range(3):
            inside, linear = np.eye(k), np.zeros(k)
            for j in np.flatnonzero(have):
                seen = ~np.isnan(x[j][i])
                w, v = model.loadings[j][seen], model.noise[j][seen]
                more = seen.sum() * model.spread[j]
                inside += (w.T / v) @ w + more[:k, :k]
                linear += (w.T / v) @ (x[j][i][seen] - model.intercepts[j][seen]) - more[:k, k]
            np.testing.assert_allclose(latent.cov[latent.of[i]], np.linalg.inv(inside), rtol=1e-8, atol=1e-12)
            np.testing.assert_allclose(latent.mean[i], np.linalg.solve(inside, linear), rtol=1e-8, atol=1e-12)
    nobody = model.latent([None, None, None], 2)
    assert not nobody.mean.any() and (nobody.sd() == 1).all()
    assert model.latent([None] * 3, 0).mean.shape == (0, k)


def test_what_the_model_says_of_a_block_that_is_not_there_is_right_and_its_uncertainty_too():
    blocks, _, whole = planted(5, n=400, unknown=0.02)
    train = np.arange(300)
    part = [Block(b.x[b.rows < 300], b.rows[b.rows < 300]) for b in blocks]
    model = fit_factors(part, 300, 8)
    new = [Block(whole[j][300:], np.arange(100)) for j in (0, 2)]
    value, variance = model.predict(1, model.latent([new[0], None, new[1]], 100))
    truth = whole[1][300:]
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(value.T, truth.T, strict=True)]
    assert np.median(correlation) > 0.6
    covered = np.abs(truth - value) < 1.645 * np.sqrt(variance)
    assert 0.85 < covered.mean() < 0.95
    assert np.square(truth - value).mean() < 0.8 * np.square(truth - whole[1][train].mean(0)).mean()


def test_a_wide_block_in_the_span_of_its_units_is_the_block_itself(monkeypatch):
    """One noise variance: any rotation of the features gives the same factors, and so does the way through features."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(60, 3))
    wide = z @ rng.normal(size=(3, 150)) * 0.5 + rng.normal(size=(60, 150))
    small = Block(z @ rng.normal(size=(3, 10)) + rng.normal(size=(60, 10)), np.arange(60))
    turn = np.linalg.qr(rng.normal(size=(150, 150)))[0]
    monkeypatch.setattr(factors, "TIED", 100)
    one, two = (fit_factors([Block(x, np.arange(60)), small], 60, 5) for x in (wide, wide @ turn))
    for model, x in ((one, wide), (two, wide @ turn)):
        assert np.ptp(model.noise[0]) == 0 and len(model.noise[0]) == 150
        assert model.predict(0, model.latent([Block(x, np.arange(60)), small], 60))[0].shape == (60, 150)
    np.testing.assert_allclose(two.loadings[0], turn.T @ one.loadings[0], atol=1e-5)
    np.testing.assert_allclose(one.bound, two.bound, rtol=1e-8)
    # Counted as fewer features it is another model, in the span of its units as well.
    three, four = (fit_factors([Block(x, np.arange(60), 0.2), small], 60, 5) for x in (wide, wide @ turn))
    np.testing.assert_allclose(three.bound, four.bound, rtol=1e-8)
    assert abs(three.bound[-1] - one.bound[-1]) > 100
    assert canonical(one.latent([Block(wide, np.arange(60)), small], 60).mean[:, :3], z).min() > 0.95


def test_features_that_repeat_each_other_do_not_take_all_the_precision():
    rng = np.random.default_rng(7)
    sex = rng.integers(0, 2, 150).astype(float)
    both = np.column_stack([sex, 1 - sex])
    both = (both - both.mean(0)) / both.std(0)
    model = fit_factors([Block(both, np.arange(150)), planted(1, n=150, absent=0)[0][0]], 150, 6)
    assert model.noise[0].min() >= factors.LEAST_NOISE * 0.999
    assert np.isfinite(model.bound).all()


def test_a_state_is_enough_and_order_of_units_does_not_matter():
    blocks, _, _ = planted(6)
    model = fit_factors(blocks, 160, 8)
    again = FactorModel.restore(model.state())
    whole = model.latent(blocks, 160)
    np.testing.assert_array_equal(again.latent(blocks, 160).mean, whole.mean)
    order = np.random.default_rng(0).permutation(len(blocks[0].rows))[:30]
    some = model.latent([Block(blocks[0].x[order], np.arange(30)), None, None], 30)
    alone = model.latent([blocks[0], None, None], 160)
    np.testing.assert_allclose(some.mean, alone.mean[blocks[0].rows[order]], rtol=1e-9, atol=1e-12)


def test_many_units_start_from_lanczos_vectors_and_end_the_same(monkeypatch):
    blocks, _, _ = planted(8, absent=0.1)
    usual = fit_factors(blocks, 160, 6)
    monkeypatch.setattr(factors, "SMALL", 10)
    other = fit_factors(blocks, 160, 6)
    assert other.size == usual.size
    assert other.bound[-1] == pytest.approx(usual.bound[-1], rel=1e-4)


def test_wide_blocks_that_crowd_out_what_small_ones_share_can_be_given_less_weight():
    """Six wide blocks with forty factors each and nothing in common; three small ones with four common factors."""
    rng = np.random.default_rng(2)
    n, blocks = 250, []
    for _ in range(3):
        z = rng.normal(size=(n, 40)) * np.arange(1, 41) ** -0.4
        blocks.append(z @ rng.normal(size=(40, 200)) * 0.7 + rng.normal(size=(n, 200)))
    common = rng.normal(size=(n, 4))
    blocks += [common @ rng.normal(size=(4, p)) * 0.6 + rng.normal(size=(n, p)) for p in (12, 10, 15)]
    blocks = [x / x.std(0) for x in blocks]
    found = []
    for cap in (1e9, 50):
        weights = [min(1.0, cap / x.shape[1]) for x in blocks]
        seen = [Block(x[:180], np.arange(180), w) for x, w in zip(blocks, weights, strict=True)]
        model = fit_factors(seen, 180, 10)
        new = [Block(x[180:], np.arange(70)) for x in blocks[:-1]]
        value, _ = model.predict(5, model.latent([*new, None], 70))
        found.append(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(value.T, blocks[-1][180:].T, strict=True)]))
    assert found[1] > 0.5 and found[1] > found[0] + 0.2, found
