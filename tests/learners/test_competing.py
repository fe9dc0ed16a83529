"""Competing risks: the laws for cause-specific hazards too, what is refused, and causes that a training part lacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts import CompetingOutcome, CumulativeIncidence
from cohortium.errors import StudyError
from cohortium.learners import (
    DeepSpec,
    JointSpec,
    LearnerConfig,
    fit_all,
    load_predictor,
    plan,
    predict_all,
    save_predictor,
)
from cohortium.metrics import censoring_distribution, score
from cohortium.schema import EndpointKind
from cohortium.testing import simulate_cohort, simulated_fold

CONFIG = LearnerConfig(reference=("labs",), preset="quick")
SIZES = {"labs": 6, "rna": 12, "noise": 60}


def simulated(n=400, model="cause_specific", seed=1, signal=2.0):
    s = simulate_cohort(
        np.random.default_rng(seed), n, SIZES, EndpointKind.COMPETING_RISKS, signal=signal, missing={"rna": 0.3}
    )
    assert isinstance(s.outcome, CompetingOutcome)
    return replace(s, outcome=replace(s.outcome, endpoint=replace(s.outcome.endpoint, model=model)))  # fmt: skip


def test_cause_specific_hazards_keep_the_laws_and_find_the_signal(tmp_path):
    s = simulated()
    fold = simulated_fold(s, np.arange(250))
    predictors = fit_all(CONFIG, fold)
    assert "early:trees" not in predictors, "linear only"
    test = s.cohort.take(np.arange(250, 400))
    again = fit_all(CONFIG, simulated_fold(s, np.arange(250)), ["auto"])["auto"].predict(test)
    truth, g = s.outcome.take(np.arange(250, 400)), censoring_distribution(s.outcome.take(np.arange(250)).any_cause)
    for name, p in predict_all(predictors, test).items():
        assert isinstance(p, CumulativeIncidence) and (np.diff(p.incidence, axis=1) >= 0).all()
        assert p.incidence.min() >= 0 and p.incidence.max() <= 1
        if name in ("auto", "late", "early", "priority"):
            assert score("wolbers_c", truth, p, censoring=g) > 0.7, name
    auto = predictors["auto"]
    np.testing.assert_array_equal(again.incidence, auto.predict(test).incidence)
    save_predictor(auto, tmp_path)
    loaded = load_predictor(tmp_path)
    assert loaded.endpoint == auto.endpoint and loaded.endpoint.model == "cause_specific"
    for have in ([], ["labs"], ["rna", "noise"]):
        some = test.only(have)
        np.testing.assert_array_equal(loaded.predict(some).incidence, auto.predict(some).incidence)
    order = np.random.default_rng(0).permutation(150)[:20]
    np.testing.assert_allclose(auto.predict(test.take(order)).incidence, again.incidence[order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", ["fine_gray", "cause_specific"])
def test_a_cause_that_a_training_part_lacks_is_no_harm(model):
    s = simulated(200, model)
    y = s.outcome
    endpoint = replace(y.endpoint, classes=(*y.endpoint.classes, "rare"))
    cause = y.cause.copy()
    cause[np.flatnonzero(cause[:120] == 2)] = 1
    cause[np.flatnonzero(cause == 0)[-1]] = 3
    s = replace(s, outcome=CompetingOutcome(endpoint, y.units, y.time, cause))
    config = replace(CONFIG, models=("linear",), learners=("late",), probes=False)
    made = fit_all(config, simulated_fold(s, np.arange(120)))["late"].predict(s.cohort)
    assert np.isfinite(made.incidence).all() and np.isfinite(made.risk).all() and made.incidence.std(axis=0)[-1] > 0.05


def test_predicted_incidences_are_the_true_ones_where_the_model_is_right():
    """Exponential hazards exp(score) and 1/2: the truth is known for everybody; both models come near it."""
    for model in ("cause_specific", "fine_gray"):
        s = simulated(2400, model, signal=1.0)
        config = replace(CONFIG, models=("linear",), learners=("early",), probes=False)
        p = fit_all(config, simulated_fold(s, np.arange(2000)))["early"].predict(s.cohort.take(np.arange(2000, 2400)))
        own = np.exp(s.score[2000:, 0])
        at = np.array([0.3, 1.0])
        truth = (own / (own + 0.5))[:, None] * -np.expm1(-(own + 0.5)[:, None] * at)
        whole = s.cohort.take(np.arange(2000, 2400)).presence()["rna"].to_numpy()
        gap = p.at(at)[whole] - truth[whole]
        assert np.abs(gap.mean(axis=0)).max() < 0.03, (model, gap.mean(axis=0))
        assert np.abs(gap).mean() < 0.06, (model, np.abs(gap).mean())


def test_networks_and_cause_specific_trees_are_refused_in_words():
    endpoint = simulated(60).outcome.endpoint
    for config in (
        replace(CONFIG, deep=(DeepSpec("net"),)),
        replace(CONFIG, joint=(JointSpec("v", model="vae"),)),
        replace(CONFIG, joint=(JointSpec("g", model="graph"),)),
    ):
        with pytest.raises(StudyError, match=r"Networks do not learn competing risks.*factors and cca stay"):
            plan(config, endpoint, ["labs"])
    assert "joint:f" in [i.name for i in plan(replace(CONFIG, joint=(JointSpec("f"),)), endpoint, ["labs", "rna"])]
    with pytest.raises(StudyError, match="cause_specific, which is linear only"):
        plan(replace(CONFIG, models=("trees",)), endpoint, ["labs"])
    fine_gray = replace(endpoint, model="fine_gray")
    assert plan(replace(CONFIG, models=("trees",)), fine_gray, ["labs"])
