"""Subgroup records: by hand, planted and null truth, and groups too small to say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from cohortium.contracts import ClassOutcome, Probabilities
from cohortium.experiment import endpoint_plan, subgroups
from cohortium.experiment.scoring import Scores
from cohortium.metrics import holm, nadeau_bengio, nadeau_bengio_p, score
from tests.experiment.test_calibrating import UNITS, YES, N, binary, scored, splits, survival

FOUR = {str(u): "abcd"[i % 4] for i, u in enumerate(UNITS)}


def drawn(seed: int, upside_down: bool = False) -> tuple[Scores, dict[str, str]]:
    """Groups that are nothing to the outcome; upside_down: in group d the model says the contrary."""
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=N), np.array(list("abcd"))[rng.integers(0, 4, N)]
    right = np.where((group == "d") & upside_down, -x, x)
    e = endpoint_plan(
        ClassOutcome(YES, UNITS, (rng.random(N) < expit(2 * right)).astype(np.int64)), np.arange(N), splits(5)
    )

    def predict(rows: np.ndarray) -> dict[str, Probabilities]:
        p = expit(2 * x[rows])
        return {"auto": Probabilities(UNITS[rows], YES.classes, np.column_stack([1 - p, p]))}

    return scored(e, predict), dict(zip(UNITS, group, strict=True))


def test_numbers_of_a_group_are_means_of_folds_and_differences_are_paired() -> None:
    scores, of = drawn(0)
    rows = subgroups("y", scores, "auto", {"letter": of}, "roc_auc")
    assert {r.group for r in rows} == set("abcd") and all(r.variable == "letter" for r in rows)
    row = next(r for r in rows if r.group == "b")
    assert row.n_units == sum(g == "b" for g in of.values()) and row.estimates[0].n == row.n_units
    inside, outside, sensitivity, off = [], [], [], []
    for f in scores.folds:
        member = np.array([of[u] == "b" for u in f.outcome.units])
        p = f.predictions["auto"]
        for made, rows_ in ((inside, np.flatnonzero(member)), (outside, np.flatnonzero(~member))):
            made.append(score("roc_auc", f.outcome.take(rows_), p.take(rows_)))
        hit = member & (f.outcome.codes == 1)
        sensitivity.append((p.p[hit, 1] >= 0.5).mean())
        off.append(p.p[member, 1].mean() - f.outcome.codes[member].mean())
    made = [(e.value, e.low) for e in row.estimates]
    assert made[0] == nadeau_bengio(inside, scores.n_train, scores.n_test)[:2]
    assert made[1] == pytest.approx(nadeau_bengio(sensitivity, scores.n_train, scores.n_test)[:2])
    assert made[3] == pytest.approx(nadeau_bengio(off, scores.n_train, scores.n_test)[:2])
    gap = np.subtract(inside, outside)
    versus = row.versus_rest[0]
    assert versus.estimate.value == pytest.approx(gap.mean())
    assert versus.p == pytest.approx(nadeau_bengio_p(gap, scores.n_train, scores.n_test))
    every = [c for r in rows for c in r.versus_rest]
    assert len(every) == 16 and [c.p_holm for c in every] == list(holm([c.p for c in every]))


def test_a_group_for_whom_the_model_is_wrong_is_found() -> None:
    scores, of = drawn(1, upside_down=True)
    rows = subgroups("y", scores, "auto", {"letter": of, "four": FOUR}, "roc_auc")
    clear = {(r.variable, r.group) for r in rows for c in r.versus_rest if c.p_holm is not None and c.p_holm < 0.05}
    assert ("letter", "d") in clear and not any(v == "four" for v, _ in clear)
    worst = next(r for r in rows if (r.variable, r.group) == ("letter", "d"))
    assert worst.estimates[0].value < 0.35 and worst.versus_rest[0].estimate.high < 0


@pytest.mark.thorough
def test_groups_that_mean_nothing_are_rarely_clear() -> None:
    """In 30 cohorts without a difference (16 looks each) one of them or another is clear in few."""
    found = 0
    for seed in range(30):
        scores, of = drawn(100 + seed)
        rows = subgroups("y", scores, "auto", {"letter": of}, "roc_auc")
        found += any(c.p_holm is not None and c.p_holm < 0.05 for r in rows for c in r.versus_rest)
    assert found <= 5


def test_two_groups_have_one_difference_and_one_group_is_no_variable() -> None:
    two = {str(u): "left" if i < N // 2 else "right" for i, u in enumerate(UNITS)}
    rows = subgroups("y", binary(4), "auto", {"side": two, "all": dict.fromkeys(UNITS, "x")}, "roc_auc")
    assert [(r.variable, r.group, bool(r.versus_rest)) for r in rows] == [
        ("side", "left", True),
        ("side", "right", False),
    ]


def test_a_small_group_is_null_with_the_reason_and_is_compared_with_nobody() -> None:
    of = {str(u): "few" if i < 12 else "many" for i, u in enumerate(UNITS)}
    few, many = subgroups("y", binary(4), "auto", {"size": of}, "roc_auc")
    assert few.n_units == 12 and all(e.value is None and "fewer than 20 units" in str(e.reason) for e in few.estimates)
    assert few.versus_rest == [] == many.versus_rest and many.estimates[0].value is not None
    rare = np.zeros(N, np.int64)
    rare[:15] = 1
    of = {str(u): "ab"[i >= N // 2] for i, u in enumerate(UNITS)}
    with_events, without = subgroups("y", binary(4, rare), "auto", {"half": of}, "roc_auc")
    assert without.n_events == 0 and "10 units of a class" in str(without.estimates[0].reason)
    assert with_events.versus_rest == []


def test_a_group_that_sits_in_few_folds_is_too_small_to_say() -> None:
    """Group b is tested in two of five folds: their mean is no mean of folds."""
    of = {str(u): "b" if i % 5 < 2 else "a" for i, u in enumerate(UNITS)}
    rows = subgroups("y", binary(5), "auto", {"fold": of}, "roc_auc")
    b = next(r for r in rows if r.group == "b")
    assert b.estimates[0].value is None and "estimable in 2 of 5 folds" in str(b.estimates[0].reason)
    assert all(c.p is None and c.p_holm is None for r in rows for c in r.versus_rest)


def test_a_group_that_is_one_fold_is_a_test_set_of_its_own() -> None:
    """Sites left out one by one: each has its fold's value, by bootstrap, and no difference on the same folds."""
    of = {str(u): f"site {i % 4}" for i, u in enumerate(UNITS)}
    scores = binary(4)
    rows = subgroups("y", scores, "auto", {"site": of}, "roc_auc")
    assert [r.group for r in rows] == [f"site {i}" for i in range(4)] and not any(r.versus_rest for r in rows)
    for r, fold in zip(rows, scores.folds, strict=True):
        e = r.estimates[0]
        assert e.value == pytest.approx(score("roc_auc", fold.outcome, fold.predictions["auto"]))
        assert e.method == "bootstrap_patients" and e.low < e.value < e.high and e.n == len(fold.outcome)


def test_survival_and_one_test_set() -> None:
    rows = subgroups("os", survival(4), "auto", {"four": FOUR | {str(UNITS[0]): "unknown"}}, "harrell_c")
    by = {r.group: r for r in rows}
    assert [e.metric for e in by["a"].estimates] == ["harrell_c", "expected_minus_observed"]
    assert by["a"].estimates[1].horizon == 12.0 and "units" in str(by["unknown"].estimates[0].reason)
    once = subgroups(
        "y", binary(1), "auto", {"half": {str(u): "ab"[i % 4 < 2] for i, u in enumerate(UNITS)}}, "roc_auc"
    )
    assert once[0].estimates[0].method == "bootstrap_patients" and 0 < once[0].versus_rest[0].p <= 1


def test_holm_is_p_adjust_and_the_p_value_agrees_with_the_interval() -> None:
    # R: p.adjust(c(.01, .04, .03, .005), "holm")
    assert list(holm([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert list(holm([])) == []
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.normal(0.05, 0.05, 15)
        _, low, high = nadeau_bengio(values, 80, 20)
        assert (nadeau_bengio_p(values, 80, 20) < 0.05) == (not low <= 0 <= high)
    assert nadeau_bengio_p([0.1], 80, 20) is None and nadeau_bengio_p([0.0, 0.0], 80, 20) == 1.0
