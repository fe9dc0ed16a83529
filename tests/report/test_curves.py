"""The curves agree with counting by hand, and never compare risks of different folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.report.curves import (
    calibration_classes,
    calibration_incidence,
    calibration_survival,
    log_rank_p,
    mean_roc,
    risk_groups,
    risk_strata,
)
from cohortium.report.folder import Scored


def _survival(risk, fold, time, event, entry=None, survival=None, times=None) -> Scored:
    n = len(risk)
    return Scored(
        np.array([f"u{i}" for i in range(n)], object),
        np.zeros(n, np.int64),
        np.asarray(fold, np.int64),
        risk=np.asarray(risk, float),
        time=np.asarray(time, float),
        event=np.asarray(event, bool),
        entry=np.zeros(n) if entry is None else np.asarray(entry, float),
        survival=survival,
        times=times,
    )


def _classes(p, code, fold) -> Scored:
    n = len(p)
    both = np.column_stack([1 - np.asarray(p), p])
    return Scored(
        np.array([f"u{i}" for i in range(n)], object),
        np.zeros(n, np.int64),
        np.asarray(fold, np.int64),
        classes=("no", "yes"),
        p=both,
        code=np.asarray(code, np.int64),
    )


def test_risk_groups_are_thirds_of_each_fold():
    fold = np.repeat([0, 1], 9)
    risk = np.r_[np.arange(9.0), 1000 + np.arange(9.0)]
    group = risk_groups(risk, np.zeros(18, np.int64), fold)
    assert group.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] * 2
    shuffled = np.random.default_rng(0).permutation(18)
    assert (risk_groups(risk[shuffled], np.zeros(18, np.int64), fold[shuffled]) == group[shuffled]).all()


def test_risk_groups_do_not_move_when_a_fold_is_shifted():
    rng = np.random.default_rng(1)
    risk, fold = rng.normal(size=60), rng.integers(0, 3, 60)
    shifted = risk + 50 * (fold == 1)
    none = np.zeros(60, np.int64)
    assert (risk_groups(risk, none, fold) == risk_groups(shifted, none, fold)).all()


def test_equal_risks_share_a_group():
    assert set(risk_groups(np.ones(30), np.zeros(30, np.int64), np.zeros(30, np.int64)).tolist()) == {0}


def test_kaplan_meier_by_hand():
    """Times 1, 2+, 3, 4+: S = 3/4 after 1, 3/4 * 1/2 after 3."""
    [low] = risk_strata(_survival([0, 0, 0, 0], [0] * 4, [1, 2, 3, 4], [1, 0, 1, 0]))
    at = [float(low.steps[np.searchsorted(low.times, t, side="right") - 1]) for t in (0.5, 1, 2.9, 3, 4)]
    assert at == pytest.approx([1, 0.75, 0.75, 0.375, 0.375])
    assert low.at_risk(np.array([0.0, 1, 1.5, 3, 4])).tolist() == [4, 4, 3, 2, 1]
    assert (low.low <= low.steps).all()
    assert (low.steps <= low.high).all()


def test_delayed_entry_is_not_at_risk_before_it():
    [low] = risk_strata(_survival([0, 0, 0], [0] * 3, [1, 3, 4], [1, 1, 0], entry=[0, 0, 2]))
    assert low.at_risk(np.array([1.0, 3.0])).tolist() == [2, 2]
    assert low.steps[np.searchsorted(low.times, 1.0, side="right") - 1] == pytest.approx(0.5)


def test_log_rank_sees_a_difference_and_its_absence():
    rng = np.random.default_rng(2)
    risk = rng.normal(size=300)
    time = rng.exponential(np.exp(-risk))
    fold, event = np.arange(300) % 5, np.ones(300, bool)
    assert log_rank_p(_survival(risk, fold, time, event)) < 1e-6
    assert log_rank_p(_survival(risk, fold, rng.permutation(time), event)) > 0.01
    assert log_rank_p(_survival(np.zeros(300), fold, time, event)) is None
    assert log_rank_p(_survival(risk, fold, time, ~event)) is None


def test_the_area_under_the_mean_roc_is_the_mean_of_the_areas():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    fold, code = np.arange(400) % 4, rng.integers(0, 2, 400)
    p = np.clip(0.5 + 0.15 * code + rng.normal(0, 0.2, 400), 0.01, 0.99)
    fpr, tpr = mean_roc(_classes(p, code, fold))
    areas = [roc_auc_score(code[fold == f], p[fold == f]) for f in range(4)]
    assert np.trapezoid(tpr, fpr) == pytest.approx(np.mean(areas), abs=0.005)
    assert (np.diff(tpr) >= 0).all()


def test_a_fold_of_one_class_has_no_roc():
    assert mean_roc(_classes(np.array([0.2, 0.8]), [1, 1], [0, 0])) is None


def test_calibration_counts():
    p = np.r_[np.full(50, 0.1), np.full(50, 0.7)]
    hit = np.r_[np.arange(50) < 10, np.arange(50) < 35]
    c = calibration_classes(p, hit)
    assert c.predicted.tolist() == pytest.approx([0.1, 0.7])
    assert c.observed.tolist() == pytest.approx([0.2, 0.7])
    assert c.low[0] == pytest.approx(0.11243, abs=1e-4)  # Wilson limits of 10/50
    assert c.high[0] == pytest.approx(0.33037, abs=1e-4)


def test_survival_calibration_of_a_true_model_lies_on_the_line():
    rng = np.random.default_rng(4)
    n = 4000
    rate = np.exp(rng.normal(-3, 0.7, n))
    t, c = rng.exponential(1 / rate), rng.uniform(5, 60, n)
    times = np.linspace(1, 60, 60)
    scored = _survival(
        np.log(rate), np.arange(n) % 5, np.minimum(t, c), t <= c, survival=np.exp(-rate[:, None] * times), times=times
    )
    found = calibration_survival(scored, 20.0)
    assert len(found.predicted) == 5
    assert np.abs(found.predicted - found.observed).max() < 0.05
    assert ((found.low <= found.predicted) & (found.predicted <= found.high)).mean() >= 0.6
    assert calibration_survival(scored, 100.0) is None


def test_incidences_of_competing_risks_by_hand_and_on_the_line():
    """Times 1 relapse, 2 death, 3 relapse, 4+: incidence 1/4 after 1 and 1/4 + 1/2 * 1/2 after 3."""
    one = _survival([0] * 4, [0] * 4, [1, 2, 3, 4], [1, 0, 1, 0])
    [low] = risk_strata(replace(one, cause=np.array([1, 2, 1, 0])))
    at = [float(low.steps[np.searchsorted(low.times, t, side="right") - 1]) for t in (0.5, 1, 2.9, 3, 4)]
    assert at == pytest.approx([0, 0.25, 0.25, 0.5, 0.5])
    assert (low.low <= low.steps).all() and (low.steps <= low.high).all()
    rng = np.random.default_rng(0)
    n, times = 6000, np.linspace(0.1, 1.0, 10)
    own = np.exp(rng.normal(size=n))
    ends = np.stack([rng.exponential(1 / own), rng.exponential(1.5, n), rng.exponential(3.0, n)])
    cause, total = np.array([1, 2, 0])[ends.argmin(axis=0)], own + 1 / 1.5
    truth = (own / total)[:, None] * -np.expm1(-total[:, None] * times)
    scored = replace(
        _survival(own, np.zeros(n), ends.min(axis=0), cause == 1, times=times), incidence=truth, cause=cause
    )
    found = calibration_incidence(scored, 0.5)
    assert found is not None and len(found.predicted) == 5
    np.testing.assert_allclose(found.predicted, found.observed, atol=0.03)
    assert (found.low <= found.observed).all() and (found.observed <= found.high).all()
    assert calibration_incidence(scored, 1e3) is None and calibration_survival(scored, 0.5) is None
