"""``run_checks``: every check, in one order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from cohortium.checks import design, disguise, people, prepared, variance
from cohortium.cohort import Cohort
from cohortium.contracts import Outcome
from cohortium.contracts.results import Finding
from cohortium.resampling import OuterSplit

GRADES = ("serious", "warning", "note")


def run_checks(
    cohort: Cohort,
    outcomes: Mapping[str, Outcome],
    splits: Mapping[str, Sequence[OuterSplit]] | None = None,
    *,
    unmatched: Mapping[str, int] | None = None,
    transforms: Mapping[str, str] | None = None,
    acknowledge: Sequence[str] = (),
) -> list[Finding]:
    """Findings, serious ones first, then by name.

    splits: endpoint -> outer splits. unmatched: modality -> rows that belong to no unit. transforms:
    modality -> what is done to its values. acknowledge: names (or
    patterns such as ``strong_single_feature:*``) that the study file accepts; those that fit nothing give a
    warning of their own. Cost: O(units × features log units) and, for duplicates, O(units^2 × features).
    """
    found: list[Finding] = []
    groups = cohort.groups()
    tables = cohort.only([n for n, m in cohort.modalities.items() if m.shape == "table"])
    for name, modality in cohort.modalities.items():
        table = modality.as_table()
        found += variance.find_variance(cohort, name, table)
        if modality.shape == "table":
            found += prepared.find_scaled(name, table)
        for outcome in outcomes.values():
            rows = pd.Index(outcome.units).get_indexer(table.units)
            sight = disguise.look(name, table, rows, outcome)
            hidden = disguise.find_disguises(sight)
            found += hidden
            if modality.shape == "table":
                found += prepared.find_chosen(sight)
            found += disguise.find_strong(sight, {c for f in hidden for c in f.columns})
    found += people.find_identifiers(tables)
    found += people.find_duplicates(tables, dict(outcomes), groups)
    found += design.find_presence(cohort, outcomes)
    found += design.find_sites(cohort, outcomes)
    found += design.find_events(outcomes, splits or {})
    found += design.find_columns(cohort, unmatched or {})
    found += design.find_transforms(transforms or {})
    unique: dict[str, Finding] = {}
    for f in found:
        unique.setdefault(f.name, f)
    marked = [replace(f, acknowledged=any(_fits(f.name, a) for a in acknowledge)) for f in unique.values()]
    for a in acknowledge:
        if not any(_fits(f.name, a) for f in unique.values()):
            text = f"The study file acknowledges '{a}', which is no finding of these data. Is it misspelt, or mended since?"
            marked.append(Finding(f"unknown_acknowledgement:{a}", "warning", text))
    return sorted(marked, key=lambda f: (GRADES.index(f.grade), f.name))


def _fits(name: str, pattern: str) -> bool:
    """``*`` stands for anything; all else for itself, since names of features hold brackets and question marks."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
