"""Transforms that look at one row of a table and at no other: what test patients hold changes nobody else's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError

PRIOR = 0.5
"""Added to each count, and twice that to the library size, before counts per million (limma's voom)."""

OFFSET = 0.001
"""Added to beta and to 1 - beta: the M-values of 0 and 1 are -9.97 and 9.97 instead of infinite."""

FORMULA = {
    "log1p": "ln(x + 1)",
    "log2p1": "log2(x + 1)",
    "cpm_log": f"log2((count + {PRIOR:g}) / (library size + {2 * PRIOR:g}) × 10⁶)",
    "m_value": f"log2((beta + {OFFSET:g}) / (1 − beta + {OFFSET:g}))",
}
"""Transform -> what is done to a value."""

BY_ROW = ("cpm_log", "m_value")
"""Done before rows of one unit are merged: the values of every row are what the transform says they are."""

SUMMARY = re.compile(r"^(__(no_feature|ambiguous|too_low_aQual|not_aligned|alignment_not_unique)"
                     r"|N_(unmapped|multimapping|noFeature|ambiguous))$")  # fmt: skip
"""Names under which HTSeq and STAR report reads that belong to no feature."""

LACKING = 0.1
"""Share of the features of a fitted study that a new file of counts may lack."""

_ROWS = 256

Floats = NDArray[np.floating]
Place = Callable[[int, str], str]
"""(row, feature) -> where that cell stands in the file."""


def cpm_log(counts: Floats, library: NDArray[np.float64]) -> Floats:
    """(n, p) log2 counts per million of rows of counts, as limma's voom has them (Law 2014, Genome Biol 15:R29).

    library: (n,) sum of each row over everything counted. ``edgeR::cpm`` scales what it adds by the mean library of all
    samples, which a row to be predicted must not depend on; here half a count is added to all. NaN stays NaN; a row
    whose library is empty is unknown.
    """
    out = np.empty_like(counts)
    for rows in _blocks(len(counts)):
        total = library[rows, None]
        size = np.where(total > 0, total + 2 * PRIOR, np.nan)
        out[rows] = np.log2((counts[rows] + PRIOR) / size * 1e6)
    return out


def m_value(beta: Floats) -> Floats:
    """(n, p) M-values of methylated shares between 0 and 1 (Du 2010, BMC Bioinformatics 11:587). NaN stays NaN."""
    out = np.empty_like(beta)
    for rows in _blocks(len(beta)):
        b = beta[rows].astype(np.float64)
        out[rows] = np.log2((b + OFFSET) / (1 - b + OFFSET))
    return out


def library_sizes(counts: Floats) -> NDArray[np.float64]:
    """(n,) sum of each row; cells that are not known count nothing."""
    total: NDArray[np.float64] = np.nansum(counts, axis=1, dtype=np.float64)
    return total


def check_counts(x: Floats, names: pd.Index, place: Place, modality: str) -> None:
    """Raise :class:`DataError` for numbers that are no counts: negative or fractional."""
    negative = _first(x, lambda b: b < 0)
    if negative is not None:
        at, n = negative
        raise DataError(
            f"{place(at[0], str(names[at[1]]))}: a negative number; transform: cpm_log of modality '{modality}' needs counts "
            f"({n:,} such cell(s)). Are they logarithms already? Then leave out the transform."
        )
    fractional = _first(x, lambda b: b != np.rint(b))
    if fractional is not None:
        at, n = fractional
        raise DataError(
            f"{place(at[0], str(names[at[1]]))}: a fractional number; transform: cpm_log of modality '{modality}' needs counts "
            f"({n:,} such cell(s)). Round expected counts (RSEM, salmon); of values that are normalised already say "
            "log2p1 or none. A column that counts nothing belongs under exclude."
        )


def check_betas(x: Floats, names: pd.Index, place: Place, modality: str) -> None:
    """Raise :class:`DataError` for numbers outside 0 to 1."""
    outside = _first(x, lambda b: (b < 0) | (b > 1))
    if outside is not None:
        at, n = outside
        raise DataError(
            f"{place(at[0], str(names[at[1]]))}: a number outside 0 to 1; transform: m_value of modality '{modality}' needs "
            f"beta values ({n:,} such cell(s)). Are they M-values already, or per cent? A column that is no beta value "
            "belongs under exclude."
        )


def _blocks(n: int) -> Iterator[slice]:
    """Rows by the hundred: temporary arrays stay small beside the table."""
    for begin in range(0, n, _ROWS):
        yield slice(begin, min(begin + _ROWS, n))


def _first(x: Floats, bad: Callable[[Floats], NDArray[np.bool_]]) -> tuple[tuple[int, int], int] | None:
    """(row, column) of the first bad cell and how many there are; a cell that is not known is never bad."""
    at, n = None, 0
    for rows in _blocks(len(x)):
        found = bad(x[rows]) & ~np.isnan(x[rows])
        if found.any():
            n += int(found.sum())
            if at is None:
                i, j = np.argwhere(found)[0]
                at = (rows.start + int(i), int(j))
    return None if at is None else (at, n)
