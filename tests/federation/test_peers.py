"""Sites that are too small, of another schema, broken or hostile: left out with a notice, and the others go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.contracts.federation import SiteMoments, SiteSchema, SiteSums
from cohortium.contracts.federation_wire import decode, encode
from cohortium.errors import FederationError
from cohortium.federation_coordinator.protocol import SILENT
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_site.site import Site
from cohortium.study.federating import asking, drive
from tests.federation import sites as cut

BAD = "south"


def without(kind, **changes):
    made = cut.plan(kind, **changes)
    return estimates(drive(made, {n: asking(s, made) for n, s in cut.sites(kind).items() if n != BAD}).state).coef


def with_bad(kind, ask, **changes):
    """The state at the end of a fit in which one site is what ``ask`` makes of it."""
    made, found = cut.plan(kind, **changes), cut.sites(kind)
    asks = {n: asking(s, made) for n, s in found.items()}
    honest = asks[BAD]
    asks[BAD] = ask(honest) if callable(ask) else asking(ask, made)
    return drive(made, asks).state


def changing(change, kind=SiteSums, from_round=0):
    """A site whose answers of a kind are changed."""

    def wrap(honest):
        def ask(data):
            said = decode(honest(data))
            return encode(change(said)) if isinstance(said, kind) and said.round >= from_round else encode(said)

        return ask

    return wrap


def flipped(s):
    return replace(s, hessian=-s.hessian)


def crooked(s):
    h = s.hessian.copy()
    h[0, 1] += 1.0
    return replace(s, hessian=h)


DAMAGED = {
    "NaN": (lambda s: replace(s, gradient=s.gradient * np.nan), "NaN"),
    "infinite": (lambda s: replace(s, loss=float("inf")), "NaN"),
    "shape": (lambda s: replace(s, gradient=s.gradient[1:]), "number of parameters"),
    "negative curvature": (flipped, "negative curvature"),
    "not symmetric": (crooked, "not symmetric"),
    "replayed": (lambda s: replace(s, round=s.round - 1), "repeated message"),
    "other name": (lambda s: replace(s, site="north"), "another's name"),
    "other plan": (lambda s: replace(s, plan="0" * 32), "something else"),
}


@pytest.mark.parametrize("kind", ["survival", "binary"])
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_sums_are_left_out_and_the_others_go_on(kind, name):
    change, said = DAMAGED[name]
    state = with_bad(kind, changing(change, from_round=4))
    assert said in state.left[BAD] and list(state.left) == [BAD]
    assert any(BAD in n and said in n for n in state.notices)
    np.testing.assert_allclose(estimates(state).coef, without(kind), atol=1e-11)


LARGER = [
    (kind, what, start)
    for kind in ("survival", "binary", "continuous", "multiclass")
    for what in ("all", "gradient", "hessian")
    for start in (0, 4)
    if (kind, what, start) != ("continuous", "gradient", 4)  # the linear fit is over: its gradients are nothing by then
]


@pytest.mark.parametrize(("kind", "what", "from_round"), LARGER)
def test_a_thousand_times_too_large_is_left_out(kind, what, from_round):
    def larger(s):
        if what == "all":
            return replace(s, loss=s.loss * 1000, gradient=s.gradient * 1000, hessian=s.hessian * 1000)
        return replace(s, **{what: getattr(s, what) * 1000})

    state = with_bad(kind, changing(larger, from_round=from_round))
    assert list(state.left) == [BAD], state.notices
    np.testing.assert_allclose(estimates(state).coef, without(kind), atol=1e-10)


def test_old_sums_under_a_new_number_contradict_convexity():
    def wrap(honest):
        kept = {}

        def ask(data):
            said = decode(honest(data))
            if not isinstance(said, SiteSums):
                return encode(said)
            first = kept.setdefault("first", said)
            return encode(replace(first, round=said.round))

        return ask

    state = with_bad("survival", wrap)
    assert "contradicts" in state.left[BAD]


def broken(honest):
    return lambda data: b"\x80\x04\x95 no message"


def rude(honest):
    return lambda data: encode(decode(data))  # a question for an answer


@pytest.mark.parametrize(("ask", "said"), [(broken, "no answer"), (rude, "another's name")])
def test_what_is_no_answer(ask, said):
    assert said in with_bad("binary", ask).left[BAD]


def changed(kind="survival", **columns) -> Site:
    d = cut.table()
    d = d[d.site == BAD]
    return cut.site(BAD, d.assign(**{c: f(d) for c, f in columns.items()}), kind)


def renamed() -> Site:
    site = changed()
    return replace(site, features=tuple(replace(f, name=f"v{i}") for i, f in enumerate(site.features)))


def few(n) -> Site:
    d = cut.table()
    return cut.site(BAD, d[d.site == BAD].head(n), "survival")


SITES = {
    "other names": (renamed, "another schema"),
    "other coding": (
        lambda: changed(grade=lambda d: d.grade.map({"low": "1", "mid": "2", "high": "3"})),
        "other coding",
    ),
    "text for a number": (
        lambda: replace(
            (s := changed()),
            features=(
                replace(s.features[0], kind="level", levels=("old", "young"), values=np.arange(len(s)) % 2.0),
                *s.features[1:],
            ),
        ),
        "a number elsewhere",
    ),
    "other units": (lambda: changed(age=lambda d: d.age * 365.25), "other units"),
    "no events": (lambda: changed(status=lambda d: 0), "had the event"),
    "few patients": (lambda: few(4), "fewer than 5 patients"),
}


@pytest.mark.parametrize("name", SITES)
def test_sites_that_do_not_fit_are_left_out(name):
    make, said = SITES[name]
    state = with_bad("survival", make())
    assert said in state.left[BAD] and list(state.left) == [BAD]
    np.testing.assert_allclose(estimates(state).coef, without("survival"), atol=1e-11)


def test_one_class():
    assert "one class" in with_bad("binary", changed("binary", resp=lambda d: 1)).left[BAD]


def test_two_sites_of_other_units_are_both_named():
    made, found = cut.plan("survival"), cut.sites("survival")
    asks = {"north": asking(found["north"], made), BAD: asking(changed(age=lambda d: d.age * 365.25), made)}
    with pytest.raises(FederationError, match=r"'north', 'south' in round 2.*other units"):
        drive(made, asks)


@pytest.mark.parametrize(("kind", "change", "said"), [
    (SiteSchema, lambda a: replace(a, units=a.units * 1000), "do not add up"),
    (SiteSchema, lambda a: replace(a, patients=2), "fewer than 5 patients"),
    (SiteSchema, lambda a: replace(a, counts=(a.units - 1, 1)), "fewer than 3 events"),
    (SiteMoments, lambda a: replace(a, count=a.count * 1000), "number of its units"),
    (SiteMoments, lambda a: replace(a, mean=a.mean * np.inf), "NaN"),
    (SiteMoments, lambda a: replace(a, squares=-a.squares), "negative"),
    (SiteMoments, lambda a: replace(a, mean=a.mean[:2]), "number of columns"),
])  # fmt: skip
def test_impossible_counts_and_moments(kind, change, said):
    assert said in with_bad("survival", changing(change, kind)).left[BAD]


def test_quorum_and_silence():
    from cohortium.federation_coordinator import begin, question, step
    from cohortium.federation_site import answer

    made, found = cut.plan("survival", quorum=4), cut.sites("survival")
    state = begin(made, list(found))
    answers = {n: answer(s, made, question(state)) for n, s in found.items() if n != BAD}
    with pytest.raises(FederationError, match=f"3 of 4 sites are left.*quorum of 4.*'south' in round 1: {SILENT}"):
        step(state, answers)


def test_separated_data_are_refused_by_name_and_a_penalty_helps():
    d = cut.table()
    d = d.assign(node=d.resp)
    made = cut.plan("binary")
    with pytest.raises(FederationError, match=r"separated.*'node'.*federation\.penalty"):
        drive(made, {str(s): asking(cut.site(str(s), g, "binary"), made) for s, g in d.groupby("site")})
    made = cut.plan("binary", penalty=1.0)
    drive(made, {str(s): asking(cut.site(str(s), g, "binary"), made) for s, g in d.groupby("site")})


def test_a_combination_of_columns_has_no_coefficient():
    d = cut.table()
    d = d.assign(size=2 * d.age + 1)
    made = cut.plan("survival")
    state = drive(made, {str(s): asking(cut.site(str(s), g, "survival"), made) for s, g in d.groupby("site")}).state
    assert np.isnan(estimates(state).coef[1, 0]) and np.isfinite(estimates(state).coef[[0, 2, 3, 4], 0]).all()
    assert any("'size' is a combination" in n for n in state.notices)


def test_a_site_refuses_questions_that_no_honest_coordinator_asks():
    from cohortium.contracts.federation import AskSchema, AskSums, Withdrawn
    from cohortium.contracts.federation_wire import digest
    from cohortium.federation_site import answer

    made, site = cut.plan("survival"), cut.sites("survival")["north"]
    own = digest(encode(made))
    state = drive(made, {n: asking(s, made) for n, s in cut.sites("survival").items()}).state
    fine = AskSums(own, 3, state.columns, state.classes, state.mean, state.sd, state.outcome, np.zeros(5))
    assert isinstance(answer(site, made, fine), SiteSums)
    for bad in (
        replace(fine, parameters=np.full(5, 1e4)), replace(fine, parameters=np.zeros(4)), replace(fine, sd=fine.sd * 0),
        replace(fine, round=10_000), replace(fine, plan="0" * 32), AskSchema("0" * 32, 1),
    ):  # fmt: skip
        assert isinstance(answer(site, made, bad), Withdrawn)
