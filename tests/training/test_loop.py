"""The loop: one seed, no trace in the global generators, and a checkpoint goes on as if nothing had happened."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.networks.batch import Inputs, Rows  # noqa: E402
from cohortium.networks.build import Design, build  # noqa: E402
from cohortium.networks.objectives import Bernoulli  # noqa: E402
from cohortium.training.loop import Settings, Trainer  # noqa: E402

DESIGN = Design((5, 4), ("mlp", "mlp"), "gated", 1, width=8)
N = 90


def data():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(N, 5, generator=g)
    have = torch.arange(0, N, 2)
    y = (x[:, 0] + 0.3 * torch.randn(N, generator=g) > 0).long().numpy()
    return Inputs(N, (Rows(x, torch.arange(N)), Rows(torch.randn(len(have), 4, generator=g), have))), y


def trainer(rows=None, seed=0):
    inputs, y = data()
    return Trainer(lambda: build(DESIGN), inputs, Bernoulli(y), torch.arange(N) if rows is None else rows, seed, Settings(batch=32))  # fmt: skip


def outputs(t):
    with t.averaged() as model:
        return model(t.data.batch(torch.arange(N))).clone()


def test_training_learns_and_predictions_use_the_averaged_weights():
    t = trainer()
    t.advance(30)
    _, y = data()
    assert ((outputs(t)[:, 0] > 0).numpy() == y).mean() > 0.85
    before = [p.clone() for p in t.model.parameters()]
    with t.averaged() as model:
        assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert all(torch.equal(p, q) for p, q in zip(t.model.parameters(), before, strict=True))


def test_the_same_seed_gives_the_same_to_the_bit_whatever_else_is_drawn():
    one = trainer()
    one.advance(3)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    two = trainer()
    for _ in range(3):
        two.advance(1)
        torch.rand(5)
        outputs(two)  # looking does not change what follows
    assert torch.equal(outputs(one), outputs(two))
    torch.set_rng_state(state)
    trainer().advance(1)
    assert torch.equal(torch.get_rng_state(), state)
    other = trainer(seed=1)
    other.advance(3)
    assert not torch.equal(outputs(one), outputs(other))


def test_a_checkpoint_goes_on_as_if_nothing_had_happened():
    whole, first, second = trainer(), trainer(), trainer(seed=5)
    whole.advance(4)
    first.advance(2)
    kept = first.checkpoint()
    first.advance(1)  # what was kept is not carried along
    second.resume(kept)
    second.advance(2)
    assert second.epochs == 4 and torch.equal(outputs(whole), outputs(second))


def test_rows_that_are_not_trained_on_do_not_reach_the_weights():
    rows = torch.arange(60)
    one = trainer(rows)
    one.advance(3)
    two = trainer(rows)
    two.data.parts[0].x[60:] = 1e6
    two.objective.y[60:] = 1 - two.objective.y[60:]
    two.advance(3)
    for p, q in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    trainer().advance(1)
    assert torch.get_num_threads() == before


def test_batches_deal_events_evenly():
    t = trainer()
    t.objective.informative = torch.zeros(N, dtype=torch.bool)
    t.objective.informative[:9] = True
    sizes = [int(t.objective.informative[b].sum()) for b in t._batches()]
    assert sum(sizes) == 9 and min(sizes) == 3
