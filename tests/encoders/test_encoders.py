"""Encoding: complete numbers from training rows only; sample space equals feature space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Table
from cohortium.cohort.table import feature_frame
from cohortium.encoders import TableEncoder, fit_block
from cohortium.heads.families import family_of
from cohortium.heads.linear import RidgePath
from cohortium.schema import EndpointKind
from tests.heads.test_likelihoods import outcome


def table(values: np.ndarray, kinds: list[str] | None = None, levels=None) -> Table:
    names = [f"f{j}" for j in range(values.shape[1])]
    return Table(pd.Index([f"u{i}" for i in range(len(values))]), values, feature_frame(names, kinds, levels))


def mixed(n: int = 80, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [rng.normal(5, 2, n), rng.lognormal(0, 2, n), rng.integers(0, 3, n), rng.integers(0, 2, n), np.full(n, 7.0)]
    )
    x[rng.random(x.shape) < 0.1] = np.nan
    return table(
        x, ["numeric", "numeric", "nominal", "binary", "numeric"], [None, None, ("a", "b", "c"), ("0", "1"), None]
    )


def test_encoded_values_are_complete_standardised_and_bounded():
    t = mixed()
    e = TableEncoder().fit(t)
    x = e.transform(t)
    assert np.isfinite(x).all() and np.abs(x).max() <= 6
    np.testing.assert_allclose(x.mean(0), 0, atol=0.2)
    assert list(e.names_) == ["f0", "f1", "f3", "f2=a", "f2=b", "f2=c"], "the constant column is left out"


def test_new_rows_do_not_change_what_was_learned_and_unseen_levels_are_tolerated():
    t = mixed()
    e = TableEncoder().fit(t.take(np.arange(60)))
    before = e.transform(t)
    other = t.take(np.arange(80))
    other.values[60:] = 1e9
    after = e.transform(other)
    np.testing.assert_array_equal(before[:60], after[:60])
    assert np.abs(after[60:]).max() <= 6


def test_state_round_trip_transforms_the_same():
    t = mixed()
    e = TableEncoder().fit(t)
    np.testing.assert_array_equal(TableEncoder.restore(e.state()).transform(t), e.transform(t))
    np.testing.assert_array_equal(e.only(np.array([1, 3])).transform(t), e.transform(t)[:, [1, 3]])


def test_unknown_cells_can_be_left_unknown_and_encoded_values_decoded():
    t = mixed()
    e = TableEncoder().fit(t)
    x, whole = e.transform(t, impute=False), e.transform(t)
    unknown = np.isnan(t.values[:, e.source_])
    np.testing.assert_array_equal(np.isnan(x), unknown)
    np.testing.assert_array_equal(x[~unknown], whole[~unknown])
    inside = ~unknown & (np.abs(whole) < 6)
    back = e.decode(whole)
    raw = np.where(e.level_ < 0, t.values[:, e.source_], t.values[:, e.source_] == e.level_)
    np.testing.assert_allclose(back[inside], raw[inside], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back[unknown & (np.abs(whole) < 6)], np.broadcast_to(e.fill_, x.shape)[unknown & (np.abs(whole) < 6)], atol=1e-9)  # fmt: skip


@pytest.mark.parametrize(("n", "p"), [(40, 300), (120, 20)])
def test_ridge_in_sample_space_equals_ridge_on_features(n, p):
    rng = np.random.default_rng(4)
    t = table(rng.normal(size=(n + 10, p)))
    family = family_of(outcome(EndpointKind.BINARY, t.values[:n, 0], rng))
    block = fit_block(t.take(np.arange(n)), rng.normal(size=(n, 1)))
    new = block.encoder.transform(t.take(np.arange(n, n + 10)))
    coef = RidgePath(block.z, family).coef(6)
    direct = RidgePath(block.x / np.sqrt(p), family).coef(6)
    np.testing.assert_allclose(block.rotate_new(new) @ coef, new @ direct / np.sqrt(p), atol=2e-3)
    np.testing.assert_allclose(block.rotate_new(new) @ coef, new @ block.to_features(coef), atol=1e-10)


def test_wide_tables_show_trees_a_bounded_number_of_columns_with_the_screened_ones_in():
    rng = np.random.default_rng(5)
    t = table(rng.normal(size=(60, 2000)))
    gradient = -t.values[:, [17]]
    block = fit_block(t, gradient)
    assert block.trees(block.x).shape[1] == 100
    assert 17 in block.tree_columns and 17 in block.net and len(block.net) == 1000
