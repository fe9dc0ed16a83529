"""Which variables table one describes, and their values for given units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.contracts.description import FEWEST, DescribedVariable
from cohortium.study.grouping import AVAILABILITY, SITE, UNKNOWN

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.study.load import Study

MOST_VARIABLES, MOST_LEVELS = 25, 8
UNIT_TABLE, OUTCOME = "unit table", "outcome"
_CODED = ("binary", "ordinal", "nominal")


@dataclass(frozen=True, eq=False)
class Measured:
    """A variable's values. values: (n,) numbers, of levels their positions; NaN where unknown. absent: (n,) the unit lacks
    the modality. followed: the outcome whose follow-up it is."""

    variable: DescribedVariable
    values: NDArray[np.float64]
    absent: NDArray[np.bool_]
    followed: SurvivalOutcome | None = None


def measured(
    study: Study, cohort: Cohort, outcome: Outcome, groups: Mapping[str, Mapping[str, str]]
) -> tuple[list[Measured], list[str]]:
    """Outcome, columns of the unit table that define subgroups, and features of the reference (without one: of the narrowest
    table) for the units of an outcome; and what was left out, in words."""
    columns = of_outcome(outcome)
    names, notes = _features(study, cohort)
    inside = {f"{m}.{f}" for m, fs in names.items() for f in fs}
    for name, of in groups.items():
        if name not in (SITE, AVAILABILITY, study.spec.design.site) and name not in inside:
            columns.append(_named_levels(of_groups(name, of, outcome.units)))
    for modality, features in names.items():
        columns += [_named_levels(of_feature(cohort, modality, f, outcome.units)) for f in features]
    return columns, notes


def _features(study: Study, cohort: Cohort) -> tuple[dict[str, list[str]], list[str]]:
    """Modality -> features, 25 at most, in the order of the files."""
    tables = {n: m for n, m in cohort.modalities.items() if m.shape == "table"}
    chosen = [n for n in study.spec.reference if n in tables]
    notes = [
        f"{n} of the reference is no table and is not described by column"
        for n in study.spec.reference
        if n in cohort.modalities and n not in tables
    ]
    if not chosen and tables:
        narrow = min(tables, key=lambda n: tables[n].n_features)
        chosen = [narrow]
        notes.append(f"no reference with columns is declared: described are those of {narrow}, the narrowest table")
    out, room = dict[str, list[str]](), MOST_VARIABLES
    for n in chosen:
        features = [str(f) for f in tables[n].features.index]
        out[n], more = features[:room], len(features[room:])
        room -= len(out[n])
        if more:
            notes.append(f"{more:,} further columns of {n} are not described")
    return {n: f for n, f in out.items() if f}, notes


def of_outcome(outcome: Outcome) -> list[Measured]:
    """The endpoint itself: classes, values, or events and follow-up."""
    name, here = outcome.endpoint.name, np.zeros(len(outcome), bool)
    if isinstance(outcome, ClassOutcome):
        levels = [str(c) for c in outcome.endpoint.classes]
        return [Measured(DescribedVariable(name, OUTCOME, "levels", levels), outcome.codes.astype(float), here)]
    if isinstance(outcome, ValueOutcome):
        return [Measured(DescribedVariable(name, OUTCOME, "numeric"), outcome.values, here)]
    unit = outcome.endpoint.time_unit
    if isinstance(outcome, CompetingOutcome):
        levels = [*(str(c) for c in outcome.endpoint.classes), "none seen"]
        codes, followed = np.where(outcome.cause > 0, outcome.cause - 1, len(levels) - 1), outcome.any_cause
    else:
        levels, codes, followed = ["event", "none seen"], np.where(outcome.event, 0, 1), outcome
    return [
        Measured(DescribedVariable(name, OUTCOME, "levels", levels), codes.astype(float), here),
        Measured(DescribedVariable("follow-up", OUTCOME, "follow_up", unit=unit), followed.time, here, followed),
    ]


def of_feature(cohort: Cohort, modality: str, feature: str, units: NDArray[np.object_]) -> Measured:
    """A column of a table, for units in that order."""
    import pandas as pd

    table = cohort.modalities[modality].as_table()
    at, row = table.features.index.get_loc(feature), table.features.loc[feature]
    where = table.units.get_indexer(pd.Index(units))
    values = np.where(where >= 0, np.asarray(table.values[where, at], float), np.nan)
    unit = str(row["unit"] or "")
    if str(row["kind"]) in _CODED:
        levels = list(row["levels"]) if row["levels"] is not None else ["0", "1"]
        variable = DescribedVariable(feature, modality, "levels", [str(x) for x in levels], unit)
    else:
        variable = DescribedVariable(feature, modality, "numeric", unit=unit)
    return Measured(variable, values, where < 0)


def of_groups(name: str, of: Mapping[str, str], units: NDArray[np.object_]) -> Measured:
    """The groups that a column of the unit table or of a modality makes."""
    levels = [g for g in dict.fromkeys(of.values()) if g != UNKNOWN]
    place = {g: k for k, g in enumerate(levels)}
    values = np.array([place.get(of.get(str(u), UNKNOWN), np.nan) for u in units], float)
    return Measured(DescribedVariable(name, UNIT_TABLE, "levels", levels), values, np.zeros(len(units), bool))


def _named_levels(m: Measured) -> Measured:
    """Levels that somebody has; beyond eight, and where several are rarer than five, the rarest are counted together: a name
    that few patients have may say who they are."""
    if m.variable.kind != "levels":
        return m
    known = m.values[np.isfinite(m.values)].astype(int)
    counts = np.bincount(known, minlength=len(m.variable.levels))
    seen = [k for k in range(len(counts)) if counts[k]]
    often = sorted(seen, key=lambda k: (-counts[k], k))
    kept = [k for k in often if counts[k] >= FEWEST][:MOST_LEVELS]
    rest = [k for k in seen if k not in kept]
    if len(rest) < 2:
        kept, rest = seen, []
    kept = sorted(kept)
    place = {k: i for i, k in enumerate(kept)} | {k: len(kept) for k in rest}
    values = np.array([place[int(v)] if np.isfinite(v) else np.nan for v in m.values], float)
    levels = [m.variable.levels[k] for k in kept] + ([f"others ({len(rest)} levels)"] if rest else [])
    return replace(m, variable=replace(m.variable, levels=levels, rare=len(rest)), values=values)


def like(variable: DescribedVariable, m: Measured) -> Measured:
    """New values in the levels of the study's table one; a level that it does not name is one of its others, or unknown."""
    if variable.kind != "levels" or m.variable.levels == variable.levels:
        return replace(m, variable=variable)
    place = {x: float(k) for k, x in enumerate(variable.levels)}
    other = float(len(variable.levels) - 1) if variable.rare else np.nan
    by_code = [place.get(x, other) for x in m.variable.levels]
    values = np.array([by_code[int(v)] if np.isfinite(v) else np.nan for v in m.values], float)
    return replace(m, variable=variable, values=values)


def nothing(variable: DescribedVariable, n: int) -> Measured:
    """A variable that new data do not have."""
    return Measured(variable, np.full(n, np.nan), np.ones(n, bool))


def labels_of(of: Mapping[str, str], units: Sequence[str] | NDArray[np.object_]) -> list[str]:
    """The group of each unit."""
    return [of.get(str(u), UNKNOWN) for u in units]
