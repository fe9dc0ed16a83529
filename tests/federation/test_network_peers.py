"""Sites that send a network nonsense, lie within bounds, fall silent or are too small; and coordinators that ask too much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'cohortium[deep]'")

from cohortium.contracts.federation import Withdrawn
from cohortium.contracts.federation_network import (
    GRID,
    NETWORK_ANSWERS,
    AskTimes,
    PartUpdate,
    SiteTimes,
    SiteUpdate,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import question
from cohortium.federation_coordinator.network_state import network
from cohortium.federation_coordinator.network_strategies import AGGREGATES
from cohortium.federation_coordinator.network_times import intervals
from cohortium.federation_coordinator.protocol import SILENT
from cohortium.federation_site import answer
from cohortium.federation_site.network_data import times_of
from tests.federation.network_sites import changed, plan, run, sites

BAD = "south"
SMALL = (30, 30, 30, 30)


def parts(a, **fields):
    return replace(a, parts=tuple(replace(p, **{k: f(getattr(p, k)) for k, f in fields.items()}) for p in a.parts))


DAMAGED = {
    "NaN": (lambda a: parts(a, change=lambda x: x * np.nan), "NaN"),
    "infinite loss": (lambda a: replace(a, loss=float("inf")), "NaN"),
    "shape": (lambda a: parts(a, change=lambda x: x[1:]), "another shape"),
    "other parts": (lambda a: replace(a, parts=(*a.parts, replace(a.parts[0], name="modality:eyes"))), "other parts"),
    "without the head": (lambda a: replace(a, parts=a.parts[:-1]), "other parts"),
    "more units": (lambda a: parts(a, units=lambda n: n * 1000), "number of its units"),
    "too large": (lambda a: parts(a, change=lambda x: x * 1000), "100 times as long"),
    "centre too large": (lambda a: parts(a, centre=lambda x: x * 1000), "100 times as long"),
    "loss too large": (lambda a: replace(a, loss=a.loss * 1000), "100 times"),
    "other sizes": (lambda a: replace(a, sizes=a.sizes + 1), "other sizes"),
    "other name": (lambda a: replace(a, site="north"), "something else|another's name"),
    "repeated": (lambda a: replace(a, round=a.round - 1), "repeated"),
    "another kind": (lambda a: SiteTimes(a.site, a.plan, a.round, GRID[:2], np.ones(1), np.ones(1)), "SiteUpdate"),
}


@pytest.fixture(scope="module")
def found():
    return sites("binary", SMALL)


@pytest.mark.parametrize("name", [n for n in DAMAGED if n != "other name"])
def test_damaged_updates_are_left_out_and_the_others_go_on(name, found):
    change, said = DAMAGED[name]
    made = plan("binary", rounds=2)
    state = run(made, found, lambda n, a: change(a) if n == BAD and isinstance(a, SiteUpdate) and a.round > 3 else a)
    assert list(state.left) == [BAD] and said in state.left[BAD], state.left
    assert any(BAD in n and said in n for n in state.notices) and network(state).done == 2


def test_the_update_of_an_earlier_round_under_a_new_number(found):
    kept = {}

    def replay(n, a):
        if n != BAD or not isinstance(a, SiteUpdate) or not len(a.parts[0].change):
            return a
        return replace(kept.setdefault("first", a), round=a.round)

    state = run(plan("binary", rounds=2), found, replay)
    assert "earlier round again" in state.left[BAD]


def test_longer_than_the_clip(found):
    made = plan("binary", clip=0.01, rounds=1)
    seen = []
    run(made, found, lambda n, a: seen.append(a) or a)
    for a in seen:
        if isinstance(a, SiteUpdate):
            assert np.sqrt(sum(float(p.change @ p.change) for p in a.parts)) <= 0.01 * (1 + 1e-9)
    state = run(
        made, found, lambda n, a: parts(a, change=lambda x: x * 2) if n == BAD and isinstance(a, SiteUpdate) else a
    )
    assert "declared clip" in state.left[BAD]


@pytest.mark.parametrize("how", ["median", "trimmed_mean", "krum"])
def test_one_lying_site_within_bounds_is_outvoted(how, found):
    """Twenty times the honest update, backwards: a mean follows it, the robust ones do not."""

    def lie(n, a):
        return parts(a, change=lambda x: -20 * x) if n == "north" and isinstance(a, SiteUpdate) else a

    made = plan("binary", rounds=1)
    honest = network(run(made, found)).change["head"]
    followed = network(run(made, found, lie)).change["head"]
    kept = network(run(changed(made, aggregate=how), found, lie)).change["head"]
    assert honest @ followed < 0 < honest @ kept
    assert np.linalg.norm(kept - honest) < np.linalg.norm(followed - honest) / 3


def test_aggregates_by_hand():
    x = np.array([[1.0, 9.0], [2.0, 8.0], [3.0, 7.0], [100.0, -100.0], [4.0, 6.0]])
    w = np.arange(1.0, 6.0)
    np.testing.assert_allclose(AGGREGATES["mean"](w, x), [(1 + 4 + 9 + 400 + 20) / 15, (9 + 16 + 21 - 400 + 30) / 15])
    np.testing.assert_allclose(AGGREGATES["median"](w, x), [3, 7])
    np.testing.assert_allclose(AGGREGATES["trimmed_mean"](w, x), [3, 7])
    np.testing.assert_allclose(AGGREGATES["krum"](w, x), [2, 8])  # two nearest others: of 2, 3 and their like


def test_a_silent_site_comes_back_and_one_that_stays_silent_is_left_out(found):
    made = plan("binary", rounds=4)
    once = run(made, found, silent=lambda n, r: n == BAD and r == 5)
    assert not once.left and network(once).have[BAD] and not network(once).silent
    never = run(made, found, silent=lambda n, r: n == BAD and r >= 4)
    assert SILENT in never.left[BAD] and never.left[BAD].startswith("round 6") and network(never).done == 4
    both = replace(made, quorum=4)
    with pytest.raises(FederationError, match="quorum of 4"):
        run(both, found, silent=lambda n, r: n == BAD and r == 5)


def test_sites_refuse_what_no_honest_coordinator_asks(found):
    made, site = plan("binary"), found["north"]
    q = question(run(made, found, stop=lambda s: s.phase == "fit" and network(s).stage == "train"))
    assert isinstance(answer(site, made, q), SiteUpdate)
    far = tuple(replace(p, change=p.change + 1e6) for p in q.parts)
    short = tuple(replace(p, change=p.change[1:]) for p in q.parts)
    for bad in (
        replace(q, round=1000), replace(q, plan="0" * 32), replace(q, base=np.zeros(200)), replace(q, sd=q.sd * 0),
        replace(q, parts=far), replace(q, parts=short), replace(q, parts=(replace(q.parts[0], name="modality:eyes"),)),
        replace(q, parts=(replace(q.parts[0], change=q.parts[0].change * np.nan),)), AskTimes(q.plan, 4),
    ):  # fmt: skip
        assert isinstance(answer(site, made, bad), Withdrawn), bad
    timed = plan("survival")
    own = sites("survival", SMALL)
    q = question(run(timed, own, stop=lambda s: s.phase == "fit" and network(s).stage == "train"))
    finer = replace(q, edges=q.edges + np.r_[0, np.full(len(q.edges) - 1, 0.1)])
    assert "fixed grid" in answer(own["north"], timed, finer).reason


def test_times_leave_in_bins_of_enough_patients_and_make_intervals_of_enough_events():
    own = sites("survival", (200, 60, 60, 60))
    s = own["north"]
    edges, events, exposure = times_of(s, 10)
    assert np.isin(edges, GRID).all() and (events >= 10).all() and events.sum() == s.y.sum()
    upper = np.r_[edges[1:-1], np.inf]
    for a, b, n in zip(edges[:-1], upper, events, strict=True):
        assert n == ((s.y > 0) & (s.time > a) & (s.time <= b)).sum()
    want = np.clip(s.time[:, None] - edges[:-1], 0, np.diff(edges)).sum(0)
    np.testing.assert_allclose(exposure, want)
    assert ((s.y > 0) & (s.time > edges[-2])).sum() >= 10
    said = {n: SiteTimes(n, "", 0, *times_of(x, 10)) for n, x in own.items()}
    ends, base = intervals(said, 20)
    times = np.concatenate([x.time[x.y > 0] for x in own.values()])
    inside = np.histogram(times, np.r_[ends[:-1], np.inf])[0]
    assert len(base) == len(ends) - 1 >= 3 and (inside >= 12).all()  # coarse counts: near twenty in each
    alive = np.array([(np.concatenate([x.time for x in own.values()]) > a).sum() for a in ends[:-1]])
    # The last interval is open: who leaves it late is not counted as seen to its end.
    np.testing.assert_allclose((1 / (1 + np.exp(-base)))[:-1], (inside / alive)[:-1], atol=0.06)


@pytest.mark.parametrize("change", [
    lambda a: replace(a, events=a.events * 1000), lambda a: replace(a, events=a.events * np.nan),
    lambda a: replace(a, edges=a.edges + 0.01), lambda a: replace(a, exposure=-a.exposure), lambda a: replace(a, events=a.events[:0]),
])  # fmt: skip
def test_impossible_times(change):
    made = plan("survival", rounds=1)
    state = run(
        made,
        sites("survival", SMALL),
        lambda n, a: change(a) if n == BAD and isinstance(a, SiteTimes) else a,
        stop=lambda s: s.phase == "fit" and network(s).stage != "times",
    )
    assert BAD in state.left


def test_a_modality_of_too_few_patients_is_not_named(found):
    """Nothing of what fewer patients than declared have leaves the site: not even that there is such a modality."""
    made = plan("binary", least=12, rounds=1)
    few = found["north"]
    features = tuple(
        replace(f, values=np.where(np.arange(len(few)) < 8, f.values, np.nan)) if f.modality == "images" else f
        for f in few.features
    )
    seen = []
    run(made, {**found, "north": replace(few, features=features)}, lambda n, a: seen.append((n, a)) or a)
    for n, a in seen:
        if n == "north" and isinstance(a, SiteUpdate):
            assert "modality:images" not in {p.name for p in a.parts}
        if n == "north" and hasattr(a, "features"):
            assert "images" not in {f.modality for f in a.features}


def test_every_field_is_declared_and_what_is_asked_of_sites_is_the_same_for_all(found):
    import dataclasses

    for kind in NETWORK_ANSWERS:
        fields = [f.name for f in dataclasses.fields(kind)]
        assert fields[:3] == ["site", "plan", "round"] and fields[3:] == list(kind.LEAVES)
    made = plan("binary")
    assert digest(encode(made)) != digest(encode(changed(made, rate=0.2)))
    assert {f.name for f in dataclasses.fields(PartUpdate)} == {"name", "units", "change", "variate", "centre"}
