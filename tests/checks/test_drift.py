"""Drift is found where it is planted, at the level that is promised elsewhere, and from counts alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from cohortium.checks.drift import BINS, Seen, drifted, strangers, what_was_seen
from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame

KINDS = ["numeric"] * 8 + ["nominal"]


def cohort(x, present=None, first=0):
    n = len(x)
    index = pd.Index([f"u{first + i}" for i in range(n)], name="unit", dtype=object)
    units = pd.DataFrame({"patient": index.to_numpy()}, index=index)
    rows = np.arange(n) if present is None else np.flatnonzero(present)
    frame = feature_frame([f"g{j}" for j in range(x.shape[1])], KINDS, [None] * 8 + [("a", "b", "c")])
    return Cohort(units, {"labs": Table(index[rows], x[rows], frame)})


def values(rng, n):
    return np.column_stack([rng.gamma(2, size=(n, 8)), rng.integers(0, 3, n).astype(float)])


def restored(c):
    return {n: Seen.restore(s.state()) for n, s in what_was_seen(c).items()}


def test_what_is_kept_are_counts_and_ranges_of_features_and_of_no_unit():
    rng = np.random.default_rng(0)
    x = values(rng, 200)
    x[:50, 0] = np.nan
    s = restored(cohort(x))["labs"]
    assert s.counts.shape == (9, BINS) and s.counts.sum(axis=1).tolist() == [150] + [200] * 8
    assert s.edges[1] == pytest.approx(np.quantile(x[:, 1], np.linspace(0.1, 0.9, 9)))
    assert s.counts[8, :3].tolist() == np.bincount(x[:, 8].astype(int)).tolist()
    assert what_was_seen(cohort(values(rng, 20))) == {}


def test_p_values_are_those_of_scipy():
    rng = np.random.default_rng(1)
    old, new = values(rng, 300), values(rng, 120)
    new[:, 3] += 1.5
    s = restored(cohort(old))
    _, features = drifted(s, cohort(new, first=900))
    got = {f.feature: f.p for f in features}
    for j in range(8):
        a, b = (
            np.bincount(np.searchsorted(s["labs"].edges[j], v[:, j], side="right"), minlength=BINS) for v in (old, new)
        )
        assert got[f"g{j}"] == pytest.approx(chi2_contingency(np.stack([a, b]), correction=False).pvalue)
    codes = np.stack([np.bincount(v[:, 8].astype(int), minlength=3) for v in (old, new)])
    assert got["g8"] == pytest.approx(chi2_contingency(codes, correction=False).pvalue)
    assert features[0].feature == "g3" and features[0].q < 0.01


def test_the_same_population_drifts_rarely_and_strangers_are_about_one_in_a_hundred():
    rng = np.random.default_rng(2)
    false, strange = [], []
    for _ in range(60):
        old, new = restored(cohort(values(rng, 250))), cohort(values(rng, 150), first=900)
        false.append(any(f.q is not None and f.q < 0.05 for f in drifted(old, new)[1]))
        strange.append(np.mean(strangers(old, new)["labs"] >= 0.99))
    assert np.mean(false) < 0.15
    assert np.mean(strange) < 0.03


def test_a_unit_far_from_everybody_is_outside_and_one_in_the_middle_is_not():
    rng = np.random.default_rng(3)
    old = restored(cohort(values(rng, 300)))
    new = values(rng, 4)
    new[0, :8] = 60.0
    new[1, :8] = 1.5
    new[2] = np.nan
    share = strangers(old, cohort(new, present=[True, True, True, False], first=900))["labs"]
    assert share[0] >= 0.99 and share[1] < 0.5 and share[2] < 0.5 and np.isnan(share[3])


def test_presence_that_changed_and_too_few_new_units():
    rng = np.random.default_rng(4)
    old = restored(cohort(values(rng, 300)))
    modalities, features = drifted(old, cohort(values(rng, 100), present=np.arange(100) < 30, first=900))
    assert modalities[0].share_seen == 1.0 and modalities[0].share_new == 0.3 and modalities[0].p < 1e-10
    assert len(features) == 9
    few, none = drifted(old, cohort(values(rng, 10), first=900))
    assert few[0].p is None and none == []


def test_columns_that_are_not_there_are_unknown_and_further_ones_no_matter():
    rng = np.random.default_rng(5)
    old = restored(cohort(values(rng, 300)))
    new = cohort(values(rng, 50), first=900)
    table = new.modalities["labs"].select_features(["g3", "g1"])
    _, features = drifted(old, Cohort(new.units, {"labs": table}))
    assert {f.feature for f in features if f.p is not None} == {"g1", "g3"}


def test_quantiles_are_those_of_numpy_with_gaps_and_without():
    from cohortium.checks.drift import _quantiles

    rng = np.random.default_rng(6)
    x = rng.normal(size=(41, 30))
    x[rng.random(x.shape) < 0.2] = np.nan
    at = np.array([0.005, 0.1, 0.5, 0.995])
    np.testing.assert_allclose(_quantiles(x, at), np.nanquantile(x, at, axis=0).T, atol=1e-12)
    assert (_quantiles(np.full((5, 2), np.nan), at) == 0).all()
