"""Trees find planted non-linear signal, for every endpoint, and are the same twice."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.heads.families import family_of
from cohortium.heads.trees import BoostPath, ForestPath
from cohortium.schema import EndpointKind

from .test_likelihoods import outcome


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
