"""Net benefit against stored values of dcurves and by hand; calibration and scores against rms and riskRegression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.contracts import ClassOutcome, Probabilities, Survival, SurvivalOutcome
from cohortium.metrics import (
    calibration_in_the_large,
    calibration_line,
    censoring_distribution,
    kaplan_meier,
    net_benefit,
    net_benefit_by,
    pseudo_values,
    score,
)
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
OS = Endpoint("os", EndpointKind.SURVIVAL)
HORIZON = 8.0


def classes() -> tuple[np.ndarray, np.ndarray]:
    d = pd.read_csv(ORACLE / "classes.csv")
    return d["y"].to_numpy() == 1, d["p"].to_numpy()


def survival() -> tuple[SurvivalOutcome, Survival]:
    d = pd.read_csv(ORACLE / "data.csv")
    units, risk = d.index.astype(str).to_numpy(object), d["risk"].to_numpy()
    o = SurvivalOutcome(OS, units, d["time"].to_numpy(float), d["event"].to_numpy() == 1, np.zeros(len(d)))
    return o, Survival(units, risk, np.array([HORIZON]), np.exp(-0.08 * np.exp(0.8 * risk) * HORIZON)[:, None])


def test_net_benefit_is_that_of_dcurves():
    stored = pd.read_csv(ORACLE / "dcurves.csv")
    at = np.unique(stored["threshold"].to_numpy())
    y, p = classes()
    o, q = survival()
    risk = 1 - q.survival[:, 0]
    made = {
        ("binary", "p"): net_benefit(y, p, at),
        ("binary", "all"): net_benefit(y, np.ones(len(y)), at),
        ("survival", "p"): net_benefit_by(o, risk, at, HORIZON),
        ("survival", "all"): net_benefit_by(o, np.ones(len(o)), at, HORIZON),
    }
    for key, rows in stored.groupby(["kind", "model"]):
        assert list(made[key]) == pytest.approx(rows.sort_values("threshold")["net_benefit"].tolist(), abs=1e-9), key


def test_rms_and_riskregression_say_the_same():
    r = pd.read_csv(ORACLE / "peers.csv").set_index("name")["value"]
    y, p = classes()
    # val.prob gives the intercept and slope of one fit
    assert calibration_line(y, p) == pytest.approx((r["intercept"], r["slope"]), abs=1e-6)
    endpoint = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    units = np.arange(len(y)).astype(str).astype(object)
    outcome = ClassOutcome(endpoint, units, y.astype(np.int64))
    predicted = Probabilities(units, endpoint.classes, np.column_stack([1 - p, p]))
    for name, metric in (("brier", "brier"), ("score_brier", "brier"), ("auc", "roc_auc"), ("score_auc", "roc_auc")):
        assert score(metric, outcome, predicted) == pytest.approx(r[name], abs=1e-6)
    o, q = survival()
    q = Survival(q.units, 1 - q.survival[:, 0], q.times, q.survival)
    for metric in ("brier_t", "auc_t"):
        made = score(metric, o, q, horizon=HORIZON, censoring=censoring_distribution(o))
        assert made == pytest.approx(r[metric], abs=1e-6), metric
    # prodlim's jackknife
    assert (pseudo_values(o.time, o.event, HORIZON) ** 2).sum() == pytest.approx(r["pseudo_sum_of_squares"], abs=1e-6)
    assert abs(calibration_in_the_large(y, p)) < 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_by_a_horizon_it_is_kaplan_meier_among_the_treated(seed, late):
    rng = np.random.default_rng(seed)
    n, at, h = 60, np.array([0.1, 0.35, 0.6, 0.9]), 12.0
    time = rng.integers(1, 30, n).astype(float)
    entry = np.where(rng.random(n) < 0.4, np.floor(rng.random(n) * time), 0.0) if late else np.zeros(n)
    o = SurvivalOutcome(OS, np.arange(n).astype(str).astype(object), time, rng.random(n) < 0.6, entry)
    p = rng.random(n).round(1)
    made = net_benefit_by(o, p, at, h)
    for t, value in zip(at, made, strict=True):
        rows = p >= t
        times, s, _, _ = kaplan_meier(time[rows], o.event[rows], np.where(entry > 0, entry, -np.inf)[rows])
        k = np.searchsorted(times, h, side="right")
        alive = 1.0 if k == 0 else float(s[k - 1])
        if not rows.any():
            assert value == 0
        elif time[rows].max() < h and alive > 0:
            assert np.isnan(value)
        else:
            share = rows.mean()
            assert value == pytest.approx(share * (1 - alive) - share * alive * t / (1 - t))


def test_without_censoring_it_is_that_of_classes_and_nobody_treated_has_none():
    rng = np.random.default_rng(0)
    time, p, at = rng.exponential(10, 80), rng.random(80), np.array([0.2, 0.5, 0.99999])
    o = SurvivalOutcome(OS, np.arange(80).astype(str).astype(object), time, np.ones(80, bool), np.zeros(80))
    assert list(net_benefit_by(o, p, at, 8.0)) == pytest.approx(list(net_benefit(time <= 8.0, p, at)))
    assert net_benefit(time <= 8.0, p, at)[2] == 0
