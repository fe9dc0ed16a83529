"""What a model has seen, kept as counts, and whether new units are like it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Table
from cohortium.contracts.drift import FeatureDrift, ModalityDrift
from cohortium.schema import ColumnKind

Floats = NDArray[np.float64]

BINS = 10
FEWEST_SEEN, FEWEST_NEW = 30, 20
RANGE = 0.005
"""Share of the study's units on either side of a feature's usual range."""
PARTS = 5
PLACES = np.linspace(0, 1, 101)
CELLS = 10_000_000
"""Looked at together, for the memory's sake."""

STRANGER = 0.99
"""A unit with more features out of range than this share of the study's is outside."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One modality of the study's n units, of whom ``units`` have it. names, coded: (p,). edges: (p, 9) deciles of numeric
    features. counts: (p, 10) units per tenth, or per code of coded ones (the tenth and later together). low, high: (p,) usual
    range. strange: (101,) quantiles of the share of its known features that a unit has out of range, each unit against ranges of the others."""

    n: int
    units: int
    names: tuple[str, ...]
    coded: NDArray[np.bool_]
    edges: Floats
    counts: Floats
    low: Floats
    high: Floats
    strange: Floats

    def state(self) -> dict[str, Any]:
        return {k: list(v) if k == "names" else v for k, v in vars(self).items()}

    @staticmethod
    def restore(s: Mapping[str, Any]) -> Seen:
        arrays = {k: np.asarray(s[k], dtype=np.float64) for k in ("edges", "counts", "low", "high", "strange")}
        return Seen(int(s["n"]), int(s["units"]), tuple(s["names"]), np.asarray(s["coded"], dtype=bool), **arrays)


def what_was_seen(cohort: Cohort) -> dict[str, Seen]:
    """modality -> what is kept of it; modalities of fewer than 30 units are left out: their deciles would be single units."""
    out = {}
    for name, modality in cohort.modalities.items():
        if len(modality.units) < FEWEST_SEEN:
            continue
        table = modality.as_table()
        x = np.asarray(table.values, dtype=np.float64)
        coded = (table.features["kind"] != ColumnKind.NUMERIC.value).to_numpy()
        edges = _quantiles(x, np.linspace(0, 1, BINS + 1)[1:-1])
        low, high = _quantiles(x, np.array([RANGE, 1 - RANGE])).T
        low[coded], high[coded] = _known_codes(x[:, coded])
        strange = np.quantile(_strange_to_others(x, coded), PLACES)
        counts = _counts(x, edges, coded)
        out[name] = Seen(
            len(cohort), len(x), tuple(map(str, table.features.index)), coded, edges, counts, low, high, strange
        )
    return out


def _quantiles(x: Floats, at: Floats) -> Floats:
    """(p, len(at)) quantiles of the known cells, between order statistics by straight lines; 0 where none is known.

    Sorted once for all of them: :func:`numpy.nanquantile` goes column by column.
    """
    out = np.zeros((x.shape[1], len(at)))
    for part in _parts(x):
        ordered = np.sort(x[:, part], axis=0)  # unknown cells come last
        last = np.maximum((~np.isnan(ordered)).sum(axis=0) - 1, 0)
        place = at[:, None] * last
        below = np.floor(place).astype(np.intp)
        low, high = (np.take_along_axis(ordered, k, axis=0) for k in (below, np.minimum(below + 1, last)))
        out[part] = np.nan_to_num(low + (high - low) * (place - below)).T
    return out


def _known_codes(x: Floats) -> tuple[Floats, Floats]:
    filled = np.where(np.isnan(x), 0.0, x)
    return np.zeros(x.shape[1]), filled.max(axis=0, initial=0.0)


def _strange_to_others(x: Floats, coded: NDArray[np.bool_]) -> Floats:
    """(n,) share of a unit's known features outside the range of the units in other fifths."""
    out = np.zeros(len(x))
    part = np.arange(len(x)) % PARTS
    for j in range(PARTS):
        low, high = _quantiles(x[part != j], np.array([RANGE, 1 - RANGE])).T
        low[coded], high[coded] = _known_codes(x[part != j][:, coded])
        out[part == j] = _outside(x[part == j], low, high)
    return out


def _outside(x: Floats, low: Floats, high: Floats) -> Floats:
    known = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        far = ((x < low) | (x > high)) & known
    return np.asarray(far.sum(axis=1) / np.maximum(known.sum(axis=1), 1), dtype=np.float64)


def _counts(x: Floats, edges: Floats, coded: NDArray[np.bool_]) -> Floats:
    """(p, 10) units per tenth or code."""
    out = np.zeros((x.shape[1], BINS))
    for part in _parts(x):
        cells, own = x[:, part], coded[part]
        known = ~np.isnan(cells)
        at = sum((cells >= cut for cut in edges[part].T), np.zeros(cells.shape, dtype=np.int8))
        at[:, own] = np.clip(np.nan_to_num(cells[:, own]), 0, BINS - 1)
        for b in range(BINS):
            out[part, b] = ((at == b) & known).sum(axis=0)
    return out


def _parts(x: Floats) -> Iterator[slice]:
    """Columns in parts of at most ``CELLS`` cells."""
    step = max(CELLS // max(len(x), 1), 1)
    yield from (slice(k, k + step) for k in range(0, x.shape[1], step))


def strangers(seen: Mapping[str, Seen], cohort: Cohort) -> dict[str, Floats]:
    """modality -> (n,) share of the study's units with fewer features out of range than the unit has, NaN where it lacks the
    modality or nothing is known of it. At 0.99 and above it is outside what the model has seen."""
    out = {}
    for name, s in seen.items():
        share = np.full(len(cohort), np.nan)
        if name in cohort.modalities and len(cohort.modalities[name].units):
            table = _aligned(cohort.modalities[name].as_table(), s)
            rows = cohort.units.index.get_indexer(table.units)
            far = _outside(np.asarray(table.values, dtype=np.float64), s.low, s.high)
            # Equal to the study's most usual is not stranger than they are.
            share[rows] = np.searchsorted(s.strange, far, side="left") / len(PLACES)
        out[name] = share
    return out


def _aligned(table: Table, s: Seen) -> Table:
    """The features that were seen, in their order; unknown where the new table has not got them."""
    if tuple(map(str, table.features.index)) == s.names:
        return table
    at = table.features.index.astype(str).get_indexer(list(s.names))
    values = np.full((len(table.units), len(s.names)), np.nan)
    values[:, at >= 0] = table.values[:, at[at >= 0]]
    from cohortium.cohort.table import feature_frame

    return Table(table.units, values, feature_frame(list(s.names)))


def drifted(seen: Mapping[str, Seen], cohort: Cohort) -> tuple[list[ModalityDrift], list[FeatureDrift]]:
    """How new units differ from the study's: who has which modality, and the distribution of each feature.

    Chi-squared tests of counts, corrected for all features together (Benjamini & Hochberg 1995), and the population stability
    index (Siddiqi 2006: above 0.25 a large change). A modality that fewer than 20 new units have is not tested.
    """
    from scipy.stats import chi2

    from cohortium.metrics import benjamini_hochberg

    rows: list[tuple[str, str, float, float]] = []
    modalities = []
    far = strangers(seen, cohort)
    for name, s in seen.items():
        have = len(cohort.modalities[name].units) if name in cohort.modalities else 0
        table = np.array([[s.units, s.n - s.units], [have, len(cohort) - have]], dtype=np.float64)
        statistic, df = _chi_squared(table[None])
        p = float(chi2.sf(statistic[0], 1)) if df[0] and len(cohort) >= FEWEST_NEW else None
        known = far[name][~np.isnan(far[name])]
        outside = float((known >= STRANGER).mean()) if len(known) else None
        modalities.append(ModalityDrift(name, s.units / s.n, have / max(len(cohort), 1), p, have, outside))
        if have < FEWEST_NEW:
            continue
        x = np.asarray(_aligned(cohort.modalities[name].as_table(), s).values, dtype=np.float64)
        new = _counts(x, s.edges, s.coded)
        statistic, df = _chi_squared(np.stack([s.counts, new], axis=1))
        ps = np.where(df > 0, chi2.sf(statistic, np.maximum(df, 1)), np.nan)
        rows += zip([name] * len(s.names), s.names, _psi(s.counts, new), ps, strict=True)
    q = benjamini_hochberg([r[3] for r in rows])
    made = [
        FeatureDrift(m, f, float(psi), None if np.isnan(p) else float(p), None if np.isnan(x) else float(x))
        for (m, f, psi, p), x in zip(rows, q, strict=True)
    ]
    return modalities, sorted(made, key=lambda d: (d.q if d.q is not None else 2.0, -d.psi, d.modality, d.feature))


def _chi_squared(tables: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Statistic and degrees of freedom of (m, 2, k) tables of counts; empty columns do not count, nor empty rows."""
    rows, columns = tables.sum(axis=2, keepdims=True), tables.sum(axis=1, keepdims=True)
    total = tables.sum(axis=(1, 2), keepdims=True)
    expected = rows * columns / np.maximum(total, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(expected > 0, (tables - expected) ** 2 / np.where(expected > 0, expected, 1), 0.0)
    df = np.where((rows > 0).all(axis=(1, 2)), (columns[:, 0] > 0).sum(axis=1) - 1, 0)
    return parts.sum(axis=(1, 2)), df.astype(np.int64)


def _psi(old: Floats, new: Floats) -> Floats:
    """(m,) population stability index, with half a unit added to each count."""
    a, b = ((c + 0.5) / (c + 0.5).sum(axis=1, keepdims=True) for c in (old, new))
    used = (old + new) > 0
    return np.asarray(np.where(used, (b - a) * np.log(b / a), 0.0).sum(axis=1), dtype=np.float64)
