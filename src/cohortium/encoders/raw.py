"""What networks see of the instances of a bag and of events: scales and vocabularies, fitted on training rows.

Nothing is copied: what is fitted here makes, of what the modality stores, the numbers that an encoder asks for at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Bag, Events, Table
from cohortium.cohort.events import DAY, STATIC
from cohortium.encoders.table import CLIP, TableEncoder

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SCALE_INSTANCES = 200_000
"""Instances that scales are learned from: of every training unit alike, evenly along its instances."""

MOST_CODES = 4000
"""Codes that a network knows at most: the ones that most training units have."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Items of the units of a modality. begin, sizes: (n,) a unit's items are ``[begin, begin + size)``. read: positions
    (k,) of items and the units (k,) they belong to -> arrays (k, ...)."""

    begin: Ints
    sizes: Ints
    read: Callable[[Ints, Ints], tuple[NDArray[Any], ...]]


class InstanceEncoder:
    """Imputes, compresses and standardises the features of instances, as a :class:`TableEncoder` does those of units."""

    def fit(self, data: Bag, rows: NDArray[np.intp]) -> InstanceEncoder:
        """Learn from the instances of the units at the positions ``rows``."""
        each = max(SCALE_INSTANCES // max(len(rows), 1), 1)
        at = [a + np.unique(np.linspace(0, n - 1, min(each, n)).astype(np.int64)) for a, n in zip(data.offsets[rows], data.sizes[rows], strict=True)]  # fmt: skip
        self.table_ = TableEncoder().fit(_instances(data, np.concatenate(at)))
        return self

    @property
    def size(self) -> int:
        """Numbers of an instance."""
        return len(self.table_.names_)

    def stored(self, data: Any) -> Stored:
        """The instances of ``data``; one array (k, d)."""

        def read(at: Ints, rows: Ints) -> tuple[NDArray[Any], ...]:
            return (self.table_.transform(_instances(data, at)),)

        return Stored(data.offsets[:-1], data.sizes, read)

    def state(self) -> dict[str, Any]:
        """JSON-able, arrays as leaves."""
        return {"kind": "instances", "table": self.table_.state()}

    @staticmethod
    def restore(state: dict[str, Any]) -> InstanceEncoder:
        out = InstanceEncoder()
        out.table_ = TableEncoder.restore(state["table"])
        return out


class EventEncoder:
    """The codes that enough training units have, the scale of each one's values, and that of ages.

    A code needs 5 training units or 1% of them, whichever is more; others are not seen. Values are compressed:
    asinh of the distance from the code's median in robust standard deviations, then standardised. last: events of a unit
    that are seen, the last ones, beside those without a time (None: all). After ``fit``:
    ``codes_`` (C,) str, ``centre_, spread_, mean_, sd_`` (C,), ``age_`` days, the typical age of an event.
    """

    def __init__(self, last: int | None = None) -> None:
        self.last = last

    def fit(self, data: Events, rows: NDArray[np.intp]) -> EventEncoder:
        """Learn from what the units at the positions ``rows`` see."""
        data = data.take(rows)
        unit, event = data.seen()
        code = data.code[event].astype(np.int64)
        pairs = np.unique(code * max(len(data.units), 1) + unit) // max(len(data.units), 1)
        support = np.bincount(pairs, minlength=len(data.vocabulary))
        names = data.vocabulary.astype(str)
        order = np.lexsort((names, -support))
        order = order[support[order] >= max(5, len(data.units) // 100)][:MOST_CODES]
        self.codes_ = np.sort(names[order]).astype(object)
        known = self._number(data)[code]
        values = pd.Series(data.value[event]).where(np.isfinite(data.value[event]))
        of = known >= 0
        self._scales(values[of], known[of])
        timed = data.time[event] != STATIC
        age = (data.index[unit] - np.where(timed, data.time[event], 0))[timed & of] / DAY
        self.age_ = float(max(np.median(age), 1e-6)) if len(age) else 1.0
        return self

    def _scales(self, values: pd.Series, code: Ints) -> None:
        every = range(self.size)
        by = values.groupby(code)
        low, middle, high = (by.quantile(q).reindex(every) for q in (0.25, 0.5, 0.75))
        spread = ((high - low) / 1.349).to_numpy()
        sd = by.std(ddof=0).reindex(every).to_numpy()
        self.centre_ = np.nan_to_num(middle.to_numpy(dtype=np.float64))
        self.spread_ = np.where(np.nan_to_num(spread) > 1e-9, spread, np.where(np.nan_to_num(sd) > 1e-9, sd, 1.0))
        z = pd.Series(np.arcsinh((values.to_numpy() - self.centre_[code]) / self.spread_[code])).groupby(code)
        self.mean_ = np.nan_to_num(z.mean().reindex(every).to_numpy(dtype=np.float64))
        sd = np.nan_to_num(z.std(ddof=0).reindex(every).to_numpy(dtype=np.float64))
        self.sd_ = np.where(sd > 1e-9, sd, 1.0)

    @property
    def size(self) -> int:
        """Codes."""
        return len(self.codes_)

    def _number(self, data: Events) -> Ints:
        """(vocabulary,) number of each code of ``data``, -1 for one that is not known."""
        return pd.Index(self.codes_).get_indexer(pd.Index(data.vocabulary.astype(str), dtype=object)).astype(np.int64)

    def stored(self, data: Any) -> Stored:
        """The events of known codes, those without a time first, then in order of time.

        Arrays (k,): code; value, 0 where there is none; 1 where there is one; age, and time since the unit's event
        before, both in typical ages; 1 where there is a time. An event without a time has age 0; so has the first no event before.
        """
        unit, event = data.seen()
        number = self._number(data)
        known = number[data.code[event]] >= 0
        unit, event = unit[known], event[known]
        sizes = np.bincount(unit, minlength=len(data.units)).astype(np.int64)
        before = np.r_[-1, event[:-1]]
        before[unit != np.r_[-1, unit[:-1]]] = -1
        if self.last is not None:
            left = np.cumsum(sizes)[unit] - np.arange(len(unit))  # 1 for the last event of a unit
            keep = (left <= self.last) | (data.time[event] == STATIC)
            unit, event, before = unit[keep], event[keep], before[keep]
            sizes = np.bincount(unit, minlength=len(data.units)).astype(np.int64)
        small = np.int32 if len(data.time) < 2**31 else np.int64
        event, before = event.astype(small), before.astype(small)

        def read(at: Ints, rows: Ints) -> tuple[NDArray[Any], ...]:
            e, b = event[at], before[at]
            code, value, time = number[data.code[e]], data.value[e], data.time[e]
            has, timed = np.isfinite(value), time != STATIC
            z = np.arcsinh((np.where(has, value, 0.0) - self.centre_[code]) / self.spread_[code])
            z = np.where(has, np.clip((z - self.mean_[code]) / self.sd_[code], -CLIP, CLIP), 0.0)
            follows = timed & (b >= 0) & (data.time[b] != STATIC)
            age = np.where(timed, data.index[rows] - np.where(timed, time, 0), 0) / (DAY * self.age_)
            gap = np.where(follows, time - np.where(follows, data.time[b], 0), 0) / (DAY * self.age_)
            return code, z, has.astype(np.float64), np.where(timed, age, 0.0), gap, timed.astype(np.float64)

        return Stored(np.cumsum(sizes) - sizes, sizes, read)

    def state(self) -> dict[str, Any]:
        """JSON-able, arrays as leaves."""
        arrays = {k: getattr(self, k) for k in ("centre_", "spread_", "mean_", "sd_")}
        return {"kind": "events", "codes": list(self.codes_), "age": self.age_, "last": self.last, **arrays}

    @staticmethod
    def restore(state: dict[str, Any]) -> EventEncoder:
        out = EventEncoder(state["last"])
        out.codes_, out.age_ = np.array(state["codes"], dtype=object), float(state["age"])
        for name in ("centre_", "spread_", "mean_", "sd_"):
            setattr(out, name, np.asarray(state[name], dtype=np.float64))
        return out


RawEncoder = InstanceEncoder | EventEncoder


def restore_raw(state: dict[str, Any]) -> RawEncoder:
    """The encoder of a state that ``RawEncoder.state`` gave."""
    kinds: dict[str, type[RawEncoder]] = {"instances": InstanceEncoder, "events": EventEncoder}
    return kinds[state["kind"]].restore(state)


def _instances(data: Bag, at: Ints) -> Table:
    return Table(pd.RangeIndex(len(at)), data.values[at], data.features)
