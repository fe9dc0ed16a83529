"""Federated fits equal those on all rows together: R's, scikit-learn's, and the project's own heads."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.contracts import ClassOutcome, ValueOutcome
from cohortium.federation_coordinator import begin, question, restore, step, store
from cohortium.federation_coordinator.results import estimates, results
from cohortium.federation_site import answer
from cohortium.federation_site.encoding import columns_of
from cohortium.heads.families import Binary, Gaussian
from cohortium.heads.newton import fit_ridge
from cohortium.schema import Endpoint, EndpointKind
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut


def fit(kind, how=None, **changes):
    made, found = cut.plan(kind, **changes), cut.sites(kind, **(how or {}))
    return drive(made, {n: asking(s, made) for n, s in found.items()})


W = {"weighted": True}
CASES = {
    "linear": ("continuous", {}, {}), "linear_w": ("continuous", W, W),
    "logistic": ("binary", {}, {}), "logistic_w": ("binary", W, W),
    "cox": ("survival", {}, {}), "cox_entry": ("survival", {"entry": True}, {}), "cox_w": ("survival", W, W),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equal_to_r(name):
    kind, how, changes = CASES[name]
    driven = fit(kind, how, **changes)
    found = estimates(driven.state)
    np.testing.assert_allclose(np.r_[found.intercepts, found.coef[:, 0]], cut.oracle(name), rtol=0, atol=2e-11)
    if name.removesuffix("_w") == name or kind == "survival":
        np.testing.assert_allclose(found.error[:, 0], cut.oracle(f"{name}_se")[-5:], rtol=1e-8)
    if name in ("linear", "logistic"):
        records = results(driven.state, [], [], "", "")
        np.testing.assert_allclose([c.p for c in records.coefficients], cut.oracle(f"{name}_p")[1:], rtol=1e-6)


def test_loss_is_r_s_partial_likelihood():
    state = fit("survival").state
    assert -state.fit.loss == pytest.approx(cut.oracle("cox_loglik")[1], abs=1e-9)


def test_ridge_cox_is_r_s():
    state = fit("survival", penalty=7.0).state
    np.testing.assert_allclose(estimates(state).coef[:, 0] * state.sd, cut.oracle("cox_ridge"), atol=1e-11)


def test_multinomial_is_r_s():
    found = estimates(fit("multiclass").state)
    mine = np.vstack([found.intercepts, found.coef]).T.ravel()
    np.testing.assert_allclose(mine, cut.oracle("multinom"), atol=2e-7)  # R's own search ends there


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_ridge_is_scikit_learn_s(kind):
    from sklearn.linear_model import LogisticRegression

    state = fit(kind, penalty=3.0).state
    z, y = stacked(state, kind)
    model = LogisticRegression(C=1 / 3, tol=1e-12, max_iter=10000).fit(z, y)
    mine = estimates(state).coef * state.sd[:, None]
    theirs = model.coef_ if kind == "binary" else model.coef_[1:] - model.coef_[:1]
    np.testing.assert_allclose(mine.T, theirs, atol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_ridge_is_the_heads_own(kind):
    state = fit(kind, penalty=2.0).state
    z, y = stacked(state, kind)
    units = np.arange(len(y)).astype(object)
    if kind == "binary":
        family = Binary(ClassOutcome(Endpoint("y", EndpointKind.BINARY, ("no", "yes")), units, y.astype(int)))
    else:
        family = Gaussian(ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), units, y))
    b, _ = fit_ridge(z, family, np.full(5, 2.0), (np.zeros((5, 1)), family.start()), tol=1e-16)
    scale = family.scale if kind == "continuous" else 1.0
    np.testing.assert_allclose(estimates(state).coef[:, 0] * state.sd, b[:, 0] * scale, atol=1e-7)


def stacked(state, kind):
    """Standardised columns of all rows together, and the outcome."""
    found = cut.sites(kind)
    x = np.vstack([columns_of(found[s], state.columns, 3) for s in state.here])
    np.testing.assert_allclose(x.mean(0), state.mean, rtol=1e-12)
    np.testing.assert_allclose(x.std(0), state.sd, rtol=1e-12)
    return (x - state.mean) / state.sd, np.concatenate([found[s].y for s in state.here])


def test_names_and_order_of_sites_do_not_matter():
    made, found = cut.plan("survival"), cut.sites("survival")
    forward = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    back = drive(made, {n: asking(found[n], made) for n in reversed(found)}).state
    assert store(forward) == store(back)


def test_a_stored_state_goes_on_to_the_bit():
    made, found = cut.plan("binary"), cut.sites("binary")
    whole = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    state = begin(made, list(found))
    while state.phase != "done":
        assert restore(store(state)).round == state.round
        state = restore(store(state))
        state = step(state, {n: answer(s, made, question(state)) for n, s in found.items()})
    assert store(state) == store(whole)


def test_cox_sums_are_derivatives_of_their_loss():
    from cohortium.federation_site.cox import cox_sums

    rng = np.random.default_rng(3)
    n, q = 40, 3
    z, time, entry = rng.normal(size=(n, q)), rng.integers(1, 9, n) + 0.5, rng.integers(0, 2, n).astype(float)
    event, w, stratum = rng.integers(0, 2, n), rng.uniform(0.5, 2, n), rng.integers(0, 2, n)
    b, h = rng.normal(size=q), 1e-5

    def at(b):
        return cox_sums(z, time, event.astype(float), entry, w, stratum, b)

    _, gradient, hessian = at(b)
    for j in range(q):
        up, down = at(b + h * np.eye(q)[j]), at(b - h * np.eye(q)[j])
        assert (up[0] - down[0]) / (2 * h) == pytest.approx(gradient[j], rel=1e-6)
        np.testing.assert_allclose((up[1] - down[1]) / (2 * h), hessian[j], rtol=1e-5, atol=1e-6)


def test_the_same_everywhere_is_no_difference_and_another_effect_is_one():
    d = cut.table()
    same = results(fit("continuous").state, [], [], "", "")
    assert same.heterogeneity > 0.05
    changed = d.assign(y=np.where(d.site == "north", d.y - 0.2 * d.age, d.y))
    made = cut.plan("continuous")
    found = {str(s): asking(cut.site(str(s), g, "continuous"), made) for s, g in changed.groupby("site")}
    other = results(drive(made, found).state, [], [], "", "")
    assert other.heterogeneity < 1e-6
    assert max(other.coefficients, key=lambda c: c.i2).column == "age"
    assert other.coefficients[0].i2 > 0.9
