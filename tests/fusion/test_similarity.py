"""Networks of similar units: against snfpy where blocks are complete, and what holds where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.fusion import similarity
from cohortium.fusion.similarity import Graph, Points, affinity, distances, fit_graph, fuse, nearest, reach

ORACLE = Path(__file__).parent / "oracle"
K = 10


def points(x: np.ndarray, rows: np.ndarray | None = None, rest: np.ndarray | None = None) -> Points:
    rows = np.arange(len(x)) if rows is None else rows
    return Points(x, rows, np.zeros(len(x)) if rest is None else rest)


def network(x: np.ndarray, k: int = K) -> np.ndarray:
    """Affinities of a block's units, their own included."""
    d = distances(points(x), points(x))
    np.fill_diagonal(d, np.inf)
    own = reach(d, k)
    np.fill_diagonal(d, 0.0)
    return affinity(d, own, own)


def test_complete_blocks_are_fused_as_by_snfpy():
    data = pd.read_csv(ORACLE / "snf_data.csv")
    blocks = [data.filter(regex=f"^b{m}_").to_numpy() for m in range(3)]
    networks = [network(x) for x in blocks]
    np.testing.assert_allclose(networks[0][:12], pd.read_csv(ORACLE / "snf_affinity.csv").to_numpy(), rtol=1e-9)
    every = np.arange(len(data))
    fused = fuse([(w, every) for w in networks], len(data), K)
    np.testing.assert_allclose(fused[:12], pd.read_csv(ORACLE / "snf_fused.csv").to_numpy(), rtol=1e-8)


def groups_of_units(n: int = 120, seed: int = 0, spread: float = 1.2):
    """Three blocks that tell of six groups, each of three pairs of them apart only."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 6
    coarse = [group // 2, (group + 1) // 2 % 3, group % 3]
    return group, [2.0 * rng.normal(size=(3, 6))[c] + spread * rng.normal(size=(n, 6)) for c in coarse]


def inside(index: np.ndarray, weight: np.ndarray, group: np.ndarray, own: np.ndarray) -> float:
    """Share of weight that lies on neighbours of one's own group."""
    return float((weight * (group[index] == own[:, None])).sum() / weight.sum())


def test_fused_neighbours_are_of_the_same_group_more_often_than_those_of_any_block():
    group, blocks = groups_of_units()
    graph = fit_graph([points(x) for x in blocks], 120, K, np.arange(120))
    fused = inside(graph.fused.index, graph.fused.weight, group, group)
    alone = []
    for j, x in enumerate(blocks):
        near = graph.near(j, points(x), (np.arange(120), np.arange(120)))
        alone.append(inside(near.index, near.weight, group, group))
    assert fused > max(alone) + 0.05, (fused, alone)


def test_with_missing_blocks_units_have_edges_where_they_share_one_and_the_groups_are_still_found():
    group, blocks = groups_of_units()
    rng = np.random.default_rng(1)
    have = rng.random((120, 3)) < 0.6
    have[0], have[1], have[2] = False, [True, False, False], [False, True, False]
    some = [points(x[have[:, j]], np.flatnonzero(have[:, j])) for j, x in enumerate(blocks)]
    graph = fit_graph(some, 120, K, np.arange(120))
    networks = [(network(p.x), p.rows) for p in some]
    fused = fuse(networks, 120, K)
    assert np.isfinite(fused).all() and (fused >= 0).all()
    np.testing.assert_array_equal(fused, fused.T)
    assert not fused[0].any() and not graph.fused.weight[0].any(), "nobody's: no block"
    shared = have.astype(int) @ have.T.astype(int) > 0
    assert not fused[~shared].any()
    assert fused[1, 2] == 0, "no block has both"
    known = have.any(axis=1)
    found = inside(graph.fused.index[known], graph.fused.weight[known], group, group[known])
    assert found > 0.4, found  # by chance 1/6


def test_order_of_units_and_blocks_does_not_matter():
    _, blocks = groups_of_units(60)
    have = np.random.default_rng(2).random((60, 3)) < 0.7
    have[:, 0] = True
    at = [np.flatnonzero(have[:, j]) for j in range(3)]
    fused = fuse([(network(x[r]), r) for x, r in zip(blocks, at, strict=True)], 60, K)
    order = np.random.default_rng(3).permutation(60)
    position = np.argsort(order)
    turned = []
    for x, r in list(zip(blocks, at, strict=True))[::-1]:
        rows = np.sort(position[r])
        turned.append((network(x[order[rows]]), rows))
    np.testing.assert_allclose(fuse(turned, 60, K), fused[np.ix_(order, order)], rtol=1e-9, atol=1e-15)


def test_distances_in_the_span_of_the_units_are_those_of_the_features():
    rng = np.random.default_rng(4)
    x, new = rng.normal(size=(20, 300)), rng.normal(size=(5, 300))
    u, s, v = np.linalg.svd(x, full_matrices=False)
    inside_span = new @ v.T
    rest = np.square(new).sum(1) - np.square(inside_span).sum(1)
    ours = distances(points(inside_span, rest=rest), points(u * s))
    theirs = np.linalg.norm(new[:, None] - x, axis=2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    wide = rng.normal(size=(6, similarity.WIDE + 1))
    np.testing.assert_allclose(
        distances(points(wide), points(wide[:3])), np.linalg.norm(wide[:, None] - wide[:3], axis=2), atol=1e-6
    )


def test_further_units_are_attached_by_themselves():
    _, blocks = groups_of_units()
    graph = fit_graph([points(x[:100]) for x in blocks], 100, K, np.arange(100))
    new = points(blocks[0][100:])
    whole = graph.near(0, new)
    some = np.array([7, 2, 11])
    part = graph.near(0, new.take(some))
    np.testing.assert_array_equal(part.index, whole.index[some])
    np.testing.assert_array_equal(part.weight, whole.weight[some])
    np.testing.assert_allclose(whole.weight.sum(axis=1), 1)
    d = np.linalg.norm(blocks[0][100:, None] - blocks[0][:100], axis=2)
    assert (whole.index == d.argmin(axis=1)[:, None]).any(axis=1).all(), "the nearest is a neighbour"
    again = Graph.restore(graph.state())
    np.testing.assert_array_equal(again.near(2, new).weight, graph.near(2, new).weight)
    assert not len(graph.near(0, points(np.zeros((0, 6)))).index)


def test_units_of_one_patient_are_no_neighbours_of_each_other():
    _, blocks = groups_of_units()
    x = np.repeat(blocks[0][:60], 2, axis=0)
    patient = np.repeat(np.arange(60), 2)
    graph = fit_graph([points(x)], 120, 5, patient)
    assert (patient[graph.fused.index] != patient[:, None]).all()
    near = graph.near(0, points(x), (patient, patient))
    assert (patient[near.index] != patient[:, None]).all()
    assert (graph.reaches[0] > 0.1).all(), "twins do not narrow each other's bandwidth"


def test_few_units_repeated_units_and_constant_blocks_are_no_trouble():
    one = fit_graph([points(np.ones((1, 3)))], 1, K, np.arange(1))
    assert not one.fused.weight.any() and one.fused.index.shape == (1, K)
    assert one.near(0, points(np.zeros((2, 3)))).weight.sum(axis=1) == pytest.approx([1, 1])
    same = fit_graph([points(np.ones((8, 3))), points(np.zeros((8, 0)))], 8, 3, np.arange(8))
    assert np.isfinite(same.fused.weight).all() and same.fused.weight.sum() == pytest.approx(8)
    near = same.near(0, points(np.full((1, 3), 1e8)))
    assert np.isfinite(near.weight).all()
    assert nearest(np.zeros((2, 0)), 3).weight.shape == (2, 3)


def test_more_units_than_can_be_fused_are_refused(monkeypatch):
    monkeypatch.setattr(similarity, "LANDMARKS", 10)
    with pytest.raises(ValueError, match="11 units; at most 10"):
        fit_graph([points(np.zeros((11, 1)))], 11, 3, np.arange(11))
