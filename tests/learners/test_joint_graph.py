"""Learners on graphs of similar patients: the laws of every learner, and what graphs are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.marks import thorough_but

pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.fusion import similarity
from cohortium.heads.families import family_of
from cohortium.learners import JointSpec, LearnerConfig, fit_all, load_predictor, restore, save_predictor
from cohortium.learners.deep_graph import GraphFitter, deep_spec
from cohortium.learners.suite import Suite, SuiteLearner
from cohortium.schema import EndpointKind
from cohortium.testing import check_learner, patient_communities
from cohortium.testing.laws import numbers, simulated_fold
from cohortium.testing.simulate import simulate_cohort

from .test_joint import auc

# Short: what is looked at here holds after any number of epochs.
SPECS = (
    JointSpec("graph", model="graph", epochs=12, neighbours=8, start="null"),
    JointSpec("late", model="graph", epochs=6, neighbours=8, survival="discrete_time"),
)
CONFIG = LearnerConfig(models=("linear",), preset="quick", joint=SPECS)
PAIRS = [("graph", k) for k in EndpointKind if k is not EndpointKind.COMPETING_RISKS] + [
    ("late", EndpointKind.SURVIVAL)
]


@pytest.mark.parametrize(
    ("name", "kind"),
    thorough_but(PAIRS, *(p for p in PAIRS if p == ("graph", EndpointKind.BINARY))),
)
def test_graph_learners_keep_the_laws(name, kind):
    learner = SuiteLearner(f"joint:{name}", "fusion", ("labs", "rna", "noise"), CONFIG)
    check_learner(learner, np.random.default_rng(1), [kind], restore=restore)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["graph"])
def test_nothing_is_found_where_nothing_is(name):
    learner = SuiteLearner(f"joint:{name}", "fusion", ("labs", "rna", "noise"), CONFIG)
    rng = np.random.default_rng(1)
    check_learner(learner, rng, [EndpointKind.BINARY], finds_signal=False, null_draws=10)


@pytest.mark.parametrize("kind", [EndpointKind.BINARY, EndpointKind.SURVIVAL])
def test_wide_tables_every_pattern_and_what_is_stored(kind, tmp_path):
    s = simulate_cohort(np.random.default_rng(3), 150, {"a": 6, "b": 200}, kind, missing={"b": 0.3}, missing_cells=0.1, nominal={"a": 1})  # fmt: skip
    p = fit_all(CONFIG, simulated_fold(s, np.arange(100), inner=2), ["joint:graph"])["joint:graph"]
    for have in ([], ["a"], ["b"], ["a", "b"]):
        assert np.isfinite(numbers(p.predict(s.cohort.only(have)))).all()
    save_predictor(p, tmp_path)
    np.testing.assert_array_equal(numbers(load_predictor(tmp_path).predict(s.cohort)), numbers(p.predict(s.cohort)))
    assert not list(tmp_path.glob("*.p*kl*"))
    assert p.facts["representation"] == "graph" and p.facts["graph_units"] == 100 and p.facts["neighbours"] == 8


@pytest.mark.thorough
def test_communities_are_found_that_other_learners_miss():
    s = patient_communities(np.random.default_rng(0), 600, axes=20, apart=5.0, features=40)
    config = LearnerConfig(preset="quick", joint=(JointSpec("graph", model="graph", epochs=80),))
    p = fit_all(config, simulated_fold(s, np.arange(300)), ["joint:graph", "late", "early:linear"])
    test = np.arange(300, 600)
    assert auc(p["joint:graph"], s, test) > 0.9 and auc(p["late"], s, test) < 0.85
    assert abs(auc(p["early:linear"], s, test) - 0.5) < 0.1
    lacks = test[~s.cohort.presence()["b"].to_numpy()[test]]
    assert auc(p["joint:graph"], s, lacks) > 0.8, "who lacks a modality has neighbours by the other"


@pytest.mark.thorough
def test_having_a_modality_predicts_nothing():
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        s = simulate_cohort(rng, 450, {"a": 5, "b": 8}, EndpointKind.BINARY, informative={"a": 0, "b": 0}, missing={"b": 0.4})  # fmt: skip
        have = s.cohort.presence()["b"].to_numpy()
        codes = (rng.random(450) < np.where(have, 0.25, 0.75)).astype(np.int64)
        s = replace(s, outcome=replace(s.outcome, codes=codes))
        p = fit_all(CONFIG, simulated_fold(s, np.arange(300), inner=2), ["joint:graph"])["joint:graph"]
        found.append(auc(p, s, np.arange(300, 450)))
    assert abs(np.mean(found) - 0.5) < 0.07, found


def fitter(s, rows) -> GraphFitter:
    fold = simulated_fold(s, rows, inner=2)
    suite = Suite(CONFIG, fold)
    late = suite.late()
    return GraphFitter(SPECS[0], fold, suite.views, family_of(fold.outcome), 1, (late.oof, late.node))


def test_nobody_is_a_neighbour_of_himself_or_of_his_patients_other_units():
    s = simulate_cohort(np.random.default_rng(4), 240, {"a": 6, "b": 8}, missing={"b": 0.3}, units_per_patient=2)
    made = fitter(s, np.arange(200))
    groups = made.fold.groups
    assert len(set(groups)) < 200
    inputs = made._inputs(deep_spec(SPECS[0]), ("a", "b"), None)
    graph = made.graphs[("a", "b"), None]
    far = inputs.edges.weight.numpy() > 0
    same = groups[inputs.edges.index.numpy()] == groups[None, :, None]
    assert far.any() and not (far & same).any()
    assert not ((groups[graph.fused.index] == groups[:, None]) & (graph.fused.weight > 0)).any()
    # On an inner split test rows are attached to training rows, and training rows to one another.
    inner = made._inputs(deep_spec(SPECS[0]), ("a", "b"), 0)
    assert made.graphs[("a", "b"), 0].n == len(made.fold.inner[0][0]) and inner.edges.weight.shape[1] == 200
    assert (inner.edges.weight[0].sum(1) > 0.99).all()


def test_of_many_units_some_are_the_graph_and_rare_modalities_keep_their_share(monkeypatch):
    monkeypatch.setattr(similarity, "LANDMARKS", 60)
    s = simulate_cohort(np.random.default_rng(5), 400, {"a": 6, "b": 8}, missing={"b": 0.93})
    made = fitter(s, np.arange(330))
    fit = made.fit_best([("a", "b")])
    graph = fit.node.graph
    assert graph.n == 60 and len(graph.points[1].rows) >= 14 and fit.facts["graph_units"] == 60
    again = fitter(s, np.arange(330)).fit_best([("a", "b")])
    np.testing.assert_array_equal(again.node.scores(s.cohort, {}), fit.node.scores(s.cohort, {}))
