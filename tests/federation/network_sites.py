"""Sites with modalities, some of which lack one, for networks that are trained across them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_wire import decode, encode
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.federation_coordinator import begin, question, step
from cohortium.federation_site import Feature, Site, answer

DIMS = {"clinical": 3, "rna": 4, "images": 3}
CLASSES = {
    "survival": ("censored", "event"),
    "binary": ("no", "yes"),
    "continuous": (),
    "multiclass": ("a", "b", "c"),
}
PLAIN = {
    "rounds": 3, "batch": 0, "optimiser": "sgd", "rate": 0.1, "decay": 0.0, "gradient_clip": 0.0, "width": 8, "dropout": 0.0,
    "modality_dropout": 0.0,
}  # fmt: skip
"""Plain gradient descent: everything of all units, one step a round."""


def plan(kind: str, folds: int = 0, least: int = 5, **network) -> FederationPlan:
    made = NetworkPlan(**{**PLAIN, **network})
    names = tuple(DIMS)
    return FederationPlan(
        "t", "y", kind, (), "", names, 0.0, least, 3, 3, 2, 50, False, folds, 4, "network", network=made
    )


def site(name: str, n: int, kind: str, rng: np.random.Generator, lacks: tuple[str, ...] = (), effect=None) -> Site:
    features, x = [], {m: rng.standard_normal((n, d)) for m, d in DIMS.items()}
    for m, values in x.items():
        have = (rng.random(n) < 0.8) & (m not in lacks)
        for j, v in enumerate(values.T):
            features.append(Feature(m, f"{m}{j}", "numeric", (), "", "", np.where(have, v, np.nan)))
    eta = 1.5 * x["clinical"][:, 0] + x["rna"][:, 0] if effect is None else effect(x)
    none = np.zeros(0)
    time = entry = none
    if kind == "survival":
        died, censored = rng.exponential(500 * np.exp(-eta)), rng.exponential(800, n)
        y, time, entry = (died <= censored).astype(float), np.minimum(died, censored) + 0.5, np.zeros(n)
    elif kind == "binary":
        y = (rng.random(n) < 1 / (1 + np.exp(-2 * eta))).astype(float)
    elif kind == "multiclass":
        y = np.digitize(eta + rng.logistic(size=n) / 2, [-0.7, 0.7]).astype(float)
    else:
        y = eta + rng.standard_normal(n)
    return Site(name, tuple(features), np.arange(n), np.ones(n), np.zeros(n, int), y, CLASSES[kind], time, entry)


def sites(kind: str, sizes=(40, 60, 50, 45), seed: int = 1, effect=None) -> dict[str, Site]:
    """``east`` lacks images, ``west`` rna."""
    rng = np.random.default_rng(seed)
    names = ("north", "east", "west", "south")
    lacks = {"east": ("images",), "west": ("rna",)}
    return {s: site(s, n, kind, rng, lacks.get(s, ()), effect) for s, n in zip(names, sizes, strict=True)}


def changed(made: FederationPlan, **network) -> FederationPlan:
    assert made.network is not None
    return replace(made, network=replace(made.network, **network))


def run(made, found, change=None, silent=None, stop=None, stored=False):
    """The state at the end. change: (site, answer) -> answer; silent: (site, round) -> bool; stop: (state) -> bool; stored: through bytes each round."""
    from cohortium.federation_coordinator import restore, store

    state = begin(made, list(found))
    while state.phase != "done" and not (stop is not None and stop(state)):
        if stored:
            state = restore(store(state))
        asked = decode(encode(question(state)))
        answers = {}
        for n, s in found.items():
            if n in state.here and not (silent is not None and silent(n, state.round)):
                said = answer(s, made, asked)
                answers[n] = decode(encode(change(n, said) if change is not None else said))
        state = step(state, answers)
    return state
