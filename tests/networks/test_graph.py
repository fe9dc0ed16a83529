"""The graph network: means over neighbours, what a unit may see, and no term for what is absent."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'deep' is not installed")

import torch

from cohortium.networks.batch import Inputs, Rows
from cohortium.networks.build import Design, build
from cohortium.networks.graph import Edges, GraphInputs, GraphModel

NODES, UNITS, K = 9, 8, 3


def model(tokens: bool = False) -> GraphModel:
    torch.manual_seed(0)
    made = build(Design((4, 3), ("mlp", "mlp"), "gated", 2, width=8, tokens=tokens, graph=True)).double()
    assert isinstance(made, GraphModel)
    torch.nn.init.normal_(made.head.weight)
    return made


def inputs(have: np.ndarray | None = None, seed: int = 0) -> GraphInputs:
    """have: (UNITS, 2) who has which modality, default all."""
    rng = np.random.default_rng(seed)
    have = np.ones((UNITS, 2), dtype=bool) if have is None else have

    def some(n: int, known: np.ndarray) -> Inputs:
        where = [np.flatnonzero(known[:, j]) for j in range(2)]
        x = [rng.normal(size=(n, d))[w] for d, w in zip((4, 3), where, strict=True)]
        return Inputs(n, tuple(Rows(torch.as_tensor(a), torch.as_tensor(w)) for a, w in zip(x, where, strict=True)))

    nodes = some(NODES, np.ones((NODES, 2), dtype=bool))
    weight = rng.dirichlet(np.ones(K), size=(2, UNITS)) * have.T[..., None]
    edges = Edges(torch.as_tensor(rng.integers(0, NODES, size=(2, UNITS, K))), torch.as_tensor(weight))
    fused = torch.as_tensor(rng.dirichlet(np.ones(NODES), size=NODES) * (1 - np.eye(NODES)))
    return GraphInputs(some(UNITS, have), nodes, edges, fused)


def test_edges_are_the_mean_of_the_modalities_that_are_there():
    data = inputs()
    present = torch.tensor([[True, True], [True, False], [False, False]] + [[True, True]] * (UNITS - 3))
    dense = data.edges.matrix(NODES, present).numpy()
    expected = np.zeros((2, UNITS, NODES))
    for m, i, j in product(range(2), range(UNITS), range(K)):
        expected[m, i, data.edges.index[m, i, j]] += float(data.edges.weight[m, i, j])
    np.testing.assert_allclose(dense[0], expected[:, 0].mean(0))
    np.testing.assert_allclose(dense[1], expected[0, 1])
    assert not dense[2].any()
    np.testing.assert_allclose(dense[3:].sum(1), 1)


def test_every_pattern_is_read_and_units_are_their_own():
    have = np.array(list(product([False, True], repeat=2)) * 2)
    data, net = inputs(have), model().eval()
    with torch.no_grad():
        whole = net(data.batch(torch.arange(UNITS)))
        assert torch.isfinite(whole).all() and whole.shape == (UNITS, 2)
        order = torch.tensor([6, 1, 3])
        np.testing.assert_allclose(net(data.batch(order)), whole[order], rtol=1e-12, atol=1e-14)
        assert net(data.batch(torch.arange(0))).shape == (0, 2)


def test_neighbours_are_seen_at_one_and_two_steps_and_nobody_else():
    data, net = inputs(), model().eval()
    x = data.nodes.parts[0].x.clone().requires_grad_()
    data.nodes.parts = (Rows(x, data.nodes.parts[0].where), data.nodes.parts[1])
    alone = torch.zeros(NODES, NODES, dtype=torch.float64)
    near = data.edges.matrix(NODES, torch.ones(UNITS, 2, dtype=torch.bool))[0].numpy() > 0
    for fused, expected in ((alone, near), (data.fused, np.ones(NODES, dtype=bool))):
        data.fused = fused
        (grad,) = torch.autograd.grad(net(data.batch(torch.tensor([0]))).sum(), x)
        np.testing.assert_array_equal(grad.abs().sum(1).numpy() > 0, expected)


def test_no_gradient_comes_from_a_modality_that_is_absent():
    have = np.ones((UNITS, 2), dtype=bool)
    have[:4, 1] = False
    data, net = inputs(have), model().train()
    data.nodes.parts = (
        data.nodes.parts[0],
        Rows(torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, dtype=torch.long)),
    )
    data.nodes = Inputs(NODES, data.nodes.parts)
    net(data.batch(torch.arange(4))).square().sum().backward()
    assert all(p.grad is None for p in net.encoders[1].parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in net.encoders[0].parameters())
    assert all(p.grad is not None for p in (*net.first.parameters(), *net.second.parameters()))


def test_training_starts_at_the_null_model_and_a_design_is_enough_to_make_it_again():
    design = Design((4, 3), ("mlp", "mlp"), "gated", 1, width=8, graph=True)
    data = inputs()
    assert build(design).double()(data.batch(torch.arange(UNITS))).abs().max() == 0
    net, again = (
        model().eval(),
        build(Design.restore(Design((4, 3), ("mlp", "mlp"), "gated", 2, width=8, graph=True).state())),
    )
    again = again.double().eval()
    again.load_state_dict(net.state_dict())
    batch = data.batch(torch.arange(UNITS))
    assert torch.equal(again(batch), net(batch))
    assert Design.restore({k: v for k, v in design.state().items() if k != "graph"}).graph is False, "older models"


def test_with_tokens_absence_is_seen():
    have = np.ones((UNITS, 2), dtype=bool)
    have[0, 1] = False
    net = model(tokens=True).eval()
    with torch.no_grad():
        before = net(inputs(have).batch(torch.tensor([0])))
        net.absent[1] += 1
        assert not torch.equal(net(inputs(have).batch(torch.tensor([0]))), before)
