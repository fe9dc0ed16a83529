"""Features of events against a plain recount, and what a copy of units lets through."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Events
from cohortium.cohort.events import DAY, STATIC
from cohortium.cohort.windows import window_features


def simulated(seed: int = 0, n: int = 30, events: int = 800) -> Events:
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(0, n // 2, events))
    time = rng.integers(0, 400, events) * DAY
    time[rng.random(events) < 0.05] = STATIC
    order = np.lexsort((time, owner))
    owner, time = owner[order], time[order]
    code = rng.integers(0, 6, events).astype(np.int32)
    value = np.where(code < 3, rng.normal(size=events), np.nan)
    of = np.arange(n) // 2
    index = rng.integers(100, 420, n) * DAY
    begin, end = np.searchsorted(owner, of, "left"), np.searchsorted(owner, of, "right")
    stop = np.array([b + np.searchsorted(time[b:e], i, "left") for b, e, i in zip(begin, end, index, strict=True)])
    keep = stop > begin
    units = pd.Index([f"u{i}" for i in range(n)], dtype=object)[keep]
    vocabulary = np.array(list("abcdef"), dtype=object)
    return Events(units, vocabulary, owner, time, code, value, begin[keep], stop[keep], index[keep], (30.0, np.inf))


def recounted(e: Events, unit: int) -> dict[str, float]:
    """The same features one unit and one code at a time."""
    out = {}
    rows = np.arange(e.start[unit], e.stop[unit])
    for c, name in enumerate(e.vocabulary):
        mine = rows[e.code[rows] == c]
        age = np.array([np.inf if e.time[r] == STATIC else (e.index[unit] - e.time[r]) / DAY for r in mine])
        for window, label in ((30.0, " 30d"), (np.inf, "")):
            inside = mine[age <= window]
            if len(inside):
                out[f"{name} | count{label}"] = np.log1p(len(inside))
            v = e.value[inside][np.isfinite(e.value[inside])]
            if len(v):
                out |= {f"{name} | mean{label}": v.mean(), f"{name} | min{label}": v.min()}
                out[f"{name} | max{label}"] = v.max()
        timed = np.isfinite(age)
        if timed.any():
            out[f"{name} | days since (log)"] = np.log1p(age[timed].min())
        have = timed & np.isfinite(e.value[mine])
        if have.any():
            out[f"{name} | last"] = e.value[mine[have]][-1]
            if len(set(age[have])) > 1:
                out[f"{name} | change per day"] = np.polyfit(-age[have], e.value[mine[have]], 1)[0]
    return out


@pytest.mark.parametrize("seed", range(5))
def test_features_are_those_of_a_plain_recount(seed):
    e = simulated(seed)
    found = window_features(e)
    table = found.table(e.units, [str(n) for n in found.names])
    frame = pd.DataFrame(table.values, columns=table.features.index)
    for unit in range(len(e.units)):
        expected = recounted(e, unit)
        row = frame.iloc[unit]
        seen = row[(row != 0) & row.notna()] if unit else row
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
        assert set(seen[seen != 0].dropna().index) <= set(expected)


def test_a_code_that_nobody_has_counts_nothing_and_measures_nothing():
    e = simulated()
    table = window_features(e).table(e.units, ["zzz | count", "zzz | last"])
    assert (table.values[:, 0] == 0).all()
    assert np.isnan(table.values[:, 1]).all()


def test_a_copy_of_units_holds_their_own_past_and_nothing_else():
    e = simulated(3)
    rows = np.array([5, 2, 9])
    part = e.take(rows)
    assert list(part.units) == list(e.units[rows])
    pd.testing.assert_frame_equal(
        part.frame().reset_index(drop=True),
        pd.concat([e.frame()[e.frame()["unit"] == u] for u in part.units]).reset_index(drop=True),
    )
    latest = {o: part.index[(part.owner[part.start] == o)].max() for o in set(part.owner)}
    assert all(part.time[k] < latest[part.owner[k]] for k in range(len(part.time)))
    assert len(part.time) <= sum(part.n_events)


def test_an_event_at_the_index_time_is_refused_by_the_type():
    e = simulated()
    with pytest.raises(ValueError, match="at or after its index time"):
        Events(
            e.units, e.vocabulary, e.owner, e.time, e.code, e.value, e.start, e.stop, np.zeros(len(e.units), np.int64)
        )


def test_stored_and_read_again(tmp_path):
    from cohortium.cohort import Bag, Cohort, Texts, read_stored_cohort, write_cohort
    from cohortium.cohort.table import feature_frame

    e = simulated(1)
    rng = np.random.default_rng(0)
    number = rng.integers(1, 4, len(e.units))
    offsets = np.concatenate([[0], np.cumsum(number)])
    bag = Bag(e.units, rng.normal(size=(offsets[-1], 3)), offsets, feature_frame(["a", "b", "c"]))
    texts = Texts(e.units[:4], np.array(["one", "two", "three", "four"], dtype=object))
    units = pd.DataFrame({"patient": e.units}, index=pd.Index(e.units, name="unit"))
    cohort = Cohort(units, {"records": e, "cells": bag, "notes": texts})
    write_cohort(cohort, tmp_path / "stored")
    again = read_stored_cohort(tmp_path / "stored")
    for name, old in cohort.modalities.items():
        new = again.modalities[name]
        assert new.shape == old.shape
        np.testing.assert_array_equal(new.as_table().values, old.as_table().values)


def test_a_bag_is_summarised_per_unit():
    from cohortium.cohort import Bag
    from cohortium.cohort.table import feature_frame

    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 2))
    bag = Bag(pd.Index(["p", "q"]), x, np.array([0, 4, 7]), feature_frame(["a", "b"]))
    table = bag.as_table()
    columns = list(table.features.index)
    assert table.values[1, columns.index("b mean")] == pytest.approx(x[4:, 1].mean())
    assert table.values[0, columns.index("a q90")] == pytest.approx(np.quantile(x[:4, 0], 0.9))
    turned = bag.take(np.array([1, 0]))
    np.testing.assert_array_equal(turned.values, np.vstack([x[4:], x[:4]]))
