"""Coverage by group, from folds whose bounds are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts import ClassOutcome, Intervals, Probabilities, Sets, ValueOutcome, Values
from cohortium.experiment.covering import coverage
from cohortium.experiment.folds import FoldResult, read_fold, write_fold
from cohortium.experiment.plan import EndpointPlan
from cohortium.experiment.scoring import FoldToScore, Scores
from cohortium.schema import Endpoint, EndpointKind

CLASSES = ("no", "yes")


def scores(folds, outcome):
    plan = EndpointPlan(outcome, np.arange(len(outcome)), [])
    return Scores(plan, (("roc_auc", None),), tuple(folds), {}, {}, len(outcome), None, 1)


def ids(n):
    return np.array([f"u{i}" for i in range(n)], dtype=object)


@pytest.fixture
def binary():
    """Two folds of 50: sets hold the class of all but the first ten of each fold, and name one class for the first half."""
    n = 100
    y = np.tile([0, 1], 50)
    outcome = ClassOutcome(Endpoint("y", EndpointKind.BINARY, CLASSES), ids(n), y)
    folds = []
    for rows in (np.arange(50), np.arange(50, 100)):
        part = outcome.take(rows)
        inside = np.ones((50, 2), bool)
        inside[np.arange(25), 1 - part.codes[:25]] = False
        inside[:10] = ~inside[:10]
        p = Probabilities(part.units, CLASSES, np.full((50, 2), 0.5))
        bounds = Sets(part.units, CLASSES, inside, np.full(50, "everyone", object))
        folds.append(FoldToScore(part, rows, None, 50, {"auto": p}, {"auto": 0.5}, bounds))
    return scores(folds, outcome)


def test_shares_by_everybody_class_and_group(binary):
    of = {f"u{i}": "first" if i % 50 < 10 else "others" for i in range(100)}
    rows = coverage("y", binary, "auto", 0.9, {"part": of, "alone": dict.fromkeys(of, "same")})
    found = {(r.variable, r.group): r for r in rows}
    assert set(found) == {
        ("everyone", "everyone"),
        ("class", "no"),
        ("class", "yes"),
        ("part", "first"),
        ("part", "others"),
    }
    value = {k: [e.value for e in r.estimates] for k, r in found.items()}
    assert value["everyone", "everyone"] == pytest.approx([0.8, 0.5, 15 / 25])
    assert value["part", "first"] == pytest.approx([0.0, 1.0, 0.0])
    assert value["part", "others"] == pytest.approx([1.0, 15 / 40, 1.0])
    assert found["everyone", "everyone"].n_units == 100 and found["class", "no"].n_units == 50
    assert all(0 <= x <= 1 for r in rows for e in r.estimates for x in (e.low, e.high) if x is not None)


def test_a_small_group_and_a_group_without_certain_sets_give_reasons(binary):
    of = {f"u{i}": "few" if i < 5 else "late" if i % 50 >= 25 else "rest" for i in range(100)}
    found = {r.group: r for r in coverage("y", binary, "auto", 0.9, {"part": of})}
    assert found["few"].estimates[0].value is None and "too small" in found["few"].estimates[0].reason
    assert found["late"].estimates[2].value is None and found["late"].estimates[2].reason == "no set names one class"


def test_without_bounds_there_are_no_rows(binary):
    bare = replace(binary, folds=tuple(replace(f, bounds=None) for f in binary.folds))
    assert coverage("y", bare, "auto", 0.9, {}) == [] and coverage("y", binary, "auto", None, {}) == []


def test_intervals_without_ends_have_no_width():
    outcome = ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), ids(40), np.arange(40.0))
    far = np.full(40, np.inf)
    bounds = Intervals(ids(40), -far, far, np.full(40, "everyone", object))
    fold = FoldToScore(outcome, np.arange(40), None, 40, {"auto": Values(ids(40), np.zeros(40))}, {}, bounds)
    row = coverage("y", scores([fold, fold], outcome), "auto", 0.9, {})[0]
    assert row.estimates[0].value == 1.0 and row.estimates[1].value is None


def test_bounds_go_to_a_fold_file_and_back(binary, tmp_path):
    fold = binary.folds[0]
    result = FoldResult(
        "h", np.arange(50), 50, dict(fold.predictions), {"auto": {"threshold": 0.5}}, bounds=fold.bounds
    )
    write_fold(tmp_path / "f.npz", result, None)
    again = read_fold(tmp_path / "f.npz", "h", ids(100), CLASSES, None)
    np.testing.assert_array_equal(again.bounds.inside, fold.bounds.inside)
    assert again.bounds.groups.tolist() == fold.bounds.groups.tolist()
