"""What the names and values of a wide table plainly say: whose ids they are, whether they are counts or beta values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohortium.errors import DataError
from cohortium.sources.feature_ids import space_of, stripped, versioned
from cohortium.sources.raw import Raw
from cohortium.sources.transforms import SUMMARY

MANY, DEEP, DISTINCT = 200, 10_000, 20
"""Counts of sequencing: so many features at least, so large a sum of the median row, so many different numbers."""


def declared(raw: Raw, features: list[str], unit_columns: list[str] | None) -> list[str]:
    """Lines of a proposed modality: ``id_space``, ``strip_version``, ``transform``; none where nothing is plain.

    unit_columns: of a file of features × units the columns that are units, else None.
    """
    lines = []
    space = space_of(features)
    if space:
        lines.append(f"      id_space: {space}   # by their names")
    if space == "ensembl" and versioned(features) and _unique(features):
        lines.append("      strip_version: true   # so that files of other releases fit")
    values = _numbers(raw, features, unit_columns)
    if values is not None:
        if _counts(values):
            lines.append("      transform: cpm_log   # whole numbers of at least 0: counts")
        elif space == "cpg" and not np.isnan(values).all() and np.nanmin(values) >= 0 and np.nanmax(values) <= 1:
            lines.append("      transform: m_value   # between 0 and 1: beta values")
    return lines


def _unique(features: list[str]) -> bool:
    try:
        stripped(features, set(), "")
    except DataError:
        return False
    return True


def _numbers(raw: Raw, features: list[str], unit_columns: list[str] | None) -> np.ndarray | None:
    """(units, features) values; None where a cell is a text, or nothing is left."""
    if unit_columns is None:
        frame = raw.frame[features]
    else:
        frame = raw.frame.loc[[not SUMMARY.match(str(label)) for label in raw.labels], unit_columns]
    if not all(pd.api.types.is_numeric_dtype(d) and not pd.api.types.is_bool_dtype(d) for d in set(frame.dtypes)):
        return None
    x = frame.to_numpy(dtype=np.float64)
    return None if not x.size else x if unit_columns is None else x.T


def _counts(x: np.ndarray) -> bool:
    """Whether a table plainly holds counts of sequencing: whole, many, and their rows sum up to many reads."""
    if x.shape[1] < MANY or np.isnan(x).any() or (x < 0).any() or np.isinf(x).any() or (x != np.rint(x)).any():
        return False
    return float(np.median(x.sum(axis=1))) >= DEEP and len(np.unique(x[: min(len(x), 20)])) >= DISTINCT
