"""Selection and ComBat under secure aggregation: as without it, from sums alone; a site's own effect stays there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cryptography", reason="needs pip install 'cohortium[secure]'")
pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")

from cohortium.contracts.federation import Selection
from cohortium.contracts.federation_wire import digest, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator import begin, question, results, store
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_site import numbers
from cohortium.federation_site.secure_batches import own_columns
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut
from tests.federation.secure_runs import run, secure_plan, sites_of
from tests.marks import thorough_but

BAD = "south"
KINDS = ("continuous", "binary", "multiclass", "survival")


def moved(kind):
    """Sites whose numbers are shifted and stretched, as by another machine; ``south`` knows no size."""
    out = {}
    for i, (n, s) in enumerate(cut.sites(kind).items()):
        f = [replace(x, values=x.values * (1 + 0.3 * i) + 2.0 * i) if x.kind == "numeric" else x for x in s.features]
        rng = np.random.default_rng(i)
        more = [
            replace(f[0], name=f"m{j}", values=rng.normal(i, 1 + 0.2 * j, len(s)) + s.y * (j == 1)) for j in range(3)
        ]
        out[n] = replace(s, features=(*f, *more))
    return out


def both(kind, stored=False, found=None, **changes):
    """The fit under secure aggregation, its sites, and that without."""
    p = secure_plan(kind, **changes)
    found = moved(kind) if found is None else found
    plain = replace(p, secure=None)
    made = sites_of(p, found=found)
    state = run(p, made, stored=stored)
    return state, made, drive(plain, {n: asking(s, plain) for n, s in found.items()}).state


@pytest.mark.parametrize("by", ["association", "variance"])
@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "survival", "multiclass"))
def test_the_same_columns_are_chosen(kind, by):
    state, made, plain = both(kind, select=Selection(3, by, ("clinical",)), stored=kind == "survival")
    m = state.lanes[0].model
    assert [c.column for c in m.chosen] == [c.column for c in plain.chosen] and m.candidates == plain.candidates == 8
    np.testing.assert_allclose([c.score for c in m.chosen], [c.score for c in plain.chosen], rtol=1e-9)
    np.testing.assert_allclose(estimates(m).coef, estimates(plain).coef, rtol=1e-9, atol=1e-11)
    assert not any(s.journal.remarks for s in made.values())
    assert [c.column for c in results(state, [], [], "", "").preparing.chosen] == [c.column for c in m.chosen]


@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "binary"))
def test_effects_of_sites_are_taken_out_as_without_and_stay_at_the_sites(kind):
    state, _, plain = both(kind, harmonise=("clinical",), stored=kind == "binary")
    m = state.lanes[0].model
    np.testing.assert_allclose(estimates(m).coef, estimates(plain).coef, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(m.mean, plain.mean, rtol=1e-9)
    np.testing.assert_allclose(m.sd, plain.sd, rtol=1e-9)
    held = store(state)
    for c, o in zip(m.columns, plain.columns, strict=True):
        assert [n for n, _, _ in c.batches] == ([""] if o.batches else [])
        own = {n: own_columns(s, secure_plan(kind, harmonise=("clinical",)), m.columns) for n, s in moved(kind).items()}
        for name, shift, factor in o.batches:  # what a site takes out is what the coordinator knew without
            mine = next(x for x in own[name] if x.name == c.name).batches[0]
            assert mine[0] == name and mine[1:] == pytest.approx((shift, factor), rel=1e-8)
            assert repr(mine[1])[:12].encode() not in held


def test_folds_choose_and_harmonise_by_their_training_parts():
    """No patient held out changes the fit of his fold: the same with his values replaced by others."""
    p = secure_plan("continuous", folds=2, seed=3, harmonise=("clinical",))
    from cohortium.federation_site.trials import folds_of

    def lanes(found):
        return run(p, sites_of(p, found=found)).lanes[1:]

    found = moved("continuous")
    first = lanes(found)
    other = {}
    for n, s in found.items():
        out = folds_of(s, p) == 0
        f = [
            replace(x, values=np.where(out, np.roll(x.values, 1) * 3, x.values)) if x.kind == "numeric" else x
            for x in s.features
        ]
        other[n] = replace(s, features=tuple(f))
    again = lanes(other)
    np.testing.assert_array_equal(estimates(first[0].model).coef, estimates(again[0].model).coef)
    assert not np.allclose(first[0].held, again[0].held) and not np.allclose(
        estimates(first[1].model).coef, estimates(again[1].model).coef
    )
    q = secure_plan("binary", folds=2, seed=3, select=Selection(2, "association", ("clinical",)))
    state = run(q, sites_of(q, found=moved("binary")))
    assert all(len(n.model.chosen) == 2 and len(n.held) for n in state.lanes[1:])


def test_a_site_that_lies_is_clipped_and_the_sum_refused(monkeypatch):
    from cohortium.federation_site import secure_batches

    honest = secure_batches.association

    def larger(site, plan, q, own):
        a = honest(site, plan, q, own)
        return replace(a, sums=a.sums * 1e6, squares=a.squares * 1e6) if site.name == BAD else a

    monkeypatch.setattr(secure_batches, "association", larger)
    p = secure_plan("binary", select=Selection(3, "association", ("clinical",)))
    made = sites_of(p, found=moved("binary"))
    with pytest.raises(FederationError, match="sums together cannot be") as e:
        run(p, made)
    assert BAD not in str(e.value)
    assert "sums of columns and endpoint" in made[BAD].journal.remarks[-1] and not made["north"].journal.remarks


def test_questions_and_plans_that_are_refused():
    p = secure_plan("binary", harmonise=("clinical",))
    made = sites_of(p, found=moved("binary"))
    state = run(p, made, stop=6)
    asked = question(state)
    q = asked.asks[0]
    columns = tuple(replace(c, batches=(("", 0.0, 0.0),)) if c.batches else c for c in q.question.columns)
    bad = replace(asked, asks=(replace(q, question=replace(q.question, columns=columns)),))
    assert "does not fit its columns" in made["north"].answer(bad).reason
    plain = secure_plan("binary")
    from cohortium.contracts.federation_secure import AskBatches, AskSealed, SealedQuestion

    own = digest(encode(plain))
    ask = AskSealed(own, 2, tuple(sorted(made)), (SealedQuestion(-1, 0.0, 0.0, AskBatches(own, 2, ())),))
    assert "asks for no harmonisation" in sites_of(plain, found=moved("binary"))["north"].answer(ask).reason
    with pytest.raises(FederationError, match="select would leave it some"):
        begin(replace(p, select=Selection(2, "variance", ("clinical",))), list(made))
    assert numbers.SLACK > 1


def test_a_drop_out_before_the_choice_ends_the_study():
    """The choice holds counts by class: those of fewer sites than the totals would show the missing site's."""
    p = secure_plan("binary", select=Selection(3, "association", ("clinical",)))
    with pytest.raises(FederationError, match="counts of fewer sites than before"):
        run(p, sites_of(p, found=moved("binary")), silent=lambda r, phase: [BAD] if r >= 6 else [])
