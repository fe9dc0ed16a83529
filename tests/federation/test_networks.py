"""Networks across sites: exact where they can be, equal to the papers' formulas, and blind to what a site does not have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'cohortium[deep]'")

from cohortium.contracts.federation_network import HEAD, AskUpdate, SiteUpdate  # noqa: E402
from cohortium.federation_coordinator import question  # noqa: E402
from cohortium.federation_coordinator.network_state import network  # noqa: E402
from cohortium.federation_site import answer  # noqa: E402
from cohortium.federation_site.network import At  # noqa: E402
from cohortium.federation_site.network_data import round_seed  # noqa: E402
from cohortium.study.comparing_networks import together  # noqa: E402
from tests.federation.network_sites import changed, plan, run, sites  # noqa: E402
from tests.marks import thorough_but  # noqa: E402

KINDS = ["survival", "binary", "continuous", "multiclass"]


def at_training(made, found):
    """The state before the first round of training, and its question."""
    state = run(made, found, stop=lambda s: s.phase == "fit" and network(s).stage == "train")
    return state, question(state)


def one_round(made, found, q):
    """Site -> part -> what a site sends."""
    return {n: {p.name: p for p in answer(s, made, q).parts} for n, s in found.items()}


def close(a, b, tolerance=1e-12):
    assert set(a) == set(b)
    for n in a:
        np.testing.assert_allclose(a[n], b[n], atol=tolerance, rtol=0, err_msg=n)


@pytest.mark.parametrize("kind", thorough_but(KINDS, "survival", "multiclass"))
def test_one_full_step_a_round_is_gradient_descent_on_all_rows(kind):
    """FedAvg of one step on all of a site's units is that step on everybody's, sites that lack modalities included: the gradient of an encoder
    is the mean over those who have its modality, here by autograd of the pooled loss, written down again."""
    made, found = plan(kind), sites(kind)
    _state, q = at_training(made, found)
    end = run(made, found, stop=lambda s: s.phase == "fit" and network(s).done == 1)
    pooled = At(together("all", list(found.values()), made), made, q)
    rows = torch.as_tensor(pooled.data.train)
    loss = pooled.losses()(pooled.model(pooled.inputs.batch(rows)), rows)
    gradients = torch.autograd.grad(loss, pooled.layout.parameters, allow_unused=True, materialize_grads=True)
    by_part = pooled.layout.pack(gradients)
    have = pooled.data.present[pooled.data.train].sum(0)
    want = {}
    for short, name in zip(pooled.layout.names, pooled.names, strict=True):
        scale = len(rows) / have[int(short)] if short.isdigit() else 1.0
        want[name] = -made.network.rate * scale * by_part[short]
    close(network(end).change, want)


@pytest.mark.parametrize("local_epochs", [1, 2])
def test_one_site_is_ordinary_training(local_epochs):
    """With batches, dropout and clipping: a loop written down again, by torch's own optimiser."""
    made = replace(
        plan("survival", batch=16, dropout=0.2, modality_dropout=0.2, gradient_clip=0.5, decay=0.1, rounds=2, local_epochs=local_epochs),
        quorum=1,
    )  # fmt: skip
    found = {"north": sites("survival")["north"]}
    state, q = at_training(made, found)
    ended = run(made, found)
    a = At(found["north"], made, q)
    model, rows = a.model, torch.as_tensor(a.data.train)
    start, scale, loss = [p.detach().clone() for p in a.layout.parameters], a._scale(), a.losses()
    event = torch.as_tensor(found["north"].y > 0)
    round_ = state.round
    # Embeddings are centred at the means of the network before: in both rounds those of the start, which ``q`` brought.
    for r in range(2):
        torch.manual_seed(round_seed(found["north"], made, round_ + r))
        model.train()
        for _ in range(local_epochs):
            parts = [rows[event[rows]], rows[~event[rows]]]
            order = torch.cat([p[torch.randperm(len(p))] for p in parts])
            for k in range(3):
                b = order[k::3]
                model.zero_grad()
                loss(model(a.inputs.batch(b)), b).backward()
                for p, s in zip(a.layout.parameters, scale, strict=True):
                    p.grad = s * (torch.zeros_like(p) if p.grad is None else p.grad)
                torch.nn.utils.clip_grad_norm_(a.layout.parameters, 0.5)
                with torch.no_grad():
                    for p, m in zip(a.layout.parameters, a.layout.matrices, strict=True):
                        p -= made.network.rate * (p.grad + (0.1 * p if m else 0))
    moved = a.layout.pack([p.detach() - s for p, s in zip(a.layout.parameters, start, strict=True)])
    close(network(ended).change, {a.names[a.layout.names.index(n)]: v for n, v in moved.items()})


def averaged(sent, field="change"):
    """By the papers: mean by units, of the sites that have the part."""
    names = sorted({n for parts in sent.values() for n in parts})
    out = {}
    for n in names:
        here = [parts[n] for parts in sent.values() if n in parts]
        out[n] = sum(p.units * getattr(p, field) for p in here) / sum(p.units for p in here)
    return out


def by_hand(a, q, steps, rate, mu=0.0, correction=None):
    """A site's steps of full batches with FedProx's pull and SCAFFOLD's correction, as the papers write them. Part -> change."""
    a.load(q.parts)
    rows = torch.as_tensor(a.data.train)
    start = [p.detach().clone() for p in a.layout.parameters]
    for _ in range(steps):
        a.model.zero_grad()
        a.losses()(a.model(a.inputs.batch(rows)), rows).backward()
        with torch.no_grad():
            for i, (p, s) in enumerate(zip(a.layout.parameters, a._scale(), strict=True)):
                g = s * (torch.zeros_like(p) if p.grad is None else p.grad) + mu * (p - start[i])
                p -= rate * (g if correction is None else g + correction[i])
    return a.layout.pack([p.detach() - s for p, s in zip(a.layout.parameters, start, strict=True)])


def second(made, found, rounds):
    """The strategies again, from their papers, on full batches and two local steps. Returns part -> change at the end."""
    n = made.network
    state, q = at_training(made, found)
    asks = {s: At(x, made, q) for s, x in found.items()}
    for a in asks.values():
        a._hide()
    x, m, v, variates, common, _centre = {}, {}, {}, {}, {}, q.parts
    sizes = {}
    for _r in range(rounds):
        sent = {}
        q = question(state)
        for s, a in asks.items():
            a.load(q.parts)
            named = {a.layout.names[a.names.index(k)]: w for k, w in common.items()}
            own = variates.get(s)
            correction = None
            if n.strategy == "scaffold" and own is not None:
                correction = [c - o for c, o in zip(a.layout.unpack(named), own, strict=True)]
            gradient = a._gradient()
            change = by_hand(a, q, n.local_epochs, n.rate, n.proximal, correction)
            sent[s] = (a, change, gradient)
        delta, common_next = {}, {}
        for name in [k for a in asks.values() for k in a.names]:
            parts = [(a, change[a.layout.names[a.names.index(name)]], a.layout.pack(g)[a.layout.names[a.names.index(name)]])
                     for a, change, g in sent.values() if a.layout.names[a.names.index(name)] in a._sent()]  # fmt: skip
            j = list(asks["north"].names).index(name)
            units = np.array([
                a.data.present[a.data.train, j].sum() if name.startswith("modality") else len(a.data.train) for a, _, _ in parts
            ])  # fmt: skip
            delta[name] = sum(u * c for u, (_, c, _) in zip(units, parts, strict=True)) / units.sum()
            common_next[name] = sum(u * g for u, (_, _, g) in zip(units, parts, strict=True)) / units.sum()
            sizes[name] = len(delta[name])
        variates = {s: g for s, (_, _, g) in sent.items()}
        common = common_next
        for name, d in delta.items():
            if n.strategy == "fedadam":  # Reddi 2021, algorithm 2
                m[name] = 0.9 * m.get(name, 0) + 0.1 * d
                v[name] = 0.99 * v.get(name, 1e-6) + 0.01 * d**2
                x[name] = x.get(name, 0) + n.server_rate * m[name] / (np.sqrt(v[name]) + 1e-3)
            else:
                x[name] = x.get(name, 0) + n.server_rate * d
        from cohortium.federation_coordinator import step

        state = step(state, {s: answer(found[s], made, q) for s in found})
    return x, state


STRATEGIES = {
    "fedavg": {}, "fedprox": {"proximal": 0.5}, "scaffold": {}, "fedadam": {"server_rate": 0.02},
}  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_are_those_of_their_papers(strategy):
    made = plan("binary", strategy=strategy, local_epochs=2, rounds=3, **STRATEGIES[strategy])
    x, state = second(made, sites("binary"), 3)
    close(network(state).change, x)


def test_strategies_without_their_term_are_fedavg():
    found = sites("binary", (25, 25, 25, 25))
    base = plan("binary", local_epochs=2, rounds=2)
    ends = {
        s: network(run(changed(base, strategy=s), found)).change for s in ("fedavg", "fedprox", "scaffold")
    }  # mu = 0
    close(ends["fedavg"], ends["fedprox"], 0)
    # SCAFFOLD corrects from the second round on, and with one local step its corrections cancel in the mean.
    assert any(np.abs(ends["fedavg"][n] - ends["scaffold"][n]).max() > 1e-6 for n in ends["fedavg"])
    single = changed(base, local_epochs=1)
    shared = [n for n in ends["fedavg"] if n in ("shared", "head")]
    a, b = (network(run(changed(single, strategy=s), found)).change for s in ("fedavg", "scaffold"))
    close({n: a[n] for n in shared}, {n: b[n] for n in shared})


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_what_a_site_lacks_it_neither_needs_nor_changes(optimiser):
    made = plan("binary", optimiser=optimiser, decay=0.1, dropout=0.2, batch=16, modality_dropout=0.3)
    found = sites("binary")
    _state, q = at_training(made, found)
    sent = one_round(made, found, q)
    assert "modality:images" not in sent["east"] and "modality:rna" not in sent["west"]
    assert {"modality:clinical", "modality:rna", "shared", "head"} == set(sent["east"])
    other = replace(
        q, parts=tuple(replace(p, change=p.change + 7.0) if p.name == "modality:images" else p for p in moved(q))
    )
    again = one_round(made, {"east": found["east"]}, other)["east"]
    first = one_round(made, {"east": found["east"]}, replace(q, parts=moved(q)))["east"]
    for n, p in first.items():
        np.testing.assert_array_equal(p.change, again[n].change)
    assert any(np.abs(p.change).max() > 0 for p in first.values())
    have = network(run(made, found)).have
    assert have["west"].keys() == {"modality:clinical", "modality:images", "shared", "head"}


def moved(q: AskUpdate):
    """Parts of a question that is not at its start."""
    from cohortium.contracts.federation_network import Part

    found = sites("binary")["north"]
    a = At(found, plan("binary"), q)
    rng = np.random.default_rng(0)
    return tuple(
        Part(n, 0.1 * rng.standard_normal(a.layout.sizes[s]), np.zeros(8) if n.startswith("modality") else np.zeros(0))
        for n, s in zip(a.names, a.layout.names, strict=True)
    )


def test_the_same_study_gives_the_same_bytes_and_goes_on_from_what_was_stored():
    made = plan("survival", folds=2, batch=16, dropout=0.2, rounds=1, strategy="scaffold")
    sizes = (30, 30, 30, 30)
    found = sites("survival", sizes)
    from cohortium.federation_coordinator import restore, store

    a, b = store(run(made, found)), store(run(made, sites("survival", sizes), stored=True))
    assert a == b
    assert all(t.scores for t in restore(a).trials if not t.failed) and b"scaffold" in a


def test_inner_loss_chooses_the_round():
    made = plan("continuous", inner=0.25, rounds=6, rate=0.6)
    state = run(made, sites("continuous"))
    fit = network(state)
    assert np.isfinite(fit.inner).all() and fit.best == int(fit.inner[1:].argmin())
    early = changed(made, rounds=max(fit.best, 1))
    if fit.best:
        close(network(run(early, sites("continuous"))).change, fit.change)


def test_personal_heads_stay_and_differ():
    from cohortium.federation_coordinator.network import model

    made, found = plan("binary", personal=True, rounds=2), sites("binary", (40, 40, 40, 40))
    seen = []
    state = run(made, found, change=lambda n, a: seen.append(a) or a)
    updates = [a for a in seen if isinstance(a, SiteUpdate)]
    assert updates and all(HEAD not in {p.name for p in a.parts} for a in updates)
    assert HEAD not in network(state).change
    mine, theirs = (At(found[s], made, model(state)).own_head() for s in ("north", "south"))
    assert float((mine[0] - theirs[0]).abs().max()) > 1e-3


def test_held_out_outcomes_do_not_touch_a_personal_head():
    from cohortium.federation_coordinator.network import model
    from cohortium.federation_site.models import predicted_by
    from cohortium.federation_site.trials import folds_of, take

    made, found = plan("binary", personal=True, folds=2, rounds=1), sites("binary", (40, 40, 40, 40))
    m = model(run(replace(made, folds=0), found))
    s = found["north"]
    fold = folds_of(s, made)
    garbage = replace(s, y=np.where(fold == 0, 1 - s.y, s.y))
    known = take(s, np.flatnonzero(fold != 0))
    a, b = predicted_by(s, made, m, known), predicted_by(garbage, made, m, take(garbage, np.flatnonzero(fold != 0)))
    np.testing.assert_allclose(a[fold == 0], b[fold == 0], atol=1e-6)


@pytest.mark.thorough
def test_a_planted_interaction_is_found_and_permuted_labels_are_at_chance():
    from scipy.stats import rankdata

    from cohortium.federation_coordinator.network import model
    from cohortium.federation_site.models import predicted_by

    def auc(y, r):
        return (rankdata(r)[y > 0].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (1 - y).sum())

    def product(x):
        return 5 * x["clinical"][:, 0] * x["rna"][:, 0]

    made = plan("binary", batch=32, optimiser="adam", rate=0.02, rounds=20, gradient_clip=1.0, width=16, fusion="gated")
    found, fresh = (
        sites("binary", (250, 100, 100, 250), effect=product),
        sites("binary", (800, 2, 2, 2), 9, product)["north"],
    )
    both = ~np.isnan(np.column_stack([f.values for f in fresh.features if f.modality != "images"])).any(1)
    score = predicted_by(fresh, made, model(run(made, found)))
    assert auc(fresh.y[both], score[both]) > 0.75  # linear models are at chance here
    rng = np.random.default_rng(3)
    shuffled = {n: replace(s, y=rng.permutation(s.y)) for n, s in found.items()}
    null = predicted_by(fresh, made, model(run(changed(made, rounds=6), shuffled)))
    assert abs(auc(fresh.y, null) - 0.5) < 0.08
