"""Sums tell nothing of fewer patients than declared, by who is unknown, filled, or in a fold: found by a hostile review, kept as tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cohortium.contracts.federation import BaselinePlan, Column
from cohortium.federation_site import Feature
from cohortium.federation_site.binned import fewest
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.shaping import filled, tables_of
from cohortium.federation_site.trials import parts_of
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut

LEAST = 5


def one_of(values, kind="numeric", levels=()):
    s = cut.sites("binary")["north"]
    x = np.zeros(len(s))
    x[: len(values)] = values
    return replace(s, features=(Feature("lab", "marker", kind, levels, "", "", x), *s.features))


def test_where_the_rest_is_the_same_nobody_is_known():
    marker = Column("lab", "marker", "numeric", "", ())
    assert np.isnan(columns_of(one_of([3.0]), (marker,), LEAST)).all()
    assert not np.isnan(columns_of(one_of([3.0] * 5), (marker,), LEAST)).any()
    levels = ("no", "a", "b")
    ask = tuple(Column("lab", "marker", "level", n, levels) for n in ("a", "b"))
    # One patient of the first level, the others of two more: columns of those add up to one but for him.
    rest = np.where(np.arange(94) % 2, 1.0, 2.0)
    assert np.isnan(columns_of(one_of([0.0, *rest], "level", levels), ask, LEAST)).all()
    some = np.r_[np.zeros(30), rest[:64], 2.0]
    assert not np.isnan(columns_of(one_of(some[:95], "level", levels), ask, LEAST)).any()


def test_what_is_suppressed_is_not_filled_and_a_few_who_have_or_lack_a_table_are_not_told():
    filling = Column("lab", "marker", "numeric", "", (), (), (0.7,))
    varied = np.r_[np.nan, np.arange(94.0)]
    x = filled(one_of(varied), (filling,), LEAST)[:, 0]
    assert x[0] == 0.7 and (x[1:] == varied[1:]).all()
    for values, has in (
        (np.r_[1.0, np.full(94, np.nan)], 0),
        (np.r_[np.nan, np.arange(94.0)], 95),
        (np.r_[np.full(9, np.nan), np.arange(86.0)], 86),
    ):
        assert tables_of(one_of(values), LEAST)["lab"].sum() == has
    few = filled(one_of(np.r_[1.0, np.full(94, np.nan)]), (filling,), LEAST)
    assert np.isnan(few).all()


def test_bins_of_a_common_baseline_hold_enough_in_every_fold():
    """Sums of all less those of a training part are those of a fold."""
    made = cut.plan("survival", method="binned", baseline=BaselinePlan(), folds=2, least_patients=2)
    found = cut.sites("survival")
    state = drive(made, {n: asking(s, made) for n, s in found.items()}).state
    cuts = state.fit.cuts
    assert not state.left and len(cuts)
    for s in found.values():
        at = np.searchsorted(cuts, s.time, side="left")
        for _, held in parts_of(s, made):
            inside = np.bincount(at[held][s.y[held] > 0], minlength=len(cuts) + 1)
            assert inside.min() >= made.least_events
    one = found["west"]
    assert fewest(one, made, one.y > 0) < one.patients(one.y > 0) == fewest(one, replace(made, folds=0), one.y > 0)
