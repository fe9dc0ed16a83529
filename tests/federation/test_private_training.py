"""Private steps of a network: Opacus' gradients are those of one patient after the other, noise and sampling are as paid for."""

from __future__ import annotations

import pytest

from cohortium.errors import StudyError
from cohortium.privacy import Release, spent

torch = pytest.importorskip("torch")
pytest.importorskip("opacus")
from cohortium.federation_site.private_training import train_privately  # noqa: E402
from cohortium.networks.tables import MLP, LowRank, Tokens  # noqa: E402

nn = torch.nn
N = 40


def data():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 5, generator=g)
    return x, (x[:, 0] > 0).float()


def update(net, **how):
    x, y = data()
    asked = {"steps": 3, "rate": 0.3, "noise": 1e-9, "clip": 0.5, "learning_rate": 0.5, "seed": 1, **how}

    def loss(out, rows):
        return nn.functional.binary_cross_entropy_with_logits(out[:, 0], y[rows], reduction="none")

    return train_privately(net, lambda rows: x[rows], loss, N, **asked)


ENCODERS = {
    "MLP": lambda: MLP(5, 4, 0.0, 0.0),
    "LowRank": lambda: LowRank(5, 4, 0.0, 0.0, 2),
    "Tokens": lambda: Tokens(5, 4, 0.0, 0.0, 2),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_opacus_and_one_patient_after_the_other_agree(name):
    torch.manual_seed(0)
    net = nn.Sequential(ENCODERS[name](), nn.Linear(4, 1))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    a, b = update(net, how="opacus"), update(net, how="loop")
    assert a.taken == b.taken and len(set(a.taken)) > 1
    for k, v in a.change.items():
        torch.testing.assert_close(v, b.change[k], atol=1e-5, rtol=1e-4)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_no_patient_moves_a_step_by_more_than_the_clip():
    net = nn.Linear(5, 1)
    nn.init.zeros_(net.weight)
    x, y = data()
    loss = lambda out, rows: 1e6 * (out[:, 0] - y[rows]) ** 2  # noqa: E731
    asked = {"steps": 1, "rate": 1.0, "noise": 1e-9, "clip": 0.5, "learning_rate": 1.0, "seed": 0, "how": "loop"}
    whole = train_privately(net, lambda rows: x[rows], loss, N, **asked).change
    without = train_privately(net, lambda rows: x[rows], loss, N - 1, **asked).change
    gap = torch.cat([(whole[k] * N - without[k] * (N - 1)).flatten() for k in whole]).norm()
    assert 0.4 < gap <= 0.5 + 1e-5


def test_noise_and_nobody():
    net = nn.Linear(5, 1)
    found = [update(net, noise=2.0, rate=1e-9, steps=1, seed=s) for s in range(60)]
    drawn = torch.cat([u.change["weight"].flatten() for u in found]) * (1e-9 * N) / 0.5  # undo step and division
    assert all(u.taken == (0,) for u in found)
    assert 0.8 < float(drawn.std()) / (2.0 * 0.5) < 1.2
    one, two = (update(net, seed=None, noise=1.0).change["weight"] for _ in range(2))
    assert not torch.equal(one, two)


def test_what_cannot_be_private_is_refused():
    with pytest.raises(StudyError, match="batch normalisation"):
        update(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)))
    with pytest.raises(StudyError, match="no sum over patients"):
        update(nn.Linear(5, 1), loss_name="cox")
    for wrong in ({"noise": 0.0}, {"rate": 1.5}, {"clip": -1.0}, {"steps": 0}):
        with pytest.raises(StudyError, match="is to be"):
            update(nn.Linear(5, 1), **wrong)


def test_the_budget_is_asked_before_a_gradient_is_taken():
    pytest.importorskip("dp_accounting")

    def never(rows):
        raise AssertionError

    before = [Release("x", "gaussian", 2.0)]
    asked = {"steps": 100, "rate": 0.1, "noise": 1.0, "clip": 1.0, "learning_rate": 0.1, "budget": (3.0, 1e-5, before)}
    with pytest.raises(StudyError, match="budget is 3"):
        train_privately(nn.Linear(5, 1), never, never, N, **asked)
    u = update(nn.Linear(5, 1), noise=4.0, rate=0.1, steps=2, budget=(3.0, 1e-5, before))
    assert spent([*before, *u.releases], 1e-5) <= 3.0
