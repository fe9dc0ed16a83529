"""Attacks on a federated study as ``federate simulate --attack`` tries them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.federation_site import Feature
from cohortium.study import attacking
from cohortium.study.attacking import attack
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.marks import thorough_but


def attacked(kind, found, **plan):
    made = cut.plan(kind, **plan)
    state = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    return attack(made, found, state), state


def wide(columns):
    """Sites with further columns of chance: a model that knows its patients by heart."""
    rng = np.random.default_rng(5)
    out = {}
    for name, s in cut.sites("binary").items():
        more = [
            Feature("clinical", f"chance{j}", "numeric", (), "", "", rng.normal(size=len(s))) for j in range(columns)
        ]
        out[name] = replace(s, features=(*s.features, *more))
    return out


def test_a_model_of_many_columns_tells_who_took_part_and_one_of_few_hardly(monkeypatch):
    monkeypatch.setattr(attacking, "MOST_CELLS", 100)
    few, _ = attacked("binary", cut.sites("binary"))
    many, _ = attacked("binary", wide(30), penalty=1.0)
    model = {k: next(a for a in r if a.surface == "model") for k, r in (("few", few), ("many", many))}
    assert model["few"].shadows == 64 and model["few"].candidates == 260
    assert model["few"].auc < 0.6 and model["many"].auc > 0.63
    assert model["many"].tpr_low > 0.01 and model["few"].tpr < 0.03
    assert (
        next(a for a in many if a.surface == "sums").auc > 0.99
    )  # a small site's sums of many columns are its list of patients
    assert "more than 100 cells" in next(a for a in many if a.attack == "reconstruction").reason


@pytest.mark.thorough
def test_rows_of_a_site_are_not_found_in_sums_of_few_columns():
    row = next(a for a in attacked("binary", cut.sites("binary"))[0] if a.attack == "reconstruction")
    assert row.candidates == 35 and row.rounds >= 4 and row.misfit < 0.1 and row.share < row.chance + 0.25


@pytest.mark.parametrize("kind", thorough_but(["survival", "continuous", "multiclass"], "continuous"))
def test_sums_of_a_small_site_tell_more_than_the_model_does(kind):
    found, _ = attacked(kind, cut.sites(kind))
    model, sums = found
    assert (model.surface, sums.surface, sums.site) == ("model", "sums", "west")
    assert 0.45 < model.auc < sums.auc and sums.tpr_low > 0.01 and sums.candidates == 35
    if kind == "continuous":
        assert attacked(kind, cut.sites(kind))[0] == found  # the same numbers again


def test_noise_takes_from_the_server_what_gradients_tell():
    from tests.federation import private_sites

    found = private_sites.sites("binary")
    auc = {}
    for name, made in (
        ("none", private_sites.exact(private_sites.plan("binary"))),
        ("one", private_sites.plan("binary", 1.0)),
    ):
        free = replace(made, quorum=1, least_patients=1)
        state = drive(free, {n: asking(s, free) for n, s in found.items()}).state
        model, gradients = attack(made, found, state)
        assert (model.surface, gradients.surface) == ("model", "gradients") and model.auc < 0.6
        auc[name] = gradients.auc
    assert auc["none"] > 0.6 > auc["one"]


def test_the_gradient_that_is_inverted_is_what_a_site_s_update_tells():
    """Plain descent on all units: the change of each part is the gradient at the true rows, times the rate and the part's scale."""
    torch = pytest.importorskip("torch", reason="needs pip install 'cohortium[deep]'")
    from cohortium.federation_site import answer
    from cohortium.federation_site.network import At
    from cohortium.study.attacking_network import _asked, update_inverted
    from tests.federation.network_sites import changed, plan, sites

    made, found = changed(plan("binary"), rounds=2), sites("binary", sizes=(30, 40, 40, 40))
    q = _asked(made, found, "north")
    at = At(found["north"], made, q)
    flat = at.gradient_of([torch.as_tensor(x) for x in at.data.x]).detach()
    own = torch.split(flat, [p.numel() for p in at.layout.parameters])
    told = at.layout.pack(
        [s * g.reshape(p.shape) for s, g, p in zip(at._scale(), own, at.layout.parameters, strict=True)]
    )
    sent = {p.name: p.change for p in answer(found["north"], made, q).parts}
    for short, name in zip(at.layout.names, at.names, strict=True):
        np.testing.assert_allclose(sent[name], -made.network.rate * told[short], atol=1e-12)
    large = sites("binary", sizes=(200, 220, 210, 230))
    assert "more than 400" in update_inverted(made, large, "north").reason
