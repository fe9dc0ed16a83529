"""Traces of work done on everybody before the files were read, which no fold can undo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from cohortium.checks.disguise import Sight
from cohortium.cohort import Table
from cohortium.contracts import ClassOutcome, CompetingOutcome, SurvivalOutcome, ValueOutcome
from cohortium.contracts.results import Finding
from cohortium.schema import ColumnKind

Floats = NDArray[np.float64]

FEWEST_FEATURES, FEWEST_UNITS = 5, 20
EXACT = 1e-3
"""Means and standard deviations that are as near to 0 and 1 were made so on these very units."""

FEWEST_CHOSEN, FEWEST_APART = 20, 10
LARGEST_P = 0.05


def find_scaled(name: str, table: Table) -> list[Finding]:
    """A table whose columns have mean 0 and standard deviation 1 over all of its units."""
    numeric = np.flatnonzero((table.features["kind"] == ColumnKind.NUMERIC.value).to_numpy())
    if len(numeric) < FEWEST_FEATURES or len(table.units) < FEWEST_UNITS:
        return []
    scaled = varied = 0
    for start in range(0, len(numeric), 5000):
        x = table.values[:, numeric[start : start + 5000]].astype(np.float64)
        known = (~np.isnan(x)).sum(axis=0)
        use = known >= FEWEST_UNITS
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(x, axis=0) / known
            square = np.nansum((x - mean) ** 2, axis=0)
            sds = np.sqrt(square / known), np.sqrt(square / (known - 1))
        use &= square > 0
        unit = np.minimum(*(np.abs(sd - 1) for sd in sds)) < EXACT
        scaled += int((unit & (np.abs(mean) < EXACT) & use).sum())
        varied += int(use.sum())
    if varied < FEWEST_FEATURES or scaled < 0.9 * varied:
        return []
    return [
        Finding(
            f"scaled_over_everyone:{name}",
            "warning",
            f"{scaled:,} of {varied:,} columns of {name} have mean 0 and standard deviation 1 over all units: they were standardised before "
            "the study read them, with the test units among them. Give values as they were measured; scaling is done inside the folds.",
            name,
        )
    ]


def find_chosen(sight: Sight) -> list[Finding]:
    """A table of which every feature goes with the outcome, as if those that do not had been left out beforehand.

    Of features that say nothing 95 in 100 have p > 0.05; where none of 20 or more is above, they were chosen, or are copies
    of few: they must be worth ten independent ones (Li & Ji 2005, Heredity 95:221, by the trace of the squared correlations).
    """
    numeric = (sight.table.features["kind"] == ColumnKind.NUMERIC.value).to_numpy()
    # Ranks of few known cells have wider errors than the count of units says.
    if len(sight.x) < FEWEST_UNITS:
        return []
    numeric &= np.isnan(sight.x).mean(axis=0) < 0.1
    x = sight.x[:, numeric]
    if x.shape[1] < FEWEST_CHOSEN:
        return []
    p = _p_values(x, sight, numeric)
    known = np.isfinite(p)
    if known.sum() < FEWEST_CHOSEN or p[known].max() > LARGEST_P or _worth(x[:, known]) < FEWEST_APART:
        return []
    return [
        Finding(
            f"chosen_by_outcome:{sight.name}",
            "warning",
            f"Every one of the {int(known.sum()):,} numeric columns of {sight.name} goes with the outcome (largest p {p[known].max():.2g}), as if "
            "those that do not had been left out. Chosen on these patients they make results too good; give all columns, selection is "
            "done inside the folds. If they were chosen on other patients, acknowledge this.",
            sight.name,
            endpoint=sight.y.endpoint.name,
        )
    ]


def _p_values(x: Floats, sight: Sight, columns: NDArray[np.bool_]) -> Floats:
    """(p,) of each of the ``columns`` x, the smallest over the readings of the outcome: by rank correlation with what a null model leaves."""
    from cohortium.checks.disguise import rank_correlation

    n = len(x)
    y = sight.y
    if not isinstance(y, ClassOutcome):
        target = y.values if isinstance(y, ValueOutcome) else _left(y)
        r = np.abs(rank_correlation(x, target))
        return np.asarray(2 * norm.sf(np.arctanh(np.minimum(r, 1 - 1e-12)) * np.sqrt(max(n - 3, 1))))
    ps = []
    for k, auc in enumerate(sight.strength.values()):
        positive = y.codes == (1 if len(sight.strength) == 1 else k)
        a, b = int(positive.sum()), int((~positive).sum())
        sd = np.sqrt((a + b + 1) / (12.0 * max(a, 1) * max(b, 1)))
        ps.append(2 * norm.sf((auc[columns] - 0.5) / sd))
    return np.minimum.reduce(ps) if ps else np.full(x.shape[1], np.nan)


def _left(y: SurvivalOutcome | CompetingOutcome) -> Floats:
    """(n,) martingale residuals of the null model."""
    from cohortium.metrics import nelson_aalen

    times, hazard = nelson_aalen(y.time, y.event, y.entry if y.entry.any() else None)
    at = np.concatenate([[0.0], hazard])
    upto = at[np.searchsorted(times, y.time, side="right")] - at[np.searchsorted(times, y.entry, side="right")]
    return np.asarray(y.event - upto, dtype=np.float64)


def _worth(x: Floats) -> float:
    """How many independent features these are worth: p^2 over the sum of squared correlations, at most 500 of them looked at."""
    z = x[:, :: max(1, x.shape[1] // 500)]
    z = np.where(np.isnan(z), np.nanmean(z, axis=0), z)
    z = (z - z.mean(axis=0)) / np.maximum(z.std(axis=0), 1e-12)
    r = z.T @ z / len(z)
    return float(r.shape[1] ** 2 / (r**2).sum())
