"""Tests between clusters against R, and markers that use no datum twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import ClassOutcome, CompetingOutcome, SurvivalOutcome, ValueOutcome
from cohortium.joint import fit_joint_factors
from cohortium.metrics import benjamini_hochberg, holm, restricted_mean
from cohortium.schema import Endpoint, EndpointKind
from cohortium.subtypes import find_subtypes
from cohortium.subtypes.differences import chi_square, compare_outcome
from cohortium.subtypes.markers import effect_sizes, find_markers, kruskal_wallis
from tests.subtypes.cohorts import cohort_of, noise, planted

ORACLE = Path(__file__).parent / "oracle"
NAMES = ("S1", "S2", "S3")


@pytest.fixture(scope="module")
def truth() -> dict[str, float]:
    return pd.read_csv(ORACLE / "values.csv", index_col=0)["value"].to_dict()


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pd.read_csv(ORACLE / "data.csv")


def compared(data: pd.DataFrame, kind: EndpointKind, **more: object):
    units = np.array([f"{i}" for i in range(len(data))], dtype=object)
    endpoint = Endpoint("y", kind, tuple(more.get("classes", ())), "months")  # type: ignore[arg-type]
    outcome = {
        EndpointKind.SURVIVAL: lambda: SurvivalOutcome(
            endpoint, units, data["time"].to_numpy(float), data["event"].to_numpy(bool), np.zeros(len(data))
        ),
        EndpointKind.MULTICLASS: lambda: ClassOutcome(endpoint, units, data["class"].map(list("xyz").index).to_numpy()),
        EndpointKind.CONTINUOUS: lambda: ValueOutcome(endpoint, units, data["value"].to_numpy(float)),
    }[kind]()
    label = dict(zip(units, data["group"].map(list("abc").index), strict=True))
    return compare_outcome("y", outcome, label, NAMES, np.random.default_rng(0))


def test_differences_are_those_of_r(truth: dict[str, float], data: pd.DataFrame) -> None:
    survival = compared(data, EndpointKind.SURVIVAL)
    assert survival.p == pytest.approx(truth["logrank_p"], rel=1e-8)
    for g in "abc":
        own = data[data["group"] == g]
        mean, low, high = restricted_mean(own["time"].to_numpy(float), own["event"].to_numpy(bool), 12.0)
        assert mean == pytest.approx(truth[f"rmean_{g}"], rel=1e-9)
        assert high - mean == pytest.approx(1.959964 * truth[f"rmean_se_{g}"], rel=1e-5) and low < mean
    assert compared(data, EndpointKind.CONTINUOUS).p == pytest.approx(truth["kruskal_p"], rel=1e-8)
    classes = compared(data, EndpointKind.MULTICLASS, classes="xyz")
    assert classes.test == "chi-square by permutation" and classes.p == pytest.approx(truth["chisq_p"], abs=0.02)
    many = [data["group"].map(list("abc").index).to_numpy(), data["class"].map(list("xyz").index).to_numpy()]
    test, p = chi_square(*(np.tile(x, 3) for x in many), np.random.default_rng(0))
    assert test == "chi-square" and p == pytest.approx(truth["chisq_3_p"], rel=1e-8)
    p = [0.01, 0.04, 0.03, 0.5, 0.2]
    assert list(holm(p)) == pytest.approx([truth[f"holm_{i}"] for i in range(1, 6)])
    assert list(benjamini_hochberg(np.array(p))) == pytest.approx([truth[f"bh_{i}"] for i in range(1, 6)])


def test_columns_are_tested_as_one_by_one_and_gaps_do_not_count(data: pd.DataFrame) -> None:
    from scipy.stats import kruskal

    rng = np.random.default_rng(0)
    z = np.column_stack([data["value"], rng.normal(size=len(data)), np.ones(len(data))])
    z[rng.random(z.shape) < 0.2] = np.nan
    z[:, 2] = 1.0
    code = data["group"].map(list("abc").index).to_numpy()
    found = kruskal_wallis(z, code)
    for j in range(2):
        known = ~np.isnan(z[:, j])
        expected = kruskal(*[z[known & (code == g), j] for g in range(3)]).pvalue
        assert found[j] == pytest.approx(expected, rel=1e-8)
    assert np.isnan(found[2]), "what does not vary is not tested"
    effects = effect_sizes(z, code, 3)
    a, b = (
        data["value"].to_numpy()[~np.isnan(z[:, 0]) & (code == 2)],
        data["value"].to_numpy()[~np.isnan(z[:, 0]) & (code != 2)],
    )
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2))
    assert effects[2, 0] == pytest.approx((a.mean() - b.mean()) / pooled)


def test_few_counts_are_permuted() -> None:
    rng = np.random.default_rng(0)
    p = [
        chi_square(rng.permutation(np.repeat([0, 1, 2], [20, 6, 4])), (np.arange(30) < 5).astype(int), rng)
        for _ in range(15)
    ]
    assert {name for name, _ in p} == {"chi-square by permutation"}
    assert 0.3 < np.mean([x for _, x in p]) < 0.8
    assert chi_square(np.repeat([0, 1], [25, 5]), (np.arange(30) >= 25).astype(int), rng)[1] < 0.001


@pytest.mark.thorough
def test_without_clusters_corrected_p_values_are_uniform_and_naive_ones_are_not() -> None:
    corrected, naive = [], []
    for i in range(30):
        rng = np.random.default_rng([8, i])
        # Each modality has a gradient of its own, which has nothing to do with the other's.
        blocks = {m: x + rng.normal(size=(60, 1)) * rng.normal(size=25) for m, x in noise(rng, n=60).items()}
        cohort = cohort_of(blocks)
        found = find_subtypes(cohort, fit_joint_factors(cohort), rng, clusters=3, draws=2)
        assert found.subtypes is not None
        labels = found.subtypes.probabilities(cohort).argmax(axis=1)
        _, markers = find_markers(cohort, labels, found.subtypes.names, rng)
        corrected += [m.p for m in markers]
        naive += [*np.concatenate([kruskal_wallis(t.values, labels) for t in cohort.modalities.values()])]
    share = np.mean(np.array(corrected) < 0.05)
    assert 0.02 < share < 0.09 and 0.4 < np.mean(corrected) < 0.6, share
    assert np.mean(np.array(naive) < 0.05) > 0.3


def test_markers_are_the_planted_features_and_one_modality_is_not_tested() -> None:
    rng = np.random.default_rng(9)
    blocks, label = planted(rng)
    sources, markers = find_markers(cohort_of(blocks), label, NAMES, rng)
    found = {m.feature for m in markers if m.q is not None and m.q < 0.05}
    true = {f"{m}_{j}" for m in blocks for j in range(10, 20)}
    assert len(found & true) >= 25 and len(found - true) <= 5
    assert all(s.agreement is not None and s.agreement > 0.7 for s in sources), [s.agreement for s in sources]
    best = markers[0]
    values, j = blocks[best.modality], int(best.feature.split("_")[1])
    top = max(best.effects, key=lambda s: best.effects[s] or 0.0)
    means = [values[label == g, j].mean() for g in range(3)]
    assert int(np.argmax(means)) == NAMES.index(top), "clusters of the others go by the subtypes' names"
    sources, markers = find_markers(cohort_of({"rna": blocks["rna"]}), label, NAMES, rng)
    assert sources[0].found is None and "no other modality" in str(sources[0].reason)
    assert all(m.p is None and m.q is None for m in markers) and max(abs(m.naive["S1"] or 0) for m in markers) > 1


def test_competing_risks_are_compared_by_incidence_and_hazard():
    from cohortium.metrics import incidence_at, logrank

    rng = np.random.default_rng(4)
    n = 300
    code = np.arange(n) % 2
    ends = np.stack([rng.exponential(np.where(code, 0.5, 2.0)), rng.exponential(1.5, n), rng.exponential(2.0, n)])
    cause = np.array([1, 2, 0])[ends.argmin(axis=0)]
    units = np.array([f"{i}" for i in range(n)], dtype=object)
    endpoint = Endpoint("y", EndpointKind.COMPETING_RISKS, ("relapse", "death"), "years")
    y = CompetingOutcome(endpoint, units, ends.min(axis=0), cause)
    found = compare_outcome("y", y, dict(zip(units, code.tolist(), strict=True)), ("S1", "S2"), rng)
    tau = min(y.time[code == g].max() for g in (0, 1))
    assert found.quantity.startswith("incidence of relapse by") and found.test == "log-rank of its hazard"
    assert found.p == logrank(y.time, cause == 1, code) and found.p < 1e-6
    for g, group in enumerate(found.groups):
        expected = incidence_at(y.time[code == g], cause[code == g], tau)
        assert (group.value, group.low, group.high) == expected and group.n_events == (cause[code == g] == 1).sum()
