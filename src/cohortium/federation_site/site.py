"""A site's own patients, as the sums need them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Table
from cohortium.contracts import ClassOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.contracts.federation import FederationPlan
from cohortium.errors import StudyError
from cohortium.schema import ColumnKind

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Feature:
    """One feature of all units of a site. kind: ``numeric``, ``ordinal`` or ``level``. values: (n,) numbers, or codes of
    ``levels``; NaN where unknown or where a unit lacks the modality."""

    modality: str
    name: str
    kind: str
    levels: tuple[str, ...]
    id_space: str
    unit: str
    values: Array


@dataclass(frozen=True, eq=False)
class Site:
    """n units with a label. patient: (n,) code of each unit's patient. weight: (n,) ones without weights. stratum: (n,) of a
    Cox model; one stratum at a real site. y: (n,) codes of ``classes``, values, or event as 0 and 1. time, entry: (n,) of
    survival, else empty."""

    name: str
    features: tuple[Feature, ...]
    patient: NDArray[np.int64]
    weight: Array
    stratum: NDArray[np.int64]
    y: Array
    classes: tuple[str, ...]
    time: Array
    entry: Array
    kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    """What was computed before and does not change between questions; a copy begins without."""
    folds: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    """The same of folds and their training parts."""
    fits: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    """The same of trees: bins of columns, and scores of the trees so far."""
    whole: bool = True
    """Whether these are all the site's patients, not a part of them."""
    draw: Array | None = None
    """(n,) of each unit's patient a number from 0 to 1 by his own id and the plan's seed: who is held out of a private fit."""

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def single(self) -> bool:
        """Whether every patient has one unit."""
        return len(np.unique(self.patient)) == len(self.patient)

    def patients(self, rows: NDArray[np.bool_] | None = None) -> int:
        """Number of distinct patients, among the given units."""
        if self.single:
            return len(self) if rows is None else int(np.count_nonzero(rows))
        return len(np.unique(self.patient if rows is None else self.patient[rows]))


def site_of(name: str, cohort: Cohort, outcome: Outcome, plan: FederationPlan) -> Site:
    """The units of a cohort that have a label, with the features of the plan's modalities.

    Raises :class:`StudyError` for an endpoint or a modality that this protocol does not know.
    """
    labelled = set(outcome.units)
    ids = [u for u in cohort.ids if u in labelled]
    at = pd.Index(outcome.units).get_indexer(pd.Index(ids))
    features: list[Feature] = []
    for modality in plan.modalities:
        table = cohort.modalities.get(modality)
        if table is None and (plan.network is not None or plan.stack is not None):
            continue  # a modality of other sites
        if not isinstance(table, Table):
            raise StudyError(f"Modality '{modality}' is no table; a federated model takes features of tables.")
        features += _features(modality, table, ids)
        if modality in plan.harmonise:
            _one_batch(name, modality, table)
    units = cohort.units.loc[ids]
    weight = np.ones(len(ids))
    if plan.weighted:
        weight = pd.to_numeric(units["weight"], errors="coerce").to_numpy(float)
        if not (np.isfinite(weight) & (weight > 0)).all():
            raise StudyError("design.weight names a column in which some weights are missing or not above zero.")
    y, classes, time, entry = _outcome(outcome, at)
    patient = pd.factorize(units["patient"])[0].astype(np.int64)
    draw = drawn_by_id([str(p) for p in units["patient"]], plan.seed) if plan.privacy else None
    return Site(
        name, tuple(features), patient, weight, np.zeros(len(ids), np.int64), y, classes, time, entry, draw=draw
    )


def drawn_by_id(patients: Sequence[str], seed: int) -> Array:
    """(n,) even numbers from 0 to 1, the same of all units of a patient, whoever else is there."""
    made = [hashlib.blake2b(f"{seed}/{p}".encode(), digest_size=8).digest() for p in patients]
    return np.array([int.from_bytes(m, "little") / 2**64 for m in made])


def _one_batch(name: str, modality: str, table: Table) -> None:
    """Refuse batches within a site: what leaves are moments of the site, not of each of its batches."""
    labels = set() if table.batches is None else {b for b in table.batches.label if b is not None}
    if len(labels) > 1:
        raise StudyError(
            f"Modality '{modality}' says harmonise: combat, and design.batch has {len(labels)} values at site '{name}'. A federated "
            "fit takes each site for one batch: let design.batch name the site, or take harmonise out."
        )


def _outcome(outcome: Outcome, at: NDArray[np.intp]) -> tuple[Array, tuple[str, ...], Array, Array]:
    none = np.zeros(0)
    if isinstance(outcome, ClassOutcome):
        return outcome.codes[at].astype(float), tuple(outcome.endpoint.classes), none, none
    if isinstance(outcome, ValueOutcome):
        return outcome.values[at].astype(float), (), none, none
    if isinstance(outcome, SurvivalOutcome):
        return outcome.event[at].astype(float), ("censored", "event"), outcome.time[at], outcome.entry[at]
    raise StudyError("Competing risks cannot be fitted federated yet.")


_KINDS = {
    ColumnKind.NUMERIC.value: "numeric",
    ColumnKind.ORDINAL.value: "ordinal",
    ColumnKind.BINARY.value: "level",
    ColumnKind.NOMINAL.value: "level",
}


def _features(modality: str, table: Table, ids: Sequence[str]) -> list[Feature]:
    at = table.units.get_indexer(pd.Index(ids))
    out = []
    for j, (name, f) in enumerate(table.features.iterrows()):
        if f["kind"] not in _KINDS:
            continue
        values = np.full(len(ids), np.nan)
        values[at >= 0] = table.values[at[at >= 0], j]
        values[~np.isfinite(values)] = np.nan
        levels = tuple(map(str, f["levels"])) if f["levels"] is not None and np.ndim(f["levels"]) else ()
        out.append(Feature(modality, str(name), _KINDS[f["kind"]], levels, str(f["id_space"]), str(f["unit"]), values))
    return out
