"""Private networks: what one patient can change, noise and budget, nothing exact in messages, odd questions, hostile and silent sites."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cohortium.contracts.federation import ENVELOPE, AskSums, Withdrawn  # noqa: E402
from cohortium.contracts.federation_network import HEAD, SHARED, of_modality  # noqa: E402
from cohortium.contracts.federation_private import (  # noqa: E402
    PRIVATE_NETWORK_ANSWERS,
    AskPrivateCounts,
    AskPrivateGradient,
    AskPrivateNetworkScores,
    AskPrivateUpdate,
    PrivatePart,
    SitePrivateCounts,
    SitePrivateScores,
    SitePrivateUpdate,
)
from cohortium.contracts.federation_wire import decode, digest, encode  # noqa: E402
from cohortium.errors import FederationError  # noqa: E402
from cohortium.federation_coordinator import begin, question, restore, results, step, store  # noqa: E402
from cohortium.federation_coordinator.private_network import longest, names  # noqa: E402
from cohortium.federation_coordinator.private_state import networking  # noqa: E402
from cohortium.federation_site import private, private_network  # noqa: E402
from cohortium.federation_site.private_network import Network  # noqa: E402
from cohortium.federation_site.trials import take  # noqa: E402
from cohortium.networks.batch import Inputs, Rows  # noqa: E402
from cohortium.networks.build import Design  # noqa: E402
from cohortium.networks.parts import whole  # noqa: E402
from cohortium.networks.per_patient import forward  # noqa: E402
from cohortium.privacy import SeededNoise, models, spent  # noqa: E402
from cohortium.privacy.ledger import Ledger  # noqa: E402
from cohortium.privacy.schedule import Schedule, schedule  # noqa: E402
from cohortium.study.federating import drive  # noqa: E402
from cohortium.study.fitting_together import fit_together  # noqa: E402
from cohortium.study.private_fitting import fit_private  # noqa: E402
from cohortium.study.private_plan import asking_privately  # noqa: E402
from tests.federation.private_network_sites import plan, sites  # noqa: E402
from tests.marks import thorough_but  # noqa: E402

KINDS = ("survival", "binary", "multiclass", "continuous")
FREE = Schedule(math.inf, math.inf, math.inf, math.inf, 1)
BAD = "south"


def asked(made, seed=0, size=0.3):
    """A question about some network of the plan, far from its start."""
    q = len(made.privacy.columns)
    h = {"survival": 3, "multiclass": 3}.get(made.kind, 1)
    none = AskPrivateUpdate(digest(encode(made)), 2, np.zeros(q), np.full(q, 1.5), np.zeros(h), 40.0, ())
    here = Network(sites(made.kind)["north"], made, none)
    rng = np.random.default_rng(seed)
    parts = tuple(
        PrivatePart(n, size * rng.standard_normal(here.layout.sizes[k]))
        for n, k in zip(here.names, here.layout.names, strict=True)
    )
    return replace(none, parts=parts)


def flat(answer):
    return np.concatenate([p.change for p in answer.parts])


def ended(made, wrap=None, found=None, silent=None):
    """The state at the end. silent: (site, round) -> whether it says nothing."""
    found = sites(made.kind) if found is None else found
    asks = {n: asking_privately(s, made) for n, s in found.items()}
    if wrap is not None:
        asks[BAD] = wrap(asks[BAD])
    state = begin(made, list(asks))
    while state.phase != "done":
        q = encode(question(state))
        answers = {
            n: decode(a(q)) for n, a in asks.items() if n in state.here and not (silent and silent(n, state.round))
        }
        state = step(restore(store(state)), answers)
    return state


@pytest.mark.parametrize("fusion", ["attention", "gated"])
def test_rows_with_marks_give_what_a_batch_in_parts_gives(fusion):
    rng = np.random.default_rng(0)
    model = whole(Design((3, 200), ("mlp", "lowrank"), fusion, 2, 4, 0.0, 0.0), np.zeros(2), 1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.as_tensor(rng.standard_normal(tuple(p.shape))))
        x = [torch.as_tensor(rng.standard_normal((20, d))) for d in (3, 200)]
        present = torch.as_tensor(rng.random((20, 2)) < 0.6)
        assert not present.any(1).all()  # some have neither
        parts = tuple(Rows(v[present[:, j]], torch.nonzero(present[:, j]).ravel()) for j, v in enumerate(x))
        batch = model(Inputs(20, parts).batch(torch.arange(20)))
        torch.testing.assert_close(forward(model, x, present), batch, rtol=0, atol=1e-12)
        garbage = [torch.where(present[:, [j]], v, 1e6) for j, v in enumerate(x)]
        torch.testing.assert_close(forward(model, garbage, present), batch, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "survival", "multiclass"))
def test_gradients_of_patients_are_those_of_one_after_the_other(kind):
    made = plan(kind)
    site = sites(kind)["north"]
    here = Network(site, made, asked(made)).load()
    shares = np.vstack(list(here.shares(np.unique(site.patient))))
    x, present = here.rows()
    target, mark = map(torch.as_tensor, models.targets(private.outcomes_of(site, made, np.ones(len(site), bool))))
    loss = private_network.unit_loss(kind, torch)
    for i, who in enumerate(np.unique(site.patient)[:6]):
        mine = np.flatnonzero(site.patient == who)
        said = sum(loss(forward(here.model, [v[[j]] for v in x], present[[j]])[0], target[j], mark[j]) for j in mine)
        found = torch.autograd.grad(said / len(mine), here.layout.parameters, allow_unused=True, materialize_grads=True)
        packed = here.layout.pack(found)
        by_hand = np.concatenate([packed[n] for n in here.mine]) * here.weight
        np.testing.assert_allclose(shares[i], by_hand, rtol=1e-9, atol=1e-11)


def test_losses_count_intervals_as_linear_hazards_do():
    site, made = sites("survival")["north"], plan("survival")
    o = private.outcomes_of(site, made, np.ones(len(site), bool))
    target, mark = map(torch.as_tensor, models.targets(o))
    b = torch.tensor([-1.0, 0.3, 0.1], dtype=torch.float64, requires_grad=True)
    loss = private_network.unit_loss("survival", torch)
    for i in range(12):
        (g,) = torch.autograd.grad(loss(b, target[i], mark[i]), b)
        linear = models.unit_gradients(np.zeros((len(site), 0)), o, b.detach().numpy())[i]
        np.testing.assert_allclose(g.numpy(), linear[:3], atol=1e-12)


@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "survival", "continuous"))
def test_no_patient_changes_a_step_by_more_than_the_clip(kind):
    """Added or removed, with all his units and however far his values and weights are."""
    made = plan(kind, clip=0.5, step=1.0)
    q = asked(made, size=1.0)
    site, rng, largest = sites(kind)["north"], np.random.default_rng(0), 0.0
    for out in rng.choice(np.unique(site.patient), 8, replace=False):
        far = tuple(
            replace(f, values=np.where(site.patient == out, 1e9 * rng.standard_normal(), f.values))
            for f in site.features
        )
        whole_site = replace(site, features=far)
        rest = take(whole_site, np.flatnonzero(site.patient != out))
        a, b = (flat(private_network.update(s, made, q, FREE, SeededNoise(0, "a"), "x")) for s in (whole_site, rest))
        largest = max(largest, float(np.linalg.norm(a - b)) * q.patients)  # undo the division
    assert 0.3 * 0.5 < largest <= 0.5 * (1 + 1e-9)


def test_noise_is_as_large_as_declared_in_every_number_and_steps_add_up():
    made = plan("binary", 2.0, rounds=3, steps=2, clip=0.5, step=0.7)
    q = replace(asked(made), parts=())
    nobody = take(sites("binary")["north"], np.arange(0))
    weight = Network(nobody, made, q).weight
    assert set(weight) == {1.0, private_network.BODY}
    noise = schedule(made.privacy)
    drawn = np.array([
        flat(private_network.update(nobody, made, q, noise, SeededNoise(s, "a"), "x")) for s in range(150)
    ])  # fmt: skip
    drawn = drawn / weight
    declared = 0.7 * 0.5 / noise.gradient / q.patients * math.sqrt(2)
    assert drawn.std() == pytest.approx(declared, rel=0.02)  # 150 x 261 numbers: a standard error of 0.4%
    by_number = drawn.std(0) / declared
    assert by_number.min() > 0.75 and by_number.max() < 1.25  # none without noise
    assert abs(np.corrcoef(drawn[:, :40].T)[np.triu_indices(40, 1)]).mean() < 0.1


def test_who_is_in_a_step_is_drawn_by_patient_with_the_declared_chance():
    made = plan("binary", math.inf, sampled=0.3, steps=1)
    site = sites("binary")["north"]
    seen = []

    class Watched(Network):
        def shares(self, patients):
            seen.append(set(patients.tolist()))
            return super().shares(patients)

    before = private_network.Network
    private_network.Network = Watched
    try:
        for s in range(25):
            private_network.update(site, made, replace(asked(made), parts=()), FREE, SeededNoise(s, "a"), f"x{s}")
    finally:
        private_network.Network = before
    people = len(np.unique(site.patient))
    share = np.mean([len(x) / people for x in seen])
    assert share == pytest.approx(0.3, abs=0.06) and len({frozenset(x) for x in seen}) > 20


@pytest.mark.parametrize("kind", thorough_but(list(KINDS), "survival"))
def test_a_study_spends_its_budget_and_no_more(kind):
    made = plan(kind, hold_out=0.3, rounds=3)
    ledger, found = Ledger(3.0, 1e-5), sites(kind)
    asks = {n: asking_privately(s, made, ledger if n == BAD else None) for n, s in found.items()}
    driven = drive(made, asks)
    assert ledger.spent() == pytest.approx(3.0, rel=1e-6) and ledger.spent() <= 3.0 * (1 + 1e-9)
    said = results(driven.state, driven.messages, [], "", "")
    assert said.privacy.spent == pytest.approx(3.0, rel=1e-6) and said.privacy.steps == 3
    assert said.network.parameters == sum(networking(driven.state).sizes.values())
    q = asked(made, seed=9)
    called = []
    before = Network.shares
    Network.shares = lambda self, who: called.append(who) or before(self, who)
    try:
        answer = private.private_answer(found[BAD], made, q, ledger, SeededNoise(0, BAD))
    finally:
        Network.shares = before
    assert isinstance(answer, Withdrawn) and "budget" in answer.reason and not called  # before a gradient is taken


def test_the_schedule_by_hand():
    """mu of epsilon 3 at delta 1e-5 is 0.7192 (Balle & Wang 2018); 5% of mu² to counts, the rest over rounds times steps."""
    made = schedule(plan("binary", rounds=5, steps=2, hold_out=0.3).privacy)
    mu = 0.719189
    assert made.counts == pytest.approx(mu * math.sqrt(0.05), rel=1e-4)
    assert made.gradient == pytest.approx(mu * math.sqrt(0.95 / 10), rel=1e-4)
    assert made.scores == pytest.approx(mu * math.sqrt(0.95), rel=1e-4)
    one = next(r for r in made.releases() if r.name == "gradient")
    assert (one.kind, one.times) == ("gaussian", 10)


@pytest.mark.thorough
def test_sampled_steps_with_counts_spend_the_budget_by_dp_accounting():
    pytest.importorskip("dp_accounting")
    import dp_accounting as dp
    from dp_accounting.pld import PLDAccountant

    p = plan("binary", 2.0, rounds=10, sampled=0.2, hold_out=0.3).privacy
    made = schedule(p)
    account = PLDAccountant()
    account.compose(dp.GaussianDpEvent(1 / made.counts))
    account.compose(dp.PoissonSampledDpEvent(0.2, dp.GaussianDpEvent(1 / made.gradient)), 10)
    assert 2.0 * (1 - 2e-4) < account.get_epsilon(1e-5) <= 2.0 * (1 + 1e-6)
    assert spent(made.releases(), 1e-5) <= 2.0
    full = schedule(replace(p, sampled=1.0))
    assert 1 / made.gradient < 1 / full.gradient  # being there by chance is paid for with less noise


def test_no_exact_number_is_in_a_message():
    """Counts, losses and centres do not leave; what does is moved by noise in every number, and nought nowhere."""
    made = plan("survival", hold_out=0.3)
    said = {}

    def wrap(honest):
        def ask(data):
            answer = honest(data)
            found = decode(answer)
            said.setdefault(type(found), []).append(found)
            return answer

        return ask

    ended(made, wrap)
    assert set(said) == set(PRIVATE_NETWORK_ANSWERS)
    site = sites("survival")[BAD]
    for a in said[SitePrivateUpdate]:
        assert (flat(a) != 0).all() and {p.name for p in a.parts} == set(names(made))
    counts = said[SitePrivateCounts][0].counts
    assert (np.abs(counts - np.round(counts)) > 1e-6).all() and abs(counts.sum() - site.patients()) > 1e-6
    assert [f.name for f in fields(SitePrivateUpdate)] == [*ENVELOPE, *SitePrivateUpdate.LEAVES]


def test_sites_train_the_parts_of_their_own_modalities_alone():
    made = plan("binary", rounds=2)
    found = sites("binary")
    state = begin(made, list(found))
    asks = {n: asking_privately(s, made) for n, s in found.items()}
    state = step(state, {n: decode(a(encode(question(state)))) for n, a in asks.items()})
    answers = {n: decode(a(encode(question(state)))) for n, a in asks.items()}
    every = {of_modality(m) for m in ("clinical", "rna", "images")} | {SHARED, HEAD}
    assert {p.name for p in answers["west"].parts} == every - {of_modality("rna")}
    assert {p.name for p in answers["north"].parts} == every
    after = networking(step(state, answers)).change
    # By patients: sums of sites that have it, over the noisy number of patients there.
    size = {s: max(float(networking(state).counts[s].counts.sum()), 1.0) for s in found}
    name, mean = of_modality("rna"), np.mean(list(size.values()))
    having = ["east", "north", "south"]
    by_hand = sum(next(p.change for p in answers[s].parts if p.name == name) for s in having)
    np.testing.assert_allclose(after[name], by_hand * mean / sum(size[s] for s in having), rtol=1e-12)


def test_one_round_of_all_patients_is_gradient_descent_on_all_rows():
    """Without noise and cutting, and with exact counts: the step of all sites is that of their rows together."""
    made = plan("binary", math.inf, rounds=1, clip=50.0, step=0.5)  # the grid follows the clip where there is no noise
    found = sites("binary")
    state = ended(made, found=found)
    q = replace(asked(made), parts=(), base=networking(state).base, mean=state.mean, sd=state.sd)
    total, n = None, {}
    for s in found.values():
        here = Network(s, made, q).load()
        g = np.vstack(list(here.shares(np.unique(s.patient)))).sum(0) * here.weight
        at = 0
        for k in here.mine:
            name = here.names[here.layout.names.index(k)]
            size = here.layout.sizes[k]
            total = total or {}
            total[name] = total.get(name, 0) + g[at : at + size]
            n[name] = n.get(name, 0) + s.patients()
            at += size
    for name, change in networking(state).change.items():
        np.testing.assert_allclose(change, -0.5 * total[name] / n[name], rtol=1e-6, atol=1e-6)


def test_the_same_study_twice_and_a_state_taken_up_again():
    made = plan("binary", hold_out=0.3, rounds=3)
    one, two = ended(made), drive(made, {n: asking_privately(s, made) for n, s in sites("binary").items()}).state
    assert store(one) == store(two)
    other = ended(replace(made, seed=made.seed + 1))
    assert np.abs(networking(one).change[HEAD] - networking(other).change[HEAD]).max() > 1e-4


def test_a_site_that_is_asked_again_gives_the_same_answer_and_pays_nothing(tmp_path):
    made, site = plan("binary"), sites("binary")[BAD]
    file = tmp_path / "ledger.json"

    class Fresh(SeededNoise):
        def integers(self, scale, size, asked):
            return super().integers(scale, size, f"{asked}{np.random.default_rng().random()}")

    q = asked(made)
    said = [encode(private.private_answer(site, made, q, Ledger(3.0, 1e-5, file), Fresh(0, BAD))) for _ in range(2)]
    assert said[0] == said[1] and len(json.loads(file.read_text())["releases"]) == 1
    assert isinstance(decode(said[0]), SitePrivateUpdate)


def test_odd_questions_cost_nothing():
    made, ledger, site = plan("binary"), Ledger(3.0, 1e-5), sites("binary")[BAD]
    q = asked(made)
    none = np.zeros(0)
    wrong = (
        replace(q, mean=q.mean[1:]), replace(q, sd=q.sd * 0), replace(q, base=np.zeros(2)), replace(q, patients=0.0),
        replace(q, patients=math.nan), replace(q, parts=q.parts[:1] * 2), replace(q, parts=(PrivatePart("x", none),)),
        replace(q, parts=(replace(q.parts[0], change=q.parts[0].change * 1e6),)), replace(q, plan="0" * 32),
        replace(q, parts=(replace(q.parts[0], change=q.parts[0].change[1:]),)),
        AskPrivateNetworkScores(q.plan, 3, q.mean, q.sd, q.base, q.parts),  # of a plan without an evaluation
        AskPrivateGradient(q.plan, 3, q.mean, q.sd, none), AskSums(q.plan, 1, (), (), none, none, (0.0, 1.0), none),
    )  # fmt: skip
    for w in wrong:
        assert isinstance(private.private_answer(site, made, w, ledger, SeededNoise(0, BAD)), Withdrawn), w
    assert ledger.releases == []


def _parts(a, change):
    return replace(a, parts=tuple(replace(p, change=change(p.change)) for p in a.parts))


DAMAGED = {
    "NaN": (SitePrivateUpdate, lambda a: _parts(a, lambda v: v * np.nan), "NaN"),
    "shape": (SitePrivateUpdate, lambda a: _parts(a, lambda v: v[1:]), "shape"),
    "parts": (SitePrivateUpdate, lambda a: replace(a, parts=a.parts[:1]), "other parts"),
    "a thousand times too large": (SitePrivateUpdate, lambda a: _parts(a, lambda v: v * 1000), "longer"),
    "replayed": (SitePrivateUpdate, lambda a: replace(a, round=a.round - 1), "repeated"),
    "scores too large": (SitePrivateScores, lambda a: replace(a, counts=a.counts * 1000 + 1e4), "larger"),
}


@pytest.mark.parametrize("name", thorough_but(list(DAMAGED), "NaN", "a thousand times too large", "parts"))
def test_hostile_answers_are_left_out_and_the_others_go_on(name):
    kind, change, said = DAMAGED[name]

    def wrap(honest):
        def ask(data):
            found = decode(honest(data))
            return encode(change(found)) if isinstance(found, kind) else encode(found)

        return ask

    state = ended(plan("binary", hold_out=0.3, rounds=2), wrap)
    assert list(state.left) == [BAD] and said in state.left[BAD] and any(BAD in n for n in state.notices)
    assert all(np.isfinite(v).all() for v in networking(state).average.values())


def test_an_old_update_under_a_new_round_is_seen():
    kept = []

    def wrap(honest):
        def ask(data):
            found = decode(honest(data))
            if isinstance(found, SitePrivateUpdate):
                kept.append(found)
                return encode(replace(kept[0], round=found.round))
            return encode(found)

        return ask

    state = ended(plan("binary", rounds=3), wrap)
    assert "earlier round again" in state.left[BAD]


def test_honest_updates_are_far_within_the_bound():
    """Or honest sites would be left out by chance."""
    made = plan("binary", 1.0, rounds=2)
    found = sites("binary")
    state = begin(made, list(found))
    said = [decode(asking_privately(s, made)(encode(question(state)))) for s in found.values()]
    one = next(a for a in said if isinstance(a, SitePrivateCounts))  # their noise is not what this is about
    counts = {n: replace(one, site=n, counts=np.array([20.0, 20.0])) for n in found}
    state = step(state, counts)
    q = question(state)
    noise, ratios = schedule(made.privacy), []
    for seed in range(5):
        for s in found.values():
            a = private_network.update(s, made, q, noise, SeededNoise(seed, s.name), "x")
            ratios.append(float(np.linalg.norm(flat(a))) / longest(state, s.name, len(flat(a)), noise))
    assert max(ratios) < 0.9


def test_silent_sites_may_come_back_and_are_left_out_after_three_rounds():
    made = plan("binary", rounds=5)
    assert not ended(made, silent=lambda s, r: s == BAD and r in (3, 4)).left
    gone = ended(made, silent=lambda s, r: s == BAD and r >= 3)
    assert "did not answer" in gone.left[BAD] and networking(gone).done == 5
    with pytest.raises(FederationError, match="quorum"):
        ended(made, silent=lambda s, r: s != BAD and r >= 3)


STRATEGIES = {
    "fedadam": {"strategy": "fedadam", "server_rate": 0.05},
    "median": {"aggregate": "median"},
    "fedprox": {"strategy": "fedprox", "proximal": 0.1},
}


@pytest.mark.parametrize("name", thorough_but(list(STRATEGIES), "fedprox"))
def test_strategies_are_done_to_noisy_changes(name):
    made = plan("binary", 20.0, rounds=2, steps=2, network=STRATEGIES[name])
    state = ended(made)
    plain = ended(plan("binary", 20.0, rounds=2, steps=2))
    assert not state.left and np.abs(networking(state).change[HEAD] - networking(plain).change[HEAD]).max() > 1e-6


def test_delta_above_one_over_n_is_refused_by_noisy_counts():
    made = plan("binary", 8.0, rounds=2)
    with pytest.raises(FederationError, match="above 1/n"):
        ended(replace(made, privacy=replace(made.privacy, delta=0.05)))


def test_edges_of_bins_are_the_same_at_every_site_and_hold_no_data():
    made = plan("binary", hold_out=0.3)
    u = asked(made)
    q = AskPrivateNetworkScores(u.plan, 3, u.mean, u.sd, u.base, u.parts)
    edges = [Network(s, made, q).load().grid() for s in sites("binary").values()]
    assert all((e == edges[0]).all() for e in edges) and (np.diff(edges[0]) > 0).all()


def test_a_network_without_noise_learns_and_scores():
    """What is planted is found: or all of the above would be true of a network that does nothing."""
    made = plan("binary", rounds=15, clip=0.4, step=8.0)
    found = sites("binary", sizes=(80, 90, 80, 80))
    model = fit_together(found, made, None, 0)
    said = np.concatenate([model.scores(s) for s in found.values()])
    y = np.concatenate([s.y for s in found.values()])
    assert (said[y == 1][:, None] > said[y == 0]).mean() > 0.75


def test_fits_of_all_sites_at_once_are_those_of_the_protocol():
    made, found = plan("binary", rounds=2, step=2.0), sites("binary")
    one, two = fit_private(found, made, None, 0), fit_together(found, made, None, 0)
    for n, v in one.change.items():
        np.testing.assert_allclose(two.change[n], v, atol=1e-7)
    np.testing.assert_allclose(one.scores(found[BAD]), two.scores(found[BAD]), atol=1e-7)
    noisy = [fit_together(found, made, 3.0, s).change[HEAD] for s in range(2)]
    assert np.abs(noisy[0] - noisy[1]).max() > 1e-4


def test_messages_are_documented():
    text = (Path(__file__).parents[2] / "docs" / "federation_privacy.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \|$", text.split("<!-- private network messages -->")[1], re.M)
    assert rows == [(k.__name__, f, said) for k in (SitePrivateUpdate,) for f, said in k.LEAVES.items()]
    assert AskPrivateCounts.__name__  # the counts and scores are those of linear fits: the table above


def test_a_site_that_is_left_out_does_not_change_the_steps_of_the_others():
    """Sites divide by a number that was sent to all; what is left of them is brought to their own mean by the same."""
    made = replace(plan("binary", rounds=1), quorum=1)
    found = sites("binary")
    state = begin(made, list(found))
    said = [decode(asking_privately(s, made)(encode(question(state)))) for s in found.values()]
    one = next(a for a in said if isinstance(a, SitePrivateCounts))
    size = {n: 1000.0 if n == BAD else 100.0 for n in found}
    state = step(state, {n: replace(one, site=n, counts=np.array([k / 2, k / 2])) for n, k in size.items()})
    q = question(state)

    def update(n, bad):
        v = np.full(3, np.nan if bad else 0.01 * size[n] * (1 - made.privacy.hold_out) / q.patients)
        return SitePrivateUpdate(n, q.plan, q.round, tuple(PrivatePart(x, v) for x in names(made)))

    for bad in (False, True):
        after = step(state, {n: update(n, bad and n == BAD) for n in found})
        assert (BAD in after.left) is bad
        np.testing.assert_allclose(networking(after).change["head"], 0.01)
