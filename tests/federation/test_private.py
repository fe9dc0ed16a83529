"""Private studies: what one patient can change, noise and budget, answers that come again, hostile sites."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import root
from scipy.stats import beta

from cohortium.contracts.federation import ENVELOPE, AskMoments, AskSums, Withdrawn
from cohortium.contracts.federation_private import (
    PRIVATE_ANSWERS,
    AskPrivateCounts,
    AskPrivateGradient,
    AskPrivateScores,
    SitePrivateCounts,
    SitePrivateGradient,
    SitePrivateScores,
)
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.errors import DataError, FederationError
from cohortium.federation_coordinator import begin, question, restore, results, step, store
from cohortium.federation_coordinator.private import fit_of, score_grid
from cohortium.federation_site import private
from cohortium.federation_site.trials import take
from cohortium.privacy import SeededNoise, models, mu_of, spent
from cohortium.privacy.ledger import Ledger
from cohortium.privacy.planned import gradient_bound, groups_of
from cohortium.privacy.schedule import Schedule, schedule
from cohortium.privacy.statistics import by_patient, moment_bound
from cohortium.study.federating import drive, plan_of
from cohortium.study.load import load_study
from cohortium.study.private_fitting import fit_private
from cohortium.study.private_plan import asking_privately
from tests.federation.private_sites import KINDS, exact, plan, sites
from tests.marks import thorough_but

FREE = Schedule(math.inf, math.inf, math.inf, math.inf, 1)
BAD = "south"


def ended(made, wrap=None, seed=None, found=None):
    found = sites(made.kind) if found is None else found
    asks = {n: asking_privately(s, made, seed=seed) for n, s in found.items()}
    if wrap is not None:
        asks[BAD] = wrap(asks[BAD])
    return drive(made, asks)


def asked(made, rng):
    """Questions at some parameters."""
    q, k = 5, len(made.classes) if made.kind == "multiclass" else 2 if made.kind == "binary" else 0
    own = digest(encode(made))
    mean, sd = np.array([55.0, 2.0, 0.3, 0.3, 0.5]), np.array([15.0, 1.0, 0.5, 0.5, 0.5])
    b = rng.standard_normal(models.size(made.kind, q, made.privacy.times, k))
    grid = score_grid(made.kind, b, q)
    return (
        AskPrivateCounts(own, 1),
        AskPrivateGradient(own, 2, mean, sd, b),
        AskPrivateScores(own, 3, mean, sd, b, grid),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_patient_changes_a_sum_by_more_than_its_sensitivity(kind):
    made = exact(plan(kind, hold_out=0.4))
    rng = np.random.default_rng(0)
    p = made.privacy
    site = sites(kind)["north"]
    largest = {}
    for _ in range(12):
        out = rng.choice(np.unique(site.patient))
        far = [
            replace(f, values=np.where(site.patient == out, 1e9 * rng.standard_normal(), f.values))
            if f.kind == "numeric"
            else f
            for f in site.features
        ]
        whole = replace(site, features=tuple(far))
        rest = take(whole, np.flatnonzero(whole.patient != out))
        for q, how in zip(asked(made, rng), (private._counts, private._gradient, private._scores), strict=True):
            a, b = (how(s, made, q, FREE, SeededNoise(0, "a"), "x") for s in (whole, rest))
            for field in (f.name for f in fields(a) if isinstance(getattr(a, f.name), np.ndarray)):
                gap = float(np.linalg.norm(getattr(a, field) - getattr(b, field)))
                key = f"{type(a).__name__}.{field}"
                largest[key] = max(largest.get(key, 0.0), gap)
    bounds = {
        "SitePrivateCounts.counts": 1.0, "SitePrivateCounts.moments": moment_bound(groups_of(p)),
        "SitePrivateGradient.gradient": gradient_bound(p), "SitePrivateScores.counts": 2.0 if kind == "continuous" else 1.0,
    }  # fmt: skip
    assert set(largest) == set(bounds)
    for key, bound in bounds.items():
        assert 0.3 * bound < largest[key] <= bound * (1 + 1e-12), key


def rates(with_, without, threshold, confidence):
    """Least share of hits and most of false alarms (Clopper & Pearson 1934)."""
    tail, n = (1 - confidence) / 2, len(with_)
    hits, falses = int((with_ > threshold).sum()), int((without > threshold).sum())
    low = beta.ppf(tail, hits, n - hits + 1) if hits else 0.0
    return low, beta.ppf(1 - tail, falses + 1, n - falses) if falses < n else 1.0


def lower_bound(with_, without, delta, confidence=0.99):
    """The epsilon that an attacker who knows everything but one patient shows: the threshold is chosen on one half of the draws, the rates
    are those of the other (Jagielski 2020, NeurIPS; Nasr 2021, S&P)."""

    def shown(part, t):
        low, high = rates(with_[part], without[part], t, confidence)
        return float(np.log(max(low - delta, 1e-12) / high))

    half = slice(0, len(with_) // 2)
    best = max(np.quantile(without[half], np.linspace(0.8, 0.995, 15)), key=lambda t: shown(half, t))
    return shown(slice(half.stop, None), best)


def audited(times, epsilon=1.0, delta=0.01, draws=3000):
    """Lower bound of epsilon of a site's gradients; noise ``times`` what the budget asks for."""
    made = plan("binary", epsilon)
    _, q, _ = asked(made, np.random.default_rng(0))
    site = take(sites("binary")["north"], np.arange(6))
    far = tuple(
        replace(f, values=np.where(site.patient == 5, f.values * 0 + 60, f.values)) if f.kind == "numeric" else f
        for f in site.features
    )
    site = replace(site, features=far, patient=np.arange(6))
    without = take(site, np.arange(5))
    mu = mu_of(epsilon, delta) / times
    free = [private._gradient(s, made, q, FREE, SeededNoise(0, "a"), "x").gradient for s in (site, without)]
    toward = (free[0] - free[1]) / np.linalg.norm(free[0] - free[1])
    assert np.linalg.norm(free[0] - free[1]) == pytest.approx(
        gradient_bound(made.privacy)
    )  # the worst patient there can be
    some = Schedule(1.0, 1.0, mu, 1.0, 1)
    out = [
        np.array(
            [private._gradient(s, made, q, some, SeededNoise(j, "a"), str(i)).gradient @ toward for i in range(draws)]
        )
        for j, s in enumerate((site, without))
    ]
    return lower_bound(*out, delta)


def test_attacks_show_no_more_than_the_stated_epsilon_and_half_the_noise_is_caught():
    honest, half = audited(1.0), audited(0.5)
    assert 0.1 < honest <= 1.0  # not far below: the attack is worth something
    assert half > 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_spends_its_budget_and_no_more(kind):
    made = plan(kind, hold_out=0.3)
    ledger = Ledger(3.0, 1e-5)
    found = sites(kind)
    asks = {n: asking_privately(s, made, ledger if n == BAD else None) for n, s in found.items()}
    state = drive(made, asks).state
    assert ledger.spent() == pytest.approx(3.0, rel=1e-6) and ledger.spent() <= 3.0 * (1 + 1e-9)
    assert spent(schedule(made.privacy).releases(), 1e-5) == pytest.approx(ledger.spent(), rel=1e-9)
    said = results(state, [], [], "", "")
    assert said.privacy.spent == pytest.approx(3.0, rel=1e-6) and {r.what for r in said.privacy.releases} == {
        "counts",
        "moments",
        "gradient",
        "evaluation",
    }
    assert all(np.isfinite(c.estimate) and c.error is None for c in said.coefficients)
    # One question more, whatever it is, finds nothing left.
    q = AskPrivateGradient(digest(encode(made)), 99, state.mean, state.sd, fit_of(state).average * 0.9)
    answer = private.private_answer(found[BAD], made, q, ledger, SeededNoise(0, BAD))
    assert isinstance(answer, Withdrawn) and "budget" in answer.reason


def optimum(kind, made, state):
    """Of the same loss on all rows, with nothing cut and no noise."""
    z, parts = [], []
    for s in sites(kind).values():
        x = private.values_of(s, made.privacy)
        z.append(np.where(np.isnan(x), 0.0, (x - state.mean) / state.sd))
        o = private.outcomes_of(s, made, np.ones(len(s), bool))
        parts.append((z[-1], o, s.patient))

    def gradient(b):
        return sum(by_patient(models.unit_gradients(z, o, b), who).sum(0) for z, o, who in parts)

    return root(gradient, fit_of(state).average, tol=1e-10).x


@pytest.mark.parametrize("kind", thorough_but(["survival", "binary", "continuous"], "survival"))
def test_without_noise_and_cutting_the_steps_find_the_optimum(kind):
    made = exact(plan(kind, clip=1e6, rounds=250, step=1.0))
    state = ended(made).state
    np.testing.assert_allclose(fit_of(state).average, optimum(kind, made, state), atol=1e-2)


def test_the_same_seed_gives_the_same_study_and_another_one_other_noise():
    made = plan("binary")
    one, same, other = (fit_of(ended(made, seed=s).state).average for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_states_are_stored_and_taken_up_again():
    made = plan("survival", hold_out=0.3)
    asks = {n: asking_privately(s, made) for n, s in sites("survival").items()}
    state = begin(made, list(asks))
    while state.phase != "done":
        q = encode(question(state))
        state = restore(store(step(state, {n: decode(a(q)) for n, a in asks.items()})))
    np.testing.assert_array_equal(fit_of(state).average, fit_of(ended(made).state).average)


DAMAGED = {
    "NaN": (SitePrivateGradient, lambda s: replace(s, gradient=s.gradient * np.nan), "NaN"),
    "infinite": (SitePrivateCounts, lambda s: replace(s, counts=s.counts * np.inf), "NaN"),
    "shape": (SitePrivateGradient, lambda s: replace(s, gradient=s.gradient[1:]), "number of parameters"),
    "a thousand times too large": (SitePrivateGradient, lambda s: replace(s, gradient=s.gradient * 1000), "larger"),
    "moments too large": (SitePrivateCounts, lambda s: replace(s, moments=s.moments * 1000), "larger"),
    "scores too large": (SitePrivateScores, lambda s: replace(s, counts=s.counts * 1000 + 1e4), "larger"),
    "negative counts": (SitePrivateCounts, lambda s: replace(s, counts=np.r_[-1e4, s.counts[1:] + 1e4]), "below none"),
    "replayed": (SitePrivateGradient, lambda s: replace(s, round=s.round - 1), "repeated"),
    "another plan": (SitePrivateGradient, lambda s: replace(s, plan="0" * 32), "something else"),
}


@pytest.mark.parametrize(
    "name",
    thorough_but(
        list(DAMAGED), "NaN", "a thousand times too large", "moments too large", "scores too large", "replayed"
    ),
)
def test_hostile_answers_are_left_out_and_the_others_go_on(name):
    kind, change, said = DAMAGED[name]

    def wrap(honest):
        def ask(data):
            found = decode(honest(data))
            return encode(change(found)) if isinstance(found, kind) else encode(found)

        return ask

    state = ended(plan("binary", hold_out=0.3), wrap).state
    assert list(state.left) == [BAD] and said in state.left[BAD]
    assert np.isfinite(fit_of(state).average).all() and any(BAD in n for n in state.notices)


def test_exact_sums_are_refused_with_the_reason():
    made = plan("survival")
    own, none = digest(encode(made)), np.zeros(0)
    for q in (AskSums(own, 1, (), (), none, none, (0.0, 1.0), none), AskMoments(own, 1, ())):
        answer = private.private_answer(sites("survival")[BAD], made, q, Ledger(3, 1e-5), SeededNoise(0, BAD))
        assert isinstance(answer, Withdrawn) and "Hessian" in answer.reason


def test_odd_questions_cost_nothing():
    made, ledger = plan("binary"), Ledger(3.0, 1e-5)
    _, q, s = asked(made, np.random.default_rng(0))
    for odd in (replace(q, parameters=q.parameters * 1e6), replace(q, sd=q.sd * 0), replace(q, mean=q.mean[1:]),
                replace(q, plan="0" * 32), s):  # fmt: skip
        assert isinstance(
            private.private_answer(sites("binary")[BAD], made, odd, ledger, SeededNoise(0, BAD)), Withdrawn
        )
    assert ledger.releases == []


def test_whether_a_site_takes_part_depends_on_noisy_counts_alone():
    """A site of three patients answers like any other: that it is small is seen through noise."""
    made = plan("binary", least_patients=10)
    few = take(sites("binary")[BAD], np.arange(3))
    said = [
        private.private_answer(
            few, made, AskPrivateCounts(digest(encode(made)), 1), Ledger(3, 1e-5), SeededNoise(s, BAD)
        )
        for s in range(12)
    ]
    assert {type(a) for a in said} == {Withdrawn, SitePrivateCounts}


def test_a_ledger_on_disk_gives_the_same_answer_again_and_refuses_another_study(tmp_path):
    made, site = plan("binary"), sites("binary")[BAD]
    file = tmp_path / "privacy_ledger.json"

    class Fresh(SeededNoise):
        calls = 0

        def integers(self, scale, size, asked):
            Fresh.calls += 1
            return super().integers(scale, size, f"{asked}{Fresh.calls}")

    def ask(q, made=made, epsilon=3.0):
        return private.private_answer(site, made, q, Ledger(epsilon, 1e-5, file), Fresh(0, BAD))

    q = asked(made, np.random.default_rng(0))
    first = [encode(ask(x)) for x in q[:2]]
    assert [encode(ask(x)) for x in q[:2]] == first and Fresh.calls == 3  # counts, moments, gradient
    assert file.stat().st_mode & 0o077 == 0 and len(json.loads(file.read_text())["releases"]) == 3
    other = replace(made, seed=7)
    asked_other = AskPrivateCounts(digest(encode(other)), 1)
    for i in range(5):  # the rest of the budget goes, and then nothing
        last = ask(replace(q[1], round=3 + i))
    assert isinstance(last, SitePrivateGradient)
    refused = ask(asked_other, other)
    assert isinstance(refused, Withdrawn) and "over all studies" in refused.reason
    assert isinstance(ask(asked_other, other, epsilon=6.0), SitePrivateCounts)  # its own person allowed more
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DataError, match="damaged"):
        ask(replace(q[1], round=50))


def test_delta_above_one_over_n_is_refused_by_noisy_counts():
    made = plan("binary", 8.0)
    made = replace(made, privacy=replace(made.privacy, delta=0.05))
    with pytest.raises(FederationError, match="above 1/n"):
        ended(made)


def test_a_real_site_draws_from_the_system_and_keeps_its_ledger_in_its_kit(tmp_path):
    pytest.importorskip("opendp")
    from cohortium.study.federating import site_from_files
    from tests.cli.test_federate_private import FINE, STUDY
    from tests.federation.sites import ORACLE

    (tmp_path / "data.csv").write_bytes((ORACLE / "data.csv").read_bytes())
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(**FINE | {"budget": "epsilon: 3\n    delta: 1.0e-5"}))
    kits = [tmp_path / "one", tmp_path / "two"]
    said = []
    for kit in kits:
        kit.mkdir()
        ask = site_from_files("north", str(file), kit)
        plan = plan_of(load_study(file))
        question = encode(AskPrivateCounts(digest(encode(plan)), 1))
        said.append(decode(ask(question)))
        assert ask(question) == site_from_files("north", str(file), kit)(question)
        assert (kit / "privacy_ledger.json").stat().st_mode & 0o077 == 0
    assert said[0].source == "system" and not (said[0].counts == said[1].counts).any()


def test_a_site_is_previewed_without_spending(tmp_path):
    from cohortium.study.previewing import preview_of

    found = preview_of(sites("survival")[BAD], plan("survival", hold_out=0.3))
    assert {m.kind for m in found.messages} == {k.__name__ for k in PRIVATE_ANSWERS}
    assert found.features == ("age", "size", "grade", "node") and found.most_rounds == 8 and not found.reason


def test_a_fit_as_attacks_need_it():
    made = plan("survival")
    some = {n: take(s, np.arange(0, len(s), 2)) for n, s in sites("survival").items()}
    free, noisy = fit_private(some, made, None, 0), fit_private(some, made, 1.0, 0)
    assert free.scores(some[BAD]).shape == (len(some[BAD]),)
    assert np.abs(free.parameters - noisy.parameters).max() > 1e-3
    np.testing.assert_array_equal(noisy.parameters, fit_private(some, made, 1.0, 0).parameters)


def test_every_field_that_leaves_is_declared():
    for kind in PRIVATE_ANSWERS:
        names = [f.name for f in fields(kind)]
        assert names[:3] == list(ENVELOPE) and names[3:] == list(kind.LEAVES)


def test_messages_are_documented():
    text = (Path(__file__).parents[2] / "docs" / "federation_privacy.md").read_text()
    text = text.split("<!-- private messages -->")[1].split("<!-- private network messages -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \|$", text, re.M)
    assert rows == [(k.__name__, f, said) for k in PRIVATE_ANSWERS for f, said in k.LEAVES.items()]
