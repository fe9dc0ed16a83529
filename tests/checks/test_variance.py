"""What sites and batches explain: against an analysis of variance, planted effects, and nothing where there is none."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.checks.variance import explained, find_variance
from cohortium.cohort import Cohort, Table
from cohortium.cohort.batches import Batches
from cohortium.cohort.table import feature_frame

from .planted import clean, findings


def cohort(x: np.ndarray, batch: list, patient: list | None = None) -> tuple[Cohort, Table]:
    ids = pd.Index([f"u{i}" for i in range(len(x))], dtype=object, name="unit")
    table = Table(ids, x, feature_frame([f"f{j}" for j in range(x.shape[1])]))
    units = pd.DataFrame({"patient": patient or list(ids), "batch": batch}, index=ids)
    return Cohort(units, {"rna": table}), table


def share(message: str) -> float:
    return float(message.split("explains ")[1].split("%")[0]) / 100


def test_share_is_the_adjusted_r2_of_an_analysis_of_variance():
    rng = np.random.default_rng(0)
    code = rng.integers(0, 4, 60)
    x = rng.normal(size=(60, 5)) + rng.normal(size=(4, 5))[code]
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 4] = 2.0
    found = explained(x, code)
    for j in range(4):
        known = ~np.isnan(x[:, j])
        y, d = x[known, j], np.eye(4)[code[known]]
        rest = y - d @ np.linalg.lstsq(d, y, rcond=None)[0]
        r2 = 1 - rest @ rest / ((y - y.mean()) ** 2).sum()
        assert found[j] == pytest.approx(1 - (1 - r2) * (len(y) - 1) / (len(y) - 4))
    assert np.isnan(found[4])


@pytest.mark.parametrize("planted", [0.05, 0.2, 0.5])
def test_a_planted_share_is_found(planted):
    rng = np.random.default_rng(1)
    k = np.arange(600) % 6
    effect = rng.normal(size=(6, 400))
    effect = (effect - effect.mean(axis=0)) / effect.std(axis=0)
    x = rng.normal(size=(600, 400)) * np.sqrt(1 - planted) + effect[k] * np.sqrt(planted)
    (f,) = find_variance(*(c := cohort(x, [f"b{i}" for i in k]))[:1], "rna", c[1])
    assert share(f.message) == pytest.approx(planted, abs=0.02)
    assert f.grade == ("warning" if planted >= 0.1 else "note") and "p = 0.005" in f.message
    assert len(f.columns) == (5 if planted >= 0.1 else 0)


def test_nothing_is_found_where_there_is_nothing():
    rng = np.random.default_rng(2)
    warned, shares, beyond = 0, [], 0
    for _ in range(60):
        # Few units, few and correlated features, many groups: where chance explains most.
        x = rng.normal(size=(60, 1)) + 0.3 * rng.normal(size=(60, 8))
        (f,) = find_variance(*(c := cohort(x, list(map(str, rng.integers(0, 6, 60)))))[:1], "rna", c[1])
        warned += f.grade == "warning"
        beyond += "no more than chance" not in f.message
        shares.append(share(f.message))
    assert warned <= 2 and beyond <= 3 and np.mean(shares) < 0.04


def test_harmonised_batches_are_a_note():
    rng = np.random.default_rng(3)
    k = np.arange(100) % 2
    c, table = cohort(rng.normal(size=(100, 10)) + 3 * k[:, None], list(map(str, k)))
    assert find_variance(c, "rna", table)[0].grade == "warning"
    batches = Batches(k.astype(str).astype(object), pd.DataFrame(index=range(100)))
    (f,) = find_variance(c, "rna", replace(table, batches=batches))
    assert f.grade == "note" and "before it is harmonised" in f.message


def test_units_of_one_patient_count_once_and_small_groups_not():
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(20), 10)
    x = rng.normal(size=(20, 6))[person] + 0.01 * rng.normal(size=(200, 6))
    c, table = cohort(x, [f"b{p % 2}" for p in person], [f"p{p}" for p in person])
    (f,) = find_variance(c, "rna", table)
    assert f.grade == "note" and "no more than chance" in f.message
    few, table = cohort(x[:20], ["a"] * 16 + ["b"] * 4)
    assert find_variance(few, "rna", table) == []
    unknown, table = cohort(x[:20], [None] * 20)
    assert find_variance(unknown, "rna", table) == []
    empty, table = cohort(np.full((20, 2), np.nan), ["a", "b"] * 10)
    assert find_variance(empty, "rna", table) == []


def test_every_modality_is_reported_and_clean_sites_are_no_warning():
    found = findings(clean())
    assert {"site_variance:labs", "site_variance:rna"} <= set(found)
    assert all(f.grade == "note" for n, f in found.items() if "_variance" in n)


def test_cost_grows_with_units_times_features():
    rng = np.random.default_rng(5)
    c, table = cohort(rng.normal(size=(1000, 20000)).astype(np.float32), list(map(str, np.arange(1000) % 10)))
    begin = time.perf_counter()
    find_variance(c, "rna", table)
    assert time.perf_counter() - begin < 20
