"""Calibration against stored values of R (oracle/calibration.R), by hand, and where it has no value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.metrics import NotEstimable, calibrate_classes, calibrate_survival, calibration_line, pseudo_values
from cohortium.metrics.calibration import calibration_in_the_large, cox_slope, loess_weights
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
OS = Endpoint("os", EndpointKind.SURVIVAL)
AT = np.array([0.2, 0.5, 0.8])
HORIZON = 8.0


@pytest.fixture(scope="module")
def r() -> pd.Series:
    return pd.read_csv(ORACLE / "calibration.csv").set_index("name")["value"]


def test_classes_are_those_of_r(r):
    d = pd.read_csv(ORACLE / "classes.csv")
    y, p = d["y"].to_numpy() == 1, d["p"].to_numpy()
    assert calibration_line(y, p) == pytest.approx((r["line_1"], r["line_2"]), abs=1e-9)
    made = calibrate_classes(y, p, AT)
    assert (made.slope, made.intercept) == pytest.approx((r["line_2"], r["large"]), abs=1e-9)
    assert made.expected_observed == pytest.approx(r["ratio"], abs=1e-12)
    assert (made.ici, made.e50, made.e90) == pytest.approx([r[f"gaps_{i}"] for i in (1, 2, 3)], abs=1e-9)
    assert list(made.curve) == pytest.approx([r[f"smooth_{i}"] for i in (1, 2, 3)], abs=1e-9)


@pytest.mark.parametrize("late", ["", "_late"])
def test_survival_is_that_of_r(r, late):
    d = pd.read_csv(ORACLE / "data.csv")
    n = len(d)
    entry = d["entry"].to_numpy(float) if late else np.zeros(n)
    units = d.index.astype(str).to_numpy(object)
    o = SurvivalOutcome(OS, units, d["time"].to_numpy(float), d["event"].to_numpy() == 1, entry)
    grid = np.unique(np.concatenate([o.time, entry[entry > 0], [HORIZON]]))
    rate = 0.08 * np.exp(0.8 * d["risk"].to_numpy())
    q = Survival(units, d["risk"].to_numpy(), grid, np.exp(-rate[:, None] * grid))
    pseudo = pseudo_values(o.time, o.event, HORIZON, entry if late else None)
    assert [pseudo[i] for i in (0, 6, 19, 32)] == pytest.approx(
        [r[f"pseudo{late}_{i}"] for i in (1, 2, 3, 4)], abs=1e-9
    )
    assert (pseudo**2).sum() == pytest.approx(r[f"pseudo_sum_of_squares{late}"], abs=1e-9)
    made = calibrate_survival(o, q, HORIZON, AT)
    assert made.expected_observed == pytest.approx(r[f"expected_observed{late}"], abs=1e-9)
    assert made.slope == pytest.approx(r[f"cox{late}"], abs=1e-8)
    assert made.intercept == pytest.approx(r[f"poisson{late}"], abs=1e-9)
    gaps = (made.ici, made.e50, made.e90)
    assert gaps == pytest.approx([r[f"pseudo_gaps{late}_{i}"] for i in (1, 2, 3)], abs=1e-9)


def test_pseudo_values_are_the_jackknife_where_the_curve_ends_at_zero():
    time, event = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([True, True, False, True, True])
    from cohortium.metrics import kaplan_meier

    def s(rows: np.ndarray, h: float) -> float:
        t, value, _, _ = kaplan_meier(time[rows], event[rows])
        k = np.searchsorted(t, h, side="right")
        return 1.0 if k == 0 else float(value[k - 1])

    every = np.arange(5)
    for h in (0.5, 1.0, 2.0, 3.5, 4.0, 9.0):
        expected = [5 * s(every, h) - 4 * s(np.delete(every, i), h) for i in every]
        assert list(pseudo_values(time, event, h)) == pytest.approx(expected)


def test_loess_keeps_a_parabola_and_many_units_give_what_all_of_them_do():
    x = np.sort(np.random.default_rng(0).random(50))
    weights = loess_weights(x, AT)
    assert list(weights @ (1 + 2 * x - 3 * x**2)) == pytest.approx(list(1 + 2 * AT - 3 * AT**2))
    rng = np.random.default_rng(1)
    p = rng.beta(2, 5, 6000)
    y = rng.random(6000) < p**1.3
    made = calibrate_classes(y, p, AT[:2])
    exact = np.interp(p, np.sort(p)[::20], loess_weights(p, np.sort(p)[::20]) @ y)
    assert made.ici == pytest.approx(np.abs(p - exact).mean(), abs=2e-3)
    assert list(made.curve) == pytest.approx(list(loess_weights(p, AT[:2]) @ y), abs=2e-3)


def test_chance_is_what_calibrated_predictions_show_among_few():
    """Mean over 300 samples of 60 units whose predictions are right: within 10%."""
    rng = np.random.default_rng(2)
    made = []
    for _ in range(300):
        p = rng.beta(2, 3, 60)
        made.append(calibrate_classes(rng.random(60) < p, p, AT))
    ici, chance = np.mean([m.ici for m in made]), np.mean([m.ici_by_chance for m in made])
    assert chance == pytest.approx(ici, rel=0.1)
    assert np.mean([m.intercept for m in made]) == pytest.approx(0, abs=0.05)


def test_what_has_no_value_says_why():
    p = np.linspace(0.1, 0.9, 40)
    one = calibrate_classes(np.zeros(40, bool), p, AT)
    assert np.isnan(one.slope) and "fewer than 5 units" in one.reasons["slope"] and one.ici == pytest.approx(p.mean())
    apart = calibrate_classes(p > 0.5, p, AT)
    assert np.isnan(apart.slope) and "separate" in apart.reasons["slope"] and np.isfinite(apart.intercept)
    flat = calibrate_classes(np.arange(40) % 2 == 0, np.full(40, 0.3), AT)
    assert (
        "do not vary" in flat.reasons["slope"] and "5 different" in flat.reasons["ici"] and np.isnan(flat.curve).all()
    )
    assert flat.expected_observed == pytest.approx(0.6)
    sure = calibrate_classes(np.arange(40) % 3 == 0, np.where(np.arange(40) % 2, 0.0, 1.0), AT)
    assert np.isfinite(sure.slope) and np.isfinite(sure.intercept)
    units = np.arange(30).astype(str).astype(object)
    time = np.linspace(1, 30, 30)
    o = SurvivalOutcome(OS, units, time, np.ones(30, bool), np.zeros(30))
    curve = Survival(units, -time, np.array([10.0]), np.linspace(0.1, 0.9, 30)[:, None])
    assert "nobody" in calibrate_survival(o, curve, 31.0, AT).reasons["ici"]
    assert "perfectly" in calibrate_survival(o, curve, 10.0, AT).reasons["slope"]
    with pytest.raises(NotEstimable, match="vary"):
        cox_slope(time, o.event, o.entry, np.ones(30))
    with pytest.raises(NotEstimable, match="separate"):
        calibration_line(p > 0.5, p)
    with pytest.raises(NotEstimable):
        calibration_in_the_large(np.zeros(40, bool), p)
