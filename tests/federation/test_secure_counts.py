"""Secure aggregation: counts are opened for no smaller set of sites than before, whoever asks and by whatever name."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")

from cohortium.contracts.federation_secure import COUNTS, AskOpen, AskSealed, content_of
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator import question
from tests.federation.secure_runs import run, secure_plan, sites_of

BAD = "south"


def test_counts_of_folds_are_not_opened_without_a_site_that_was_in_those_of_all():
    """K sums of training parts are K - 1 times all: taken from those, they are the missing site's own."""
    p = secure_plan("binary", folds=2, seed=1)
    ends = []
    for after in range(4, 20):
        sites = sites_of(p)
        state = run(p, sites, silent=lambda r, phase, after=after: [BAD] if r >= after else [])
        ends.append(state.evaluation)
        for s in sites.values():
            for content, inside in s.journal.opened.get(question_plan(p), {}).items():
                assert BAD in inside or not content.startswith(COUNTS) or after <= 4, after
    assert any("dropped out" in e for e in ends)


def question_plan(p):
    return digest(encode(p))


def test_counts_keep_their_name_whoever_asks_and_are_opened_for_no_smaller_set():
    p = secure_plan("binary")
    sites = sites_of(p)
    names, first = tuple(sorted(sites)), run(p, sites, stop=4)
    asks = (replace(question(run(p, sites_of(p), stop=2)).asks[0], weight=1.0),)  # another digest for the same counts
    assert content_of(asks).startswith(COUNTS) and first.opened == names
    plan = question_plan(p)
    sealed = {n: sites[n].answer(AskSealed(plan, 4, names, asks)) for n in names}
    inside = tuple(n for n in names if n != BAD)
    own, pairs = (
        tuple(b for n in inside for b in getattr(sealed[n], f) if b.receiver in inside) for f in ("boxes", "pair_boxes")
    )
    for n in inside:
        said = sites[n].answer(AskOpen(plan, 5, content_of(asks), names, inside, own, pairs))
        assert "counts of fewer sites" in said.reason
        # Called by another name, they are under masks of another name: its shares cannot be read.
        other = sites[n].answer(AskOpen(plan, 5, content_of(asks).removeprefix(COUNTS), names, inside, own, pairs))
        assert other.unreadable == inside and other.shares == ()
