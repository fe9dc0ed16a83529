"""Intervals, thresholds and decisions against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from cohortium.contracts import ClassOutcome, Probabilities, Survival, SurvivalOutcome
from cohortium.metrics import (
    METRICS,
    Censoring,
    NotEstimable,
    bootstrap_patients,
    censoring_distribution,
    choose_threshold,
    decide,
    default_metrics,
    delong,
    delong_paired,
    headline_metric,
    nadeau_bengio,
    random_effects,
    score,
)
from cohortium.schema import Endpoint, EndpointKind

NAMES = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "ordinal": ("i", "ii", "iii")}
OS = Endpoint("os", EndpointKind.SURVIVAL)
SEEDS = st.integers(0, 10_000)


def classes(kind: str, codes, p) -> tuple[ClassOutcome, Probabilities]:
    endpoint = Endpoint("y", EndpointKind(kind), NAMES[kind])
    units = np.arange(len(codes)).astype(str).astype(object)
    p = np.asarray(p, float)
    return ClassOutcome(endpoint, units, np.asarray(codes, np.int64)), Probabilities(units, endpoint.classes, p)


def drawn(kind: str, seed: int, n: int = 60):
    rng = np.random.default_rng(seed)
    k = len(NAMES[kind])
    p = np.round(rng.dirichlet(np.ones(k), n), 2)
    p[:, -1] = 1 - p[:, :-1].sum(axis=1)
    codes = rng.integers(0, k, n)
    codes[:k] = np.arange(k)
    return classes(kind, codes, np.clip(p, 0, 1))


def test_decisions_by_threshold_by_median_and_by_the_largest():
    p = np.array([[0.4, 0.0, 0.6], [0.2, 0.35, 0.45], [0.5, 0.1, 0.4], [0.1, 0.8, 0.1]])
    assert decide(EndpointKind.ORDINAL, p).tolist() == [2, 1, 0, 1]
    assert decide(EndpointKind.MULTICLASS, p).tolist() == [2, 2, 0, 1]
    two = np.array([[0.7, 0.3], [0.5, 0.5], [0.8, 0.2]])
    assert decide(EndpointKind.BINARY, two).tolist() == [0, 1, 0]
    assert decide(EndpointKind.BINARY, two, 0.3).tolist() == [1, 1, 0]


def test_class_metrics_of_a_small_table_by_hand():
    # decided: a a b b c c; true: a b b b c a
    p = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    y, q = classes("multiclass", [0, 1, 1, 1, 2, 0], p)
    assert score("accuracy", y, q) == pytest.approx(4 / 6)
    assert score("balanced_accuracy", y, q) == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    f1 = [2 * 1 / (2 + 2), 2 * 2 / (2 + 3), 2 * 1 / (2 + 1)]
    assert score("f1_macro", y, q) == pytest.approx(np.mean(f1))
    assert score("f1_weighted", y, q) == pytest.approx(np.average(f1, weights=[2, 3, 1]))
    assert score("brier", y, q) == pytest.approx(2 * 2 / 6)
    y, q = classes("ordinal", [0, 1, 1, 1, 2, 0], p)
    # squared distances: seen 0 1 0 0 0 4; expected by the margins (2, 3, 1) x (2, 2, 2) / 6
    expected = (2 * 2 * 1 + 2 * 2 * 4 + 3 * 2 * 1 + 3 * 2 * 1 + 1 * 2 * 4 + 1 * 2 * 1) / 6
    assert score("quadratic_kappa", y, q) == pytest.approx(1 - 5 / expected)


def test_average_precision_by_hand():
    y, q = classes("binary", [1, 0, 1, 0], [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    assert score("average_precision", y, q) == pytest.approx((1 / 1 + 2 / 3) / 2)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_auc_counts_pairs(seed):
    y, q = drawn("binary", seed)
    a, b = q.p[y.codes == 1, 1], q.p[y.codes == 0, 1]
    pairs = np.sign(a[:, None] - b[None, :]) / 2 + 0.5
    assert score("roc_auc", y, q) == pytest.approx(pairs.mean())
    # turned round, and by any increasing transform
    turned = Probabilities(q.units, q.classes, q.p[:, ::-1])
    assert score("roc_auc", y, turned) == pytest.approx(1 - pairs.mean())
    logit = np.log((q.p[:, 1] + 0.01) / (1.02 - q.p[:, 1]))
    squeezed = Probabilities(q.units, q.classes, np.column_stack([-logit, logit]))
    assert score("roc_auc", y, squeezed) == pytest.approx(pairs.mean())
    # DeLong 1988: variance of the placements
    value, low, high = delong(y.codes == 1, q.p[:, 1])
    var = pairs.mean(axis=1).var(ddof=1) / len(a) + pairs.mean(axis=0).var(ddof=1) / len(b)
    half = norm.ppf(0.975) * np.sqrt(var) / (value * (1 - value))
    expected = [1 / (1 + np.exp(-(np.log(value / (1 - value)) + s * half))) for s in (-1, 1)]
    assert [low, high] == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(["binary", "multiclass", "ordinal"]))
def test_metrics_of_classes_ignore_the_order_of_rows_and_keep_their_bounds(seed, kind):
    y, q = drawn(kind, seed)
    rows = np.random.default_rng(seed).permutation(len(y))
    for name in default_metrics(EndpointKind(kind)):
        value = score(name, y, q)
        assert score(name, y.take(rows), q.take(rows)) == pytest.approx(value)
        low, high = METRICS[name].bounds
        assert low <= value <= high
    perfect = Probabilities(q.units, q.classes, np.eye(len(q.classes))[y.codes])
    for name in default_metrics(EndpointKind(kind)):
        best = 1.0 if METRICS[name].higher_is_better else 0.0
        assert score(name, y, perfect) == pytest.approx(best, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_threshold_is_the_best_of_all(seed):
    y, q = drawn("binary", seed, 30)
    p = q.p[:, 1]
    best = choose_threshold(y, p)
    value = lambda cut: score("balanced_accuracy", y, q, threshold=cut)  # noqa: E731
    assert value(best) == pytest.approx(max(value(c) for c in [-1.0, *p, *(p + 1e-6), 2.0]))


def test_paired_delong_is_symmetric_and_matches_its_formula():
    rng = np.random.default_rng(1)
    y = rng.random(80) < 0.4
    p, q = np.round(y + rng.normal(size=80), 1), np.round(y + rng.normal(size=80), 1)
    one = lambda s: np.sign(s[y][:, None] - s[~y][None, :]) / 2 + 0.5  # noqa: E731
    gap = one(p) - one(q)
    se = np.sqrt(gap.mean(axis=1).var(ddof=1) / y.sum() + gap.mean(axis=0).var(ddof=1) / (~y).sum())
    d, low, high, pvalue = delong_paired(y, p, q)
    assert (d, high - low) == pytest.approx((gap.mean(), 2 * norm.ppf(0.975) * se))
    assert pvalue == pytest.approx(2 * norm.sf(abs(gap.mean()) / se))


def test_perfect_separation_is_not_certainty():
    """No variance is seen where all is right; the interval is Newcombe's, and shrinks with the number of units."""
    widths = []
    for n in (5, 20, 80):
        y = np.arange(2 * n) >= n
        value, low, high = delong(y, np.arange(2 * n).astype(float))
        assert value == high == 1.0 and 0.4 < low < 1.0
        widths.append(1 - low)
        turned = delong(y, -np.arange(2 * n).astype(float))
        assert turned == pytest.approx((0.0, 0.0, 1 - low))
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.05


def test_one_positive_is_too_few_for_an_interval_of_auc():
    y = np.array([True, False, False, False])
    with pytest.raises(NotEstimable, match="two units"):
        delong(y, np.arange(4.0))
    with pytest.raises(NotEstimable, match="two units"):
        delong_paired(y, np.arange(4.0), np.arange(4.0)[::-1])


def test_the_same_for_all_is_a_half_in_every_sample():
    assert delong(np.arange(10) > 4, np.full(10, 0.3)) == (0.5, 0.5, 0.5)


def test_random_effects_by_hand():
    # Q at tau^2 = 0 is 2 and should be 1: tau^2 = 1; Hartung-Knapp with 1 degree of freedom; I^2 = (2 - 1) / 2
    mean, low, high, tau2, i2 = random_effects(np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
    assert (mean, tau2, i2) == pytest.approx((0.0, 1.0, 0.5))
    assert (low, high) == pytest.approx((-student.ppf(0.975, 1), student.ppf(0.975, 1)))
    # equal values: no heterogeneity, and not narrower than the fixed effect
    mean, low, high, tau2, i2 = random_effects(np.full(4, 0.3), np.full(4, 0.2))
    assert (mean, tau2, i2) == pytest.approx((0.3, 0.0, 0.0))
    assert high - low == pytest.approx(2 * norm.ppf(0.975) * 0.1)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_random_effects_solve_their_equation(seed):
    rng = np.random.default_rng(seed)
    y, se = rng.normal(0, 0.5, 8), rng.uniform(0.1, 0.4, 8)
    mean, _, _, tau2, _ = random_effects(y, se)
    w = 1 / (se**2 + tau2)
    assert mean == pytest.approx(w @ y / w.sum())
    assert tau2 == 0 or w @ (y - mean) ** 2 == pytest.approx(7)


def test_fold_intervals_have_no_more_degrees_of_freedom_than_folds_of_a_repeat():
    values = np.random.default_rng(0).normal(0.7, 0.05, 50)
    mean, low, high = nadeau_bengio(values, 80, 20)  # 10 repeats of 5 folds
    half = student.ppf(0.975, 5) * np.sqrt((1 / 50 + 0.25) * values.var(ddof=1))
    assert (mean, low, high) == pytest.approx((values.mean(), mean - half, mean + half))


def test_bootstrap_draws_patients_with_all_their_rows_and_redraws_what_has_no_value():
    groups = np.array([0, 0, 0, 1, 2, 3])
    seen = []

    def statistic(rows: np.ndarray) -> float:
        counts = np.bincount(groups[rows], minlength=4)
        assert counts[0] % 3 == 0
        if not counts[3]:
            raise NotEstimable("without patient 3")
        seen.append(len(rows))
        return float(len(rows))

    value, low, high = bootstrap_patients(statistic, groups, np.random.default_rng(0), 200)
    assert value == 6.0 and low <= 6.0 <= high and len(seen) == 201
    with pytest.raises(NotEstimable, match="too few patients"):
        never = lambda rows: 1.0 if len(np.unique(rows)) == 6 else _refuse()  # noqa: E731
        bootstrap_patients(never, np.arange(6), np.random.default_rng(0), 200)


def _refuse() -> float:
    raise NotEstimable("no")


def survival(seed: int, n: int, entry: bool) -> tuple[SurvivalOutcome, np.ndarray]:
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 40, n).astype(float)
    begin = np.where(rng.random(n) < 0.3, np.floor(rng.random(n) * time), 0.0) if entry else np.zeros(n)
    units = np.arange(n).astype(str).astype(object)
    return SurvivalOutcome(OS, units, time, rng.random(n) < 0.6, begin), rng.integers(0, 30, n).astype(float)


def test_concordance_of_many_is_that_of_all_pairs():
    """More units than one block of the fast count."""
    o, risk = survival(3, 5000, False)
    p = Survival(o.units, risk, np.array([1.0]), np.full((len(o), 1), 0.5))
    longer = (o.time[None, :] > o.time[:, None]) | ((o.time[None, :] == o.time[:, None]) & ~o.event[None, :])
    pairs = longer & o.event[:, None]
    agree = (risk[:, None] > risk[None, :]) + 0.5 * (risk[:, None] == risk[None, :])
    assert score("harrell_c", o, p) == pytest.approx(agree[pairs].mean(), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.booleans())
def test_accuracy_at_a_horizon_by_hand(seed, entry):
    o, risk = survival(seed, 50, entry)
    g = censoring_distribution(survival(seed + 1, 200, entry)[0])
    at = np.array([10.0])
    p = Survival(o.units, risk, at, (1 / (1 + np.exp((risk - 15) / 5)))[:, None])
    case = [i for i in range(50) if o.event[i] and o.time[i] <= 10]
    control = [j for j in range(50) if o.time[j] > 10 and o.entry[j] < 10]
    top = bottom = 0.0
    for i in case:
        w = 1 / g.before(o.time[[i]])[0]
        for j in control:
            top += w * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
            bottom += w
    assert score("auc_t", o, p, horizon=10.0, censoring=g) == pytest.approx(top / bottom)
    if not entry:
        parts = [
            (0 - p.survival[i, 0]) ** 2 / g.before(o.time[[i]])[0] if i in case
            else (1 - p.survival[i, 0]) ** 2 / g.at(at)[0] if o.time[i] > 10 else 0.0
            for i in range(50)
        ]  # fmt: skip
        assert score("brier_t", o, p, horizon=10.0, censoring=g) == pytest.approx(np.mean(parts))


def test_what_cannot_be_estimated_is_said_and_never_a_number():
    o, risk = survival(1, 40, False)
    p = Survival(o.units, risk, np.array([5.0]), np.full((40, 1), 0.5))
    g = censoring_distribution(o)
    ended = Censoring(np.array([3.0]), np.array([0.0]))  # nobody of the training fold was followed beyond 3
    for name, more in (
        ("auc_t", {"horizon": 400.0, "censoring": g}),
        ("brier_t", {"horizon": 400.0, "censoring": g}),
        ("uno_c", {"censoring": ended}),
        ("auc_t", {"horizon": 5.0, "censoring": ended}),
        ("integrated_brier", {"censoring": ended}),
        ("harrell_c", {"tau": 0.5}),
    ):
        with pytest.raises(NotEstimable):
            score(name, o, p, **more)
    y, q = drawn("binary", 0)
    one = y.take(np.flatnonzero(y.codes == 1))
    for name in ("roc_auc", "balanced_accuracy", "average_precision"):
        with pytest.raises(NotEstimable, match="one class"):
            score(name, one, q.take(np.flatnonzero(y.codes == 1)))


def test_every_kind_has_a_headline_among_its_defaults():
    for kind in EndpointKind:
        names = default_metrics(kind)
        assert headline_metric(kind) == names[0] and all(kind in METRICS[n].kinds for n in names)
