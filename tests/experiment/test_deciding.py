"""Decision curves from fold predictions."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.experiment import decisions
from cohortium.metrics import nadeau_bengio, net_benefit
from tests.experiment.test_calibrating import N, binary, survival

ASKED = [0.333, 0.1]


def test_points_and_curves_of_classes_are_means_of_folds_with_paired_differences() -> None:
    scores = binary(5)
    (row,) = decisions("y", scores, ["auto", "reference"], ASKED)
    assert (row.endpoint, row.learner, row.label, row.horizon) == ("y", "auto", "yes", None)
    assert [p.threshold for p in row.points] == [0.1, 0.333] and len(row.model.at) == 99
    at = np.array([0.1, 0.333])
    made = {
        who: np.array([net_benefit(f.outcome.codes == 1, f.predictions[who].p[:, 1], at) for f in scores.folds])
        for who in ("auto", "reference")
    }
    everybody = np.array([net_benefit(f.outcome.codes == 1, np.ones(len(f.outcome)), at) for f in scores.folds])
    for k, point in enumerate(row.points):
        gap = made["auto"][:, k] - made["reference"][:, k]
        mean, low, high = nadeau_bengio(gap, scores.n_train, scores.n_test)
        versus = point.versus_reference
        assert versus is not None and (versus.value, versus.low, versus.high) == (mean, low, high)
        assert versus.method == "nadeau_bengio_paired" and versus.metric == "net_benefit" and versus.n == N
        assert point.treat_all.value == pytest.approx(everybody[:, k].mean())
        assert point.versus_all.value == pytest.approx(made["auto"][:, k].mean() - everybody[:, k].mean())
    ten = row.model.at.index(0.1)
    assert row.model.value[ten] == pytest.approx(row.points[0].model.value, abs=1e-6)
    assert row.versus_reference is not None and row.reference is not None
    assert row.versus_reference.value[ten] == pytest.approx(row.points[0].versus_reference.value, abs=1e-6)
    # what is twice too sure does more harm than good at the ends
    assert row.points[0].versus_reference.value > 0


def test_survival_has_a_row_per_horizon_and_no_reference_is_no_difference() -> None:
    rows = decisions("os", survival(4), ["auto"], [0.3])
    assert [r.horizon for r in rows] == [6.0, 12.0]
    for r in rows:
        assert r.reference is None and r.versus_reference is None and r.points[0].versus_reference is None
        assert r.points[0].versus_all.value > 0 and r.points[0].model.horizon == r.horizon


def test_one_test_set_draws_its_patients() -> None:
    (row,) = decisions("y", binary(1), ["auto", "reference"], [0.2])
    versus = row.points[0].versus_reference
    assert versus.method == "bootstrap_patients_paired" and versus.low <= versus.value <= versus.high
    assert decisions("y", binary(1), ["auto", "reference"], [0.2]) == [row]
