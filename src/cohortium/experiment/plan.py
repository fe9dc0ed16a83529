"""What will be done, before it is done: per endpoint the outer splits, the grid of survival times, the tasks.

The plan's hash covers everything that predictions depend on (data, outcomes, splits, learners, seed, version):
a fold file made under the same hash may be taken up by a later run, any other is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, TimeOutcome, ValueOutcome

FloatArray = NDArray[np.float64]
MOST_GRID_POINTS = 100
LATE_EVENTS = 0.95


@dataclass(frozen=True)
class Task:
    """One unit of work. kind: ``outer`` (fit and predict), ``curve`` (the same on a fraction of the training
    part), ``final`` (fit the headline learner on everyone and store it; repeat and fold are -1)."""

    kind: str
    endpoint: str
    repeat: int
    fold: int
    fraction: float = 1.0

    @property
    def name(self) -> str:
        """File name without ending; endpoints by their position, as their names may not suit a file system."""
        if self.kind == "final":
            return "final"
        part = f"r{self.repeat:03d}-f{self.fold:03d}"
        return part if self.kind == "outer" else f"{part}-c{self.fraction!r}"


@dataclass(frozen=True, eq=False)
class EndpointPlan:
    """outcome: n units. groups: (n,). splits: of positions 0..n-1 (``repeat, fold, train, test``).

    grid: (m,) times of stored survival curves, tau: time up to which concordance is measured, horizons: times
    of time-dependent metrics (all None or empty unless survival or competing risks).
    """

    outcome: Outcome
    groups: NDArray[np.int64]
    splits: Sequence[Any]
    grid: FloatArray | None = None
    tau: float | None = None
    horizons: tuple[float, ...] = ()

    def split(self, task: Task) -> Any:
        """The outer split of a task."""
        return next(s for s in self.splits if (s.repeat, s.fold) == (task.repeat, task.fold))


@dataclass(frozen=True, eq=False)
class Plan:
    """endpoints: by name, in the study's order. config: of the learners. fractions: of the learning curve.
    notes: what limits the splits, in words."""

    endpoints: Mapping[str, EndpointPlan]
    config: Any
    inner_folds: int
    seed: int
    headline: str
    data_hash: str
    version: str
    fractions: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    hash: str = field(default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", _plan_hash(self))

    def outer_tasks(self) -> Iterator[Task]:
        """Every outer fold of every endpoint."""
        for name, e in self.endpoints.items():
            for s in e.splits:
                yield Task("outer", name, int(s.repeat), int(s.fold))

    def curve_tasks(self) -> Iterator[Task]:
        """The learning curve's fits; the whole training part is an outer task already."""
        for name, e in self.endpoints.items():
            for s in e.splits:
                for f in self.fractions:
                    if f < 1:
                        yield Task("curve", name, int(s.repeat), int(s.fold), float(f))

    def final_tasks(self) -> Iterator[Task]:
        """One refit on everyone for each endpoint."""
        for name in self.endpoints:
            yield Task("final", name, -1, -1)

    def file(self, task: Task) -> str:
        """Name of a task's file or folder inside the work folder."""
        at = list(self.endpoints).index(task.endpoint)
        return f"e{at:02d}-{task.name}" + ("" if task.kind == "final" else ".npz")


def endpoint_plan(
    outcome: Outcome, groups: NDArray[np.int64], splits: Sequence[Any], horizons: Sequence[float] | None = None
) -> EndpointPlan:
    """Plan of one endpoint; for survival and competing risks (events of interest) with tau, horizons and grid.

    tau: the 95th percentile of all event times, but no later than the last event of any training part: up to
    there the training fold's censoring survival is positive, so that every fold is measured over the same time.
    horizons: as asked for, else the endpoint's own, else the quartiles of the event times to two digits; those
    beyond tau are left out. grid: tau, the horizons and quantiles of the event times, at most 100 points.
    """
    if not isinstance(outcome, TimeOutcome):
        return EndpointPlan(outcome, groups, splits)
    tau = _tau(outcome, splits)
    asked = tuple(horizons or outcome.endpoint.horizons)
    at = tuple(sorted({float(h) for h in (asked or _quartiles(outcome)) if 0 < h <= tau}))
    return EndpointPlan(outcome, groups, splits, _grid(outcome, tau, at), tau, at)


def _tau(outcome: TimeOutcome, splits: Sequence[Any]) -> float:
    events = outcome.time[outcome.event]
    tau = float(np.quantile(events, LATE_EVENTS, method="higher"))
    for s in splits:
        seen = outcome.time[s.train][outcome.event[s.train]]
        if len(seen):
            tau = min(tau, float(seen.max()))
    return tau


def _quartiles(outcome: TimeOutcome) -> list[float]:
    events = outcome.time[outcome.event]
    return [float(f"{q:.2g}") for q in np.quantile(events, [0.25, 0.5, 0.75])]


def _grid(outcome: TimeOutcome, tau: float, horizons: tuple[float, ...]) -> FloatArray:
    events = np.unique(outcome.time[outcome.event & (outcome.time <= tau)])
    room = MOST_GRID_POINTS - len(horizons) - 1
    if len(events) > room:
        events = np.unique(np.quantile(events, np.linspace(0, 1, room), method="nearest"))
    return np.unique(np.concatenate([events, [tau], horizons]))


def cohort_hash(cohort: Cohort) -> str:
    """Content of a cohort as 32 hexadecimal digits: unit table, values, features, presence; not where it came from."""
    h = hashlib.blake2b(digest_size=16)
    for column in cohort.units.columns:
        _feed(h, str(column), cohort.units[column].astype(str).to_numpy(object))
    _feed(h, "units", cohort.ids)
    for name, table in cohort.modalities.items():
        _feed(h, f"modality {name}", table.units.to_numpy(object))
        for what, array in table.arrays():
            _feed(h, what, array)
        _feed(h, "absent", cohort.absent[name].to_numpy(object))
    return h.hexdigest()


def _feed(h: Any, name: str, values: NDArray[Any]) -> None:
    h.update(f"\x00{name}\x00{values.shape}\x00{values.dtype}\x00".encode())
    if values.dtype == object:
        h.update("\x1f".join(map(str, values)).encode())
    elif values.size:  # cells without types: a view of nothing cannot be cast
        h.update(memoryview(np.ascontiguousarray(values)).cast("B"))


def _plan_hash(plan: Plan) -> str:
    h = hashlib.blake2b(digest_size=16)
    facts = {
        "config": repr(plan.config),
        "inner": plan.inner_folds,
        "seed": plan.seed,
        "headline": plan.headline,
        "data": plan.data_hash,
        "version": plan.version,
    }
    h.update(json.dumps(facts, sort_keys=True).encode())
    for name, e in plan.endpoints.items():
        h.update(f"{name}|{e.outcome.endpoint!r}{e.outcome.endpoint.model}".encode())
        _feed(h, "units", e.outcome.units)
        for values in _outcome_arrays(e.outcome):
            _feed(h, "outcome", values)
        _feed(h, "groups", e.groups)
        if e.grid is not None:
            _feed(h, "grid", e.grid)
        for s in e.splits:
            _feed(h, f"train {s.repeat} {s.fold}", np.asarray(s.train))
            _feed(h, "test", np.asarray(s.test))
    return h.hexdigest()


def _outcome_arrays(outcome: Outcome) -> list[NDArray[Any]]:
    if isinstance(outcome, ClassOutcome):
        return [outcome.codes]
    if isinstance(outcome, ValueOutcome):
        return [outcome.values]
    if isinstance(outcome, CompetingOutcome):
        return [outcome.time, outcome.cause]
    return [outcome.time, outcome.event, outcome.entry]
