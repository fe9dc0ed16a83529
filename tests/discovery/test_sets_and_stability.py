"""Gene sets against hand calculation and under nothing; stability selection's bound; signs in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cohortium.contracts import ClassOutcome
from cohortium.discovery import fit_null, univariate
from cohortium.discovery.agreement import same_sign
from cohortium.discovery.enrichment import enrich
from cohortium.discovery.stability import stability
from cohortium.errors import DataError
from cohortium.schema import Endpoint, EndpointKind
from cohortium.sources.gene_sets import read_gene_sets
from tests.discovery.test_knockoffs import features_of, planted, values_of

NAMES = [f"G{j}" for j in range(200)]


def correlated(rng: np.random.Generator, n: int = 80) -> np.ndarray:
    """200 features; the first 20 share a factor (correlation 0.5)."""
    x = rng.standard_normal((n, 200))
    x[:, :20] = np.sqrt(0.5) * rng.standard_normal((n, 1)) + np.sqrt(0.5) * x[:, :20]
    return x


def scored(x: np.ndarray, y: np.ndarray, sets: dict[str, frozenset[str]]):
    alone = univariate(values_of(y), features_of(x, (200,)))
    return enrich(NAMES, alone.p, np.sign(alone.effect), alone.q <= 0.1, x, sets)


def test_over_representation_by_hand() -> None:
    from scipy.stats import fisher_exact

    p = np.full(200, 0.5)
    p[3] = np.nan
    listed = np.zeros(200, dtype=bool)
    listed[:10] = True
    sets = {"a": frozenset(NAMES[:8]), "small": frozenset(NAMES[:4]), "b": frozenset(NAMES[5:30]) | {"unknown"}}
    found = enrich(NAMES, p, np.ones(200), listed, np.random.default_rng(0).standard_normal((30, 200)), sets).set_index(
        "name"
    )
    assert list(found.index) == ["a", "b"] and list(found["size"]) == [7, 25] and list(found["listed"]) == [7, 5]
    table = [[7, 0], [2, 190]]  # G3 was not tested: no part of the background
    assert found.loc["a", "over_p"] == pytest.approx(fisher_exact(table, "greater")[1])


def test_sets_of_correlated_genes_are_not_enriched_in_noise_and_true_ones_are() -> None:
    sets = {"together": frozenset(NAMES[:20]), "apart": frozenset(NAMES[50:70])}
    hits = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = correlated(rng)
        hits += (scored(x, rng.standard_normal(80), sets)["p"] < 0.05).to_numpy()
    assert (hits / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)).all()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 200))
    found = scored(x, x[:, :20].sum(axis=1) + 3 * rng.standard_normal(200), sets).set_index("name")
    assert (
        found.loc["together", "p"] < 1e-6 and found.loc["together", "direction"] == 1 and found.loc["apart", "p"] > 0.01
    )


def test_gmt_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "sets.gmt"
    good = "A\tnone\tTP53\tKRAS\nB\t\tEGFR\t\n"
    file.write_text(good)
    assert read_gene_sets(file, "symbol").sets == {"A": frozenset({"TP53", "KRAS"}), "B": frozenset({"EGFR"})}
    for text, said in (
        ("", "holds no gene set"),
        ("A TP53 KRAS\n", "line 1: 1 cell"),
        (good + "A\tx\tTP53\n", "line 3"),
        ("A\tx\t" + "\t".join(str(7000 + i) for i in range(30)), "not of id space 'ensembl'"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=said):
            read_gene_sets(file, "ensembl" if "ensembl" in said else "symbol")
    file.write_bytes(b"A\tx\t\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_gene_sets(file, "symbol")
    with pytest.raises(DataError, match="Did you mean 'symbol'"):
        read_gene_sets(file, "symbols")
    with pytest.raises(DataError, match="cannot be read"):
        read_gene_sets(tmp_path / "none.gmt", "symbol")


def test_stability_finds_strong_features_and_keeps_its_bound_in_noise() -> None:
    features, _, causal = planted(5, gaps=0.1)
    x, groups = np.nan_to_num(features.x), np.arange(120)
    outcome = values_of(x[:, causal[:5]].sum(axis=1) + np.random.default_rng(1).standard_normal(400))
    found = stability(x, fit_null(outcome), groups, np.random.default_rng(0))
    stable = np.flatnonzero(found.share >= found.threshold)
    assert set(causal[:5]) <= set(stable) and len(stable) <= 6 and found.bound <= 1.0 and found.each == 7
    false = [
        (
            stability(
                x, fit_null(values_of(np.random.default_rng(s).standard_normal(400))), groups, np.random.default_rng(s)
            ).share
            >= 0.75
        ).sum()
        for s in range(5)
    ]
    assert np.mean(false) <= 1.0


def test_signs_in_parts() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2))
    part = np.repeat([0, 1, 2, -1], 50)
    sign = np.where(part == 1, -1.0, 1.0)
    codes = (x[:, 0] + sign * x[:, 1] + 0.3 * rng.standard_normal(200) > 0).astype(np.int64)
    outcome = ClassOutcome(
        Endpoint("y", EndpointKind.BINARY, ("no", "yes")), np.array([str(i) for i in range(200)], dtype=object), codes
    )
    assert same_sign(outcome, features_of(x, (2,)), None, part, np.arange(2)) == [(3, 3), (2, 3)]
    assert same_sign(outcome, features_of(x, (2,)), None, np.full(200, -1), np.arange(2)) == [None, None]
