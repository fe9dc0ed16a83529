"""Who is in which subgroup: site and availability of modalities, and the columns that ``evaluation.subgroups`` names."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cohortium.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from cohortium.cohort import Cohort
    from cohortium.study.data import Data
    from cohortium.study.load import Study

MOST_GROUPS, MOST_LEVELS, FEW_NUMBERS = 8, 20, 5
SITE, AVAILABILITY, UNKNOWN = "site", "availability", "unknown"


def groupings(study: Study, data: Data) -> dict[str, dict[str, str]]:
    """Variable -> unit -> group, groups in the order in which they are shown.

    Raises :class:`StudyError` for a column that there is not, or that is not of groups.
    """
    out: dict[str, dict[str, str]] = {}
    by = study.evaluation.coverage_by
    for column in dict.fromkeys([*study.evaluation.subgroups, *([] if by is None else [by])]):
        out[column] = _grouped(study, column, _column(study, data.cohort, data.raw_units, column))
    site = study.spec.design.site
    if site is not None and site in data.raw_units and site not in out:
        labels = _texts(data.raw_units[site].reindex(data.cohort.ids))
        out[SITE] = _largest({str(u): x for u, x in labels.items()}, "other sites")
    if len(data.cohort.modalities) > 1:
        out[AVAILABILITY] = _availability(data)
    return out


def with_coverage_groups(study: Study, cohort: Cohort, raw_units: pd.DataFrame, new: bool = False) -> Cohort:
    """The cohort with the groups of ``evaluation.coverage_by`` in a column of its unit table; as it is where none is named.

    new: units that a finished model is to predict, whose tables may lack the column: their group is unknown. Raises
    :class:`StudyError` for a column that there is not, or of numbers that nothing cuts into groups.
    """
    from cohortium.cohort import Cohort
    from cohortium.schema import COVERAGE_GROUP

    column = study.evaluation.coverage_by
    if column is None:
        return cohort
    try:
        values = _column(study, cohort, raw_units, column)
    except StudyError:
        if not new:
            raise
        values = None
    labels = [""] * len(cohort)
    if values is not None:
        cut = column in study.evaluation.subgroup_cuts
        if not cut and not new:
            _cut_by_study(study, column, values)
        # Without cuts groups are the values themselves, also of units that are yet to come.
        of = _grouped(study, column, values) if cut or not new else {str(u): x for u, x in _texts(values).items()}
        labels = ["" if of[str(u)] == UNKNOWN else of[str(u)] for u in cohort.ids]
    units = cohort.units.assign(**{COVERAGE_GROUP: np.array(labels, dtype=object)})
    return Cohort(units, cohort.modalities, cohort.absent)


def _cut_by_study(study: Study, column: str, values: pd.Series) -> None:
    """Thirds of these units would be other groups for the next ones."""
    import pandas as pd

    texts = _texts(values)
    known = texts[texts != UNKNOWN]
    numeric = bool(len(known)) and bool(pd.to_numeric(known, errors="coerce").notna().all())
    if numeric and known.nunique() > FEW_NUMBERS:
        raise StudyError(
            f"{study.path.name}: evaluation.coverage_by names '{column}', which holds numbers. Say where groups begin: subgroup_cuts: "
            f"{{{column}: [50, 70]}}."
        )


def _column(study: Study, cohort: Cohort, raw_units: pd.DataFrame, column: str) -> pd.Series:
    """The named column of the unit table or of a modality, by unit of the cohort; NaN where unknown."""
    import pandas as pd

    units = pd.Index(cohort.ids)
    if column in raw_units:
        return raw_units[column].reindex(units)
    tables = {n: m for n, m in cohort.modalities.items() if m.shape == "table"}
    name, _, feature = column.partition(".")
    if name in tables and feature in tables[name].features.index:
        table = tables[name]
        at = table.features.index.get_loc(feature)
        values, levels = pd.Series(table.values[:, at], index=table.units), table.features["levels"].iloc[at]
        if levels is not None and np.ndim(levels):
            values = values.map(dict(enumerate(levels)))
        return values.reindex(units)
    known = [
        *map(str, raw_units.columns),
        *(f"{n}.{f}" for n, m in tables.items() for f in m.features.index[:1000]),
    ]
    raise StudyError(
        f"{study.path.name}: evaluation names the column '{column}', which {study.spec.cohort.units.file} does not "
        f"have. A column of a modality is written modality.column.{did_you_mean(column, known)}"
    )


def _grouped(study: Study, column: str, values: pd.Series) -> dict[str, str]:
    import pandas as pd

    cuts = study.evaluation.subgroup_cuts.get(column)
    texts = _texts(values)
    numbers = pd.to_numeric(texts.where(texts != UNKNOWN), errors="coerce")
    numeric = bool((numbers.notna() == (texts != UNKNOWN)).all()) and bool(numbers.notna().any())
    if cuts is not None and not numeric:
        raise StudyError(f"{study.path.name}: subgroup_cuts names '{column}', which holds other values than numbers.")
    if cuts is None and (not numeric or numbers.nunique() <= FEW_NUMBERS):
        found = sorted(set(texts) - {UNKNOWN})
        if len(found) > MOST_LEVELS:
            raise StudyError(
                f"{study.path.name}: evaluation names '{column}', which holds {len(found)} different values, more "
                f"than {MOST_LEVELS}: no groups. Name a column of fewer."
            )
        order = {g: i for i, g in enumerate([*found, UNKNOWN])}
        return dict(sorted(((str(u), x) for u, x in texts.items()), key=lambda pair: order[pair[1]]))
    at = np.array(cuts) if cuts is not None else np.unique(np.quantile(numbers.dropna(), [1 / 3, 2 / 3]))
    names = _ranges(at)
    code = np.where(numbers.isna(), len(names), np.searchsorted(at, numbers.fillna(0), side="right"))
    order = np.argsort(code, kind="stable")
    units = [str(u) for u in texts.index]
    return {units[i]: [*names, UNKNOWN][code[i]] for i in order}


def _ranges(cuts: np.ndarray) -> list[str]:
    """``below 50``, ``50 to 70``, ``70 and above``: the lower end belongs to a group, the upper does not."""
    text = [f"{c:.4g}" for c in cuts]
    between = [f"{a} to below {b}" for a, b in pairwise(text)]
    return [f"below {text[0]}", *between, f"{text[-1]} and above"]


def _texts(values: pd.Series) -> pd.Series:
    """Values as texts, whole numbers without a point; unknown where there is none."""

    def text(x: object) -> str:
        if x is None or x != x or str(x).strip() in ("", "nan", "NaN", "<NA>"):
            return UNKNOWN
        return f"{x:g}" if isinstance(x, float | np.floating) else str(x).strip()

    return values.astype(object).map(text, na_action=None)


def _largest(of: dict[str, str], other: str) -> dict[str, str]:
    """At most eight groups: the largest, and the others together."""
    counts = Counter(of.values())
    kept = [g for g, _ in sorted(counts.items(), key=lambda x: (-x[1], x[0]))]
    if len(kept) > MOST_GROUPS:
        kept = kept[: MOST_GROUPS - 1]
    order = {g: i for i, g in enumerate([*kept, other])}
    named = {u: g if g in kept else other for u, g in of.items()}
    return dict(sorted(named.items(), key=lambda pair: order[pair[1]]))


def _availability(data: Data) -> dict[str, str]:
    """Unit -> what it has: all modalities, or the shorter of those it has and those it lacks."""
    presence = data.cohort.presence()
    of = {}
    for unit, row in zip(presence.index, presence.to_numpy(bool), strict=True):
        has = [str(n) for n, here in zip(presence.columns, row, strict=True) if here]
        lacks = [str(n) for n in presence.columns if n not in has]
        alone = " + ".join(has) if has else "no modality"
        of[str(unit)] = (
            "all modalities" if not lacks else alone if len(has) <= len(lacks) else "without " + ", ".join(lacks)
        )
    return _largest(of, "other patterns")
