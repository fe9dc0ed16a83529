"""The coordinator of a differentially private network: noisy counts, a fixed number of rounds of noisy steps, noisy scores.

All that is done to answers here costs nothing, since their noise is on them already: averages over sites, FedAdam's step, robust means, the mean of
the last rounds. There is no look at losses and no choice of a round: both would be exact numbers, or cost.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_network import HEAD, SHARED, NetworkModel, Part, of_modality
from cohortium.contracts.federation_private import (
    AskPrivateCounts,
    AskPrivateNetworkScores,
    AskPrivateUpdate,
    PrivatePart,
    SitePrivateCounts,
    SitePrivateScores,
    SitePrivateUpdate,
)
from cohortium.contracts.federation_results import FederatedResults, MessageRow, NetworkFit
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator import checking, private
from cohortium.federation_coordinator.network_strategies import AGGREGATES, FEWEST, stepped
from cohortium.federation_coordinator.private_results import site_records, statement
from cohortium.federation_coordinator.private_state import PrivateNetworking, networking, privacy_of
from cohortium.federation_coordinator.state import State
from cohortium.privacy import models
from cohortium.privacy.planned import classes_of, modalities_of, outputs_of
from cohortium.privacy.schedule import Schedule, schedule

Array = NDArray[np.float64]

progress = PrivateNetworking
restarts = False

MOST_SILENT = 3
"""A site that says nothing in so many rounds of training one after the other is left out; before, it may come back."""

AVERAGED = 0.5
"""Share of the rounds, the last, whose networks are averaged: noise of single steps cancels (Polyak & Juditsky 1992)."""

LARGEST = 100.0
"""Numbers of the network are kept within this of their start."""


def begin(plan: FederationPlan, sites: Sequence[str]) -> State:
    """The state before the first question. Raises :class:`cohortium.errors.FederationError` for a plan that leaves nothing for the model."""
    private.check_schedule(plan)
    fit = PrivateNetworking({}, {}, np.zeros(0), 0, {}, {}, {}, 0, {}, {}, {}, {})
    return private.begun(plan, sites, fit)


def question(state: State) -> Any:
    """What all sites that are here are asked now."""
    plan, fit = digest(encode(state.plan)), networking(state)
    if state.phase == "counts":
        return AskPrivateCounts(plan, state.round)
    if state.phase == "update":
        mean_size = patients(state, state.here) / max(len(state.here), 1)
        return AskPrivateUpdate(
            plan, state.round, state.mean, state.sd, fit.base, max(mean_size, 1.0), parts(fit.change)
        )
    return AskPrivateNetworkScores(plan, state.round, state.mean, state.sd, fit.base, parts(fit.average))


def parts(change: Mapping[str, Array]) -> tuple[PrivatePart, ...]:
    """As they are sent, in order of their names."""
    return tuple(PrivatePart(n, change[n]) for n in sorted(change))


def patients(state: State, sites: Sequence[str]) -> float:
    """About how many patients of these sites are in the fit, by their noisy counts."""
    share = 1 - privacy_of(state.plan).hold_out
    return sum(max(float(networking(state).counts[s].counts.sum()), 1.0) for s in sites) * share


def step(state: State, answers: Mapping[str, Any]) -> State:
    """The state after a round. Raises :class:`cohortium.errors.FederationError` when fewer sites than the quorum are left."""
    kinds = {"counts": SitePrivateCounts, "update": SitePrivateUpdate, "scores": SitePrivateScores}
    plan, made = digest(encode(state.plan)), schedule(privacy_of(state.plan))
    left: dict[str, str] = {}
    for site in state.here:
        if site not in answers:
            left[site] = private.SILENT
        elif reason := checking.wrong_envelope(answers[site], kinds[state.phase], plan, state):
            left[site] = reason
    good = {s: a for s, a in sorted(answers.items()) if s in state.here and s not in left}
    if state.phase == "update":
        left |= wrong_updates(state, good, made)
        good = {s: a for s, a in good.items() if s not in left}
        state, left = _silent(state, good, left)
    else:
        check = private.wrong_counts if state.phase == "counts" else private.wrong_scores
        left |= {s: reason for s, a in good.items() if (reason := check(a, state, made))}
        good = {s: a for s, a in good.items() if s not in left}
    size = patients(state, state.here) / max(len(state.here), 1) if state.phase == "update" else 1.0
    state = private.leave(state, left)
    after = {"counts": _counted, "update": _stepped, "scores": _scored}[state.phase]
    return replace(after(state, good, size), round=state.round + 1)


def _silent(state: State, good: Mapping[str, Any], left: dict[str, str]) -> tuple[State, dict[str, str]]:
    """Who is left out: not a site that was silent for a round or two, as long as those that answered are a quorum without it."""
    fit = networking(state)
    silent = {s: fit.silent.get(s, 0) + 1 for s, reason in left.items() if reason == private.SILENT}
    state = replace(state, fit=replace(fit, silent=silent))
    if len(good) < state.plan.quorum:
        return state, left
    return state, {s: reason for s, reason in left.items() if silent.get(s, MOST_SILENT) >= MOST_SILENT}


def names(plan: FederationPlan) -> tuple[str, ...]:
    """Parts of the network, in order."""
    return (*map(of_modality, modalities_of(privacy_of(plan))), SHARED, HEAD)


def sizes(state: State, answers: Mapping[str, SitePrivateUpdate]) -> dict[str, int]:
    """Part -> numbers in it, as most sites say in the first round."""
    known = networking(state).sizes
    said: dict[str, Counter[int]] = {}
    for a in answers.values():
        for x in a.parts:
            said.setdefault(x.name, Counter())[len(x.change)] += 1
    return {n: known.get(n) or said[n].most_common(1)[0][0] for n in names(state.plan) if n in known or n in said}


def wrong_updates(state: State, answers: Mapping[str, SitePrivateUpdate], made: Schedule) -> dict[str, str]:
    """Site -> why its update is refused."""
    agreed = sizes(state, answers)
    return {s: reason for s, a in answers.items() if (reason := _wrong(a, state, agreed, made))}


def _wrong(a: SitePrivateUpdate, state: State, agreed: Mapping[str, int], made: Schedule) -> str:
    sent = [x.name for x in a.parts]
    if len(set(sent)) < len(sent) or not {SHARED, HEAD} <= set(sent) <= set(names(state.plan)):
        return "its update has other parts than the network"
    if any(x.change.shape != (agreed[x.name],) for x in a.parts):
        return "its update has another shape than the network"
    flat = np.concatenate([x.change for x in a.parts])
    if not np.isfinite(flat).all():
        return "it sent NaN or infinite numbers"
    if networking(state).last.get(a.site) == fingerprint(a):
        return "it sent the update of an earlier round again"
    if float(np.linalg.norm(flat)) > longest(state, a.site, len(flat), made):
        return "its update is longer than its noisy counts, the cutting and the noise allow"
    return ""


def longest(state: State, site: str, numbers: int, made: Schedule) -> float:
    """The norm that no honest update is above: in each step every patient is cut, and the noise has a known length."""
    p, fit = privacy_of(state.plan), networking(state)
    count = fit.counts[site].counts
    most = 1 + max(float(count.sum()), 0.0) + private.TAILS * math.sqrt(len(count)) / made.counts
    noise = (math.sqrt(numbers) + private.TAILS) / made.gradient
    divided = p.sampled * max(patients(state, state.here) / max(len(state.here), 1), 1.0)
    return p.steps * p.step * p.clip * (most + noise) / divided * (1 + 1e-6)


def fingerprint(a: SitePrivateUpdate) -> str:
    """Of an update without its envelope: with other noise it is never the same."""
    return digest(b"".join(encode(x) for x in a.parts))


def _counted(state: State, good: dict[str, SitePrivateCounts], size: float) -> State:
    state, total = private.scaled(state, good)
    plan, p = state.plan, privacy_of(state.plan)
    start, _, _ = models.start(plan.kind, 0, p.times, classes_of(plan.kind, plan.classes), total)
    base = start[: outputs_of(plan.kind, p.times, plan.classes)]
    return replace(state, phase="update", fit=replace(networking(state), counts=good, base=base))


def combined(state: State, good: Mapping[str, SitePrivateUpdate], size: float) -> dict[str, Array]:
    """Part -> its change by the patients of all sites that have it. Sites divided their sums by the same number, ``size``, so that a sum of changes is one over
    patients: it is brought to their mean. Robust means are of each site's own mean change."""
    how = state.plan.network.aggregate if state.plan.network is not None else "mean"
    out = {}
    for name in names(state.plan):
        having = {s: x.change for s, a in sorted(good.items()) for x in a.parts if x.name == name}
        if not having:
            continue
        n = np.array([patients(state, [s]) for s in having])
        changes = np.array(list(having.values()))
        if how == "mean" or len(having) < FEWEST:
            out[name] = np.asarray(changes.sum(0) * size / n.sum())
        else:
            out[name] = AGGREGATES[how](n, changes * (size / n)[:, None])
    return out


def _stepped(state: State, good: dict[str, SitePrivateUpdate], size: float) -> State:
    p, plan = privacy_of(state.plan), state.plan.network
    assert plan is not None
    fit = networking(state)
    change, first, second = stepped(plan, fit.change, combined(state, good, size), fit.first, fit.second)
    change = {n: np.clip(v, -LARGEST, LARGEST) for n, v in change.items()}
    done = fit.done + 1
    late = done > p.rounds * (1 - AVERAGED)
    averaged, average = fit.averaged + int(late), dict(fit.average)
    for n, v in change.items() if late else ():
        average[n] = average.get(n, np.zeros(len(v))) + (v - average.get(n, np.zeros(len(v)))) / averaged
    fit = replace(
        fit, done=done, change=change, first=first, second=second, average=average, averaged=averaged, sizes=sizes(state, good),
        last={**fit.last, **{s: fingerprint(a) for s, a in good.items()}},
    )  # fmt: skip
    phase = "update" if done < p.rounds else "scores" if p.hold_out else "done"
    return replace(state, phase=phase, fit=fit)


def _scored(state: State, good: dict[str, SitePrivateScores], size: float) -> State:
    return replace(state, phase="done", fit=replace(networking(state), scores=good))


def model(state: State) -> NetworkModel:
    """The network at the end: the mean of the last rounds."""
    p, fit = privacy_of(state.plan), networking(state)
    none = np.zeros(0)
    edges = np.array([0.0, *p.times]) if state.plan.kind == "survival" else none
    outcome = (sum(p.outcome) / 2, (p.outcome[1] - p.outcome[0]) / 2) if state.plan.kind == "continuous" else (0.0, 1.0)
    return NetworkModel(
        state.columns, state.classes, state.mean, state.sd, outcome, edges, fit.base,
        tuple(Part(n, fit.average[n], none) for n in sorted(fit.average)),
    )  # fmt: skip


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Records of a private network that is done."""
    plan, fit = state.plan, networking(state)
    modalities, declared = modalities_of(privacy_of(plan)), privacy_of(plan).columns
    have = {
        s: {m: int(m in {declared[i].modality for i in fit.counts[s].features}) for m in modalities} for s in state.here
    }
    found = NetworkFit(
        sum(fit.sizes.values()), list(modalities), have, [], [], -1,
        json.loads(encode(model(state))), [],
    )  # fmt: skip
    return FederatedResults(
        plan.study, plan.endpoint, plan.kind, plan, digest(encode(plan)), site_records(state), state.classes, "", [], {}, math.nan,
        state.round - 1, None, list(state.notices), list(messages), list(seconds), engine, version,
        privacy=statement(state), network=found,
    )  # fmt: skip
