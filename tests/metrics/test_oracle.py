"""Survival metrics against stored values of R survival and scikit-survival (scripts and versions in oracle/)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.metrics import (
    censoring_distribution,
    kaplan_meier,
    logrank,
    median_follow_up,
    nelson_aalen,
    numbers_at_risk,
    score,
)
from cohortium.metrics.concordance import brier_at
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
AT = [3.0, 8.0, 15.0]


def outcome(name, entry=False, untied=False):
    d = pd.read_csv(ORACLE / name)
    units = d.index.astype(str).to_numpy(dtype=object)
    begin = d.entry.to_numpy(float) if entry else np.zeros(len(d))
    kind = Endpoint("os", EndpointKind.SURVIVAL, time_unit="months")
    time = d.time.to_numpy(float) + (0.25 * (d.event.to_numpy() == 0) if untied else 0.0)
    return SurvivalOutcome(kind, units, time, d.event.to_numpy() == 1, begin), d.risk.to_numpy(float)


def prediction(o, risk, times):
    s = np.exp(-(np.asarray(times)[None, :] / 12) * np.exp(0.7 * risk)[:, None])
    return Survival(o.units, risk, np.asarray(times, float), s)


@pytest.fixture(scope="module")
def r():
    return pd.read_csv(ORACLE / "r.csv").set_index("name").value


@pytest.fixture(scope="module")
def sk():
    return json.loads((ORACLE / "sksurv.json").read_text())


@pytest.mark.parametrize(
    ("name", "entry", "tau"), [("harrell", 0, None), ("harrell_tau", 0, 12), ("harrell_entry", 1, None)]
)
def test_harrell_is_that_of_r(r, name, entry, tau):
    o, risk = outcome("data.csv", bool(entry))
    assert score("harrell_c", o, prediction(o, risk, [5.0]), tau=tau) == pytest.approx(r[name], abs=1e-9)


def test_uno_is_that_of_r_and_scikit_survival(r, sk):
    o, risk = outcome("data.csv")
    p = prediction(o, risk, [5.0])
    assert score("uno_c", o, p, censoring=censoring_distribution(o)) == pytest.approx(r["uno"], abs=1e-9)
    o, risk = outcome("data.csv", untied=True)
    train = censoring_distribution(outcome("train.csv", untied=True)[0])
    assert score("uno_c", o, p, censoring=train, tau=12.1) == pytest.approx(sk["uno_tau12.1"], abs=1e-9)
    assert score("harrell_c", o, p) == pytest.approx(sk["harrell"], abs=1e-9)


def test_accuracy_at_horizons_is_that_of_scikit_survival(sk):
    o, risk = outcome("data.csv", untied=True)
    g = censoring_distribution(outcome("train.csv", untied=True)[0])
    p = prediction(o, risk, sk["at"])
    for metric in ("auc_t", "brier_t"):
        ours = [score(metric, o, p, censoring=g, horizon=t) for t in sk["at"]]
        assert ours == pytest.approx(sk[metric], abs=1e-9)
    grid = np.linspace(0.75, 20, 100)
    b = brier_at(o, prediction(o, risk, grid).survival, grid, g)
    assert np.trapezoid(b, grid) / 19.25 == pytest.approx(sk["integrated_brier_0.75_to_20"], abs=1e-9)


@pytest.mark.parametrize(("name", "entry"), [("km", False), ("km_entry", True)])
def test_kaplan_meier_is_that_of_r(r, name, entry):
    o, _ = outcome("data.csv", entry)
    times, s, low, high = kaplan_meier(o.time, o.event, o.entry if entry else None)
    k = np.searchsorted(times, AT, side="right") - 1
    for suffix, ours in (("", s), ("_low", low), ("_high", high)):
        assert list(ours[k]) == pytest.approx([r[f"{name}{suffix}_{i}"] for i in (1, 2, 3)], abs=1e-6)


def test_hazard_risk_sets_logrank_and_follow_up_are_those_of_r(r):
    o, risk = outcome("data.csv")
    times, h = nelson_aalen(o.time, o.event)
    assert list(h[np.searchsorted(times, AT, side="right") - 1]) == pytest.approx([r[f"na_{i}"] for i in (1, 2, 3)])
    assert logrank(o.time, o.event, (risk > 0.3).astype(int)) == pytest.approx(r["logrank"], rel=1e-6)
    assert median_follow_up(o) == r["follow_up"]
    late = outcome("data.csv", True)[0]
    assert list(numbers_at_risk(late.time, late.entry, np.array(AT))) == [r[f"risk_entry_{i}"] for i in (1, 2, 3)]
