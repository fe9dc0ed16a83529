"""Competing risks: Aalen-Johansen, AUC, Brier score and Wolbers' C against R; laws of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import CompetingOutcome, CumulativeIncidence, Survival
from cohortium.metrics import (
    NotEstimable,
    aalen_johansen,
    calibrate_incidence,
    censoring_distribution,
    incidence_at,
    incidence_pseudo_values,
    kaplan_meier,
    net_benefit_by,
    pseudo_values,
    score,
)
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
AT = np.array([0.5, 1.0, 2.0])


def made(time, cause, risk, incidence, times=AT):
    endpoint = Endpoint("y", EndpointKind.COMPETING_RISKS, ("a", "b"), "years")
    units = np.array([f"u{i}" for i in range(len(time))], dtype=object)
    outcome = CompetingOutcome(endpoint, units, np.asarray(time, float), np.asarray(cause, np.int64))
    return outcome, CumulativeIncidence(units, np.asarray(risk, float), times, np.asarray(incidence, float))


def oracle():
    d = pd.read_csv(ORACLE / "competing_data.csv")
    values = pd.read_csv(ORACLE / "competing_values.csv")
    values[["name", "part"]] = values["name"].str.rsplit(".", n=1, expand=True)
    outcome, prediction = made(d["time"], d["cause"], d["risk"], d[["p1", "p2", "p3"]].to_numpy())
    return outcome, prediction, {k: g["value"].to_numpy() for k, g in values.groupby("name")}


def test_aalen_johansen_and_its_variance_agree_with_prodlim_and_cmprsk():
    y, _, values = oracle()
    times, f, low, high, var = aalen_johansen(y.time, y.cause)
    k = np.searchsorted(times, AT, side="right") - 1
    np.testing.assert_allclose(f[k], values["incidence"], atol=1e-10)
    np.testing.assert_allclose(f[k], values["cuminc"], atol=1e-10)
    np.testing.assert_allclose(np.sqrt(var[k]), values["se"], atol=1e-10)
    np.testing.assert_allclose(var[k], values["cuminc_var"], rtol=0.01)  # Aalen's, another estimate
    assert (low <= f).all() and (f <= high).all() and high[-1] < 1
    np.testing.assert_allclose(
        [incidence_at(y.time, y.cause, t, of=2)[0] for t in AT], values["incidence_2"], atol=1e-10
    )


def test_auc_and_brier_agree_with_riskregression():
    y, p, values = oracle()
    g = censoring_distribution(y.any_cause)
    for k, t in enumerate(AT):
        assert score("auc_t", y, p, censoring=g, horizon=t) == pytest.approx(values["auc"][k], abs=1e-6)
        assert score("brier_t", y, p, censoring=g, horizon=t) == pytest.approx(values["brier"][k], abs=1e-6)


def test_concordance_agrees_with_its_definition():
    y, p, values = oracle()
    g = censoring_distribution(y.any_cause)
    for tau, value in zip((1.0, 2.0), values["wolbers"], strict=True):
        assert score("wolbers_c", y, p, censoring=g, tau=tau) == pytest.approx(value, abs=1e-6)


def test_concordance_of_many_is_that_of_counting_pairs():
    """More units than a block holds, with tied times and risks."""
    time, cause, x = simulated(6000, 2)
    y, p = made(np.round(time, 1) + 0.1, cause, np.round(x, 1), np.zeros((6000, 3)))
    g = censoring_distribution(y.any_cause)
    before, after, right, total = g.before(y.time), g.at(y.time), 0.0, 0.0
    for i in np.flatnonzero(y.event & (y.time <= 2.0)):
        longer = (y.time > y.time[i]) | ((y.time == y.time[i]) & (cause == 0))
        w = longer / max(after[i], 1e-9) + ((y.time <= y.time[i]) & (cause == 2)) / before
        total += w.sum() / before[i]
        right += w @ ((p.risk[i] > p.risk) + 0.5 * (p.risk[i] == p.risk)) / before[i]
    assert score("wolbers_c", y, p, censoring=g, tau=2.0) == pytest.approx(right / total, rel=1e-12)


def simulated(n=300, seed=0, censored=True):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    ends = np.stack([rng.exponential(np.exp(-x)), rng.exponential(1.5, n), rng.exponential(2 if censored else 1e9, n)])
    time, cause = np.round(ends.min(0), 2) + 0.01, np.array([1, 2, 0])[ends.argmin(0)]
    return time, cause, x


def test_without_other_causes_everything_is_that_of_survival():
    time, cause, x = simulated()
    cause = np.where(cause == 2, 0, cause)
    p = 1 - np.exp(-np.exp(x)[:, None] * AT)
    y, made_ = made(time, cause, x, p)
    km_times, s, _, _ = kaplan_meier(time, cause == 1)
    times, f, *_ = aalen_johansen(time, cause)
    np.testing.assert_array_equal(times, km_times)
    np.testing.assert_allclose(f, 1 - s, atol=1e-12)
    survival, other = y.of_cause(1), Survival(y.units, x, AT, 1 - p)
    from dataclasses import replace

    survival = replace(survival, endpoint=Endpoint("y", EndpointKind.SURVIVAL))
    g = censoring_distribution(survival)
    for metric, horizon in (("auc_t", 1.0), ("brier_t", 1.0), ("integrated_brier", None)):
        ours = score(metric, y, made_, censoring=g, horizon=horizon, tau=2.0)
        assert ours == pytest.approx(score(metric, survival, other, censoring=g, horizon=horizon, tau=2.0), rel=1e-9)
    np.testing.assert_allclose(
        incidence_pseudo_values(time, cause, 1.0), 1 - pseudo_values(time, cause == 1, 1.0), atol=1e-9
    )


def test_pseudo_values_are_those_of_leaving_one_out():
    time, cause, _ = simulated(60, 3)
    n = len(time)
    whole = incidence_at(time, cause, 1.0)[0]
    slow = [n * whole - (n - 1) * incidence_at(np.delete(time, i), np.delete(cause, i), 1.0)[0] for i in range(n)]
    np.testing.assert_allclose(incidence_pseudo_values(time, cause, 1.0), slow, atol=1e-10)
    late = incidence_pseudo_values(time[cause > 0], cause[cause > 0], 1.0)
    np.testing.assert_allclose(late, (time[cause > 0] <= 1.0) & (cause[cause > 0] == 1), atol=1e-10)


def test_incidences_of_all_causes_and_survival_add_up():
    time, cause, _ = simulated(seed=5)
    _, s, _, _ = kaplan_meier(time, cause > 0)
    total = sum(aalen_johansen(time, cause, k)[1] for k in (1, 2))
    np.testing.assert_allclose(total + s, 1.0, atol=1e-12)


def test_perfect_reversed_and_constant_predictions():
    time, cause, x = simulated(censored=False)
    best = np.where(cause == 1, -time, -1e6)
    y, _ = made(time, cause, x, np.zeros((len(x), 3)))
    g = censoring_distribution(y.any_cause)
    for risk, value in ((best, 1.0), (-best, 0.0), (np.zeros(len(x)), 0.5)):
        _, p = made(time, cause, risk, np.zeros((len(x), 3)))
        assert score("wolbers_c", y, p, censoring=g) == pytest.approx(value, abs=1e-12)
    constant = made(time, cause, x, np.full((len(x), 3), 0.3))[1]
    assert score("auc_t", y, constant, censoring=g, horizon=1.0) == 0.5
    share = ((cause == 1) & (time <= 1.0)).mean()
    assert score("brier_t", y, constant, censoring=g, horizon=1.0) == pytest.approx(
        share * 0.49 + (1 - share) * 0.09
    ), "nobody is censored: the plain mean square"


def test_true_incidences_are_found_to_be_calibrated_and_inflated_ones_not():
    time, cause, x = simulated(4000, 7)
    total = np.exp(x) + 1 / 1.5
    truth = (np.exp(x) / total)[:, None] * -np.expm1(-total[:, None] * AT)
    grid = np.linspace(0, 1, 11)
    y, right = made(time, cause, x, truth)
    found = calibrate_incidence(y, right, 1.0, grid)
    assert found.expected_observed == pytest.approx(1, abs=0.05) and found.ici < 0.03
    assert "slope" in found.reasons and np.isnan(found.slope)
    wrong = calibrate_incidence(y, made(time, cause, x, np.minimum(1.5 * truth, 1))[1], 1.0, grid)
    assert wrong.expected_observed > 1.3 and wrong.ici > 0.08


def test_hostile_outcomes_have_reasons_and_no_values():
    time, cause, x = simulated(40)
    y, p = made(time, cause, x, np.full((40, 3), 0.3))
    g = censoring_distribution(y.any_cause)
    nobody, q = made(time, np.where(cause == 1, 2, cause), x, np.full((40, 3), 0.3))
    with pytest.raises(NotEstimable, match="no event of interest"):
        score("auc_t", nobody, q, censoring=g, horizon=1.0)
    with pytest.raises(NotEstimable, match="no two units"):
        score("wolbers_c", nobody, q, censoring=g)
    with pytest.raises(NotEstimable, match="followed beyond"):
        score("brier_t", y, p, censoring=g, horizon=1e3)
    assert np.isnan(calibrate_incidence(y, p, 1e3, np.zeros(3)).ici)
    with pytest.raises(TypeError):
        score("wolbers_c", y, Survival(y.units, x, AT, np.ones((40, 3))), censoring=g)  # type: ignore[arg-type]


def test_net_benefit_is_that_of_the_incidence_among_the_treated():
    time, cause, x = simulated(200, 9)
    y, _ = made(time, cause, x, np.zeros((200, 3)))
    p, cuts = 1 / (1 + np.exp(-x)), np.array([0.1, 0.4, 0.7])
    found = net_benefit_by(y, p, cuts, 0.8)
    for cut, value in zip(cuts, found, strict=True):
        treated = p >= cut
        right = treated.mean() * incidence_at(time[treated], cause[treated], 0.8)[0]
        assert value == pytest.approx(right - (treated.mean() - right) * cut / (1 - cut), abs=1e-12)
    alone, _ = made(time, np.where(cause == 2, 0, cause), x, np.zeros((200, 3)))
    np.testing.assert_allclose(
        net_benefit_by(alone, p, cuts, 0.8), net_benefit_by(alone.of_cause(1), p, cuts, 0.8), atol=1e-12
    )
    assert np.isnan(net_benefit_by(y, p, cuts, 1e3)[0]), "somebody is left, and nobody is followed"
    assert net_benefit_by(y, p, np.array([0.999]), 0.8) == 0
