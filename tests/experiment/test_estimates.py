"""From fold predictions to records: means and paired differences checked against numbers worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import t

from cohortium.contracts import ClassOutcome, Probabilities, Survival, SurvivalOutcome, ValueOutcome, Values
from cohortium.experiment import EndpointPlan, added_value, asks_of, endpoint_plan, leaderboard, score_endpoint
from cohortium.experiment.estimating import difference, estimate
from cohortium.experiment.folds import FoldResult
from cohortium.experiment.scoring import censoring_curves, score_frame
from cohortium.resampling import OuterSplit
from cohortium.schema import Endpoint, EndpointKind

INFOS = [
    SimpleNamespace(name="reference", role="reference", modalities=("a",)),
    SimpleNamespace(name="best_single", role="single", modalities=("a", "b")),
    SimpleNamespace(name="late", role="fusion", modalities=("a", "b")),
    SimpleNamespace(name="without:b", role="probe", modalities=("a",)),
    SimpleNamespace(name="with:b", role="probe", modalities=("a", "b")),
]
N, K = 40, 4


def splits(k: int = K) -> list[OuterSplit]:
    every = np.arange(N)
    return [OuterSplit(0, f, every[every % k != f], every[every % k == f]) for f in range(k)]


def continuous() -> tuple[EndpointPlan, list[FoldResult]]:
    """mae is 1 for late and without:b + f/10 by fold, 2 for the rest."""
    o = ValueOutcome(
        Endpoint("y", EndpointKind.CONTINUOUS), np.array([f"u{i}" for i in range(N)], object), np.arange(N, dtype=float)
    )
    e = endpoint_plan(o, np.arange(N), splits())
    results = []
    for s in e.splits:
        off = {"reference": 2.0, "best_single": 2.0, "late": 1.0, "without:b": 1.0 + s.fold / 10, "with:b": 1.5}
        predictions = {n: Values(o.units[s.test], o.values[s.test] + d) for n, d in off.items()}
        facts = {n: {"threshold": None, "chosen": "a" if s.fold else "b"} for n in off}
        results.append(FoldResult("p", s.test, len(s.train), predictions, facts))
    return e, results


def test_means_and_intervals_of_folds() -> None:
    e, results = continuous()
    asks = asks_of(e, ["mae", "roc_auc"])
    assert asks == (("mae", None),)
    scores = score_endpoint(e, results, asks, seed=0)
    made = estimate(scores, "without:b", 0)
    values = 1.0 + np.arange(K) / 10
    half = t.ppf(0.975, K - 1) * np.sqrt((1 / K + 10 / 30) * values.var(ddof=1))
    assert made.value == pytest.approx(values.mean())
    assert (made.low, made.high) == (pytest.approx(values.mean() - half), pytest.approx(values.mean() + half))
    assert (made.n, made.low_powered) == (N, True)
    paired = difference(scores, "without:b", "late", 0)
    assert paired.value == pytest.approx(np.mean(np.arange(K) / 10))
    turned = difference(scores, "without:b", "late", 0, turned=True)
    assert turned.value == pytest.approx(-paired.value) and turned.low == pytest.approx(-paired.high)
    frame = score_frame("y", scores)
    assert len(frame) == 5 * K and frame.loc[frame.learner == "late", "value"].tolist() == pytest.approx([1.0] * K)


def test_leaderboard_and_added_value() -> None:
    e, results = continuous()
    scores = score_endpoint(e, results, asks_of(e, ["mae"]), seed=0)
    board = leaderboard("y", scores, INFOS, results, "late")
    assert [r.learner for r in board] == ["reference", "best_single", "late"]
    assert [r.headline for r in board] == [False, False, True]
    assert board[0].versus.reference == [] and board[0].versus.best_single[0].value == pytest.approx(0.0)
    assert board[2].versus.reference[0].value == pytest.approx(-1.0)
    assert board[1].chosen_inside == {"a": 3, "b": 1}
    rows = added_value("y", scores, INFOS, ["a", "b"])
    assert [r.modality for r in rows] == ["b"]
    assert rows[0].left_out[0].value == pytest.approx(0.15)
    assert rows[0].added_to_reference[0].value == pytest.approx(0.5)


def binary(codes: np.ndarray, k: int, groups: np.ndarray | None = None) -> tuple[EndpointPlan, list[FoldResult]]:
    o = ClassOutcome(
        Endpoint("b", EndpointKind.BINARY, ("n", "y")), np.array([f"u{i}" for i in range(N)], object), codes
    )
    e = EndpointPlan(o, np.arange(N) if groups is None else groups, splits(k)[: 1 if k == 2 else k])
    rng = np.random.default_rng(3)
    results = []
    for s in e.splits:
        predictions = {}
        for n, noise in (("late", 0.3), ("best_single", 0.9)):
            p = np.clip(codes[s.test] * 0.4 + 0.3 + noise * (rng.random(len(s.test)) - 0.5), 0.01, 0.99)
            predictions[n] = Probabilities(o.units[s.test], ("n", "y"), np.column_stack([1 - p, p]))
        facts = {n: {"threshold": 0.5, "chosen": None} for n in predictions}
        results.append(FoldResult("p", s.test, len(s.train), predictions, facts))
    return e, results


def test_folds_that_do_not_allow_a_metric_are_named_and_none_is_null() -> None:
    codes = (np.arange(N) // K % 2).astype(np.int64)
    codes[np.arange(N) % K == 1] = 0
    e, results = binary(codes, K)
    made = estimate(score_endpoint(e, results, (("roc_auc", None),), 0), "late", 0)
    assert made.value is not None and made.reason is not None and "1 of 4 folds" in made.reason
    e, results = binary(np.zeros(N, dtype=np.int64), K)
    scores = score_endpoint(e, results, (("roc_auc", None), ("brier", None)), 0)
    made = estimate(scores, "late", 0)
    assert made.value is None and made.low is None and made.reason and "one class" in made.reason
    assert difference(scores, "late", "best_single", 0).value is None
    assert estimate(scores, "late", 1).value is not None


def test_one_test_set_is_bootstrapped_over_patients() -> None:
    codes = (np.arange(N) // 2 % 2).astype(np.int64)
    asks = (("roc_auc", None), ("brier", None))
    e, results = binary(codes, 2)
    scores = score_endpoint(e, results, asks, seed=1)
    auc, brier = estimate(scores, "late", 0), estimate(scores, "late", 1)
    assert auc.method == "delong" and brier.method == "bootstrap_patients"
    for made in (auc, brier):
        assert made.low is not None and made.high is not None and made.low <= made.value <= made.high
        assert not made.low_powered and made.n == N // 2
    paired = difference(scores, "late", "best_single", 1, turned=True)
    assert paired.value == pytest.approx(-(scores.values["late"][1, 0] - scores.values["best_single"][1, 0]))
    assert paired.low < paired.value < paired.high
    again = score_endpoint(e, results, asks, seed=1)
    assert difference(again, "late", "best_single", 1, turned=True) == paired
    e, results = binary(codes, 2, groups=np.arange(N) // 4)
    assert estimate(score_endpoint(e, results, asks, seed=1), "late", 0).method == "bootstrap_patients"


def test_one_positive_in_the_test_set_gives_finite_limits() -> None:
    """DeLong needs two of either class; the bootstrap draws again what holds none."""
    codes = np.zeros(N, dtype=np.int64)
    codes[[1, 3, 5, 8]] = 1  # of the even positions, which are tested, one
    e, results = binary(codes, 2)
    scores = score_endpoint(e, results, (("roc_auc", None),), seed=1)
    for made in (estimate(scores, "late", 0), difference(scores, "late", "best_single", 0)):
        assert "bootstrap" in made.method
        assert all(x is not None and np.isfinite(x) for x in (made.value, made.low, made.high))


def test_survival_metrics_use_the_training_censoring_and_one_tau() -> None:
    rng = np.random.default_rng(4)
    risk = rng.normal(size=N)
    died, lost = rng.exponential(np.exp(-risk)), rng.exponential(2.0, size=N)
    o = SurvivalOutcome(
        Endpoint("os", EndpointKind.SURVIVAL), np.array([f"u{i}" for i in range(N)], object), np.minimum(died, lost),
        died <= lost, np.zeros(N),
    )  # fmt: skip
    e = endpoint_plan(o, np.arange(N), splits(2))
    assert e.grid is not None
    results = []
    for s in e.splits:
        curves = np.exp(-e.grid[None] * np.exp(risk[s.test])[:, None])
        p = Survival(o.units[s.test], risk[s.test], e.grid, curves)
        results.append(
            FoldResult("p", s.test, len(s.train), {"late": p}, {"late": {"threshold": None, "chosen": None}})
        )
    asks = asks_of(e, None)
    assert [h for m, h in asks if m == "brier_t"] == list(e.horizons)
    scores = score_endpoint(e, results, asks, seed=0)
    assert scores.n_events == int(o.event.sum())
    made = {(m, h): estimate(scores, "late", i) for i, (m, h) in enumerate(asks)}
    assert made[("harrell_c", None)].value > 0.6
    assert made[("integrated_brier", None)].value < 0.25
    for curve in censoring_curves(e):
        assert (np.diff(curve) <= 0).all() and (curve > 0).all()
