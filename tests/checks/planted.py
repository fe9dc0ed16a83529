"""Clean cohorts to plant problems in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cohortium.checks import run_checks
from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import Outcome
from cohortium.contracts.results import Finding
from cohortium.resampling import nested
from cohortium.testing import Simulated, simulate_cohort

SIZES = {"labs": 8, "rna": 40}


def clean(kind: str = "binary", n: int = 300, seed: int = 0, **asked) -> Simulated:
    asked = {"missing": {"rna": 0.2}, "missing_cells": 0.05, "nominal": {"labs": 2}, "sites": 3, **asked}
    return simulate_cohort(np.random.default_rng(seed), n, SIZES, kind, **asked)


def with_column(s: Simulated, name: str, values: np.ndarray, levels: tuple[str, ...] | None = None) -> Simulated:
    """``labs`` with one column more; its units are all of the cohort."""
    table = s.cohort.modalities["labs"]
    kind = "numeric" if levels is None else ("binary" if len(levels) == 2 else "nominal")
    features = feature_frame(
        [*table.features.index, name], [*table.features["kind"], kind], [*table.features["levels"], levels]
    )
    more = Table(table.units, np.column_stack([table.values, np.asarray(values, dtype=float)]), features)
    return replace(s, cohort=Cohort(s.cohort.units, {**s.cohort.modalities, "labs": more}, s.cohort.absent))


def changed(s: Simulated, modality: str, change: Callable[[np.ndarray], None]) -> Simulated:
    """A copy with the values of one modality changed in place by ``change``."""
    table = s.cohort.modalities[modality]
    values = table.values.copy()
    change(values)
    tables = {**s.cohort.modalities, modality: Table(table.units, values, table.features)}
    return replace(s, cohort=Cohort(s.cohort.units, tables, s.cohort.absent))


def findings(s: Simulated, folds: int = 3, outcome: Outcome | None = None, **more) -> dict[str, Finding]:
    y = outcome if outcome is not None else s.outcome
    splits = {"y": nested(y, s.cohort.groups(), 1, folds, 0)} if folds else {}
    found = run_checks(s.cohort, {"y": y}, splits, **more)
    assert len({f.name for f in found}) == len(found)
    return {f.name: f for f in found}


def serious(found: dict[str, Finding]) -> list[str]:
    return [n for n, f in found.items() if f.grade == "serious"]
