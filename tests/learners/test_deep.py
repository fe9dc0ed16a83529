"""Deep learners: the laws of every learner, what plain ones cannot see, and that they know their place."""

from __future__ import annotations

import numpy as np
import pytest

from tests.marks import thorough_but

pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.learners import DeepSpec, LearnerConfig, deep, fit_all, load_predictor, plan, restore, save_predictor
from cohortium.learners.suite import SuiteLearner
from cohortium.schema import Endpoint, EndpointKind
from cohortium.testing import between_modalities, check_learner
from cohortium.testing.laws import simulated_fold
from cohortium.testing.simulate import simulate_cohort

SPECS = (
    DeepSpec("attention"),
    DeepSpec("gated", fusion="gated", tables="lowrank", start="null"),
    DeepSpec("tokens", fusion="gated", tables="tokens", survival="discrete_time"),
)
CONFIG = LearnerConfig(models=("linear",), preset="quick", deep=SPECS)
PAIRS = [("attention", k) for k in EndpointKind if k is not EndpointKind.COMPETING_RISKS] + [("gated", EndpointKind.SURVIVAL), ("tokens", EndpointKind.SURVIVAL)]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    thorough_but(PAIRS, *(p for p in PAIRS if p == ("attention", EndpointKind.BINARY))),
)
def test_deep_learners_keep_the_laws(name, kind, monkeypatch):
    if kind is EndpointKind.BINARY:  # the laws hold after any number of epochs
        monkeypatch.setattr(deep, "EPOCHS", (0, 2, 4, 6, 9))
    learner = SuiteLearner(f"deep:{name}", "fusion", ("labs", "rna", "noise"), CONFIG)
    check_learner(learner, np.random.default_rng(1), [kind], restore=restore, finds_signal=name == "attention")


@pytest.mark.thorough
def test_joint_fusion_finds_what_lies_between_modalities_and_late_fusion_does_not():
    from sklearn.metrics import roc_auc_score

    s = between_modalities(np.random.default_rng(0), 800)
    fold, test = simulated_fold(s, np.arange(500), inner=3), s.cohort.take(np.arange(500, 800))
    found = fit_all(CONFIG, fold, ["deep:attention", "late", "auto", "auto:plain"])
    auc = {k: roc_auc_score(s.outcome.codes[500:], p.predict(test).p[:, 1]) for k, p in found.items()}
    assert auc["deep:attention"] > 0.85 and auc["auto"] > 0.85
    assert auc["late"] < 0.6 and auc["auto:plain"] < 0.6


@pytest.mark.thorough
def test_having_a_modality_predicts_only_when_asked():
    from dataclasses import replace

    from sklearn.metrics import roc_auc_score

    found = {False: [], True: []}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        s = simulate_cohort(rng, 500, {"a": 5, "b": 8}, EndpointKind.BINARY, signal=1.0, informative={"a": 0, "b": 0}, missing={"b": 0.4})  # fmt: skip
        y = s.outcome.codes.copy()
        have = s.cohort.presence()["b"].to_numpy()
        y[:] = rng.random(500) < np.where(have, 0.25, 0.75)
        s = replace(s, outcome=replace(s.outcome, codes=y))
        for asked in found:
            config = LearnerConfig(models=("linear",), preset="quick", deep=(DeepSpec("attention"),), presence_as_predictor=asked)  # fmt: skip
            p = fit_all(config, simulated_fold(s, np.arange(350)), ["deep:attention"])["deep:attention"]
            found[asked].append(roc_auc_score(y[350:], p.predict(s.cohort.take(np.arange(350, 500))).p[:, 1]))
    assert np.mean(found[True]) > 0.7
    assert abs(np.mean(found[False]) - 0.5) < 0.06


def test_saved_to_disk_and_loaded_predicts_the_same(tmp_path):
    s = simulate_cohort(np.random.default_rng(3), 160, {"a": 6, "b": 200}, EndpointKind.SURVIVAL, missing={"b": 0.3})
    p = fit_all(CONFIG, simulated_fold(s, np.arange(110)), ["auto", "deep:gated"])
    for name, predictor in p.items():
        folder = tmp_path / name.replace(":", "_")
        folder.mkdir()
        save_predictor(predictor, folder)
        again = load_predictor(folder).predict(s.cohort)
        np.testing.assert_array_equal(again.risk, predictor.predict(s.cohort).risk)
        assert not list(folder.glob("*.p*t*l"))


def test_the_leaderboard_has_them_when_the_study_lists_them():
    endpoint = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    names = [i.name for i in plan(CONFIG, endpoint, ["a", "b"])]
    assert {"deep:attention", "deep:gated", "deep:tokens", "auto:plain", "auto"} <= set(names)
    assert not [n for n in [i.name for i in plan(LearnerConfig(), endpoint, ["a", "b"])] if "deep" in n or "plain" in n]


def test_what_presence_owes_to_illness_that_the_features_tell_is_kept():
    """Who is ill by a feature lacks a modality more often: scores keep the illness, and lose what presence adds."""
    from cohortium.learners.deep import presence_effect

    rng = np.random.default_rng(0)
    ill = rng.normal(size=(4000, 1))
    have = (rng.normal(size=4000) > ill[:, 0]).astype(float)[:, None]
    mean, effect = presence_effect(ill + 0.1 * rng.normal(size=(4000, 1)), have, ill)
    assert abs(effect[0, 0]) < 0.02 and abs(mean[0] - 0.5) < 0.05
    _, effect = presence_effect(ill - 0.8 * have, have, ill)
    assert effect[0, 0] == pytest.approx(-0.8, abs=0.02)


def test_other_endpoints_are_trained_beside_the_main_one():
    """Few have the binary endpoint, half of them survival too; both come from one score."""
    from dataclasses import replace

    from cohortium.contracts import SurvivalOutcome
    from cohortium.networks.objectives import Together

    rng = np.random.default_rng(0)
    s = simulate_cohort(
        rng, 500, {"labs": 6, "rna": 30}, EndpointKind.BINARY, signal=2.0, informative={"labs": 3, "rna": 6}
    )
    few = np.sort(rng.permutation(300)[:60])
    fold = simulated_fold(replace(s, cohort=s.cohort), few, inner=3)
    time = rng.exponential(np.exp(-s.score[few, 0]))
    ids = fold.outcome.units
    beside = SurvivalOutcome(
        Endpoint("os", EndpointKind.SURVIVAL, (), "years"), ids[::2], time[::2], np.ones(30, bool), np.zeros(30)
    )
    fold = replace(fold, others=(beside,))
    from cohortium.heads.families import family_of
    from cohortium.learners.deep import DeepFitter
    from cohortium.learners.suite import Suite

    suite = Suite(LearnerConfig(models=("linear",), preset="quick"), fold)
    late = suite.late()
    fitter = DeepFitter(fold, suite.views, family_of(fold.outcome), 1, (late.oof, late.node))
    objective = fitter._objective(DeepSpec("x", multitask=1.0), np.arange(40))
    assert isinstance(objective, Together) and objective.n_outputs == 2
    assert (objective.positions[0] >= 0).sum() == 30
    fit = fitter.fit(DeepSpec("x", multitask=1.0), ("labs", "rna"))
    p = fit.node.scores(s.cohort.take(np.arange(300, 500)), {})
    assert p.shape == (200, 1) and np.corrcoef(p[:, 0], s.score[300:, 0])[0, 1] > 0.3


def test_a_network_that_starts_at_late_fusion_is_it_after_no_epochs(monkeypatch):
    monkeypatch.setattr(deep, "EPOCHS", (0,))
    config = LearnerConfig(models=("linear",), preset="quick", deep=(DeepSpec("x", start="late"),))
    s = simulate_cohort(np.random.default_rng(2), 200, {"a": 6, "b": 20}, EndpointKind.SURVIVAL, missing={"b": 0.3})
    p = fit_all(config, simulated_fold(s, np.arange(150)), ["deep:x", "late"])
    a, b = (p[k].predict(s.cohort).risk for k in ("deep:x", "late"))
    assert np.corrcoef(a, b)[0, 1] > 0.99
