"""Losses against R, scikit-learn and plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.networks.objectives import Bernoulli, Corn, CoxEfron, DiscreteTime, Softmax, SquaredError  # noqa: E402

TIME = np.array([5, 3, 3, 8, 2, 5, 5, 9, 1, 3, 7, 6.0])
EVENT = np.array([1, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0], dtype=bool)
ENTRY = np.array([0, 1, 0, 2, 0, 4, 0, 3, 0, 2, 5, 0.0])
X = np.array([0.5, -1.2, 0.3, 0.8, 1.5, -0.4, 0.1, -0.9, 0.2, 1.1, -0.6, 0.7])
PLAIN, DELAYED = -13.878038942706, -12.539226730648
"""Log likelihoods by oracle/efron.R."""

ALL = torch.arange(12)


@pytest.mark.parametrize(("entry", "truth"), [(np.zeros(12), PLAIN), (ENTRY, DELAYED)])
def test_efron_is_that_of_r(entry, truth):
    eta = torch.tensor(0.7 * X, dtype=torch.float64)[:, None]
    loss = CoxEfron(TIME, EVENT, entry)(eta, ALL)
    assert loss.item() * EVENT.sum() == pytest.approx(-truth, rel=1e-9)


def test_efron_without_ties_is_breslow_of_our_heads():
    from cohortium.contracts import SurvivalOutcome
    from cohortium.heads.families import family_of
    from cohortium.schema import Endpoint, EndpointKind

    rng = np.random.default_rng(0)
    time, event = rng.exponential(size=60), rng.random(60) < 0.5
    eta = rng.normal(size=(60, 1))
    outcome = SurvivalOutcome(Endpoint("os", EndpointKind.SURVIVAL, (), "days", ()), np.arange(60).astype(object), time, event, np.zeros(60))  # fmt: skip
    value, gradient, _ = family_of(outcome).value_grad(eta, np.zeros(0))
    x = torch.tensor(eta, requires_grad=True)
    loss = CoxEfron(time, event, np.zeros(60))(x, torch.arange(60)) * event.sum()
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(x.grad.numpy(), gradient, atol=1e-9)


def test_a_batch_without_events_has_no_gradient():
    x = torch.zeros(3, 1, requires_grad=True)
    CoxEfron(TIME, EVENT, ENTRY)(x, torch.tensor([3, 6, 8])).backward()
    assert (x.grad == 0).all()


def test_class_losses_are_those_of_scikit_learn():
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 12)
    out = torch.tensor(rng.normal(size=(12, 3)))
    soft = Softmax(y, 3)
    p = torch.softmax(out + soft.bias.detach(), 1).numpy()
    assert soft(out, ALL).item() == pytest.approx(log_loss(y, p), rel=1e-6)
    binary = Bernoulli((y > 0).astype(np.int64))
    q = torch.sigmoid(out[:, 0] + binary.bias.detach()).numpy()
    assert binary(out[:, :1], ALL).item() == pytest.approx(log_loss(y > 0, q), rel=1e-6)


def test_balanced_classes_weigh_the_same():
    y = np.array([0] * 9 + [1] * 3)
    loss = Bernoulli(y, balanced=True)
    out = torch.zeros(12, 1, requires_grad=True)
    loss(out, ALL).backward()
    assert float(out.grad[:9].sum()) == pytest.approx(-float(out.grad[9:].sum()), rel=1e-6)


def test_corn_is_the_likelihood_of_its_conditional_probabilities():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, 12)
    corn, out = Corn(y, 4), torch.tensor(rng.normal(size=(12, 3)))
    p = torch.sigmoid(out + corn.bias.detach()).numpy()
    # P(Y = k) = prod_{j < k} p_j * (1 - p_k)
    each = [np.prod(p[i, : y[i]]) * (1 - p[i, y[i]] if y[i] < 3 else 1) for i in range(12)]
    assert corn(out, ALL).item() == pytest.approx(-np.log(each).mean(), rel=1e-6)
    score = corn.scores(out + torch.tensor([[1.0], [0.0]]).repeat(6, 1), ALL)
    assert (score[::2] > corn.scores(out, ALL)[::2]).all()


def test_discrete_time_at_null_is_the_life_table():
    rng = np.random.default_rng(3)
    time, event = rng.exponential(size=200), rng.random(200) < 0.6
    loss = DiscreteTime(time, event, np.zeros(200))
    out = torch.zeros(200, loss.n_outputs, requires_grad=True)
    loss(out, torch.arange(200)).backward()
    # The hazards that training starts at are the life table's, up to the half that keeps them off zero.
    assert out.grad.sum(0).abs().max() < 5e-3
    survival = torch.exp(-torch.nn.functional.softplus(loss.bias).cumsum(0))
    from cohortium.metrics import kaplan_meier

    ends = np.unique(np.quantile(time[event], np.linspace(0, 1, 11)[1:], method="higher"))
    times, curve = kaplan_meier(time, event)[:2]
    km = curve[np.searchsorted(times, ends[:-1], side="right") - 1]
    np.testing.assert_allclose(survival.detach().numpy()[:-1], km, atol=0.03)
    assert (loss.scores(out + 1, torch.arange(200)) > loss.scores(out, torch.arange(200))).all()


def test_squared_error_is_in_standard_deviations():
    y = np.array([1.0, 2, 3, 4])
    assert SquaredError(y)(torch.zeros(4, 1), torch.arange(4)).item() == pytest.approx(0.5)


def test_units_that_are_not_trained_on_do_not_reach_an_objective():
    rng = np.random.default_rng(4)
    train = np.arange(30)
    time, event, entry = rng.exponential(size=40), rng.random(40) < 0.6, np.zeros(40)
    codes, values = rng.integers(0, 3, 40), rng.normal(size=40)
    spoilt = [v.copy() for v in (time, codes, values)]
    for v in spoilt:
        v[30:] = v[30:][::-1] * 0 + (1 if v.dtype.kind == "i" else 77)
    pairs = [
        (DiscreteTime(time, event, entry, train), DiscreteTime(spoilt[0], event, entry, train)),
        (CoxEfron(time, event, entry, train), CoxEfron(spoilt[0], event, entry, train)),
        (Softmax(codes, 3, False, train), Softmax(spoilt[1], 3, False, train)),
        (Corn(codes, 3, train), Corn(spoilt[1], 3, train)),
        (Bernoulli((codes > 0) * 1, True, train), Bernoulli((spoilt[1] > 0) * 1, True, train)),
        (SquaredError(values, train), SquaredError(spoilt[2], train)),
    ]
    for one, two in pairs:
        out = torch.tensor(np.random.default_rng(5).normal(size=(30, one.n_outputs)), dtype=torch.float32)
        assert one.n_outputs == two.n_outputs and torch.equal(one(out, torch.arange(30)), two(out, torch.arange(30)))


def test_an_objective_can_start_at_the_scores_of_another_learner():
    rng = np.random.default_rng(6)
    y, start = rng.integers(0, 2, 12), rng.normal(size=(12, 1))
    plain, started = Bernoulli(y), Bernoulli(y)
    started.start_at(start)
    out, rows = torch.tensor(rng.normal(size=(5, 1))), torch.tensor([3, 1, 7, 8, 2])
    assert started(out, rows).item() == pytest.approx(plain(out + torch.tensor(start)[rows], rows).item(), rel=1e-6)
    np.testing.assert_allclose(started.scores(out, rows).numpy(), out.numpy() + start[rows.numpy()], rtol=1e-6)
