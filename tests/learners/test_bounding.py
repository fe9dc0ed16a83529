"""What a learner says of how sure it is: for every kind of endpoint, every pattern, saved and restored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts import Intervals, LowerBounds, Sets
from cohortium.learners import LearnerConfig, fit_all, load_predictor, save_predictor
from cohortium.schema import EndpointKind
from cohortium.testing import simulate_cohort, simulated_fold

SIZES = {"labs": 6, "rna": 30}
CONFIG = LearnerConfig(models=("linear",), preset="quick", reference=("labs",), coverage=0.9)
N, TESTED = 240, 400


def fitted(kind, seed=0, config=CONFIG, **more):
    s = simulate_cohort(np.random.default_rng(seed), N + TESTED, SIZES, kind, missing={"rna": 0.4}, **more)
    predictor = fit_all(config, simulated_fold(s, np.arange(N)), ["auto"], "auto")["auto"]
    rows = np.arange(N, N + TESTED)
    return predictor, s.cohort.take(rows), s.outcome.take(rows)


@pytest.mark.parametrize("kind", [k for k in EndpointKind if k is not EndpointKind.COMPETING_RISKS])
def test_every_kind_has_them_for_every_pattern_and_saved_ones_are_the_same(kind, tmp_path):
    predictor, cohort, _ = fitted(kind)
    made = predictor.bounds(cohort, predictor.predict(cohort))
    expected = {EndpointKind.CONTINUOUS: Intervals, EndpointKind.SURVIVAL: LowerBounds}.get(kind, Sets)
    assert isinstance(made, expected) and len(made) == TESTED
    save_predictor(predictor, tmp_path)
    again = load_predictor(tmp_path)
    for have in ([], ["labs"], ["rna"], ["labs", "rna"]):
        some = cohort.only(have)
        a = predictor.bounds(some, predictor.predict(some))
        b = again.bounds(some, again.predict(some))
        for field in ("inside", "low", "high", "groups"):
            if hasattr(a, field):
                np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    assert predictor.predict(cohort).units.tolist() == made.units.tolist()


def test_they_hold_about_as_often_as_they_say():
    held = []
    for seed in range(8):
        predictor, cohort, outcome = fitted(EndpointKind.BINARY, seed)
        made = predictor.bounds(cohort, predictor.predict(cohort))
        held.append(made.inside[np.arange(TESTED), outcome.codes].mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.025)


def test_nothing_is_said_that_was_not_asked_for_or_cannot_be_known():
    predictor, cohort, _ = fitted(EndpointKind.BINARY, config=replace(CONFIG, coverage=None))
    assert predictor.bounds(cohort, predictor.predict(cohort)) is None
    predictor, cohort, _ = fitted(EndpointKind.SURVIVAL, delayed_entry=True)
    assert predictor.bounds(cohort, predictor.predict(cohort)) is None
    predictor, cohort, _ = fitted(EndpointKind.COMPETING_RISKS)
    assert predictor.bounds(cohort, predictor.predict(cohort)) is None


def test_asking_for_them_changes_no_prediction():
    predictor, cohort, _ = fitted(EndpointKind.SURVIVAL)
    plain, _, _ = fitted(EndpointKind.SURVIVAL, config=replace(CONFIG, coverage=None))
    np.testing.assert_array_equal(predictor.predict(cohort).survival, plain.predict(cohort).survival)


def test_nobody_censored_is_no_obstacle():
    s = simulate_cohort(np.random.default_rng(4), N + 50, SIZES, "survival")
    whole = replace(s, outcome=replace(s.outcome, event=np.ones(N + 50, bool)))
    predictor = fit_all(CONFIG, simulated_fold(whole, np.arange(N)), ["late"], "late")["late"]
    test = s.cohort.take(np.arange(N, N + 50))
    made = predictor.bounds(test, predictor.predict(test))
    assert (made.free.survival == 1).all() and (made.low > 0).any()
