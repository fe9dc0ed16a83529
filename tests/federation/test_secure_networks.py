"""Networks under secure aggregation: the network is that without it, and the coordinator can open no single site's update."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'cohortium[deep]'")
pytest.importorskip("cryptography", reason="needs pip install 'cohortium[secure]'")
pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")

from cohortium.contracts.federation import AskSchema  # noqa: E402
from cohortium.contracts.federation_network import HEAD, AskTimes, AskUpdate  # noqa: E402
from cohortium.contracts.federation_secure import COUNTS, AskParts, AskSealed, SiteSealed, content_of  # noqa: E402
from cohortium.contracts.federation_wire import digest, encode  # noqa: E402
from cohortium.errors import FederationError  # noqa: E402
from cohortium.federation_coordinator import begin, question, results, store  # noqa: E402
from cohortium.federation_coordinator.network_state import network  # noqa: E402
from cohortium.federation_coordinator.network_strategies import combined  # noqa: E402
from cohortium.federation_coordinator.secure import _sum, _told  # noqa: E402
from cohortium.federation_coordinator.secure_network import update_of  # noqa: E402
from cohortium.federation_site import secure_network  # noqa: E402
from cohortium.federation_site.answering import answer  # noqa: E402
from cohortium.federation_site.secure_network import update_numbers  # noqa: E402
from cohortium.masking import MaskError, add, from_fixed, negative, to_fixed, unmask  # noqa: E402
from cohortium.masking.masks import Sealed, masks_of  # noqa: E402
from tests.federation import network_sites as cut  # noqa: E402
from tests.federation.secure_networks import found, secure_plan, secured  # noqa: E402
from tests.federation.secure_runs import run, sites_of  # noqa: E402
from tests.marks import thorough_but  # noqa: E402

BAD = "south"
REAL = {"batch": 16, "dropout": 0.2, "modality_dropout": 0.2, "optimiser": "adam", "rate": 0.01, "rounds": 2}
FITS = [
    (kind, how)
    for kind in ("survival", "binary", "continuous", "multiclass")
    for how in ("fedavg", "fedprox", "scaffold", "fedadam", "personal", "inner")
]
HOW = {
    "fedavg": {}, "fedprox": {"strategy": "fedprox", "proximal": 0.1, "local_epochs": 2}, "scaffold": {"strategy": "scaffold"},
    "fedadam": {"strategy": "fedadam", "server_rate": 0.01}, "personal": {"personal": True}, "inner": {**REAL, "inner": 0.3},
}  # fmt: skip


def apart(a, b):
    assert set(a.change) == set(b.change)
    return max(np.abs(a.change[n] - b.change[n]).max() for n in a.change)


@pytest.mark.parametrize(("kind", "how"), thorough_but(FITS, ("survival", "inner"), ("multiclass", "scaffold")))
def test_the_network_is_that_without_secure_aggregation(kind, how):
    """A head of the site's own is fitted by an iteration that ends by tolerance: last digits of the body move it by more than theirs."""
    p, sites = secure_plan(kind, **{"rounds": 2, **HOW[how]}), found(kind)
    state, made = secured(p, sites, stored=how == "inner")
    plain = network(cut.run(replace(p, secure=None), sites))
    fit = network(state.lanes[0].model)
    assert apart(fit, plain) <= (1e-6 if how == "personal" else 1e-11)
    np.testing.assert_allclose(fit.losses, plain.losses, rtol=1e-6 if how == "personal" else 1e-11)
    np.testing.assert_array_equal(fit.edges, plain.edges)
    assert fit.best == plain.best and (HEAD in fit.change) != (how == "personal")
    assert not any(s.journal.remarks for s in made.values())  # an honest site's numbers are never changed
    if how == "inner":
        done = results(state, [], [], "", "")
        assert done.secure.units == 195 and done.network.have == {
            "all sites": {
                n: sum(h[f"modality:{n}"] for h in plain.have.values() if f"modality:{n}" in h) for n in cut.DIMS
            }
        }
        assert all(s.units is None for s in done.sites) and "not known" not in "".join(done.notices)


def at_update(p, sites, done=0):
    """The coordinator's state when it asks for updates, and the question about the network within."""
    made = sites_of(p, found=sites)
    state = run(p, made, stop=2)
    while not (
        state.phase == "seal" and state.lanes[0].stage == "sums" and network(state.lanes[0].model).stage == "train"
    ):
        state = _on(state, made)
    for _ in range(2 * done):
        state = _on(state, made)
    return state, made, question(state).asks[0]


def _on(state, made):
    from cohortium.federation_coordinator import step

    asked = question(state)
    return step(state, {n: made[n].answer(asked) for n in state.here})


@pytest.mark.parametrize("bits", thorough_but([12, 64], 12))
def test_quantisation_is_within_the_derived_bound(bits):
    """Each site's number is rounded by half of 2^-f at most: the sum of n by n 2^-(f+1), a mean by that over the units behind it."""
    p, sites = secure_plan("survival", bits=bits, strategy="scaffold"), found("survival")
    state, _, q = at_update(p, sites)
    model, total = state.lanes[0].model, 0
    own = digest(encode(p))
    total = to_fixed(np.zeros(len(update_numbers(sites["north"], p, q.question, own)[0])), 2, bits)
    for s in sites.values():
        total = add(total, to_fixed(update_numbers(s, p, q.question, own)[0], 2, bits))
    got = update_of(from_fixed(total, bits), model)
    plain = replace(p, secure=None)
    asked = replace(q.question, plan=digest(encode(plain)))
    exact = {n: answer(s, plain, asked) for n, s in sites.items()}
    units = {
        part.name: sum(x.units for a in exact.values() for x in a.parts if x.name == part.name) for part in got.parts
    }
    for field in ("change", "variate", "centre"):
        want = combined(exact, field, "mean")
        for part in got.parts:
            off = np.abs(getattr(part, field) - want.get(part.name, np.zeros(0))).max(initial=0.0)
            bound = 4 * 2.0 ** -(bits + 1) / units[part.name]
            assert part.units == units[part.name] and off <= bound + 1e-15
            assert bits == 64 or not want.get(part.name, np.zeros(0)).any() or off > bound / 100


def test_no_single_update_is_visible_to_the_coordinator():
    """Its state is all that it has. Nothing in it is a number of a site; words are uniform, with the site's own mask taken off too, as after an
    honest opening; and shares of the legitimate sum open no single one's."""
    p, sites = secure_plan("binary"), found("binary")
    state, made, q = at_update(p, sites)
    state = _on(state, made)
    assert state.phase == "open"
    truth, _ = update_numbers(sites[BAD], p, q.question, digest(encode(p)))
    held, shape = store(state), (2, len(truth))
    big = np.flatnonzero(np.abs(truth) > 1e-3)
    text = "".join(chr(c) for c in held)
    assert not any(base64.b64encode(x.tobytes()).decode()[:9] in text for x in truth[big[:200]])
    told = {i + 1: _told(made[n].answer(question(state))) for i, n in enumerate(state.invited)}
    words = {s: np.frombuffer(base64.b64decode(a.masked), "<u8").reshape(shape) for s, a in state.sealed.items()}
    sealed = {s: Sealed(words[s].tobytes(), a.own, a.pairs, {}, {}) for s, a in state.sealed.items()}
    bare = add(words[BAD], negative(masks_of(BAD, state.invited, state.inside, sealed[BAD], told, shape)))
    for w in (words[BAD], bare):  # one bit in two is set, to five standard errors, in each of the 128 places
        share = np.unpackbits(w.view(np.uint8).reshape(2, -1, 8), axis=2).mean(axis=1)
        assert np.abs(share - 0.5).max() < 2.5 / np.sqrt(shape[1])
        assert np.abs(np.corrcoef(from_fixed(w, 64)[big], truth[big])[0, 1]) < 5 / np.sqrt(len(big))
    assert np.allclose(
        _sum(state, told), sum(update_numbers(s, p, q.question, digest(encode(p)))[0] for s in sites.values())
    )
    with pytest.raises(MaskError):
        unmask(state.invited, {BAD: sealed[BAD]}, told, shape)
    again = made[BAD].answer(replace(question(state), inside=("east", "north", "south")))
    assert "opened this sum for other sites" in again.reason


@pytest.mark.parametrize(("gone", "when"), thorough_but([("seal", 1), ("open", 0)], ("open", 0)))
def test_a_site_that_drops_out_is_in_no_later_sum(gone, when):
    """Silent from a round of training on: the others go on from there, as without secure aggregation."""
    p, sites = secure_plan("survival", rounds=3), found("survival", lacks={})
    # Rounds: names, then two for each sum: totals with times, spread, parts, look, then training.
    first = {"seal": 10 + 2 * when, "open": 11 + 2 * when}[gone]
    state, _ = secured(p, sites, silent=lambda r, phase: [BAD] if r >= first else [])
    after = when if gone == "seal" else when + 1  # between sealing and opening: that sum has it
    plain = network(cut.run(replace(p, secure=None), sites, silent=lambda n, r: n == BAD and r >= 5 + after))
    assert apart(network(state.lanes[0].model), plain) < 1e-11
    assert state.dropped == (BAD,) and state.fewest == 3


def test_parts_of_fewer_than_three_sites_are_in_no_sum():
    """A modality that two sites have; one that three have, of which one has too few to train it; and patients kept by two sites."""
    p = secure_plan("survival", inner=0.4, rounds=1)
    sites = found("survival", lacks={"east": ("images",), "west": ("images",)})
    state, _ = secured(p, sites, stop=4)
    assert {c.modality for c in state.lanes[0].model.asked} == {"clinical", "rna"}
    assert any("fewer than 3 sites" in n and "images0" in n for n in state.notices)

    sites = found("survival")
    few = np.where(np.arange(40) < 5, 1.0, np.nan)
    thin = tuple(
        replace(f, values=np.where(few == 1, np.arange(40.0), np.nan)) if f.modality == "images" else f
        for f in sites["north"].features
    )
    sites["north"] = replace(sites["north"], features=thin)
    state, _ = secured(p, sites, stop=8)
    model = state.lanes[0].model
    assert {c.modality for c in model.columns} == {"clinical", "rna"} and state.lanes[0].stage == "parts"
    assert any("'images': fewer than 3 sites have enough patients to train it" in n for n in model.notices)

    sites = found("survival", sizes=(40, 60, 9, 9))
    with pytest.raises(FederationError, match=r"Fewer than 3 sites are large enough to keep patients.*inner to 0"):
        secured(p, sites)


def test_a_drop_out_of_one_of_three_that_train_a_part_ends_the_study():
    p, sites = secure_plan("survival", rounds=1), found("survival")
    with pytest.raises(FederationError, match=r"fewer than 3 know .*'images0'"):
        secured(p, sites, silent=lambda r, phase: [BAD] if r >= 10 else [])
    from cohortium.federation_coordinator.secure_network import INNER, thin_parts

    state, _, _ = at_update(p, sites)
    lane = replace(state.lanes[0], trains={**state.lanes[0].trains, INNER: 3})
    assert thin_parts([lane], ["east", "north", "west"], state.names, 3) == ["modality 'images'", INNER]
    assert thin_parts([lane], ["north", "south", "west"], state.names, 3) == [INNER]  # east lacks images


# Hostile peers. Nobody can look inside a sum: a site bounds what it says, the coordinator what all say together.


def test_what_is_too_long_is_cut_before_it_is_masked_and_noted_there():
    p, sites = secure_plan("binary", clip=0.01, rounds=1), found("binary")
    state, made = secured(p, sites)
    whole = np.sqrt(sum(float(v @ v) for v in network(state.lanes[0].model).change.values()))
    assert (
        0 < whole <= 0.01 * np.sqrt(5) * (1 + 1e-9)
    )  # each part is a mean over other sites: each is no longer than the clip
    assert all("clipped: a change longer than 0.01" in s.journal.remarks[-1] for s in made.values())
    found_ = answer(
        sites["north"],
        replace(p, secure=None),
        replace(at_update(p, sites)[2].question, plan=digest(encode(replace(p, secure=None)))),
    )
    sent = np.sqrt(sum(float(x.change @ x.change) for x in found_.parts))
    assert sent == pytest.approx(0.01, rel=1e-9)


def lying(monkeypatch, change, field=None):
    """Site ``south`` says what ``change`` makes of its update, from training on."""
    honest = secure_network.update

    def update(site, plan, q, own):
        a = honest(site, plan, q, own)
        return change(a) if site.name == BAD and q.train else a

    monkeypatch.setattr(secure_network, "update", update)


def times(a, by):
    return replace(a, parts=tuple(replace(x, change=x.change * by) for x in a.parts))


LIES = {
    "too long": (lambda a: times(a, 1e6), "longer than the declared clip"),
    "too many": (
        lambda a: replace(a, units=10_000, parts=tuple(replace(x, units=10_000) for x in a.parts)),
        "number of units",
    ),
    "part of units": (lambda a: replace(a, units=0.5), "number of units"),
    "negative loss": (lambda a: replace(a, loss=-1e6), "negative"),
}


@pytest.mark.parametrize("name", thorough_but(list(LIES), "too long", "too many"))
def test_a_sum_that_cannot_be_is_refused_without_a_name(monkeypatch, name):
    """By a site with other software than ours: its own check would have cut it."""
    change, said = LIES[name]
    lying(monkeypatch, change)
    p, sites = secure_plan("binary", clip=5.0, rounds=1), found("binary")
    with pytest.raises(FederationError, match=said) as e:
        secured(p, sites)
    assert BAD not in str(e.value) and "cannot be told" in str(e.value)


@pytest.mark.parametrize("what", thorough_but(["nan", "infinite", "other shape"], "nan", "other shape"))
def test_what_is_not_finite_or_of_another_shape_is_never_sealed(monkeypatch, what):
    bad = {"nan": np.nan, "infinite": np.inf}
    if what == "other shape":
        lying(monkeypatch, lambda a: replace(a, parts=(*a.parts[:-1], replace(a.parts[-1], change=np.zeros(1)))))
    else:
        lying(monkeypatch, lambda a: replace(a, parts=tuple(replace(x, change=x.change + bad[what]) for x in a.parts)))
    p, sites = secure_plan("binary", rounds=1, quorum=3), found("binary", lacks={})
    state, made = secured(p, sites)
    said = "parts of another network" if what == "other shape" else "not finite"
    assert said in state.left[BAD] and list(state.left) == [BAD] and said in made[BAD].journal.remarks[-1]


def test_a_replayed_or_garbled_message_is_left_out():
    kept = {}

    def change(name, said, asked):
        if name != BAD or not isinstance(said, SiteSealed) or asked.round < 10:
            return said
        return replace(kept.setdefault("old", said), round=said.round)

    p, sites = secure_plan("binary", rounds=3), found("binary", lacks={})
    made = sites_of(p, found=sites)
    state = run(p, made, change=change)
    assert state.left[BAD].endswith("repeated message") and len(state.opened) == 3


def test_questions_that_no_honest_coordinator_asks():
    p, sites = secure_plan("survival", rounds=1), found("survival")
    state, made, q = at_update(p, sites)
    asked, north = question(state), made["north"]
    inner = q.question
    for bad, said in (
        (replace(inner, parts=inner.parts[1:]), "another network"),
        (replace(inner, parts=tuple(replace(x, change=x.change[:-1]) for x in inner.parts)), "another network"),
        (replace(inner, parts=tuple(replace(x, change=x.change + 2000) for x in inner.parts)), "no network has"),
        (replace(inner, edges=inner.edges * 1.01), "fixed grid"), (replace(inner, plan="0" * 32), "something else"),
        (AskParts(inner.plan, 9, replace(inner, base=np.full(len(inner.base), np.nan))), "no outputs"),
    ):  # fmt: skip
        assert said in north.answer(replace(asked, asks=(replace(q, question=bad),))).reason, said
    assert "only masked" in north.answer(inner).reason and "only masked" in answer(north.site, p, inner).reason
    unclipped = replace(p, network=replace(p.network, clip=0.0))
    own = digest(encode(unclipped))
    free = replace(north, plan=unclipped)
    ask = replace(asked, plan=own, asks=(replace(q, question=replace(inner, plan=own)),))
    assert "no norm to which updates are cut" in free.answer(ask).reason
    # Counts of events, in a sum without a site that was in the last one: the difference would be its own.
    fewer = AskSealed(
        asked.plan, asked.round, ("east", "north", "south"), (replace(q, question=AskTimes(asked.plan, 1)),)
    )
    assert "fewer sites than before" in north.answer(fewer).reason and content_of(fewer.asks).startswith(COUNTS)
    other = secure_plan("binary")
    b = digest(encode(other))
    timeless = replace(fewer, plan=b, asks=(replace(q, question=AskTimes(b, 1)),))
    assert (
        "times that its study does not have" in sites_of(other, found=found("binary"))["north"].answer(timeless).reason
    )
    assert north.answer(AskSchema(asked.plan, 1)).features


def test_one_content_stands_for_one_vector_of_numbers():
    """Masks of pairs are made for the content: two vectors under the same ones would differ in the open. A site's steps depend on the round."""
    p, sites = secure_plan("binary", **REAL), found("binary")
    state, made, q = at_update(p, sites)
    own = digest(encode(p))
    one, other = (update_numbers(sites["north"], p, replace(q.question, round=r), own)[0] for r in (5, 6))
    again = update_numbers(sites["north"], p, replace(q.question, round=5), own)[0]
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    contents = {content_of((replace(q, question=replace(q.question, round=r)),)) for r in (5, 6)}
    assert len(contents) == 2
    asked = question(state)
    assert content_of(asked.asks) == content_of(
        question(replace(state, round=state.round + 1)).asks
    )  # the engine's round is none of it
    assert isinstance(q.question, AskUpdate) and made["north"].answer(asked).content == content_of(asked.asks)


def test_robust_aggregation_and_no_clip_are_refused():
    sites = list(found("binary"))
    for how in ("median", "trimmed_mean", "krum"):
        with pytest.raises(FederationError, match=r"single updates.*exclude each other.*cut the norm"):
            begin(secure_plan("binary", aggregate=how), sites)
    with pytest.raises(FederationError, match="clip has to be above 0"):
        begin(secure_plan("binary", clip=0.0), sites)
    with pytest.raises(FederationError, match="not method 'trees'"):
        begin(replace(secure_plan("binary"), method="trees", network=None), sites)


def test_the_preview_lists_what_leaves():
    from cohortium.study.previewing import preview_of

    p = secure_plan("binary", rounds=1)
    seen = preview_of(found("binary")["north"], p)
    assert (
        [m.kind for m in seen.messages] == ["SiteNames", "SiteSealed", "SiteOpening"]
        and not seen.reason
        and not seen.cut
    )
    assert seen.features[0] == "clinical0" and seen.rounds < seen.most_rounds


def study(folder, said):
    head = """name: trial
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, id: id, columns: [age]}
endpoints:
  died: {kind: binary, column: died, positive: 1}
design: {site: hospital}
federation: {secure: true, quorum: 3, """
    rng = np.random.default_rng(0)
    rows = [f"p{i},{'abcd'[i % 4]},{rng.integers(20, 90)},{rng.integers(0, 2)}" for i in range(160)]
    (folder / "units.csv").write_text("\n".join(["id,hospital,age,died", *rows]))
    (folder / "study.yaml").write_text(head + said + "}\n")
    return folder / "study.yaml"


def test_from_the_study_file_to_the_page(tmp_path):
    from html import unescape

    from cohortium.errors import StudyError
    from cohortium.study import simulate_federation
    from cohortium.study.federating import plan_of
    from cohortium.study.load import load_study

    path = study(tmp_path, "method: network, folds: 2, least_events: 3, network: {rounds: 1, width: 8}")
    done = simulate_federation(path, tmp_path / "out", evaluate=True, compare=True)
    page = unescape((tmp_path / "out" / "federation.html").read_text())
    assert done.plan.network.clip == 5.0 and done.evaluation.across[0].value is not None and done.evaluation.sites == []
    assert "Each site cut its change to a norm of at most 5" in page and "nobody saw a single update" in page
    assert "no counts, means, changes of weights" in page and "can be inverted" in page and ">lacks it<" not in page
    for more, said in (
        ("method: network, network: {aggregate: krum}", "compares single updates.*cuts the norm"),
        ("method: trees", "knows linear models and networks"),
        (
            "method: network, privacy: {epsilon: 1, delta: 1e-5, bounds: {age: [0, 99]}}",
            "does not go through secure aggregation yet",
        ),
    ):
        with pytest.raises(StudyError, match=said):
            plan_of(load_study(study(tmp_path, more)))
