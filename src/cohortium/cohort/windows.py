"""Numbers about the events before the index time: each unit's own, nothing learned from others.

For every code and window: how often. For every code that carries values: their mean, least and greatest per
window, and over the whole declared past the last value, its change per day (least squares) and how long ago it
was. Cost: O(M log M) for M pairs of unit and event; 10 million take about 20 s and 2 GB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.events import DAY, STATIC, Events
from cohortium.cohort.table import Table, feature_frame

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """Sparse features, by feature: entries ``[begin[j], begin[j + 1])`` of row and value belong to feature j.

    counts: (q,) True where a unit without an entry has 0 (how often), else it is not known (NaN).
    """

    names: NDArray[np.object_]
    begin: Ints
    row: Ints
    value: NDArray[np.float32]
    counts: NDArray[np.bool_]

    def support(self) -> Ints:
        """(q,) units that have an entry."""
        return np.diff(self.begin)

    def supported(self, least: int, most: int = 4000) -> list[str]:
        """Names of the features that at least so many units have; the most frequent ones when there are too many."""
        support = self.support()
        order = np.lexsort((np.arange(len(support)), -support))
        return [str(n) for n in self.names[np.sort(order[support[order] >= least][:most])]]

    def table(self, units: pd.Index, names: list[str]) -> Table:
        """The named features as a table (n, len(names)); those that no unit has are 0 or NaN."""
        where = pd.Index(self.names).get_indexer(pd.Index(names, dtype=object))
        out = np.empty((len(units), len(names)), dtype=np.float32, order="F")
        for j, w in enumerate(where):
            counting = self.counts[w] if w >= 0 else is_count(names[j])
            out[:, j] = 0.0 if counting else np.nan
            if w >= 0:
                at = slice(self.begin[w], self.begin[w + 1])
                out[self.row[at], j] = self.value[at]
        return Table(units, out, feature_frame(names))


def is_count(name: str) -> bool:
    """Whether a feature of that name says how often a code stands."""
    return name.rsplit(" | ", 1)[-1].startswith("count")


def window_name(days: float) -> str:
    """``30d``, or nothing for the whole past."""
    return "" if np.isinf(days) else f" {days:g}d"


def window_features(events: Events) -> WindowFeatures:
    """All features of the units' events; made once for an object and kept with it."""
    made = events.__dict__.get("_window_features")
    if made is None:
        made = _made(events)
        object.__setattr__(events, "_window_features", made)
    return made


def _made(events: Events) -> WindowFeatures:
    unit, at = events.seen()
    code, value = events.code[at].astype(np.int64), events.value[at]
    static = events.time[at] == STATIC
    age = np.where(static, np.inf, (events.index[unit] - np.where(static, 0, events.time[at])) / DAY)
    parts: list[tuple[str, bool, Ints, Ints, Floats]] = []
    for days in events.windows:
        inside = (age <= days) if np.isfinite(days) else np.ones(len(age), dtype=bool)
        key, first = _groups(code[inside], unit[inside], len(events.units))
        number = np.diff(np.append(first, inside.sum()))
        parts.append((f"count{window_name(days)}", True, *key, np.log1p(number)))
    reach = age <= events.windows[-1]
    measured = np.isfinite(value) & reach
    for days in events.windows:
        inside = measured & (age <= days)
        parts += _spread(code[inside], unit[inside], value[inside], len(events.units), window_name(days))
    timed = measured & ~static
    parts += _course(code[timed], unit[timed], value[timed], age[timed], len(events.units))
    happened = reach & ~static
    key, _, last = _ordered(code[happened], unit[happened], len(events.units))
    parts.append(("days since (log)", False, *key, np.log1p(np.maximum(age[happened][last], 0.0))))
    return _assembled(events, parts)


def _groups(code: Ints, unit: Ints, n: int) -> tuple[tuple[Ints, Ints], Ints]:
    """Distinct pairs in order of (code, unit), and where each begins among the sorted pairs."""
    key = np.sort(code * n + unit)
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return (key[first] // n, key[first] % n), first


def _ordered(code: Ints, unit: Ints, n: int) -> tuple[tuple[Ints, Ints], Ints, Ints]:
    """Distinct pairs; the order that sorts by pair and then by time; the last event of each pair."""
    key = code * n + unit
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    last = order[np.append(first[1:], len(order)) - 1] if len(order) else order
    pair = key[order][first]
    return (pair // n, pair % n), order, last


def _spread(code: Ints, unit: Ints, value: Floats, n: int, window: str) -> list[tuple[str, bool, Ints, Ints, Floats]]:
    key, order, _ = _ordered(code, unit, n)
    if not len(order):
        return []
    first = np.flatnonzero(np.diff((code * n + unit)[order], prepend=-1))
    v = value[order]
    mean = np.add.reduceat(v, first) / np.diff(np.append(first, len(v)))
    least, most = np.minimum.reduceat(v, first), np.maximum.reduceat(v, first)
    return [(f"{what}{window}", False, *key, x) for what, x in (("mean", mean), ("min", least), ("max", most))]


def _course(code: Ints, unit: Ints, value: Floats, age: Floats, n: int) -> list[tuple[str, bool, Ints, Ints, Floats]]:
    """Last value, and its change per day where a unit has values at two times."""
    key, order, last = _ordered(code, unit, n)
    if not len(order):
        return []
    first = np.flatnonzero(np.diff((code * n + unit)[order], prepend=-1))
    number = np.diff(np.append(first, len(order)))
    group = np.repeat(np.arange(len(first)), number)
    t, v = -age[order], value[order]
    t = t - (np.add.reduceat(t, first) / number)[group]
    v = v - (np.add.reduceat(v, first) / number)[group]
    spread = np.add.reduceat(t * t, first)
    several = spread > 1e-6
    slope = np.add.reduceat(t * v, first)[several] / spread[several]
    return [
        ("last", False, *key, value[last]),
        ("change per day", False, key[0][several], key[1][several], slope),
    ]


def _assembled(events: Events, parts: list[tuple[str, bool, Ints, Ints, Floats]]) -> WindowFeatures:
    """One sparse matrix, features by code and then as they were made."""
    vocabulary, k = events.vocabulary, len(parts)
    column = np.concatenate([c * k + j for j, (_, _, c, _, _) in enumerate(parts)])
    row = np.concatenate([r for *_, r, _ in parts])
    value = np.concatenate([v for *_, v in parts]).astype(np.float32)
    order = np.argsort(column, kind="stable")
    used, first = np.unique(column[order], return_index=True)
    names = np.array([f"{vocabulary[u // k]} | {parts[u % k][0]}" for u in used], dtype=object)
    counting = np.array([parts[u % k][1] for u in used], dtype=bool)
    return WindowFeatures(names, np.append(first, len(order)).astype(np.int64), row[order], value[order], counting)
