"""Classes, values, calibration, and survival with delayed entry, against stored values of R (oracle/more.R)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import ClassOutcome, Probabilities, Survival, SurvivalOutcome, ValueOutcome, Values
from cohortium.metrics import calibration_curve, calibration_line, censoring_distribution, logrank, score
from cohortium.schema import Endpoint, EndpointKind

ORACLE = Path(__file__).parent / "oracle"
OS = Endpoint("os", EndpointKind.SURVIVAL)


@pytest.fixture(scope="module")
def r() -> pd.Series:
    return pd.read_csv(ORACLE / "more.csv").set_index("name")["value"]


@pytest.fixture(scope="module")
def classes() -> tuple[ClassOutcome, Probabilities, np.ndarray]:
    d = pd.read_csv(ORACLE / "classes.csv")
    units = d.index.astype(str).to_numpy(dtype=object)
    endpoint = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    p = d["p"].to_numpy()
    y = ClassOutcome(endpoint, units, d["y"].to_numpy(np.int64))
    return y, Probabilities(units, endpoint.classes, np.column_stack([1 - p, p])), d["value"].to_numpy()


def delayed(untied: bool = True) -> tuple[SurvivalOutcome, np.ndarray, np.ndarray]:
    d = pd.read_csv(ORACLE / "data.csv")
    time = d["time"].to_numpy() + (1e-5 * np.arange(1, len(d) + 1) if untied else 0.0)
    three = np.searchsorted([-0.3, 0.4], d["risk"].to_numpy(), side="left")
    units = d.index.astype(str).to_numpy(dtype=object)
    return SurvivalOutcome(OS, units, time, d["event"].to_numpy() == 1, d["entry"].to_numpy(float)), d["risk"].to_numpy(), three  # fmt: skip


def test_classes_and_calibration_are_those_of_r(r, classes):
    y, p, _ = classes
    assert score("roc_auc", y, p) == pytest.approx(r["auc"], abs=1e-12)
    assert score("log_loss", y, p) == pytest.approx(r["log_loss"], abs=1e-12)
    line = calibration_line(y.codes == 1, p.p[:, 1])
    assert line == pytest.approx((r["calibration_1"], r["calibration_2"]), abs=1e-5)
    curve = calibration_curve(p.p[:, 1], y.codes == 1)
    assert (curve.n[0], curve.low[0], curve.high[0]) == pytest.approx((12, r["wilson_1"], r["wilson_2"]), abs=1e-6)


def test_values_are_those_of_r(r, classes):
    y, p, value = classes
    outcome = ValueOutcome(Endpoint("v", EndpointKind.CONTINUOUS), y.units, value)
    predicted = Values(y.units, 3 * p.p[:, 1])
    assert score("r2", outcome, predicted) == pytest.approx(r["r2"], abs=1e-12)
    assert score("spearman", outcome, predicted) == pytest.approx(r["spearman"], abs=1e-12)
    assert score("mae", outcome, predicted) == pytest.approx(np.abs(value - 3 * p.p[:, 1]).mean())


def test_logrank_of_three_groups_and_of_late_entries_are_those_of_r(r):
    tied, _, three = delayed(untied=False)
    assert logrank(tied.time, tied.event, three) == pytest.approx(r["logrank_three"], rel=1e-6)
    o, _, three = delayed()
    assert o.time.sum() == pytest.approx(r["untied"])
    assert logrank(o.time, o.event, three, o.entry) == pytest.approx(r["logrank_entry"], rel=1e-6)


def test_concordance_of_late_entries_and_uno_up_to_tau_are_those_of_r(r):
    o, risk, _ = delayed()
    p = Survival(o.units, risk, np.array([5.0]), np.full((len(o), 1), 0.5))
    assert score("harrell_c", o, p) == pytest.approx(r["harrell_entry_untied"], abs=1e-9)
    tied, _, _ = delayed(untied=False)
    whole = SurvivalOutcome(OS, tied.units, tied.time, tied.event, np.zeros(len(tied)))
    value = score("uno_c", whole, p, censoring=censoring_distribution(whole), tau=12)
    assert value == pytest.approx(r["uno_tau"], abs=1e-9)


def test_censoring_with_delayed_entry_is_that_of_r(r):
    """Events come before the censorings they are tied with, and entries after them: in R by shifting."""
    o, _, _ = delayed(untied=False)
    g = censoring_distribution(o).at(np.array([3.0, 8.0, 15.0]))
    assert list(g) == pytest.approx([r[f"censoring_entry_{i}"] for i in (1, 2, 3)], abs=1e-9)
