"""The autoencoder: likelihoods against scipy, posteriors against the formulas, and no term for what is absent."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.marks import thorough_but

pytest.importorskip("torch", reason="the extra 'deep' is not installed")

import torch

from cohortium.networks import vae
from cohortium.networks.batch import Inputs
from cohortium.networks.vae import Decoder, Elbo, Seen, SeenRows, Vae, VaeDesign
from cohortium.training.loop import Settings, Trainer

DESIGN = VaeDesign(
    (5, 4, 3), ("mlp", "lowrank", "mlp"), ((0,) * 5, (0, 0, 1, 1), (2, 2, 2)), latent=3, width=8, outputs=2
)


def inputs(n: int = 12, seed: int = 0, have=None) -> Inputs:
    """Units of three modalities; have: (n, 3) bool, default all."""
    rng, parts = np.random.default_rng(seed), []
    have = np.ones((n, 3), dtype=bool) if have is None else have
    for j, (d, kinds) in enumerate(zip(DESIGN.dims, DESIGN.likelihoods, strict=True)):
        where = np.flatnonzero(have[:, j])
        x = rng.normal(size=(n, d))[where]
        y = {0: x[:, : len(kinds)], 1: np.column_stack([x[:, :2], x[:, 2:] > 0]), 2: rng.poisson(5, (n, 3))[where]}[j]
        y = y.astype(float)
        if len(y):
            y[0, 0] = np.nan
        parts.append(SeenRows(*(torch.as_tensor(a, dtype=torch.float64) for a in (x, y, np.ones(len(where)))), torch.as_tensor(where)))  # fmt: skip
    return Inputs(n, tuple(parts))


def test_negative_binomial_is_that_of_scipy():
    from scipy.stats import nbinom

    rng = np.random.default_rng(0)
    y, rate, spread, size = rng.poisson(6, (7, 4)), rng.normal(1, 1, (7, 4)), rng.normal(size=4), rng.uniform(0.5, 2, 7)
    ours = vae.negative_binomial(*(torch.as_tensor(a, dtype=torch.float64) for a in (y, rate, spread, size)))
    mean, theta = size[:, None] * np.exp(rate), np.exp(spread)
    np.testing.assert_allclose(ours, -nbinom.logpmf(y, theta, theta / (theta + mean)), rtol=1e-9)


def test_each_feature_has_its_own_likelihood_and_unknown_cells_none():
    from scipy.stats import bernoulli, norm

    torch.manual_seed(0)
    decoder = Decoder((vae.GAUSSIAN, vae.BERNOULLI, vae.COUNTS), DESIGN).double()
    decoder.spread.data[:] = torch.tensor([0.4, 0.0, -0.3])
    z = torch.randn(4, 3, dtype=torch.float64)
    y = torch.tensor([[0.3, 1, 4], [1.2, 0, 0], [torch.nan, 1, 2], [torch.nan] * 3], dtype=torch.float64)
    out = decoder(z).detach()
    ours = decoder.loss(z, Seen(z, y, torch.ones(4, dtype=torch.float64))).detach().numpy()
    p = torch.sigmoid(out[:, 1]).numpy()
    gauss = -norm.logpdf(y[:, 0], out[:, 0], np.exp(0.2))
    count = vae.negative_binomial(y[:, 2:], out[:, 2:], decoder.spread[2:].detach(), torch.ones(4))[:, 0].numpy()
    expected = np.array([gauss[i] - bernoulli.logpmf(int(y[i, 1]), p[i]) + count[i] for i in range(2)])
    np.testing.assert_allclose(ours[:2], expected, rtol=1e-9)
    np.testing.assert_allclose(ours[2], -bernoulli.logpmf(1, p[2]) + count[2], rtol=1e-9)
    assert ours[3] == 0


@pytest.mark.parametrize("posterior", ["poe", "moe", "mopoe"])
def test_every_pattern_of_presence_has_a_posterior_and_units_are_their_own(posterior):
    torch.manual_seed(1)
    have = np.array(list(product([False, True], repeat=3)))
    data = inputs(8, have=have)
    model = Vae(replace(DESIGN, posterior=posterior)).double().eval()
    rows = torch.arange(8)
    with torch.no_grad():
        mean, variance = model.infer(data.batch(rows))
        assert torch.isfinite(mean).all() and (variance > 0).all()
        assert not mean[0].any() and (variance[0] == 1).all(), "nobody's is the prior"
        each, precision, _ = model.expert(data.batch(rows))
        full = have.all(1).nonzero()[0][0]
        prec, mu = precision[full].numpy(), each[full].numpy()
        if posterior == "moe":
            parts = prec / (1 + prec) * mu
            np.testing.assert_allclose(mean[full], parts.mean(0), rtol=1e-9)
            np.testing.assert_allclose(
                variance[full], (1 / (1 + prec) + parts**2).mean(0) - parts.mean(0) ** 2, rtol=1e-9
            )
        else:
            np.testing.assert_allclose(mean[full], (prec * mu).sum(0) / (1 + prec.sum(0)), rtol=1e-9)
            np.testing.assert_allclose(variance[full], 1 / (1 + prec.sum(0)), rtol=1e-9)
        order = torch.tensor([5, 2, 7])
        np.testing.assert_allclose(model.infer(data.batch(order))[0], mean[order], rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(model(data.batch(rows)), model.head(mean))


@pytest.mark.parametrize("posterior", ["poe", "moe", "mopoe"])
def test_no_term_and_no_gradient_of_a_modality_that_nobody_has(posterior):
    torch.manual_seed(2)
    have = np.ones((12, 3), dtype=bool)
    have[:, 1] = False
    model = Vae(replace(DESIGN, posterior=posterior)).double().train()
    outputs, bound = model(inputs(have=have).batch(torch.arange(12)))
    assert outputs.shape == (12, 2) and torch.isfinite(bound).all()
    (bound.sum() + outputs.square().sum()).backward()
    for name, p in model.named_parameters():
        if name.startswith(("experts.1", "decoders.1")):
            assert p.grad is None, name
        elif name.startswith(("experts.0", "decoders.0")):
            assert p.grad is not None, name


def test_random_parts_are_of_what_is_there_never_empty_and_all_as_likely():
    torch.manual_seed(3)
    present = torch.tensor([[True, True, False]]).expand(6000, 3)
    part = vae.random_part(present)
    assert part.any(1).all() and not part[:, 2].any()
    counts = torch.stack([(part[:, 0] & ~part[:, 1]).sum(), (part[:, 1] & ~part[:, 0]).sum(), part[:, :2].all(1).sum()])
    assert (counts / 6000 - 1 / 3).abs().max() < 0.03
    assert not vae.random_part(torch.zeros(5, 3, dtype=torch.bool)).any()


@pytest.mark.parametrize("posterior", thorough_but(["poe", "moe", "mopoe"], "mopoe"))
def test_trained_by_the_one_loop_it_finds_what_modalities_share(posterior):
    """Two Gaussian modalities of one factor: the second is predicted from the first, by a model that saw both."""
    rng = np.random.default_rng(0)
    n = 300
    z = rng.normal(size=(n, 2))
    xs = [z @ rng.normal(size=(2, 6)) + 0.5 * rng.normal(size=(n, 6)) for _ in range(2)]
    xs = [torch.as_tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32) for x in xs]
    where = torch.arange(n)
    data = Inputs(n, tuple(SeenRows(x, x, torch.ones(n), where) for x in xs))
    design = VaeDesign((6, 6), ("mlp", "mlp"), ((0,) * 6, (0,) * 6), posterior=posterior, latent=3, width=16)
    rows = torch.arange(200)
    trainer = Trainer(lambda: Vae(design), data, Elbo(n), rows, 7, Settings(decay=0.0))
    with trainer.averaged() as model:
        before = model.evidence(data.batch(torch.arange(200, 300))).mean()
    trainer.advance(60)
    with trainer.averaged() as model:
        after = model.evidence(data.batch(torch.arange(200, 300))).mean()
        alone = Inputs(100, (SeenRows(xs[0][200:], xs[0][200:], torch.ones(100), torch.arange(100)), SeenRows(xs[1][:0], xs[1][:0], torch.ones(0), torch.arange(0))))  # fmt: skip
        value = model.decoders[1](model.infer(alone.batch(torch.arange(100)))[0])
    assert after < before - 0.2
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(value.numpy().T, xs[1][200:].numpy().T, strict=True)]
    assert np.median(r) > 0.7, r
    again = Trainer(lambda: Vae(design), data, Elbo(n), rows, 7, Settings(decay=0.0))
    again.advance(60)
    with again.averaged() as other:
        np.testing.assert_array_equal(other.infer(data.batch(rows))[0], _mean(trainer, data, rows))


def _mean(trainer, data, rows):
    with trainer.averaged() as model:
        return model.infer(data.batch(rows))[0]


def test_a_design_is_enough_to_make_the_network_again_and_unknown_posteriors_are_refused():
    torch.manual_seed(4)
    model = Vae(DESIGN).double().eval()
    again = Vae(VaeDesign.restore(DESIGN.state())).double().eval()
    again.load_state_dict(model.state_dict())
    batch = inputs().batch(torch.arange(12))
    assert torch.equal(again(batch), model(batch))
    with pytest.raises(ValueError, match="No posterior called 'pie'"):
        Vae(replace(DESIGN, posterior="pie"))
