"""What networks are given of instances and events: each unit's own, nothing of others, nothing after the index time."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Bag, Events
from cohortium.cohort.events import DAY, STATIC
from cohortium.cohort.table import feature_frame
from cohortium.encoders.raw import EventEncoder, InstanceEncoder, restore_raw
from cohortium.testing import simulate_cohort

CODE, VALUE, KNOWN, AGE, GAP, TIMED = range(6)


def all_of(stored, i: int):
    """Everything that is read of one unit."""
    at = stored.begin[i] + np.arange(stored.sizes[i])
    return stored.read(at, np.full(len(at), i))


def bag(seed: int = 0, n: int = 30) -> Bag:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, n)
    x = rng.normal(3, 2, size=(int(sizes.sum()), 4))
    x[:, 1] = np.exp(3 * rng.normal(size=len(x)))  # skewed
    x[:, 2] = 7.0
    x[rng.random(len(x)) < 0.2, 3] = np.nan
    units = pd.Index([f"u{i}" for i in range(n)], dtype=object)
    return Bag(
        units, x, np.r_[0, np.cumsum(sizes)].astype(np.int64), feature_frame(["a", "skewed", "constant", "gaps"])
    )


def events(rows, index=(1000, 1000), n: int = 2) -> Events:
    """rows: (unit, day or None, code, value)."""
    frame = pd.DataFrame(rows, columns=["unit", "day", "code", "value"])
    time = np.where(frame["day"].isna(), 0, frame["day"].fillna(0) * DAY).astype(np.int64)
    frame["time"] = np.where(frame["day"].isna(), STATIC, time)
    frame = frame.sort_values(["unit", "time"], kind="stable")
    vocabulary, code = np.unique(frame["code"].to_numpy(dtype=str), return_inverse=True)
    stop = np.cumsum(np.bincount(frame["unit"], minlength=n))
    units = pd.Index([f"u{i}" for i in range(n)], dtype=object)
    return Events(units, vocabulary.astype(object), frame["unit"].to_numpy(np.int64), frame["time"].to_numpy(np.int64), code.astype(np.int32),
                  frame["value"].to_numpy(np.float64), np.r_[0, stop[:-1]], stop, np.array(index, dtype=np.int64) * DAY)  # fmt: skip


def several(n: int = 12, more=()) -> Events:
    """Each unit: sex without a time, A with a value and B without one; ``more`` rows."""
    rows = [(i, None, "sex", np.nan) for i in range(n)]
    rows += [(i, 900 + k, "A", float(i + k)) for i in range(n) for k in (0, 10)]
    rows += [(i, 905, "B", np.nan) for i in range(n)]
    return events([*rows, *more], [1000] * n, n)


def test_instances_are_complete_and_standardised_and_constant_features_go():
    data = bag()
    encoder = InstanceEncoder().fit(data, np.arange(30))
    assert encoder.size == 3 and list(encoder.table_.names_) == ["a", "skewed", "gaps"]
    stored = encoder.stored(data)
    (x,) = stored.read(np.arange(len(data.values)), np.zeros(len(data.values), dtype=np.int64))
    assert np.isfinite(x).all() and np.abs(x).max() <= 6
    np.testing.assert_allclose(x[:, :2].mean(axis=0), 0, atol=0.05)
    assert (stored.begin == data.offsets[:-1]).all() and (stored.sizes == data.sizes).all()


def test_units_that_are_not_trained_on_do_not_reach_scales_or_vocabularies():
    data = bag()
    spoilt = data.values.copy()
    spoilt[data.offsets[20] :] = 1e6
    one, two = (InstanceEncoder().fit(d, np.arange(20)).state() for d in (data, replace(data, values=spoilt)))
    assert json.dumps(one, default=lambda a: a.tolist()) == json.dumps(two, default=lambda a: a.tolist())
    plain = several(20)
    garbage = several(20, [(i, 950, c, 1e6) for i in range(12, 20) for c in ("A", "never seen", "C")])
    one, two = (EventEncoder().fit(d, np.arange(12)) for d in (plain, garbage))
    assert json.dumps(one.state(), default=lambda a: a.tolist()) == json.dumps(
        two.state(), default=lambda a: a.tolist()
    )
    for i in range(12):
        for a, b in zip(all_of(one.stored(plain), i), all_of(two.stored(garbage), i), strict=True):
            np.testing.assert_array_equal(a, b)


def test_all_units_weigh_alike_in_the_scales_of_instances(monkeypatch):
    from cohortium.encoders import raw

    monkeypatch.setattr(raw, "SCALE_INSTANCES", 40)
    values = np.concatenate([np.linspace(0, 1, 2000), np.linspace(10, 11, 20)])[:, None]
    data = Bag(pd.Index(["u", "v"]), values, np.array([0, 2000, 2020]), feature_frame(["x"]))
    assert InstanceEncoder().fit(data, np.arange(2)).table_.mean_[0] == pytest.approx(5.5, rel=1e-3)


def test_events_say_code_value_age_and_time_since_the_one_before():
    data = several()
    encoder = EventEncoder().fit(data, np.arange(12))
    assert list(encoder.codes_) == ["A", "B", "sex"] and encoder.age_ == 95.0
    found = all_of(encoder.stored(data), 3)
    assert found[CODE].tolist() == [2, 0, 1, 0]
    assert found[KNOWN].tolist() == [0, 1, 0, 1] and found[TIMED].tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(found[AGE], np.array([0, 100, 95, 90]) / 95)
    np.testing.assert_allclose(found[GAP], np.array([0, 0, 5, 5]) / 95)
    assert found[VALUE][0] == found[VALUE][2] == 0 and found[VALUE][1] < found[VALUE][3]
    every = np.concatenate([all_of(encoder.stored(data), i)[VALUE] for i in range(12)])
    values = every[every != 0]
    assert abs(values.mean()) < 1e-9 and values.std() == pytest.approx(1.0)


def test_rare_and_unknown_codes_are_not_seen_and_an_unknown_one_changes_nothing():
    encoder = EventEncoder().fit(several(), np.arange(12))
    plain = events([(0, 900, "A", 1.0), (1, 990, "B", np.nan)])
    more = events([(0, 900, "A", 1.0), (0, 950, "new", 5.0), (1, 990, "B", np.nan), (1, 995, "another", np.nan)])
    for i in range(2):
        for a, b in zip(all_of(encoder.stored(plain), i), all_of(encoder.stored(more), i), strict=True):
            np.testing.assert_array_equal(a, b)
    assert encoder.stored(events([(0, 900, "new", 1.0), (1, 990, "B", np.nan)])).sizes.tolist() == [0, 1]


def test_the_last_events_and_those_without_a_time_are_seen():
    data = several(12, [(3, 910 + k, "B", np.nan) for k in range(30)])
    encoder = EventEncoder(4).fit(data, np.arange(12))
    found = all_of(encoder.stored(data), 3)
    assert found[CODE].tolist() == [2, 1, 1, 1, 1]
    np.testing.assert_allclose(found[AGE] * encoder.age_, [0, 64, 63, 62, 61])
    assert found[GAP][1] * encoder.age_ == pytest.approx(1.0), "the event before is known though it is not seen"


def test_what_follows_the_index_time_is_not_seen():
    # Two units of one patient share a line of events: the earlier one sees a part of it.
    data = several(1, [(0, 970, "A", 5.0)])
    both = Events(pd.Index(["early", "late"]), data.vocabulary, data.owner, data.time, data.code, data.value,
                  np.array([0, 0]), np.array([4, 5]), np.array([960, 1000]) * DAY)  # fmt: skip
    encoder = EventEncoder().fit(several(), np.arange(12))
    early, late = all_of(encoder.stored(both), 0), all_of(encoder.stored(both), 1)
    assert len(early[CODE]) == 4 and len(late[CODE]) == 5
    np.testing.assert_allclose((late[AGE][:4] - early[AGE])[1:] * encoder.age_, 40)


def test_restored_reads_the_same_to_the_bit():
    data = several()
    again = restore_raw(EventEncoder(3).fit(data, np.arange(12)).state())
    for a, b in zip(all_of(EventEncoder(3).fit(data, np.arange(12)).stored(data), 2), all_of(again.stored(data), 2), strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    fitted = InstanceEncoder().fit(bag(), np.arange(30))
    again = restore_raw(fitted.state())
    np.testing.assert_array_equal(all_of(again.stored(bag()), 4)[0], all_of(fitted.stored(bag()), 4)[0])


def test_codes_without_values_units_without_events_and_no_training_codes_are_no_trouble():
    s = simulate_cohort(np.random.default_rng(0), 40, {"visits": 5}, shapes={"visits": "events"})
    data = s.cohort.modalities["visits"]
    encoder = EventEncoder().fit(data, np.arange(20))
    assert np.isfinite(np.concatenate([np.concatenate(all_of(encoder.stored(data), i)) for i in range(40)])).all()
    nothing = EventEncoder().fit(events([(0, 900, "A", 1.0), (1, 900, "B", 1.0)]), np.arange(2))
    assert nothing.size == 0 and nothing.stored(data).sizes.sum() == 0
