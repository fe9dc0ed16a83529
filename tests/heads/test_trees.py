"""Trees find planted non-linear signal, for every endpoint, and are the same twice."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.contracts import ClassOutcome, SurvivalOutcome
from cohortium.heads.families import family_of
from cohortium.heads.trees import BoostPath, ForestPath, deviance_residual
from cohortium.schema import Endpoint, EndpointKind

from .test_likelihoods import outcome

R_DEVIANCE = [1.552058, -0.731925, 1.081812, 0.674462, -0.967323, 0.213762, -0.275358, -1.61319]


@pytest.mark.parametrize("kind", list(EndpointKind))
@pytest.mark.parametrize("make", [ForestPath, BoostPath])
def test_trees_find_an_interaction_that_no_line_can_see(kind, make):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1200, 6))
    score = 2.0 * np.sign(x[:, 0] * x[:, 1])
    y = outcome(kind, score, rng)
    path = make(x[:800], family_of(y.take(np.arange(800))), seed=3)
    point = path.length - 1 if make is ForestPath else 5
    found = path.at(point).scores(x[800:])[:, -1]
    assert np.corrcoef(found, score[800:])[0, 1] > 0.5
    again = make(x[:800], family_of(y.take(np.arange(800))), seed=3).at(point).scores(x[800:])[:, -1]
    np.testing.assert_array_equal(found, again)


def test_boosting_with_offset_leaves_what_the_offset_explains():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(500, 4))
    y = outcome(EndpointKind.SURVIVAL, 1.5 * x[:, 0], rng)
    family = family_of(y)
    free = BoostPath(x, family, 1).at(4).scores(x)[:, 0]
    rest = BoostPath(x, family, 1, offset=1.5 * x[:, [0]]).at(4).scores(x)[:, 0]
    assert free.std() > 2 * rest.std()


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_scores_of_a_forest_do_not_grow_with_its_trees(kind):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 5))
    family = family_of(outcome(kind, x[:, 0], rng))
    few, many = (ForestPath(x, family, 1, trees).at(1).scores(x)[:, -1] for trees in (40, 400))
    assert many.std() == pytest.approx(few.std(), rel=0.1)


def test_a_binary_forest_gives_the_probabilities_of_a_second_implementation():
    from scipy.special import expit
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(5)
    x = rng.normal(size=(1500, 4))
    y = outcome(EndpointKind.BINARY, 1.5 * x[:, 0], rng)
    family = family_of(y.take(np.arange(1000)))
    path = ForestPath(x[:1000], family, 1, 300)
    ours = expit(path.at(1).scores(x[1000:])[:, 0] + family.start()[0])
    peer = RandomForestClassifier(300, min_samples_leaf=10, max_features=3, random_state=1).fit(
        x[:1000], y.codes[:1000]
    )
    assert np.abs(ours - peer.predict_proba(x[1000:])[:, 1]).mean() < 0.04


def test_deviance_residuals_are_those_of_r_survival():
    # residuals(coxph(Surv(t, e) ~ 1, ties = "breslow"), "deviance"), R survival 3.5
    y = SurvivalOutcome(
        Endpoint("os", EndpointKind.SURVIVAL),
        np.array(list("abcdefgh"), dtype=object),
        np.array([2.0, 3, 3, 5, 8, 9, 12, 15]),
        np.array([1, 0, 1, 1, 0, 1, 1, 0], dtype=bool),
        np.zeros(8),
    )
    np.testing.assert_allclose(deviance_residual(family_of(y)), R_DEVIANCE, atol=1e-5)


def test_boosting_ends_where_nothing_is_left_to_explain():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 100)
    endpoint = Endpoint("y", EndpointKind.MULTICLASS, ("a", "b", "c"))
    family = family_of(ClassOutcome(endpoint, np.array([f"u{i}" for i in range(100)], dtype=object), y))
    path = BoostPath(rng.normal(size=(100, 5)), family, 1, np.eye(3)[y] * 60.0)
    assert np.abs(path.at(path.length - 1).scores(rng.normal(size=(7, 5)))).max() < 1e-6
