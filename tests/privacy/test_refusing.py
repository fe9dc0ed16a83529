"""Losses and layers that cannot be private are refused with the reason."""

from __future__ import annotations

import pytest

from cohortium.privacy.refusing import refuse


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("cox", "no sum over patients"),
        ("Breslow", "no sum"),
        ("info-nce", "against the others"),
        ("newton", "no noise"),
    ],
)
def test_losses(loss, said):
    assert said in refuse(loss)


def test_layers():
    assert "batch normalisation" in refuse("", ["Linear", "BatchNorm1d"])
    assert "batch's mean" in refuse("", ["Centre"])
    assert refuse("hazards", ["Linear", "LayerNorm", "GELU"]) == ""


def test_layers_of_torch():
    nn = pytest.importorskip("torch").nn
    assert "mixes the patients" in refuse("", nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).modules())
    assert "keeps means" in refuse("", nn.Sequential(nn.InstanceNorm1d(2, track_running_stats=True)).modules())
    assert refuse("", nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.InstanceNorm1d(2)).modules()) == ""
