"""Stacking and joining."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.fusion import (
    Fill,
    StackFit,
    fit_slope,
    fit_stack,
    join_new,
    join_train,
    scheme_weights,
    stack_out_of_fold,
)
from cohortium.heads.families import family_of
from cohortium.heads.newton import fit_theta
from cohortium.schema import EndpointKind
from tests.heads.test_likelihoods import outcome


def folds(n: int, k: int = 5):
    at = np.arange(n) % k
    return tuple((np.flatnonzero(at != j), np.flatnonzero(at == j)) for j in range(k))


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_a_stack_weighs_signal_and_drops_noise(kind):
    rng = np.random.default_rng(1)
    score = rng.normal(size=600)
    y = outcome(kind, 2 * score, rng)
    family = family_of(y)
    k = family.n_scores
    good = np.linspace(-1, 1, k)[None, :] * score[:, None] if k > 1 else score[:, None]
    z = np.stack([good, rng.normal(size=(600, k)), rng.normal(size=(600, k))], axis=1)
    made = stack_out_of_fold(z, family, folds(600))
    stack, oof = made.stack, made.oof
    assert stack.weights[0] > 5 * stack.weights[1:].max()
    assert (stack.weights >= 0).all()
    assert np.corrcoef(oof[:, -1], score)[0, 1] > 0.9


def test_useless_inputs_get_no_weight_at_all():
    rng = np.random.default_rng(2)
    y = outcome(EndpointKind.BINARY, np.zeros(400), rng)
    z = -0.5 * np.stack([(y.codes - 0.5)[:, None] + rng.normal(size=(400, 1)) for _ in range(3)], axis=1)
    assert fit_stack(z, family_of(y), 1e6).weights == pytest.approx(0, abs=1e-3), "a score that points the wrong way"


def test_a_missing_score_is_completed_from_the_ones_that_carry_it():
    rng = np.random.default_rng(3)
    a = rng.normal(size=2000)
    flat = np.column_stack([a, a + 0.1 * rng.normal(size=2000), rng.normal(size=2000)])
    fill = Fill.fit(flat)
    gone = flat.copy()
    gone[:, 1] = np.nan
    completed = fill.complete(gone)[:, 1]
    assert np.corrcoef(completed, flat[:, 1])[0, 1] > 0.97
    np.testing.assert_allclose(fill.complete(np.full((2, 3), np.nan)), np.tile(fill.mean, (2, 1)))


def test_stack_state_round_trip():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(50, 3, 1))
    stack = fit_stack(z, family_of(outcome(EndpointKind.CONTINUOUS, z[:, 0, 0], rng)), 4.0)
    z[3, 1] = np.nan
    np.testing.assert_array_equal(StackFit.restore(stack.state()).combine(z), stack.combine(z))


def test_block_weights():
    sizes, gains = np.array([4, 400]), np.array([0.1, -0.2])
    np.testing.assert_allclose(scheme_weights("feature", sizes, gains) ** 2, sizes / 404)
    np.testing.assert_allclose(scheme_weights("block", sizes, gains) ** 2, 0.5)
    np.testing.assert_allclose(scheme_weights("evidence", sizes, gains) ** 2, [1, 0])


def test_joining_in_sample_space_keeps_inner_products_and_puts_absent_rows_at_zero():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(30, 25)), rng.normal(size=(20, 18))
    rows = np.arange(0, 30), np.arange(5, 25)
    weights = np.array([0.6, 0.8])
    joined = join_train([(a, rows[0]), (b, rows[1])], weights, 30)
    whole = np.zeros((30, 43))
    whole[:, :25] = 0.6 * a
    whole[5:25, 25:] = 0.8 * b
    np.testing.assert_allclose(joined.z @ joined.z.T, whole @ whole.T, atol=1e-9)
    np.testing.assert_allclose(join_new(joined, [(a, rows[0]), (b, rows[1])], 30), joined.z, atol=1e-9)
    coef = rng.normal(size=(joined.z.shape[1], 1))
    parts = joined.split(coef)
    np.testing.assert_allclose(joined.z @ coef, a @ parts[0] + np.pad(b @ parts[1], ((5, 5), (0, 0))), atol=1e-9)


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_the_slope_undoes_a_wrong_scale_and_silences_a_wrong_sign(kind):
    rng = np.random.default_rng(6)
    score = rng.normal(size=(600, 3 if kind is EndpointKind.MULTICLASS else 1))
    family = family_of(outcome(kind, score[:, -1], rng))
    score = score * (np.arange(score.shape[1]) == score.shape[1] - 1)
    right, _ = fit_slope(score, family)
    wide, _ = fit_slope(40.0 * score, family)
    assert wide * 40.0 == pytest.approx(right, rel=0.02)
    assert fit_slope(-score, family)[0] == 0.0
    rest, _ = fit_slope(score, family, offset=right * score)
    assert rest == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_a_unit_of_which_nothing_is_known_is_given_the_base_rate(kind):
    from cohortium.contracts import Probabilities, Values
    from cohortium.heads.families import to_prediction

    rng = np.random.default_rng(8)
    # Two humps of unequal size: the mean score is far from what stands for the base rate.
    score = np.where(rng.random(900) < 0.2, 3.0, -3.0) + rng.normal(0, 0.3, 900)
    y = outcome(kind, score, rng)
    family = family_of(y)
    k = family.n_scores
    z = np.stack([score[:, None] * (np.linspace(-1, 1, k) if k > 1 else np.ones(1))[None, :]], axis=1)
    z[rng.random(900) < 0.15] = np.nan
    stack = fit_stack(z, family, 1e6)
    gone = np.isnan(z).all(axis=(1, 2))
    eta = stack.combine(z)
    assert (eta[gone] == stack.neutral).all()
    if kind in (EndpointKind.SURVIVAL, EndpointKind.COMPETING_RISKS):
        hazard = family.exposure[~gone] @ np.exp(eta[~gone, 0]) / family.exposure[~gone].sum()
        assert np.exp(stack.neutral[0]) == pytest.approx(hazard)
        return
    known = family.take(np.flatnonzero(~gone))
    if kind is EndpointKind.ORDINAL:  # one score for all cannot give every class its share: it is the best such score
        theta = fit_theta(known, eta[~gone])
        loss = [known.value_grad(np.full((known.n, 1), stack.neutral[0] + d), theta)[0] for d in (-0.2, 0.0, 0.2)]
        assert loss[1] == min(loss)
        return
    p = to_prediction(y.endpoint, y.units, eta, family.finish(eta, fit_theta(known, eta[~gone])))
    if isinstance(p, Values):
        assert p.values[gone].mean() == pytest.approx(y.values[~gone].mean(), abs=0.05)
    else:
        assert isinstance(p, Probabilities)
        assert p.p[gone][0] == pytest.approx(np.bincount(y.codes[~gone], minlength=p.p.shape[1]) / known.n, abs=0.02)


@pytest.mark.parametrize("kind", [EndpointKind.BINARY, EndpointKind.SURVIVAL])
def test_stacks_of_stacks_do_not_drive_the_scales_of_folds_apart(kind):
    """Scores of one fold are a fifth larger by chance; four stacks later they are no more than that."""
    rng = np.random.default_rng(3)
    score = rng.normal(size=399)
    family, inner = family_of(outcome(kind, 2 * score, rng)), folds(399, 3)
    z = score[:, None].copy()
    z[inner[0][1]] *= 1.2
    for _ in range(4):
        z = stack_out_of_fold(z[:, None, :], family, inner, (1e6,)).oof
    spread = [z[test].std() / score[test].std() for _, test in inner]
    assert max(spread) / min(spread) == pytest.approx(1.2, abs=0.01)


def test_noise_is_not_judged_by_a_scale_that_saw_it():
    """Of scores that say nothing the honest ones lose against no scores at all; those handed on may seem to gain."""
    rng = np.random.default_rng(4)
    gains = []
    for _ in range(200):
        noise = rng.normal(size=(90, 2, 1))
        family, inner = family_of(outcome(EndpointKind.BINARY, np.zeros(90), rng)), folds(90, 3)
        made = stack_out_of_fold(noise, family, inner, (20.0,))
        null = np.zeros((90, 1))
        mean = [family.unit_loss(z, fit_theta(family, z)).mean() for z in (null, made.honest, made.oof)]
        gains.append([mean[0] - mean[1], mean[0] - mean[2]])
    honest, handed_on = np.mean(gains, axis=0)
    assert honest < 0 and handed_on > honest + 0.001
