"""The cohort and outcomes of a study, read from its files, with what was left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from cohortium.cohort import Cohort
    from cohortium.contracts import Outcome
    from cohortium.study.load import Study


@dataclass(frozen=True, eq=False)
class Data:
    """cohort: units with a usable label of at least one endpoint. outcomes: endpoint -> usable labels, in the order of
    the cohort. excluded: endpoint -> reason -> units without one. unlabelled: reason -> rows of the unit table that are
    in no outcome. n_rows: of the unit table. notes, left_out: modality -> what the reader did, columns not used.
    read: all that the reader says."""

    cohort: Cohort
    outcomes: Mapping[str, Outcome]
    excluded: Mapping[str, Mapping[str, int]]
    notes: Mapping[str, list[str]]
    left_out: Mapping[str, list[str]]
    raw_units: pd.DataFrame
    read: Any
    unlabelled: Mapping[str, int]
    n_rows: int


def read_study(study: Study, tell: Callable[[str, int, int], None] | None = None) -> Any:
    """Unit table and modalities of a study, of every unit, labelled or not. tell: as of :func:`load_data`.

    Raises :class:`DataError`.
    """
    from cohortium.sources import IndexTime, read_cohort

    spec = study.spec
    return read_cohort(
        spec.cohort.units,
        spec.cohort.modalities,
        study.folder,
        design=design_columns(study),
        endpoints=spec.endpoints,
        index=IndexTime.declared(spec.design, spec.cohort.modalities),
        tell=tell,
    )


def load_data(study: Study, tell: Callable[[str, int, int], None] | None = None) -> Data:
    """Read every file of a study. tell: called with a modality and how many of its images are done, of how many.

    Raises :class:`DataError` and :class:`EndpointError`.
    """
    from cohortium.study.grouping import with_coverage_groups

    spec, read = study.spec, read_study(study, tell)
    outcomes, excluded = {}, {}
    for name in spec.endpoints:
        outcomes[name], excluded[name] = read_endpoint(study, name, read.raw_units)
    labelled = set().union(*(o.units for o in outcomes.values()))
    rows = np.flatnonzero([u in labelled for u in read.cohort.ids])
    n = len(read.cohort)
    cohort = read.cohort if len(rows) == n else read.cohort.take(rows)
    cohort = with_coverage_groups(study, cohort, read.raw_units)
    unlabelled = _unlabelled(n - len(rows), excluded[spec.primary_name])
    return Data(cohort, outcomes, excluded, read.notes, read.left_out, read.raw_units, read, unlabelled, n)


def _unlabelled(n: int, primary: Mapping[str, int]) -> dict[str, int]:
    """Reasons of the n units without any label: the primary endpoint's where they are the same units."""
    if not n:
        return {}
    return dict(primary) if n == sum(primary.values()) else {"no usable label for any endpoint": n}


def design_columns(study: Study) -> dict[str, str | None]:
    """Role in the design -> column of the unit table."""
    d = study.spec.design
    return {"site": d.site, "batch": d.batch, "groups": d.groups, "index_time": d.index_time, "weight": d.weight}


def read_endpoint(study: Study, name: str, raw_units: pd.DataFrame) -> tuple[Outcome, dict[str, int]]:
    """Usable labels of one endpoint and reason -> units without one. Raises :class:`EndpointError`, :class:`DataError`."""
    from cohortium.sources import read_outcome

    units = study.spec.cohort.units
    return read_outcome(name, study.spec.endpoints[name], raw_units, study.folder, units.id, units.id_rule)


def load_cohort(study: Study | str | Path) -> Cohort:
    """The cohort of a study: its unit table and modalities. Raises :class:`DataError` naming file, column and row."""
    from cohortium.study.load import Study, load_study

    return load_data(study if isinstance(study, Study) else load_study(study)).cohort
