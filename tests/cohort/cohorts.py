"""Cohorts with everything that may get lost on the way."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame

IDS = ["010", "2", "003", "b c", "ü", "empty"]


def rich() -> Cohort:
    """Six units of five patients, three modalities; one unit has none, one modality nobody."""
    rng = np.random.default_rng(0)
    units = pd.DataFrame(
        {
            "patient": ["p1", "p2", "p3", "p3", "p4", "p5"],
            "site": ["north", None, "south", "1", "1", "north"],
            "weight": [1.0, 0.1 + 0.2, 3, 4, 5, 6],
            "index_time": pd.to_datetime(["2020-01-01", "2020-01-02T03:04:05", *["2021-05-01"] * 4], format="ISO8601"),
        },
        index=pd.Index(IDS, dtype=object, name="unit"),
    )
    coded = feature_frame(
        ["age", "stage", "sex"], ["numeric", "ordinal", "binary"], [None, ("I", "II", "III"), ("f", "m")], "symbol"
    )
    coded["unit"] = ["years", "", ""]
    coded.iloc[0, 2] = "loinc"
    clinical = Table(units.index[[0, 2, 3]], np.array([[50.1, 2, 0], [np.nan, 0, 1], [1 / 3, 1, np.nan]]), coded)
    rna = Table(
        units.index[[1, 2, 4]], rng.normal(size=(3, 4)).astype(np.float32), feature_frame(["age", "g1", "g 2", "g/3"])
    )
    nobody = Table(units.index[:0], np.zeros((0, 2)), feature_frame(["a", "b"]))
    absent = pd.DataFrame(
        {
            "rna/seq": ["failed_qc", "present", "present", "withheld", "present", "not_at_site"],
            "clinical": "not_measured",
        },
        index=units.index,
    )
    return Cohort(units, {"rna/seq": rna, "clinical": clinical, "none": nobody}, absent)


def assert_same(a: Cohort, b: Cohort) -> None:
    """The same to the last bit, types included."""
    pd.testing.assert_frame_equal(a.units, b.units)
    pd.testing.assert_frame_equal(a.absent, b.absent)
    assert list(a.modalities) == list(b.modalities)
    for name in a.modalities:
        left, right = a.modalities[name], b.modalities[name]
        assert list(left.units) == list(right.units)
        assert left.values.dtype == right.values.dtype
        np.testing.assert_array_equal(left.values, right.values)
        pd.testing.assert_frame_equal(left.features, right.features)
