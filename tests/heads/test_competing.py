"""Fine-Gray and cause-specific likelihoods against R: cmprsk, survival, riskRegression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import CompetingOutcome, CumulativeIncidence
from cohortium.heads.competing import CauseSpecific, FineGray
from cohortium.heads.families import family_of, to_prediction
from cohortium.heads.linear import NetPath
from cohortium.heads.newton import fit_ridge
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
AT = np.array([0.3, 0.8, 1.5])
NEW = np.array([[0, 0, 0], [1, -0.5, 1], [-1, 1, 0]], float)


def oracle():
    data = pd.read_csv(ORACLE / "competing_data.csv")
    values = pd.read_csv(ORACLE / "competing_values.csv")
    values[["name", "part"]] = values["name"].str.rsplit(".", n=1, expand=True)
    return data, {k: g["value"].to_numpy() for k, g in values.groupby("name")}


def outcome(data: pd.DataFrame, time: str, model: str) -> CompetingOutcome:
    endpoint = Endpoint("y", EndpointKind.COMPETING_RISKS, ("a", "b", "c"), "years", (), model)
    units = data.index.astype(str).to_numpy(dtype=object)
    return CompetingOutcome(endpoint, units, data[time].to_numpy(float), data["cause"].to_numpy(np.int64))


def unpenalised(y: CompetingOutcome, data: pd.DataFrame):
    family = family_of(y)
    x = data[["x1", "x2", "x3"]].to_numpy(float)
    b, theta = fit_ridge(x, family, np.full(3, 1e-9), (np.zeros((3, family.n_scores)), family.start()), tol=1e-16)
    return family, b, family.finish(x @ b, theta), family.value_grad(x @ b, theta)[0]


def predicted(y: CompetingOutcome, eta: np.ndarray, finish) -> CumulativeIncidence:
    made = to_prediction(y.endpoint, np.array(list("abc"), dtype=object), eta, finish)
    assert isinstance(made, CumulativeIncidence)
    return made


def test_fine_gray_agrees_with_crr():
    data, values = oracle()
    y = outcome(data, "time", "fine_gray")
    family, b, finish, loss = unpenalised(y, data)
    assert isinstance(family, FineGray)
    np.testing.assert_allclose(b[:, 0], values["crr"], atol=1e-6)
    assert -loss == pytest.approx(values["crr_loglik"][0], abs=1e-6)
    made = predicted(y, NEW @ b, finish)
    np.testing.assert_allclose(made.at(AT).ravel(), values["crr_incidence"], atol=1e-6)
    np.testing.assert_array_equal(made.risk, (NEW @ b)[:, 0])


def test_fine_gray_with_tied_times_agrees_with_survivals_weights():
    data, values = oracle()
    _, b, finish, _ = unpenalised(outcome(data, "tied", "fine_gray"), data)
    np.testing.assert_allclose(b[:, 0], values["finegray_tied"], atol=1e-6)
    assert finish["cumulative_hazard"][-1] == pytest.approx(values["finegray_tied_hazard_last"][0], abs=1e-6)


def test_cause_specific_hazards_agree_with_coxph_and_their_incidence_with_csc():
    data, values = oracle()
    y = outcome(data, "time", "cause_specific")
    family, b, finish, _ = unpenalised(y, data)
    assert isinstance(family, CauseSpecific)
    np.testing.assert_allclose(b[:, 0], values["csc_1"], atol=1e-6)
    np.testing.assert_allclose(b[:, 1], values["csc_2"], atol=1e-6)
    np.testing.assert_allclose(predicted(y, NEW @ b, finish).at(AT).ravel(), values["csc_incidence"], atol=1e-6)
    tied = unpenalised(outcome(data, "tied", "cause_specific"), data)[1]
    np.testing.assert_allclose(tied[:, 0], values["cox_tied_1"], atol=1e-6)
    np.testing.assert_allclose(tied[:, 1], values["cox_tied_2"], atol=1e-6)


def test_without_other_causes_fine_gray_is_cox():
    from cohortium.heads.cox import Cox

    data, _ = oracle()
    y = outcome(data.assign(cause=np.where(data["cause"] > 1, 0, data["cause"])), "tied", "fine_gray")
    eta = np.random.default_rng(0).normal(size=(len(y), 1))
    ours, cox = (f.value_grad(eta, f.start()) for f in (FineGray(y), Cox(y.of_cause(1))))
    assert ours[0] == pytest.approx(cox[0], rel=1e-12)
    np.testing.assert_allclose(ours[1], cox[1], atol=1e-12)


def test_weights_of_a_part_are_those_of_the_whole_training_fold():
    data, _ = oracle()
    family = FineGray(outcome(data, "tied", "fine_gray"))
    part = family.take(np.arange(0, 240, 2))
    assert part.censoring is family.censoring
    np.testing.assert_array_equal(part.exposure, family.exposure[::2])
    assert family.exposure.sum() == pytest.approx(family.d.sum(), rel=1e-9), "expected events are those seen"


@pytest.mark.parametrize("model", ["fine_gray", "cause_specific"])
def test_elastic_net_follows_its_path(model):
    data, _ = oracle()
    rng = np.random.default_rng(4)
    x = np.hstack([data[["x1", "x2", "x3"]].to_numpy(float), rng.normal(size=(240, 20))])
    x = np.asfortranarray((x - x.mean(0)) / x.std(0))
    path = NetPath(x, family_of(outcome(data, "tied", model)))
    strong, weak = path.coef(0), path.coef(15)
    assert (strong != 0).sum(axis=0).max() <= 2 and np.abs(weak[:3]).max() > 3 * np.abs(weak[3:]).mean()


def test_incidences_grow_stay_below_one_and_add_up_with_survival():
    data, _ = oracle()
    rng = np.random.default_rng(1)
    for model in ("fine_gray", "cause_specific"):
        y = outcome(data, "tied", model)
        family = family_of(y)
        eta = rng.normal(scale=4, size=(len(y), family.n_scores))
        made = to_prediction(y.endpoint, y.units, eta, family.finish(eta, family.start()))
        assert isinstance(made, CumulativeIncidence)
        assert (np.diff(made.incidence, axis=1) >= 0).all() and 0 <= made.incidence.min() <= made.incidence.max() <= 1
        assert (made.at(np.array([0.0])) == 0).all()
        order = np.argsort(made.risk)
        assert (np.diff(made.incidence[order, -1]) >= -1e-12).all(), "the risk orders the last incidence"
