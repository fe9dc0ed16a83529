"""Encoders of bags and events: their laws, and that neither groups nor chunks nor gaps change what they make."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.networks import ragged  # noqa: E402
from cohortium.networks.ragged import Items, Ragged  # noqa: E402
from cohortium.networks.sequences import EVENTS  # noqa: E402
from cohortium.networks.sets import BAGS, Softened  # noqa: E402
from cohortium.testing.network_laws import check_encoder  # noqa: E402

CODES = 9


def items(read, sizes, most=None, numbers=1):
    """Stored one after the other."""
    sizes = np.asarray(sizes, dtype=np.int64)
    n = len(sizes)
    return Items(read, np.cumsum(sizes) - sizes, sizes, np.arange(n), torch.arange(n), most, numbers)


def bags(b: int, d: int = 5, sizes=None) -> Ragged:
    sizes = torch.randint(1, 40, (b,)).numpy() if sizes is None else np.asarray(sizes)
    x = torch.randn(int(sizes.sum()), d, dtype=torch.float64)
    return items(lambda at, rows: (x[torch.as_tensor(at)],), sizes).take(torch.arange(b))


def events(b: int) -> Ragged:
    """The first unit has no event of a known code."""
    sizes = np.r_[0, torch.randint(1, 30, (b - 1,)).numpy()]
    n = int(sizes.sum())
    some = [torch.rand(n, dtype=torch.float64) for _ in range(3)]
    flags = [(torch.rand(n) < 0.7).double() for _ in range(2)]
    code = torch.randint(0, CODES, (n,))

    def read(at, rows):
        at = torch.as_tensor(at)
        return code[at], some[0][at] * flags[0][at], flags[0][at], some[1][at], some[2][at], flags[1][at]

    return items(read, sizes).take(torch.arange(b))


@pytest.mark.parametrize("name", BAGS)
def test_bag_encoders_keep_their_laws(name):
    check_encoder(lambda: BAGS[name](5, 8), bags, Ragged.take)


@pytest.mark.parametrize("name", EVENTS)
def test_event_encoders_keep_their_laws(name):
    check_encoder(lambda: EVENTS[name](CODES, 8), events, Ragged.take)


@pytest.mark.parametrize("name", [*BAGS, "codes"])
def test_a_unit_too_large_for_a_chunk_is_seen_whole(name):
    torch.manual_seed(0)
    x = events(6) if name == "codes" else bags(6, sizes=[1, 300, 7, 2, 90, 41])
    encoder = (EVENTS[name](CODES, 8) if name == "codes" else BAGS[name](5, 8)).double().eval()
    whole = encoder(x)
    encoder.limit = 7
    torch.testing.assert_close(encoder(x), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", BAGS)
def test_neither_order_nor_a_copy_of_all_instances_matters_to_a_set(name):
    torch.manual_seed(1)
    x = torch.randn(20, 5, dtype=torch.float64)
    encoder = BAGS[name](5, 8).double().eval()
    made = [
        encoder(items(lambda at, rows, y=y: (y[torch.as_tensor(at)],), [len(y)]).take(torch.tensor([0])))
        for y in (x, x.flip(0), torch.cat([x, x]))
    ]
    torch.testing.assert_close(made[1], made[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(made[2], made[0], rtol=1e-10, atol=1e-12)


def test_the_order_of_events_matters_to_the_transformer_alone():
    torch.manual_seed(2)
    one = torch.ones(2, dtype=torch.float64)

    def read(at, rows):
        code = torch.tensor([[3, 5], [5, 3]])[torch.as_tensor(rows), torch.as_tensor(at) % 2]
        n = len(at)
        return code, one.new_zeros(n), one.new_zeros(n), one.new_ones(n), one.new_zeros(n), one.new_ones(n)

    pair = items(read, [2, 2]).take(torch.arange(2))
    for name, encoder in EVENTS.items():
        a, b = encoder(CODES, 8).double().eval()(pair)
        assert torch.allclose(a, b) == (name == "codes")


def test_groups_hold_every_item_once_within_the_limit():
    sizes = np.array([3, 0, 50, 1, 2, 1000, 48])
    found = {k: [] for k in range(7)}
    for group in bags(7, sizes=sizes).groups(100):
        assert len(group.chunks) == 1 or len(group.units) == 1
        for at, keep in group.chunks:
            assert at.size <= 100 and keep.mean() >= 0.3
            for unit, row, there in zip(group.units, at, keep, strict=True):
                found[int(unit)] += list(row[there])
    begin = np.cumsum(sizes) - sizes
    assert all(sorted(v) == list(range(begin[k], begin[k] + sizes[k])) for k, v in found.items())


def test_a_training_step_draws_some_instances_and_a_prediction_takes_all(monkeypatch):
    part = items(lambda at, rows: (torch.zeros(len(at), 2),), [5, 400, 30], most=20, numbers=2)
    torch.manual_seed(3)
    rows = torch.tensor([2, 1, 0])
    assert part.take(rows).sizes.tolist() == [30, 400, 5]
    one, two = part.take(rows, True), part.take(rows, True)
    assert one.sizes.tolist() == [20, 20, 5] and (one.at != two.at).any()
    at = one.at[20:40]
    assert len(set(at)) == 20 and at.min() >= 5 and at.max() < 405
    torch.manual_seed(3)
    assert (part.take(rows, True).at == one.at).all()
    monkeypatch.setattr(ragged, "STEP", 3 * 256 * 4)
    assert part.take(rows, True).sizes.tolist() == [4, 4, 4]


def test_softened_sums_are_a_softmax_over_all_chunks():
    score, value = 50 * torch.randn(2, 3, 12, dtype=torch.float64), torch.randn(2, 12, 4, dtype=torch.float64)
    score[..., :3] = -torch.inf
    score[..., 3] = 0.0
    soft = Softened()
    for a, b in ((2, 5), (5, 11), (11, 12)):
        soft.add(score[..., a:b], value[:, a:b])
    torch.testing.assert_close(soft.mean(), score.softmax(-1) @ value)


def test_instances_are_asked_by_the_modalities_that_are_there_alone():
    from cohortium.networks.batch import Inputs, Rows
    from cohortium.networks.build import Design, build
    from cohortium.networks.ragged import ItemsBeside

    torch.manual_seed(5)
    sizes = [4, 7, 1, 9, 3, 5]
    x = torch.randn(sum(sizes), 5)
    bag = items(lambda at, rows: (x[torch.as_tensor(at)],), sizes)
    have = torch.tensor([0, 2, 3])
    design = Design((3, 2), ("mlp", "mlp"), "gated", 1, 8, items=(None, ("cross_attention", 5)))
    net = build(design).eval()
    torch.nn.init.normal_(net.head.weight)

    def made(table):
        data = Inputs(6, (Rows(table, have), ItemsBeside(bag, torch.zeros(6, 2))))
        return net.embed(data.batch(torch.arange(6)))[0][:, 1]

    one = torch.randn(3, 3)
    before, after = made(one), made(one + 1)
    assert (before[have] - after[have]).abs().amax(1).min() > 1e-4
    others = torch.tensor([1, 4, 5])
    torch.testing.assert_close(before[others], after[others], rtol=0, atol=0)
    # A modality that a training step hides asks nothing: its encoder gets no gradient.
    net.train()
    net._drop = lambda present: present & torch.tensor([False, True])
    data = Inputs(6, (Rows(one, have), ItemsBeside(bag, torch.zeros(6, 2))))
    net.joint(data.batch(torch.arange(6))).sum().backward()
    assert all(p.grad is None or not p.grad.abs().max() for p in net.encoders[0].parameters())
