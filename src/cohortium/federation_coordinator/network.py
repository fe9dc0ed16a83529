"""A network that is trained across sites, as a method of federated studies.

Rounds: of survival in discrete time one for the times of events; one that looks at the start (losses, mean embeddings); the plan's
rounds of training; one that looks at the end. The coordinator holds vectors by part and needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer
from cohortium.contracts.federation_network import HEAD, AskTimes, AskUpdate, NetworkModel, SiteTimes, SiteUpdate
from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.network_checking import fingerprint, names, sizes, wrong_updates
from cohortium.federation_coordinator.network_results import network_results
from cohortium.federation_coordinator.network_state import Networking, begun, declared, network, parts
from cohortium.federation_coordinator.network_strategies import combined, stepped
from cohortium.federation_coordinator.network_times import intervals, wrong_times
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

progress = Networking
restarts = False
"""A site that is left out later was part of the rounds before; the others go on from there."""

MOST_SILENT = 3
"""A site that says nothing in so many rounds one after the other is left out; before, it may come back."""


def start(state: State) -> Networking:
    """The network that the plan's seed gives, with base rates of all sites together."""
    kind = state.plan.kind
    if kind == "survival" and declared(state).survival == "discrete_time":
        return begun("times", np.zeros(0))
    if kind in ("continuous", "survival"):
        return begun("look", np.zeros(1))
    counts = np.zeros(len(state.classes))
    for s in state.here:
        a = state.schemas[s]
        for name, n in zip(a.classes, a.counts, strict=False):
            counts[state.classes.index(name)] += n
    share = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return begun("look", np.log(share[1:] / share[:1]) if kind == "binary" else np.log(share))


def question(state: State) -> AskTimes | AskUpdate:
    """Times of events, or the network as it is now."""
    fit, plan = network(state), digest(encode(state.plan))
    if fit.stage == "times":
        return AskTimes(plan, state.round)
    scaffold = declared(state).strategy == "scaffold" and fit.stage == "train"
    return AskUpdate(
        plan, state.round, state.columns, state.classes, state.mean, state.sd, state.outcome, fit.edges, fit.base,
        int(fit.stage == "train"), parts(fit.change, fit.centre),
        parts(fit.previous, fit.previous_centre) if scaffold else (), parts(fit.variate, {}) if scaffold else (),
    )  # fmt: skip


def answered_by(state: State) -> type:
    """What sites answer in this stage."""
    return SiteTimes if network(state).stage == "times" else SiteUpdate


def check(state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    if network(state).stage == "times":
        return {s: reason for s, a in answers.items() if (reason := wrong_times(a, state))}
    return wrong_updates(state, answers)


def forgives(state: State, site: str) -> bool:
    """Whether a site that was silent in this round may come back in a later one."""
    return network(state).silent.get(site, 0) + 1 < MOST_SILENT


def advance(state: State, answers: Mapping[str, Answer]) -> State:
    """The state after a round of training, or of looking."""
    fit = network(state)
    silent = {s: 0 if s in answers else fit.silent.get(s, 0) + 1 for s in state.here}
    fit = replace(fit, silent={s: n for s, n in silent.items() if n})
    if fit.stage == "times":
        edges, base = intervals(answers, state.plan.least_events)
        return replace(state, fit=replace(fit, stage="look", edges=edges, base=base))
    fit = _looked(state, fit, answers)
    if fit.stage == "close":
        return replace(state, phase="done", fit=_chosen(fit))
    if fit.stage == "look":
        return replace(state, fit=replace(fit, stage="train", change=_still(state, fit)))
    plan = declared(state)
    change, first, second = stepped(
        plan, fit.change, combined(answers, "change", plan.aggregate), fit.first, fit.second
    )
    done = fit.done + 1
    fit = replace(
        fit, done=done, stage="close" if done >= plan.rounds else "train", change=change, first=first, second=second,
        last={**fit.last, **{s: fingerprint(a) for s, a in answers.items()}},
    )  # fmt: skip
    if plan.strategy == "scaffold":
        before = network(state)
        fit = replace(
            fit,
            previous=before.change,
            previous_centre=before.centre,
            variate=combined(answers, "variate", plan.aggregate),
        )
    return replace(state, fit=fit)


def _looked(state: State, fit: Networking, answers: Mapping[str, SiteUpdate]) -> Networking:
    """What sites say of the network that they were asked about."""
    units, inner_units = (sum(getattr(a, f) for a in answers.values()) for f in ("units", "inner_units"))
    loss = sum(answers[s].loss for s in sorted(answers)) / max(units, 1)
    inner = sum(answers[s].inner_loss for s in sorted(answers)) / inner_units if inner_units else np.nan
    centre = {**fit.centre, **combined(answers, "centre", "mean")}
    have = {**fit.have, **{s: {p.name: p.units for p in a.parts} for s, a in answers.items()}}
    better = np.isfinite(inner) and not (np.nanmin(fit.inner, initial=np.inf) <= inner)
    found = replace(
        fit, losses=np.append(fit.losses, loss), inner=np.append(fit.inner, inner), centre=centre, have=have,
        sizes=sizes(state, answers),
    )  # fmt: skip
    # The first look is at embeddings that nothing was taken from: it is no network to choose.
    if better and fit.stage != "look":
        found = replace(found, best=fit.done, best_change=fit.change, best_centre=centre)
    return found


def _still(state: State, fit: Networking) -> dict[str, Array]:
    """Every part at its start."""
    every = zip(names(state), fit.sizes, strict=True)
    return {n: np.zeros(int(size)) for n, size in every if not (n == HEAD and declared(state).personal)}


def _chosen(fit: Networking) -> Networking:
    """The network of the round with the smallest inner loss, where there is one; else the last."""
    return fit if fit.best < 0 else replace(fit, change=fit.best_change, centre=fit.best_centre)


def model(state: State) -> NetworkModel:
    """The trained network, as it is sent to be scored."""
    fit = network(state)
    return NetworkModel(
        state.columns,
        state.classes,
        state.mean,
        state.sd,
        state.outcome,
        fit.edges,
        fit.base,
        parts(fit.change, fit.centre),
    )


def grid(state: State, bins: int) -> Array:
    """(bins - 1,) edges of scores on the scale of log odds: around the common intercept."""
    if state.plan.kind == "binary":
        fit = network(state)
        moved = fit.change.get(HEAD, np.zeros(1))
        return np.asarray(fit.base[0] + moved[-1] + np.linspace(-6, 6, bins - 1))
    return np.linspace(-8, 8, bins - 1) if state.plan.kind == "multiclass" else np.zeros(0)


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Records of a network that is trained."""
    return network_results(state, model(state), messages, seconds, engine, version)
