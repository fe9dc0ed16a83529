"""Patients who are in the study twice, and columns that tell who they are."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Table
from cohortium.contracts import ClassOutcome, Outcome, TimeOutcome
from cohortium.contracts.results import Finding
from cohortium.schema import ColumnKind

IDENTIFIER = re.compile(
    r"(^|[._ ])(first|last|sur|full|patient|family|given)[._ ]?name($|[._ ])|^name$|(^|[._ ])(mrn|ssn|nhs|dob|address|street|phone|"
    r"telephone|e.?mail|passport|insurance.?(no|number|id)|date.of.birth|birth.?date|zip.?code|postcode)($|[._ ])", re.I,
)  # fmt: skip


def find_identifiers(cohort: Cohort) -> list[Finding]:
    """Columns whose name or content tells who a patient is."""
    out = []
    for name, table in cohort.modalities.items():
        columns = zip(table.features.index, table.features["kind"], table.features["levels"], strict=True)
        for feature, kind, levels in columns:
            unique = levels is not None and len(levels) > 20 and len(levels) > 0.9 * len(table.units)
            # Genes are called NHS or MRN too: a name tells only in a small table, and of a column that is not yes/no.
            named = table.n_features <= 100 and kind != ColumnKind.BINARY and IDENTIFIER.search(str(feature))
            if named or unique:
                why = "by its name" if not unique else "since it holds a different text for nearly every patient"
                out.append(
                    Finding(
                        f"direct_identifier:{name}.{feature}",
                        "serious",
                        f"'{feature}' of {name} looks like a direct identifier, {why}. It can predict nothing for new patients and must "
                        "not be in a model or report. Put it under exclude.",
                        name,
                        [str(feature)],
                    )
                )
    return out


def _standardised(values: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(n, q) columns that vary, with mean 0 and standard deviation 1, unknown cells 0; and which (q,) they are."""
    parts, kept = [], []
    for start in range(0, values.shape[1], 5000):  # in double precision a wide table would need twice its memory
        x = values[:, start : start + 5000].astype(np.float64)
        known = ~np.isnan(x)
        n = np.maximum(known.sum(axis=0), 1)
        x -= np.where(known, x, 0.0).sum(axis=0) / n
        x[~known] = 0.0
        sd = np.sqrt((x**2).sum(axis=0) / n)
        varied = np.flatnonzero(sd > 0)
        parts.append((x[:, varied] / sd[varied]).astype(np.float32))
        kept.append(varied + start)
    return np.concatenate(parts, axis=1), np.concatenate(kept)


def _pairs(table: Table) -> list[tuple[int, int]]:
    """Pairs of rows that are equal, or far closer than neighbours are in this modality.

    Distances are between standardised rows. A pair is too close when its distance is under a twentieth of the
    median distance to the nearest neighbour: measured again, the same sample differs more than that.
    """
    if table.n_features < 20 or len(table.units) < 10:
        return []
    z, varied = _standardised(table.values)
    if len(varied) < 20:
        return []
    # Sparse or coarse tables hold equal rows by right; only rows that are rich enough can be told apart.
    some = table.values[:, varied[:300]]
    rich = np.flatnonzero([len(np.unique(r[~np.isnan(r)])) >= 15 for r in some])
    if len(rich) < 10:
        return []
    z = z if len(rich) == len(z) else z[rich]
    square = (z * z).sum(axis=1)
    nearest, close = np.empty(len(z)), []
    for start in range(0, len(z), 1000):
        d = np.maximum(square[start : start + 1000, None] + square - 2 * z[start : start + 1000] @ z.T, 0.0)
        d[np.arange(d.shape[0]), np.arange(start, start + d.shape[0])] = np.inf
        nearest[start : start + d.shape[0]] = d.min(axis=1)
        close.append((d.argmin(axis=1), d.min(axis=1)))
    limit = (0.05**2) * float(np.median(nearest))
    # Single precision: distances below its rounding count as zero.
    limit = max(limit, 1e-6 * float(np.median(square)))
    partner = np.concatenate([c[0] for c in close])
    pairs = {tuple(sorted((int(rich[i]), int(rich[partner[i]])))) for i in np.flatnonzero(nearest <= limit)}
    return sorted(pairs)  # type: ignore[arg-type]


def _conflict(outcome: Outcome, a: int, b: int) -> bool:
    if isinstance(outcome, ClassOutcome):
        return bool(outcome.codes[a] != outcome.codes[b])
    if isinstance(outcome, TimeOutcome):
        return bool(outcome.strata[a] != outcome.strata[b] or outcome.time[a] != outcome.time[b])
    return bool(outcome.values[a] != outcome.values[b])


def find_duplicates(cohort: Cohort, outcomes: dict[str, Outcome], groups: NDArray[np.int64]) -> list[Finding]:
    """Different patients with the same data: one person under two ids, or a sample copied.

    A pair counts as one person when it agrees in every modality that is rich enough to tell; a pair that agrees
    in some and differs in others is a copied or failed sample.
    """
    close, judged = {}, {}
    for name, table in cohort.modalities.items():
        position = cohort.units.index.get_indexer(table.units)
        pairs = {(int(position[a]), int(position[b])) for a, b in _pairs(table)}
        close[name] = {p for p in pairs if groups[p[0]] != groups[p[1]]}
        judged[name] = set(position.tolist()) if table.n_features >= 20 else set()
    every = sorted(set().union(*close.values())) if close else []
    same = [p for p in every if all(p in close[n] for n in close if p[0] in judged[n] and p[1] in judged[n])]
    out = []
    if same:
        people = len({groups[i] for pair in same for i in pair})
        conflicts = 0
        for outcome in outcomes.values():
            where = pd.Index(outcome.units).get_indexer(cohort.units.index)
            conflicts += sum(
                where[a] >= 0 and where[b] >= 0 and _conflict(outcome, where[a], where[b]) for a, b in same
            )
        grade = "serious" if conflicts or people > 0.05 * len(np.unique(groups)) else "warning"
        where_found = ", ".join(n for n in close if close[n] & set(same))
        out.append(
            Finding(
                "duplicate_patients",
                grade,  # type: ignore[arg-type]
                f"{len(same)} pair(s) of different patients have the same values, or nearly, in {where_found}; {conflicts} with different "
                "outcomes. One person in training and test makes results too good. Merge them: give both units the same patient "
                "(or group) column, or remove one.",
            )
        )
    for name, pairs in close.items():
        rest = pairs - set(same)
        if rest:
            out.append(
                Finding(
                    f"duplicate_samples:{name}",
                    "warning",
                    f"{len(rest)} pair(s) of patients have the same values, or nearly, in {name} and differ elsewhere: a sample copied, "
                    "mislabelled or failed in the same way.",
                    name,
                )
            )
    return out
