"""What a run says of how it was evaluated."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cohortium.study.assemble import _notes
from cohortium.testing import simulate_cohort


@pytest.mark.parametrize(("late", "coverage", "said"), [(True, 0.9, True), (True, None, False), (False, 0.9, False)])
def test_why_there_are_no_lower_bounds_is_said(late: bool, coverage: float | None, said: bool) -> None:
    outcome = simulate_cohort(
        np.random.default_rng(0), 40, {"a": 2}, "survival", informative={}, delayed_entry=late
    ).outcome
    plan = SimpleNamespace(notes=[], endpoints={"os": SimpleNamespace(outcome=outcome, grid=np.array([1.0]))})
    study = SimpleNamespace(
        evaluation=SimpleNamespace(coverage=coverage), spec=SimpleNamespace(design=SimpleNamespace(weight=None))
    )
    found = _notes(study, SimpleNamespace(plan=plan))  # type: ignore[arg-type]
    assert any(n.startswith("os: no lower bounds of times are made") for n in found) is said
