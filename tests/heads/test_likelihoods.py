"""Likelihoods against R (survival, MASS) and scikit-learn, and their derivatives against finite differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import ClassOutcome, CompetingOutcome, SurvivalOutcome, ValueOutcome
from cohortium.heads.families import family_of, to_prediction
from cohortium.heads.linear import NetPath, RidgePath
from cohortium.heads.newton import fit_ridge, fit_theta
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
CLASSES = {
    EndpointKind.BINARY: ("no", "yes"),
    EndpointKind.MULTICLASS: ("a", "b", "c"),
    EndpointKind.ORDINAL: ("a", "b", "c"),
    EndpointKind.COMPETING_RISKS: ("a", "b"),
}


def outcome(kind: EndpointKind, score: np.ndarray, rng: np.random.Generator, entry: bool = False):
    n = len(score)
    units = np.array([f"u{i}" for i in range(n)], dtype=object)
    endpoint = Endpoint("y", kind, CLASSES.get(kind, ()))
    latent = score + rng.logistic(size=n)
    if kind is EndpointKind.BINARY:
        return ClassOutcome(endpoint, units, (latent > 0).astype(np.int64))
    if kind.is_classes:
        return ClassOutcome(endpoint, units, np.digitize(latent, [-1.0, 1.0]).astype(np.int64))
    if kind is EndpointKind.CONTINUOUS:
        return ValueOutcome(endpoint, units, 3.0 + 2.0 * latent)
    begin = np.round(rng.uniform(0, 0.5, n), 1) if entry else np.zeros(n)
    time, censor = (
        begin + np.ceil(rng.exponential(np.exp(-score)) * 20) / 20,
        begin + np.ceil(rng.exponential(2, n) * 20) / 20,
    )
    if kind is EndpointKind.COMPETING_RISKS:
        # What ends follow-up in survival is half of the time another event here.
        cause = np.where(time <= censor, 1, np.where(rng.random(n) < 0.5, 2, 0))
        return CompetingOutcome(endpoint, units, np.minimum(time, censor), cause)
    return SurvivalOutcome(endpoint, units, np.minimum(time, censor), time <= censor, begin)


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_gradient_and_hessian_are_those_of_the_likelihood(kind):
    rng = np.random.default_rng(3)
    family = family_of(outcome(kind, rng.normal(size=60), rng, entry=True))
    eta, theta = rng.normal(size=(60, family.n_scores)), family.start()
    u, v, h = rng.normal(size=eta.shape), 0.1 * rng.normal(size=theta.shape), 1e-5
    high, low = (family.value_grad(eta + s * h * u, theta + s * h * v) for s in (1, -1))
    _, g, gt = family.value_grad(eta, theta)
    assert (g * u).sum() + gt @ v == pytest.approx((high[0] - low[0]) / (2 * h), rel=1e-6)
    hu, hv = family.hvp(eta, theta)(u, v)
    np.testing.assert_allclose(hu, (high[1] - low[1]) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(hv, (high[2] - low[2]) / (2 * h), atol=1e-6)
    if family.n_scores == 1:
        diagonal = [family.hvp(eta, theta)(np.eye(60)[:, [i]], np.zeros_like(theta))[0][i, 0] for i in range(60)]
        np.testing.assert_allclose(family.diagonal(eta, theta), diagonal, atol=2e-6)


def oracle():
    data = pd.read_csv(ORACLE / "data.csv")
    values = pd.read_csv(ORACLE / "values.csv")
    values[["name", "part"]] = values["name"].str.rsplit(".", n=1, expand=True)
    return data, {k: g["value"].to_numpy() for k, g in values.groupby("name")}


def survival(data: pd.DataFrame, entry: bool) -> SurvivalOutcome:
    units = data.index.astype(str).to_numpy(dtype=object)
    begin = data["entry"].to_numpy(float) if entry else np.zeros(len(data))
    return SurvivalOutcome(
        Endpoint("os", EndpointKind.SURVIVAL), units, data["time"].to_numpy(float), data["event"].to_numpy() == 1, begin
    )


@pytest.mark.parametrize(
    ("name", "entry", "penalty"), [("cox_entry", True, 1e-9), ("cox", False, 1e-9), ("cox_ridge", False, 5.0)]
)
def test_cox_agrees_with_r(name, entry, penalty):
    data, values = oracle()
    x = data[["x1", "x2", "x3"]].to_numpy(float)
    family = family_of(survival(data, entry))
    b, theta = fit_ridge(x, family, np.full(3, penalty), (np.zeros((3, 1)), family.start()), tol=1e-15)
    np.testing.assert_allclose(b[:, 0], values[name], atol=2e-6)
    if name == "cox_entry":
        assert -family.value_grad(x @ b, theta)[0] == pytest.approx(values["cox_entry_loglik"][1], abs=1e-6)
        hazard = family.finish(x @ b, theta)["cumulative_hazard"]
        assert hazard[-1] == pytest.approx(values["cox_entry_hazard_last"][0], rel=1e-5)


def test_proportional_odds_agrees_with_polr():
    data, values = oracle()
    x = data[["x1", "x2"]].to_numpy(float)
    endpoint = Endpoint("grade", EndpointKind.ORDINAL, ("0", "1", "2", "3"))
    family = family_of(
        ClassOutcome(endpoint, data.index.astype(str).to_numpy(dtype=object), data["grade"].to_numpy(np.int64))
    )
    b, theta = fit_ridge(x, family, np.full(2, 1e-9), (np.zeros((2, 1)), family.start()), tol=1e-15)
    np.testing.assert_allclose(b[:, 0], values["polr"], atol=1e-4)
    np.testing.assert_allclose(theta, values["polr_zeta"], atol=1e-4)


@pytest.mark.parametrize("kind", [EndpointKind.BINARY, EndpointKind.MULTICLASS])
def test_ridge_agrees_with_scikit_learn(kind):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    x = rng.normal(size=(150, 8))
    y = outcome(kind, x[:, 0], rng)
    family = family_of(y)
    b, theta = fit_ridge(x, family, np.full(8, 2.0), (np.zeros((8, family.n_scores)), family.start()), tol=1e-15)
    oracle_ = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(x, y.codes)
    ours = to_prediction(y.endpoint, y.units, x @ b, family.finish(x @ b, theta)).p
    np.testing.assert_allclose(ours, oracle_.predict_proba(x), atol=1e-5)


def test_elastic_net_reaches_the_minimum_that_saga_reaches():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    x = rng.normal(size=(120, 40))
    x = (x - x.mean(0)) / x.std(0)
    y = outcome(EndpointKind.BINARY, x[:, 0] - x[:, 1], rng)
    family = family_of(y)
    path = NetPath(np.asfortranarray(x), family)
    b = path.coef(7)[:, 0]
    alpha = path._parts[0].alpha_max * np.geomspace(0.95, 0.03, 16)[7]
    other = LogisticRegression(solver="saga", l1_ratio=0.5, C=1 / (alpha * 120), tol=1e-8, max_iter=20000).fit(
        x, y.codes
    )

    def objective(beta, intercept):
        loss = family.value_grad((x @ beta)[:, None], np.array([intercept]))[0]
        return loss / 120 + alpha * (0.5 * np.abs(beta).sum() + 0.25 * beta @ beta)

    theta = fit_theta(family, (x @ b)[:, None])
    assert objective(b, theta[0]) == pytest.approx(objective(other.coef_[0], other.intercept_[0]), abs=1e-5)
    assert (b != 0).sum() < 30


def test_elastic_net_for_censored_outcomes_satisfies_its_optimality_conditions():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(150, 30))
    x = (x - x.mean(0)) / x.std(0)
    family = family_of(outcome(EndpointKind.SURVIVAL, x[:, 0], rng))
    path = NetPath(np.asfortranarray(x), family)
    b = path.coef(6)[:, 0]
    alpha = path._parts[0].alpha_max * np.geomspace(0.95, 0.03, 16)[6]
    g = x.T @ family.value_grad((x @ b)[:, None], np.zeros(0))[1][:, 0] / 150 + alpha * 0.5 * b
    on = b != 0
    assert on[0]
    np.testing.assert_allclose(g[on], -alpha * 0.5 * np.sign(b[on]), atol=0.02 * alpha)
    assert (np.abs(g[~on]) <= alpha * 0.5 * 1.05).all()


def test_delayed_entry_is_used():
    data, _ = oracle()
    x = data[["x1"]].to_numpy(float)
    with_entry, without = (family_of(survival(data, e)).value_grad(x, np.zeros(0))[0] for e in (True, False))
    assert abs(with_entry - without) > 1


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_ridge_path_grows_and_predictions_are_proper(kind):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(100, 20)) / np.sqrt(20)
    y = outcome(kind, 3 * x[:, 0], rng)
    family = family_of(y)
    path = RidgePath(x, family)
    sizes = [np.linalg.norm(path.coef(k)) for k in range(RidgePath.length)]
    assert (np.diff(sizes) > 0).all()
    eta = x @ path.coef(5)
    prediction = to_prediction(y.endpoint, y.units, eta, family.finish(eta, fit_theta(family, eta)))
    if kind.is_classes:
        np.testing.assert_allclose(prediction.p.sum(1), 1.0)
        assert (prediction.p >= 0).all()
    elif kind is EndpointKind.SURVIVAL:
        assert (np.diff(prediction.survival, axis=1) <= 0).all()
        order = np.argsort(prediction.risk)
        assert (np.diff(prediction.survival[order], axis=0) <= 1e-12).all()
    elif kind is EndpointKind.COMPETING_RISKS:
        assert (np.diff(prediction.incidence, axis=1) >= 0).all()
        order = np.argsort(prediction.risk)
        assert (np.diff(prediction.incidence[order], axis=0) >= -1e-12).all()
    else:
        assert prediction.values.mean() == pytest.approx(y.values.mean())
