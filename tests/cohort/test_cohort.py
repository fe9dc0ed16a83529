"""Units, presence and order of a cohort."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from tests.cohort.cohorts import IDS, assert_same, rich


def test_presence_is_the_boolean_view_of_the_reasons() -> None:
    cohort = rich()
    assert len(cohort) == 6
    assert cohort.n_patients == 5
    np.testing.assert_array_equal(cohort.presence().to_numpy(), (cohort.absent == "present").to_numpy())
    assert list(cohort.presence()["clinical"]) == [True, False, True, True, False, False]
    assert list(cohort.absent["rna/seq"]) == ["failed_qc", "present", "present", "withheld", "present", "not_at_site"]
    assert set(cohort.absent["none"]) == {"not_measured"}


def test_a_reason_never_hides_a_table_s_row_nor_invents_one() -> None:
    cohort = rich()
    wrong = pd.DataFrame({"clinical": ["withheld", "present"] * 3}, index=cohort.units.index)
    absent = Cohort(cohort.units, {"clinical": cohort.modalities["clinical"]}, wrong).absent["clinical"]
    assert list(absent) == ["present", "not_measured", "present", "present", "withheld", "not_measured"]


@settings(deadline=None, max_examples=40)
@given(st.permutations(list(range(6))), st.integers(0, 6))
def test_take_keeps_each_unit_s_values_and_reasons(order: list[int], n: int) -> None:
    cohort, rows = rich(), np.array(order[:n], dtype=np.intp)
    part = cohort.take(rows)
    assert list(part.ids) == [IDS[r] for r in rows]
    pd.testing.assert_frame_equal(part.absent, cohort.absent.iloc[rows])
    for name, table in cohort.modalities.items():
        whole = pd.DataFrame(table.values, index=table.units)
        taken = part.modalities[name]
        np.testing.assert_array_equal(taken.values, whole.loc[list(taken.units)].to_numpy())
        assert list(taken.units) == [u for u in part.ids if u in table.units]
    assert_same(part, cohort.select(part.ids))


def test_groups_are_patients() -> None:
    groups = rich().groups()
    assert groups[2] == groups[3]
    assert len(set(groups)) == 5


def test_what_is_inconsistent_is_refused() -> None:
    cohort = rich()
    table = cohort.modalities["clinical"]
    with pytest.raises(ValueError, match=r"not unique"):
        Cohort(pd.concat([cohort.units, cohort.units]), {})
    with pytest.raises(ValueError, match=r"no column 'patient'"):
        Cohort(cohort.units.drop(columns="patient"), {})
    with pytest.raises(ValueError, match=r"does not have"):
        Cohort(cohort.units.iloc[3:], {"clinical": table})
    with pytest.raises(ValueError, match=r"not in the order"):
        Cohort(cohort.units, {"clinical": table.take(np.array([1, 0]))})
    with pytest.raises(ValueError, match=r"values are \(2, 1\)"):
        Table(pd.Index(["a"]), np.zeros((2, 1)), feature_frame(["x"]))
    with pytest.raises(KeyError, match=r"1 of the unit ids are not in the cohort"):
        cohort.select(["010", "nobody"])
    with pytest.raises(TypeError):
        cohort.modalities["new"] = table  # type: ignore[index]


def test_features_by_name() -> None:
    table = rich().modalities["clinical"].select_features(["sex", "age"])
    assert list(table.features.index) == ["sex", "age"]
    np.testing.assert_array_equal(table.values[:, 1], [50.1, np.nan, 1 / 3])
    with pytest.raises(KeyError, match=r"no such feature: \['weight'\]"):
        table.select_features(["weight"])
