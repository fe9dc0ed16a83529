"""Presence, sites, batches, folds and columns: does the design carry what is asked of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Table
from cohortium.contracts import ClassOutcome, Outcome, TimeOutcome
from cohortium.contracts.results import Finding
from cohortium.metrics import logrank
from cohortium.resampling import OuterSplit

LEARNABLE = 20
"""Units with a modality below which nothing can be learned from it."""


def association(outcome: Outcome, group: NDArray[np.int64]) -> float:
    """P-value of an association between groups (n,) and the outcome: log-rank, chi-square or Kruskal-Wallis."""
    from scipy.stats import chi2_contingency, kruskal

    if len(np.unique(group)) < 2:
        return 1.0
    if isinstance(outcome, TimeOutcome):
        entry = outcome.entry if outcome.entry.any() else None
        return logrank(outcome.time, outcome.event, group, entry)
    if isinstance(outcome, ClassOutcome):
        table = pd.crosstab(group, outcome.codes).to_numpy()
        return float(chi2_contingency(table).pvalue)
    parts = [outcome.values[group == g] for g in np.unique(group)]
    return float(kruskal(*parts).pvalue)


def find_presence(cohort: Cohort, outcomes: Mapping[str, Outcome]) -> list[Finding]:
    """Does having a modality tell the outcome? (Benjamini-Hochberg over all modalities and endpoints.)"""
    from scipy.stats import false_discovery_control

    have = cohort.presence()
    tests = []
    for endpoint, outcome in outcomes.items():
        rows = cohort.units.index.get_indexer(pd.Index(outcome.units))
        for name in have:
            present = have[name].to_numpy()[rows]
            if min(present.sum(), (~present).sum()) >= 10:
                tests.append((endpoint, name, association(outcome, present.astype(np.int64)), int((~present).sum())))
    if not tests:
        return []
    adjusted = false_discovery_control([t[2] for t in tests])
    return [
        Finding(
            f"presence_predicts_outcome:{name}.{endpoint}",
            "warning",
            f"Who has {name} and who lacks it ({n} units) differ in {endpoint} (adjusted p = {p:.2g}): it is not missing by chance. "
            "Estimates hold for patients who are measured as these were; presence is no predictor unless the study asks.",
            str(name),
            [],
            endpoint,
        )
        for (endpoint, name, _, n), p in zip(tests, adjusted, strict=True)
        if p < 0.05
    ]


def find_sites(cohort: Cohort, outcomes: Mapping[str, Outcome]) -> list[Finding]:
    """Sites or batches confounded with the outcome."""
    out = []
    for role in ("site", "batch"):
        if role not in cohort.units:
            continue
        labels = cohort.units[role].astype(object)
        for endpoint, outcome in outcomes.items():
            rows = cohort.units.index.get_indexer(pd.Index(outcome.units))
            codes = pd.factorize(labels.iloc[rows])[0]
            known = np.flatnonzero(codes >= 0)
            counts = np.bincount(codes[known])
            large = known[counts[codes[known]] >= 10]
            if len(np.unique(codes[large])) < 2:
                continue
            part, group = outcome.take(large), codes[large].astype(np.int64)
            p = association(part, group)
            sure = isinstance(part, ClassOutcome) and all(
                len(np.unique(part.codes[group == g])) == 1 for g in np.unique(group)
            )
            if sure or p < 0.001:
                grade = "serious" if sure else "warning"
                text = (
                    f"each {role} has one outcome only: a model could tell the {role} and nothing else"
                    if sure
                    else f"{endpoint} differs between {role}s (p = {p:.2g}): a model may learn the {role}"
                )
                out.append(
                    Finding(
                        f"{role}_confounded:{endpoint}",
                        grade,  # type: ignore[arg-type]
                        f"{text[0].upper()}{text[1:]}. Evaluate with design: leave_one_site_out as well.",
                        None,
                        [],
                        endpoint,
                    )
                )
    return out


def _rarest(outcome: ClassOutcome) -> int:
    return int(np.bincount(outcome.codes, minlength=len(outcome.endpoint.classes)).argmin())


def find_events(outcomes: Mapping[str, Outcome], splits: Mapping[str, Sequence[OuterSplit]]) -> list[Finding]:
    """Too few events, or units of a class, to estimate anything."""
    out = []
    for endpoint, outcome in outcomes.items():
        if not isinstance(outcome, TimeOutcome | ClassOutcome):
            continue
        what = "events" if isinstance(outcome, TimeOutcome) else "units of the rarest class"
        rare = 1 if isinstance(outcome, TimeOutcome) else _rarest(outcome)
        member = outcome.strata == rare
        total = int(member.sum())
        per_fold = [int(member[s.test].sum()) for s in splits.get(endpoint, ())]
        if total < 10:
            text = f"{endpoint} has {total} {what}. Nothing can be learned or estimated from so few."
            out.append(Finding(f"too_few_events:{endpoint}", "serious", text, None, [], endpoint))
        elif per_fold and min(per_fold) < 10:
            text = (
                f"A test fold of {endpoint} has only {min(per_fold)} {what}: estimates will be unsteady. "
                "Fewer folds with more repeats help."
            )
            out.append(Finding(f"few_events_per_fold:{endpoint}", "warning", text, None, [], endpoint))
        if isinstance(outcome, ClassOutcome) and total < 0.1 * len(outcome):
            text = f"The rarest class of {endpoint} holds {total / len(outcome):.1%} of the units; read average precision beside ROC-AUC."
            out.append(Finding(f"class_imbalance:{endpoint}", "note", text, None, [], endpoint))
    return out


def find_columns(cohort: Cohort, unmatched: Mapping[str, int]) -> list[Finding]:
    """Constant, empty and mostly missing columns; rows and patients that do not meet."""
    out = []
    for name, modality in cohort.modalities.items():
        lost, have = unmatched.get(name, 0), len(modality.units)
        if isinstance(modality, Table):
            out += _cells(name, modality)
        if lost and have:
            grade = "warning" if lost > 0.05 * (lost + have) else "note"
            text = f"{lost} row(s) of {name} belong to no unit and are not used. If they should, look at the ids (id_rule)."
            out.append(Finding(f"unmatched_rows:{name}", grade, text, name))  # type: ignore[arg-type]
        if 0 < have < 0.5 * len(cohort):
            text = f"{name} is there for {have} of {len(cohort)} units only."
            if have < LEARNABLE:
                text = f"{text[:-1]}: not learnable. That it adds nothing here says nothing about what it would add."
            out.append(Finding(f"low_overlap:{name}", "warning" if have < LEARNABLE else "note", text, name))
    return out


def find_transforms(transforms: Mapping[str, str]) -> list[Finding]:
    """What was done to the values of a modality, so that it can be seen before anything is fitted."""
    return [
        Finding(f"transformed:{name}", "note", f"The values of {name} are transformed: {how}.", name)
        for name, how in transforms.items()
    ]


def _cells(name: str, table: Table) -> list[Finding]:
    out, x = list[Finding](), table.values
    if len(x):
        known = ~np.isnan(x)
        with np.errstate(invalid="ignore"):
            low = np.where(known, x, np.inf).min(axis=0)
            high = np.where(known, x, -np.inf).max(axis=0)
        flat = np.flatnonzero(low >= high)
        names = [str(table.features.index[j]) for j in flat]
        if names:
            text = f"{len(names)} feature(s) of {name} are constant or empty and carry nothing: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}."
            out.append(Finding(f"constant_columns:{name}", "note", text, name, names[:20]))
        sparse = np.flatnonzero(known.mean(axis=0) < 0.5)
        if len(sparse):
            text = f"{len(sparse)} feature(s) of {name} are unknown for more than half of the units that have {name}; they are imputed inside the folds."
            out.append(
                Finding(
                    f"many_missing_cells:{name}",
                    "note",
                    text,
                    name,
                    [str(table.features.index[j]) for j in sparse[:20]],
                )
            )
    return out
