"""Calibration records from fold predictions: several folds, one test set, folds that allow nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from cohortium.contracts import ClassOutcome, Probabilities, Survival, SurvivalOutcome, ValueOutcome, Values
from cohortium.experiment import asks_of, calibration, decisions, endpoint_plan, score_endpoint, subgroups
from cohortium.experiment.folds import FoldResult
from cohortium.experiment.scoring import Scores
from cohortium.metrics import calibrate_classes, nadeau_bengio
from cohortium.resampling import OuterSplit
from cohortium.schema import Endpoint, EndpointKind

N = 400
UNITS = np.array([f"u{i}" for i in range(N)], object)
YES = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
OS = Endpoint("os", EndpointKind.SURVIVAL, time_unit="months", horizons=(6.0, 12.0))


def splits(k: int) -> list[OuterSplit]:
    every = np.arange(N)
    if k == 1:
        return [OuterSplit(0, 0, every[::2], every[1::2])]
    return [OuterSplit(0, f, every[every % k != f], every[every % k == f]) for f in range(k)]


def scored(e, predict) -> Scores:
    results = []
    for s in e.splits:
        predictions = predict(s.test)
        facts = {name: {"threshold": None, "chosen": None} for name in predictions}
        results.append(FoldResult("p", s.test, len(s.train), predictions, facts))
    return score_endpoint(e, results, asks_of(e, None), seed=0)


def binary(k: int, codes: np.ndarray | None = None) -> Scores:
    """auto is right; the reference says everything twice too sure."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    codes = (rng.random(N) < expit(x)).astype(np.int64) if codes is None else codes
    e = endpoint_plan(ClassOutcome(YES, UNITS, codes), np.arange(N), splits(k))

    def predict(rows: np.ndarray) -> dict[str, Probabilities]:
        p = {"auto": expit(x[rows]), "reference": expit(2 * x[rows])}
        return {n: Probabilities(UNITS[rows], YES.classes, np.column_stack([1 - v, v])) for n, v in p.items()}

    return scored(e, predict)


def survival(k: int) -> Scores:
    rng = np.random.default_rng(1)
    x = rng.normal(size=N)
    died, lost = rng.exponential(12 * np.exp(-x)), rng.uniform(2, 40, N)
    o = SurvivalOutcome(OS, UNITS, np.minimum(died, lost), died <= lost, np.zeros(N))
    e = endpoint_plan(o, np.arange(N), splits(k))
    assert e.grid is not None

    def predict(rows: np.ndarray) -> dict[str, Survival]:
        def of(rate: np.ndarray) -> Survival:
            return Survival(UNITS[rows], np.log(rate), e.grid, np.exp(-rate[:, None] * e.grid))

        return {"auto": of(np.exp(x[rows]) / 12), "reference": of(3 * np.exp(x[rows]) / 12)}

    return scored(e, predict)


def value(row, metric: str):
    return next(e for e in row.estimates if e.metric == metric)


def test_classes_over_folds_are_means_with_their_intervals() -> None:
    scores = binary(5)
    auto, reference = calibration("y", scores, ["auto", "reference"])
    assert (auto.label, auto.horizon, auto.learner) == ("yes", None, "auto")
    assert [e.metric for e in auto.estimates][:3] == ["calibration_slope", "calibration_intercept", "expected_observed"]
    made = [calibrate_classes(f.outcome.codes == 1, f.predictions["auto"].p[:, 1], np.array([0.5])) for f in scores.folds]  # fmt: skip
    mean, low, high = nadeau_bengio([m.slope for m in made], scores.n_train, scores.n_test)
    slope = value(auto, "calibration_slope")
    assert (slope.value, slope.low, slope.high) == (mean, low, high) and slope.low < 1 < slope.high
    assert (slope.n, slope.n_events) == (N, int((scores.endpoint.outcome.codes == 1).sum()))
    ratio, log = value(auto, "expected_observed"), [np.log(m.expected_observed) for m in made]
    assert (ratio.value, ratio.low) == pytest.approx(np.exp(nadeau_bengio(log, scores.n_train, scores.n_test))[:2])
    assert value(reference, "calibration_slope").high < 0.8
    assert value(reference, "ici").value > value(reference, "ici_by_chance").value > 0
    assert value(auto, "ici").low >= 0
    assert auto.curve is not None and len(auto.curve.at) == 51
    half = auto.curve.at.index(0.5)
    assert auto.curve.value[half] == pytest.approx(np.mean([m.curve[0] for m in made]), abs=1e-6)
    assert all(0 <= x <= 1 for x in [*auto.curve.low, *auto.curve.high] if x is not None)


def test_survival_has_a_row_per_horizon_and_sees_risks_that_are_too_high() -> None:
    rows = calibration("os", survival(4), ["auto", "reference"])
    assert [(r.learner, r.horizon) for r in rows] == [
        ("auto", 6.0), ("auto", 12.0), ("reference", 6.0), ("reference", 12.0)
    ]  # fmt: skip
    for right, high in zip(rows[:2], rows[2:], strict=True):
        assert value(right, "calibration_intercept").low < 0 < value(right, "calibration_intercept").high
        assert value(high, "calibration_intercept").value == pytest.approx(-np.log(3), abs=0.25)
        assert value(high, "calibration_intercept").high < 0 and value(high, "expected_observed").low > 1
        assert value(high, "calibration_slope").value == pytest.approx(
            value(right, "calibration_slope").value, abs=0.05
        )
    assert value(rows[0], "ici").n_events < value(rows[1], "ici").n_events


@pytest.mark.parametrize("make", [binary, survival])
def test_one_test_set_draws_its_patients(make) -> None:
    rows = calibration("y", make(1), ["auto"])
    assert make is survival or rows == calibration("y", make(1), ["auto"])
    slope = value(rows[0], "calibration_slope")
    assert slope.method == "bootstrap_patients" and slope.low < slope.value < slope.high and slope.n == N // 2


def test_what_no_fold_allows_is_null_with_the_reason() -> None:
    few = np.zeros(N, np.int64)
    few[:4] = 1
    (row,) = calibration("y", binary(5, few), ["auto"])
    slope = value(row, "calibration_slope")
    assert slope.value is None and "fewer than 5 units" in str(slope.reason) and slope.n_events == 4
    assert value(row, "ici").value is not None
    once = value(calibration("y", binary(1, few), ["auto"])[0], "expected_observed")
    assert once.value is None and "fewer than 5 units" in str(once.reason)


def test_continuous_endpoints_have_none() -> None:
    o = ValueOutcome(Endpoint("v", EndpointKind.CONTINUOUS), UNITS, np.arange(N, dtype=float))
    e = endpoint_plan(o, np.arange(N), splits(4))
    scores = scored(e, lambda rows: {"auto": Values(UNITS[rows], np.arange(len(rows), dtype=float))})
    assert calibration("v", scores, ["auto"]) == []


@pytest.mark.parametrize("kind", [EndpointKind.MULTICLASS, EndpointKind.ORDINAL])
def test_of_several_classes_each_stands_against_the_others(kind) -> None:
    rng = np.random.default_rng(4)
    abc = Endpoint("y", kind, ("a", "b", "c"))
    p = rng.dirichlet([4, 3, 0.3], N)
    codes = np.array([rng.choice(3, p=row) for row in p], np.int64)
    e = endpoint_plan(ClassOutcome(abc, UNITS, codes), np.arange(N), splits(4))
    scores = scored(e, lambda rows: {"auto": Probabilities(UNITS[rows], abc.classes, p[rows])})
    rows = calibration("y", scores, ["auto"])
    assert [r.label for r in rows] == ["a", "b", "c"]
    for k, r in enumerate(rows):
        ratio = value(r, "expected_observed")
        assert ratio.n_events == (codes == k).sum()
        assert ratio.value is None or ratio.low < 1 < ratio.high
    assert decisions("y", scores, ["auto"], [0.2]) == []
    groups = subgroups(
        "y", scores, "auto", {"half": {str(u): "ab"[i % 3 == 0] for i, u in enumerate(UNITS)}}, "accuracy"
    )
    assert [len(r.estimates) for r in groups] == [1, 1] and groups[0].n_events is None
