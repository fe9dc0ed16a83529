"""Learners on joint representations: the laws of every learner, and what factors are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ClassOutcome
from cohortium.errors import StudyError
from cohortium.learners import JointSpec, LearnerConfig, fit_all, load_predictor, plan, restore, save_predictor
from cohortium.learners.suite import SuiteLearner
from cohortium.schema import Endpoint, EndpointKind
from cohortium.testing import check_learner
from cohortium.testing.laws import simulated_fold
from cohortium.testing.simulate import Simulated, simulate_cohort

CONFIG = LearnerConfig(models=("linear",), preset="quick", joint=(JointSpec("factors"),))


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_factor_learners_keep_the_laws(kind):
    # Features of this cohort share nothing: the factors are the features themselves, as far as there is room for them.
    learner = SuiteLearner("joint:factors", "fusion", ("labs", "rna", "noise"), CONFIG)
    check_learner(learner, np.random.default_rng(1), [kind], restore=restore, finds_signal=False)


@pytest.mark.thorough
def test_nothing_is_found_where_nothing_is():
    learner = SuiteLearner("joint:factors", "fusion", ("labs", "rna", "noise"), CONFIG)
    rng = np.random.default_rng(1)
    check_learner(learner, rng, [EndpointKind.BINARY], finds_signal=False, null_draws=12)


def factor_cohort(seed: int, n: int = 300, absent: float = 0.4, unknown: float = 0.0) -> Simulated:
    """Three modalities of many weak features tell of four factors; the outcome depends on the first, which all have."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"u{i:04d}" for i in range(n)], dtype=object, name="unit")
    z, tables = rng.normal(size=(n, 4)), {}
    active = {"a": [1, 1, 0, 0], "b": [1, 0, 1, 0], "c": [1, 0, 0, 1]}
    for m, on in active.items():
        x = z @ (0.5 * rng.normal(size=(30, 4)) * on).T + rng.normal(size=(n, 30))
        rows = np.flatnonzero(rng.random(n) >= absent)
        seen = x[rows]
        seen[rng.random(seen.shape) < unknown] = np.nan
        tables[m] = Table(ids[rows], seen, feature_frame([f"{m}{j}" for j in range(30)]))
    codes = (2.0 * z[:, 0] + rng.logistic(size=n) > 0).astype(np.int64)
    outcome = ClassOutcome(Endpoint("y", EndpointKind.BINARY, ("no", "yes")), ids.to_numpy(object), codes)
    return Simulated(Cohort(pd.DataFrame({"patient": list(ids)}, index=ids), tables), outcome, {}, {}, z, {})


def auc(p, s: Simulated, rows: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(s.outcome.codes[rows], p.predict(s.cohort.take(rows)).p[:, 1]))


@pytest.mark.thorough
def test_factors_shared_by_modalities_predict_whatever_modality_a_unit_has():
    found = []
    for seed in range(3):
        s = factor_cohort(seed, 400, unknown=0.1)
        fold, test = simulated_fold(s, np.arange(250)), np.arange(250, 400)
        p = fit_all(CONFIG, fold, ["joint:factors", "late", "early"])
        found.append([auc(p[n], s, test) for n in ("joint:factors", "late", "early")])
        assert p["joint:factors"].facts["latent_variables"] <= p["joint:factors"].facts["of"] <= 8
        for m in "abc":
            alone = p["joint:factors"].predict(s.cohort.take(test).only([m]))
            have = s.cohort.take(test).presence()[m].to_numpy()
            assert np.corrcoef(alone.p[have, 1], s.score[test][have, 0])[0, 1] > 0.5
    mean = np.mean(found, axis=0)
    assert mean[0] > 0.75 and mean[0] > mean[1] - 0.02, mean


def test_auto_may_choose_the_first_representation_and_says_what_it_is_without():
    s = factor_cohort(1, 300)
    p = fit_all(CONFIG, simulated_fold(s, np.arange(200)), ["auto", "auto:plain"])
    assert "joint:factors" in p["auto"].facts["weights"]
    assert "joint:factors" not in p["auto:plain"].facts["weights"]


def test_having_a_modality_predicts_nothing():
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        s = simulate_cohort(rng, 500, {"a": 5, "b": 8}, EndpointKind.BINARY, informative={"a": 0, "b": 0}, missing={"b": 0.4})  # fmt: skip
        have = s.cohort.presence()["b"].to_numpy()
        codes = (rng.random(500) < np.where(have, 0.25, 0.75)).astype(np.int64)
        s = replace(s, outcome=replace(s.outcome, codes=codes))
        p = fit_all(CONFIG, simulated_fold(s, np.arange(350)), ["joint:factors"])["joint:factors"]
        found.append(auc(p, s, np.arange(350, 500)))
    assert abs(np.mean(found) - 0.5) < 0.06, found


def test_saved_to_disk_and_loaded_predicts_the_same(tmp_path):
    s = factor_cohort(5, 160, unknown=0.05)
    p = fit_all(CONFIG, simulated_fold(s, np.arange(110)), ["joint:factors"])["joint:factors"]
    save_predictor(p, tmp_path)
    np.testing.assert_array_equal(load_predictor(tmp_path).predict(s.cohort).p, p.predict(s.cohort).p)
    assert not list(tmp_path.glob("*.p*kl*"))


def test_many_units_are_embedded_in_parts(monkeypatch):
    from cohortium.joint import factors, fit_joint_factors

    s = factor_cohort(6, 120, unknown=0.05)
    joint = fit_joint_factors(s.cohort.take(np.arange(80)), size=6)
    whole, (value, sd) = joint.embed(s.cohort), joint.predict(s.cohort, "b")
    monkeypatch.setattr(factors, "AT_ONCE", 50)
    parts = joint.embed(s.cohort)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(parts.sd, whole.sd, rtol=1e-9)
    for a, b in zip(joint.predict(s.cohort, "b"), (value, sd), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_leaderboard_has_them_when_the_study_lists_them():
    endpoint = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    assert "joint:factors" in [i.name for i in plan(CONFIG, endpoint, ["a", "b"])]
    assert "joint:factors" in [i.name for i in plan(CONFIG, endpoint, ["a"])]
    assert not [i.name for i in plan(LearnerConfig(), endpoint, ["a", "b"]) if i.name.startswith("joint")]
    with pytest.raises(StudyError, match="Did you mean 'joint:factors'"):
        plan(replace(CONFIG, learners=("joint:factor",)), endpoint, ["a"])
