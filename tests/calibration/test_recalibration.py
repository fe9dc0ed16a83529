"""Isotonic and Venn-Abers maps against other implementations; another prevalence; and both inside a learner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from cohortium.calibration import Recalibration, cross_fitted, fit_recalibration, prior_shift, shifted
from cohortium.calibration.recalibration import venn_abers
from cohortium.learners import LearnerConfig, fit_all, restore
from cohortium.testing import simulate_cohort, simulated_fold

ORACLE = Path(__file__).parent / "oracle" / "venn_abers.csv"


def test_venn_abers_is_that_of_the_package_of_its_authors():
    frame = pd.read_csv(ORACLE)
    known, new = frame[frame["part"] == "calibration"], frame[frame["part"] == "new"]
    got = venn_abers(*(known[c].to_numpy(float) for c in ("score", "value")), new["score"].to_numpy(float))
    np.testing.assert_allclose(got, new["value"], atol=1e-9)


def two(p):
    return np.column_stack([1 - p, p])


def test_isotonic_is_that_of_scikit_learn_whatever_the_order_of_units():
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(0)
    p = np.round(rng.random(200), 2)
    y = (rng.random(200) < p**2).astype(np.int64)
    new = rng.random(50)
    expected = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(new)
    got = fit_recalibration(two(p), y, "isotonic").apply(two(new))
    np.testing.assert_allclose(got[:, 1], expected, atol=1e-12)
    order = rng.permutation(200)
    again = Recalibration.restore(fit_recalibration(two(p[order]), y[order], "isotonic").state())
    np.testing.assert_array_equal(again.apply(two(new)), got)


@pytest.mark.parametrize("method", ["isotonic", "venn_abers"])
def test_what_is_too_sure_is_mended(method):
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(3000, 3))
    codes = np.array([rng.choice(3, p=np.exp(t) / np.exp(t).sum()) for t in truth])
    sure = np.exp(3 * truth)
    sure /= sure.sum(axis=1, keepdims=True)
    recalibration = fit_recalibration(sure[:1500], codes[:1500], method)
    better = recalibration.apply(sure[1500:])
    np.testing.assert_allclose(better.sum(axis=1), 1, atol=1e-12)

    def brier(p):
        return ((p - np.eye(3)[codes[1500:]]) ** 2).sum(axis=1).mean()

    assert brier(better) < brier(sure[1500:]) - 0.05


def test_no_unit_is_mapped_by_its_own_label():
    rng = np.random.default_rng(2)
    p, y = two(rng.random(90)), rng.integers(0, 2, 90)
    splits = tuple((np.flatnonzero(np.arange(90) % 3 != j), np.flatnonzero(np.arange(90) % 3 == j)) for j in range(3))
    first = cross_fitted(p, y, splits, "isotonic")
    other = y.copy()
    other[splits[0][1]] = 1 - other[splits[0][1]]
    np.testing.assert_array_equal(cross_fitted(p, other, splits, "isotonic")[splits[0][1]], first[splits[0][1]])


def test_a_model_of_a_case_control_sample_is_right_at_the_prevalence_of_the_population():
    rng = np.random.default_rng(3)
    x = rng.normal(size=400_000)
    y = rng.random(400_000) < expit(x - 4)
    prevalence = y.mean()
    cases = np.flatnonzero(y)
    sample = np.concatenate([cases, rng.choice(np.flatnonzero(~y), len(cases), replace=False)])
    # In the sample the log odds are those of the population plus a constant.
    sampled = expit(x - 4 - prior_shift(prevalence, 0.5))
    assert sampled[sample].mean() == pytest.approx(0.5, abs=0.01)
    moved = shifted(sampled, prior_shift(prevalence, 0.5))
    np.testing.assert_allclose(logit(moved), x - 4, atol=1e-9)
    assert moved.mean() == pytest.approx(prevalence, rel=0.02)


@pytest.mark.parametrize("method", ["isotonic", "venn_abers"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "survival"])
def test_a_learner_with_it_is_saved_and_one_that_cannot_have_it_is_as_before(kind, method):
    s = simulate_cohort(np.random.default_rng(4), 200, {"labs": 6, "rna": 20}, kind, missing={"rna": 0.3})
    plain = LearnerConfig(models=("linear",), preset="quick", coverage=0.9)
    fold = simulated_fold(s, np.arange(150))
    tested = s.cohort.take(np.arange(150, 200))
    made, before = (
        fit_all(c, replace(fold, store=type(fold.store)()), ["late"], "late")["late"]
        for c in (replace(plain, recalibration=method), plain)
    )
    if kind == "survival":
        np.testing.assert_array_equal(made.predict(tested).survival, before.predict(tested).survival)
        return
    p = made.predict(tested).p
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.abs(p - before.predict(tested).p).max() > 1e-3
    np.testing.assert_array_equal(restore(made.state()).predict(tested).p, p)
    assert len(made.bounds(tested, made.predict(tested))) == 50


def test_another_prevalence_moves_probabilities_and_threshold_and_no_decision_or_set():
    s = simulate_cohort(np.random.default_rng(5), 240, {"labs": 6, "rna": 20}, "binary")
    config = LearnerConfig(models=("linear",), preset="quick", coverage=0.9)
    made = fit_all(config, simulated_fold(s, np.arange(200)), ["late"], "late")["late"]
    moved = restore(made.for_prevalence(0.02, 0.5).state())
    tested = s.cohort.take(np.arange(200, 240))
    p, q = made.predict(tested), moved.predict(tested)
    np.testing.assert_allclose(logit(q.p[:, 1]) - logit(p.p[:, 1]), prior_shift(0.02, 0.5), atol=1e-9)
    np.testing.assert_array_equal(p.p[:, 1] >= made.threshold, q.p[:, 1] >= moved.threshold - 1e-12)
    np.testing.assert_array_equal(made.bounds(tested, p).inside, moved.bounds(tested, q).inside)
