"""Laws of encoders and fusions, and that the names of the study file are those of the networks."""

from __future__ import annotations

from typing import get_args

import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.networks.batch import Inputs, Rows  # noqa: E402
from cohortium.networks.build import Design, build  # noqa: E402
from cohortium.networks.joint import FUSIONS  # noqa: E402
from cohortium.networks.sequences import EVENTS  # noqa: E402
from cohortium.networks.sets import BAGS  # noqa: E402
from cohortium.networks.tables import TABLES  # noqa: E402
from cohortium.schema import deep  # noqa: E402
from cohortium.testing.laws import LawBroken  # noqa: E402
from cohortium.testing.network_laws import check_encoder, check_fusion  # noqa: E402


@pytest.mark.parametrize("name", TABLES)
def test_table_encoders_keep_their_laws(name):
    check_encoder(lambda: TABLES[name](6, 8), lambda b: torch.randn(b, 6, dtype=torch.float64), lambda x, rows: x[rows])


@pytest.mark.parametrize("name", FUSIONS)
def test_fusions_keep_their_laws(name):
    check_fusion(lambda m, width: FUSIONS[name](m, width, 0.2))


def test_the_laws_can_be_broken():
    class Mean(torch.nn.Module):
        def forward(self, tokens, present):
            return tokens.mean(1)

    class BatchNorm(torch.nn.Module):
        width = 6

        def forward(self, x):
            return (x - x.mean(0)) / x.std(0)

    with pytest.raises(LawBroken, match="absent"):
        check_fusion(lambda m, width: Mean())
    with pytest.raises(LawBroken, match="beside"):
        check_encoder(BatchNorm, lambda b: torch.randn(b, 6, dtype=torch.float64), lambda x, rows: x[rows])


def test_the_study_file_names_what_there_is():
    assert set(get_args(deep.FusionName)) == set(FUSIONS)
    assert set(get_args(deep.TablesName)) == set(TABLES)
    assert set(get_args(deep.BagsName)) == {"summary", *BAGS}
    assert set(get_args(deep.EventsName)) == {"summary", *EVENTS}


def model(tokens: bool = False, wide: bool = True):
    torch.manual_seed(0)
    return build(Design((4, 3), ("mlp", "mlp"), "attention", 1, width=8, tokens=tokens, wide=wide))


def inputs(n: int = 10):
    have = torch.arange(0, n, 2)
    return Inputs(n, (Rows(torch.randn(n, 4), torch.arange(n)), Rows(torch.randn(len(have), 3), have)))


def test_training_starts_at_the_null_model():
    assert model()(inputs().batch(torch.arange(10))).abs().max() == 0


def test_no_gradient_comes_from_units_that_lack_the_modality():
    net = model()
    torch.nn.init.normal_(net.head.weight)
    out = net(inputs().batch(torch.tensor([1, 3, 5])))  # nobody here has the second modality
    out.sum().backward()
    assert all(p.grad is None for p in net.encoders[1].parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in net.encoders[0].parameters())


def test_embeddings_are_centred_on_those_who_have_the_modality():
    net, data = model().eval(), inputs()
    everybody = data.batch(torch.arange(10))
    net.settle(everybody)
    tokens, present = net.embed(everybody)
    for j in range(2):
        assert tokens[present[:, j], j].mean(0).abs().max() < 1e-6
    assert (tokens[~present] == 0).all()


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'attention'"):
        build(Design((3,), ("mlp",), "atention", 1))
