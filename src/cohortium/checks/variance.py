"""How much of each modality's variance sites and batches explain.

For every feature the share of its variance between groups (R^2), less what as many groups explain by chance (adjusted
R^2), then the mean over features: 0 where groups do not matter, 1 where a feature is its group. Nothing is fitted that
is kept, and no outcome is looked at. Cost: O(units × features), and as much again for a fixed number of permutations of a
sample of both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Table
from cohortium.contracts.results import Finding
from cohortium.schema import ColumnKind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST = 5
"""Units that a group must have to be compared."""

PERMUTATIONS, SAMPLED_ROWS, SAMPLED_FEATURES = 199, 2000, 300
BEYOND_CHANCE = 0.01
MUCH = 0.1
"""Mean share of variance from which on it is a warning."""

CLIP = 6.0
AT_ONCE = 1000


def find_variance(cohort: Cohort, name: str, table: Table) -> list[Finding]:
    """A finding for ``site`` and one for ``batch``, where the cohort has them and at least two have five units each.

    Of patients with several units the first is looked at.
    """
    out = []
    for role in ("site", "batch"):
        if role not in cohort.units:
            continue
        units = cohort.units.loc[table.units]
        rows, code = _groups(units[role], units["patient"])
        k = len(np.unique(code))
        columns = np.flatnonzero(
            ~table.features["kind"].isin([ColumnKind.NOMINAL.value, ColumnKind.DATE.value]).to_numpy()
        )
        if k < 2 or not len(columns):
            continue
        share = np.concatenate([explained(x, code) for x in _parts(table, rows, columns)])
        if not np.isfinite(share).any():
            continue
        mean = max(float(np.nanmean(share)), 0.0)
        out.append(_finding(role, name, table, columns, share, mean, k, chance(table, rows, columns, code)))
    return out


def _finding(
    role: str, name: str, table: Table, columns: NDArray[np.intp], share: Floats, mean: float, k: int, p: float
) -> Finding:
    told = (
        f"{role.capitalize()} explains {mean:.1%} of the variance of {name} (mean over {int(np.isfinite(share).sum())} "
        f"feature(s), adjusted for {k} groups; p = {p:.2g} by permutation)"
    )
    harmonised = role == "batch" and table.batches is not None
    much = mean >= MUCH and p <= BEYOND_CHANCE
    if harmonised:
        told += ", before it is harmonised inside the folds."
    elif p > BEYOND_CHANCE:
        told += ": no more than chance would."
    elif much:
        told += (
            ": other patients, or other instruments. A model may learn the "
            f"{role}; see whether it holds with design: leave_one_site_out, and think of harmonise: combat."
        )
    else:
        told += "."
    top = [int(columns[j]) for j in np.argsort(-np.nan_to_num(share), kind="stable")[:5] if share[j] >= MUCH]
    named = [str(table.features.index[j]) for j in top] if much else []
    return Finding(f"{role}_variance:{name}", "warning" if much and not harmonised else "note", told, name, named)


def _groups(labels: pd.Series, patient: pd.Series) -> tuple[NDArray[np.intp], Ints]:
    """Rows (the first of each patient, in a group that is large enough), and the group of each."""
    first = ~patient.duplicated().to_numpy()
    code = pd.factorize(labels.astype(object))[0]
    size = np.bincount(code[first & (code >= 0)], minlength=code.max(initial=-1) + 1)
    rows = np.flatnonzero(first & (code >= 0))
    rows = rows[size[code[rows]] >= FEWEST]
    return rows, np.unique(code[rows], return_inverse=True)[1].astype(np.int64)


def _parts(table: Table, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Iterator[Floats]:
    """Standardised, clipped values (n, up to AT_ONCE), NaN = unknown."""
    for start in range(0, len(columns), AT_ONCE):
        yield _standard(table.values[np.ix_(rows, columns[start : start + AT_ONCE])].astype(np.float64))


def _standard(x: Floats) -> Floats:
    x[~np.isfinite(x)] = np.nan
    known = ~np.isnan(x)
    n = np.maximum(known.sum(axis=0), 1)
    x -= np.where(known, x, 0.0).sum(axis=0) / n
    sd = np.sqrt(np.where(known, x * x, 0.0).sum(axis=0) / n)
    # What differs by rounding only is constant; a clipped value no longer outweighs all others.
    return np.clip(x / np.where(sd > 1e-12, sd, np.nan), -CLIP, CLIP)


def explained(x: Floats, code: Ints) -> Floats:
    """(p,) adjusted R^2 of groups (n,) in each column of x (n, p) over its known cells; NaN where it cannot be told."""
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(code[order]) > 0])
    known = ~np.isnan(x[order])
    z = np.where(known, x[order], 0.0)
    count = np.add.reduceat(known.astype(np.float64), starts, axis=0)
    total = np.add.reduceat(z, starts, axis=0)
    n, k = count.sum(axis=0), (count > 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total.sum(axis=0) / n
        all_of_it = (z * z).sum(axis=0) - n * mean * mean
        between = np.where(count > 0, total * total / np.maximum(count, 1), 0.0).sum(axis=0) - n * mean * mean
        usable = (k > 1) & (n > k) & (all_of_it > 1e-12)
        return np.where(usable, 1 - (1 - between / all_of_it) * (n - 1) / (n - k), np.nan)


def chance(table: Table, rows: NDArray[np.intp], columns: NDArray[np.intp], code: Ints) -> float:
    """P-value of the mean R^2: how often groups dealt anew explain as much, in a sample of rows and features."""
    some = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED_ROWS)).astype(np.intp))
    few = columns[np.unique(np.linspace(0, len(columns) - 1, min(len(columns), SAMPLED_FEATURES)).astype(np.intp))]
    x = np.nan_to_num(_standard(table.values[np.ix_(rows[some], few)].astype(np.float64)))
    x -= x.mean(axis=0)
    norm = (x * x).sum(axis=0)
    x = x[:, norm > 0] / np.sqrt(norm[norm > 0])
    group = np.unique(code[some], return_inverse=True)[1]
    one_hot = np.eye(group.max() + 1)[group]
    weight = 1 / one_hot.sum(axis=0)
    rng = np.random.default_rng(0)

    def between(labels: Floats) -> float:
        return float((weight @ (labels.T @ x) ** 2).sum())

    seen = between(one_hot)
    again = sum(between(one_hot[rng.permutation(len(x))]) >= seen * (1 - 1e-12) for _ in range(PERMUTATIONS))
    return (1 + again) / (1 + PERMUTATIONS)
