"""The cohort and outcomes of a study, read from its files, with what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from cohortium.cohort import Cohort
    from cohortium.contracts import Outcome
    from cohortium.study.load import Study


@dataclass(frozen=True, eq=False)
class Data:
    """cohort: all units. outcomes: endpoint -> usable labels, in the order of the cohort. excluded: endpoint ->
    reason -> units without one. notes, left_out: modality -> what the reader did, columns not used. read: all that
    the reader says."""

    cohort: Cohort
    outcomes: Mapping[str, Outcome]
    excluded: Mapping[str, Mapping[str, int]]
    notes: Mapping[str, list[str]]
    left_out: Mapping[str, list[str]]
    raw_units: pd.DataFrame
    read: Any


def load_data(study: Study) -> Data:
    """Read every file of a study. Raises :class:`DataError` and :class:`EndpointError`."""
    from cohortium.sources import read_cohort, read_outcome

    spec = study.spec
    read = read_cohort(spec.cohort, spec.design, study.folder, dict(spec.endpoints))
    outcomes, excluded = {}, {}
    for name, e in spec.endpoints.items():
        outcomes[name], excluded[name] = read_outcome(name, e, read.raw_units, study.folder)
    return Data(read.cohort, outcomes, excluded, read.notes, read.left_out, read.raw_units, read)


def load_cohort(study: Study | str | Path) -> Cohort:
    """The cohort of a study: its unit table and modalities. Raises :class:`DataError` naming file, column and row."""
    from cohortium.study.load import Study, load_study

    return load_data(study if isinstance(study, Study) else load_study(study)).cohort
