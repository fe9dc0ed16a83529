"""Embeddings that are pulled together: losses against plain formulas, absent modalities, and that alignment is learned."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.networks.batch import Inputs, Rows  # noqa: E402
from cohortium.networks.coordinated import ALIGNMENTS, Alignment, Coordinated, CoordinatedDesign  # noqa: E402
from cohortium.schema.joint import AlignmentName  # noqa: E402
from cohortium.training.loop import Trainer  # noqa: E402


def design(kind: str = "infonce", outputs: int = 0) -> CoordinatedDesign:
    return CoordinatedDesign((5, 4, 3), ("mlp",) * 3, kind, 4, outputs, 8)


def inputs(n: int = 60, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    parts = []
    for q in (5, 4, 3):
        x = z @ np.random.default_rng(q).normal(size=(2, q)) + 0.3 * rng.normal(size=(n, q))
        where = np.flatnonzero(rng.random(n) < 0.8)
        parts.append(Rows(torch.as_tensor(x[where], dtype=torch.float32), torch.as_tensor(where)))
    return Inputs(n, tuple(parts))


def test_the_study_file_names_what_there_is():
    assert get_args(AlignmentName) == ALIGNMENTS
    with pytest.raises(ValueError, match="No alignment called 'info'"):
        Coordinated(design("info"))


def test_infonce_is_the_mean_cross_entropy_of_both_directions():
    torch.manual_seed(0)
    a, b = torch.randn(7, 4), torch.randn(7, 4)
    loss = Alignment("infonce", 7)
    tokens = torch.stack([a, b], 1)
    s = (10.0 * a @ b.T / 4).double().numpy()
    rows = -np.log(np.exp(s).diagonal() / np.exp(s).sum(1)).mean()
    columns = -np.log(np.exp(s).diagonal() / np.exp(s).sum(0)).mean()
    got = loss.apart(tokens, torch.ones(7, 2, dtype=torch.bool)).detach()
    assert float(got) == pytest.approx((rows + columns) / 2, rel=1e-5)


def test_sigmoid_is_a_logistic_loss_of_every_pair():
    torch.manual_seed(1)
    a, b = torch.randn(5, 4), torch.randn(5, 4)
    s = (10.0 * a @ b.T / 4).double().numpy() - math.log(50.0)
    y = 2 * np.eye(5) - 1
    want = np.log1p(np.exp(-y * s)).sum() / 5
    got = Alignment("sigmoid", 5).apart(torch.stack([a, b], 1), torch.ones(5, 2, dtype=torch.bool))
    assert float(got.detach()) == pytest.approx(want, rel=1e-5)


def test_correlation_is_least_where_coordinates_agree_and_differ_from_each_other():
    x = torch.as_tensor(np.linalg.qr(np.random.default_rng(0).normal(size=(40, 5)))[0], dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0, unbiased=False)
    loss, every = Alignment("correlation", 40), torch.ones(40, 2, dtype=torch.bool)
    same = float(loss.apart(torch.stack([x, x], 1), every))
    turned = float(loss.apart(torch.stack([x, x.roll(1, 1)], 1), every))
    doubled = x[:, [0, 0, 0, 0, 0]]
    assert same < 0.2 < turned and float(loss.apart(torch.stack([doubled, doubled], 1), every)) > 2


@pytest.mark.parametrize("kind", ALIGNMENTS)
def test_units_without_a_modality_have_no_part_in_its_embedding(kind):
    model, data = Coordinated(design(kind)), inputs()
    loss = Alignment(kind, 60)
    lacking = torch.nonzero(~data.present()[:, 2]).ravel()
    made = model(data.batch(lacking))
    loss(made, lacking).backward()
    assert all(p.grad is None for p in model.views[2].parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.views[0].parameters())
    # Who has one modality alone is aligned with nothing: no loss, and no failure.
    model.zero_grad()
    none = torch.zeros(0, dtype=torch.long)
    alone = Inputs(60, (data.parts[0], Rows(torch.zeros(0, 4), none), Rows(torch.zeros(0, 3), none)))
    some = data.parts[0].where[:6]
    assert float(loss(model(alone.batch(some)), some).detach()) == 0


@pytest.mark.parametrize("kind", ALIGNMENTS)
def test_alignment_of_further_units_is_learned_and_each_is_its_own(kind):
    data, new = inputs(200), inputs(80, seed=1)
    loss = Alignment(kind, 200)
    trainer = Trainer(lambda: Coordinated(design(kind)), data, loss, torch.arange(200), 3)
    every = new.batch(torch.arange(80))

    def apart() -> float:
        with trainer.averaged() as model:
            return float(loss.apart(*model.tokens(every)))

    before = apart()
    trainer.advance(60)
    assert apart() < 0.8 * before
    with trainer.averaged() as model:
        whole, spread = model.infer(every)
        some, _ = model.infer(new.batch(torch.tensor([7, 3])))
    torch.testing.assert_close(some, whole[[7, 3]], rtol=1e-4, atol=1e-5)
    nobody = ~new.present().any(1)
    assert not whole[nobody].any() and (spread[nobody] == 1).all() and (spread >= 0).all()
