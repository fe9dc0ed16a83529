"""Laws of the metrics and of their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.contracts import Survival, SurvivalOutcome
from cohortium.errors import StudyError
from cohortium.metrics import (
    NotEstimable,
    bootstrap_patients,
    check_metric,
    delong,
    delong_paired,
    from_folds,
    nadeau_bengio,
    paired_from_folds,
    score,
)
from cohortium.schema import Endpoint, EndpointKind

KIND = Endpoint("os", EndpointKind.SURVIVAL)


def survival(seed, n=40):
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 12, n).astype(float)
    entry = np.where(rng.random(n) < 0.3, 0.5 * time, 0.0)
    event = rng.random(n) < 0.7
    event[0] = True
    units = np.arange(n).astype(str).astype(object)
    return SurvivalOutcome(KIND, units, time, event, entry), rng.integers(-4, 5, n).astype(float)


def c(o, risk):
    return score("harrell_c", o, Survival(o.units, risk, np.array([1.0]), np.full((len(o), 1), 0.5)))


def by_hand(o, risk):
    good = total = 0.0
    for i in np.flatnonzero(o.event):
        for j in range(len(o)):
            later = o.time[j] > o.time[i] or (o.time[j] == o.time[i] and not o.event[j])
            if later and o.entry[j] < o.time[i]:
                total += 1
                good += 1.0 if risk[i] > risk[j] else 0.5 * (risk[i] == risk[j])
    return good / total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_concordance_laws(seed):
    o, risk = survival(seed)
    value = c(o, risk)
    assert value == pytest.approx(by_hand(o, risk))
    assert c(o, -risk) == pytest.approx(1 - value)
    assert c(o, np.exp(risk)) == pytest.approx(value)
    rows = np.random.default_rng(seed).permutation(len(o))
    assert c(o.take(rows), risk[rows]) == pytest.approx(value)
    assert c(o, np.zeros(len(o))) == 0.5


def test_no_events_is_not_estimable():
    o, risk = survival(1)
    none = SurvivalOutcome(KIND, o.units, o.time, np.zeros(len(o), bool), o.entry)
    with pytest.raises(NotEstimable):
        c(none, risk)


def test_units_must_match():
    o, risk = survival(1)
    with pytest.raises(ValueError, match="same units"):
        score("harrell_c", o, Survival(o.units[::-1], risk, np.array([1.0]), np.full((len(o), 1), 0.5)))


def test_misspelt_metric_is_answered():
    with pytest.raises(StudyError, match="roc_auc"):
        check_metric("roc_acu", EndpointKind.BINARY)


def test_nadeau_bengio_by_hand():
    # mean 2, s^2 = 1, J = 3, ratio 1/4: half = t(.975, 2) sqrt(1/3 + 1/4)
    value, low, high = nadeau_bengio([1.0, 2.0, 3.0], 80, 20)
    assert (value, high - value, value - low) == pytest.approx((2, 3.2862, 3.2862), abs=1e-3)
    assert nadeau_bengio([0.7] * 4, 80, 20) == pytest.approx((0.7, 0.7, 0.7))
    assert nadeau_bengio([0.7], 80, 20) == (0.7, None, None)


def test_lost_folds_are_counted_and_few_folds_marked():
    e = from_folds("roc_auc", [0.6, np.nan, 0.7], 80, 20, n=100, reason="one class")
    assert e.value == pytest.approx(0.65) and e.low_powered and "1 of 3" in e.reason
    assert from_folds("roc_auc", [np.nan] * 3, 80, 20, n=100, reason="one class").value is None
    d = paired_from_folds("roc_auc", [0.6, 0.8, 0.7], [0.5, np.nan, 0.5], 80, 20, n=100)
    assert d.value == pytest.approx(0.15) and d.method == "nadeau_bengio_paired"


def test_delong_agrees_with_the_patient_bootstrap():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y = rng.random(300) < 0.4
    p, q = y + rng.standard_normal(300), y + rng.standard_normal(300)
    auc, low, high = delong(y, p)
    assert auc == pytest.approx(roc_auc_score(y, p)) and low < auc < high
    boot = bootstrap_patients(lambda r: float(roc_auc_score(y[r], p[r])), np.arange(300), rng, 500)
    assert boot == pytest.approx((auc, low, high), abs=0.015)
    there, back = delong_paired(y, p, q), delong_paired(y, q, p)
    assert there[0] == pytest.approx(-back[0]) and there[3] == pytest.approx(back[3])
    assert delong_paired(y, p, p)[3] == 1.0
