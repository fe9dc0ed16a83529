"""What would leave a site, found out by a trial run with this site alone: nothing is sent anywhere."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortium.contracts.federation import ENVELOPE, FederationPlan, SiteSchema, Withdrawn
from cohortium.contracts.federation_leaving import Leaving, LeavingPreview
from cohortium.contracts.federation_secure import SiteNames
from cohortium.contracts.federation_wire import digest, encode, holds
from cohortium.errors import FederationError
from cohortium.study.federating import Ask, asking, keys_for, plan_of, site_of_study

if TYPE_CHECKING:
    from cohortium.federation_site import Site
    from cohortium.study.load import Study

TREES = 3

ROUNDS = 2
"""Of a network: all send the same."""

LONGEST = 20.0
"""Seconds of a trial run; later rounds send what earlier ones did."""


def preview(study: Study | str | Path, name: str = "this site") -> LeavingPreview:
    """What would leave a site with this study file and its data. Raises the errors of reading them."""
    from cohortium.study.load import Study, load_study

    loaded = study if isinstance(study, Study) else load_study(study)
    plan = plan_of(loaded)
    return preview_of(site_of_study(name, loaded, plan), plan)


def preview_of(site: Site, plan: FederationPlan, penalty: float | None = None) -> LeavingPreview:
    """The same of a site that was read already. Other sites may add columns (levels that this one lacks), never rows. penalty: of the trial
    alone, where this site by itself has no estimate without one."""
    from cohortium.federation_coordinator import begin, question, step
    from cohortium.federation_coordinator.checking import read_answer
    from cohortium.federation_site import too_few
    from cohortium.federation_site.answering import most_rounds

    most = most_rounds(plan) * (1 if plan.secure is None else 2)
    if plan.privacy is None and (reason := too_few(site, plan)):
        return _made(site, plan, reason, [], most, False)
    # Of trees the first few show what all send, and the same each time that this is asked.
    trees = (
        None
        if plan.trees is None
        else replace(plan.trees, rounds=min(plan.trees.rounds, TREES), stop=min(plan.trees.stop, 1))
    )
    # A private site decides by noisy counts, which a trial must not spend: it is shown what leaves where it takes part.
    network = None if plan.network is None else replace(plan.network, rounds=min(plan.network.rounds, ROUNDS))
    privacy = plan.privacy
    if privacy is not None and network is not None:
        privacy = replace(privacy, rounds=min(privacy.rounds, ROUNDS), sampled=1.0)
    alone = replace(
        plan,
        quorum=1,
        trees=trees,
        network=network,
        privacy=privacy,
        least_patients=1 if plan.privacy else plan.least_patients,
        penalty=plan.penalty if penalty is None else penalty,
    )
    asks = _trial(site, alone)
    state = begin(alone, list(asks))
    said: list[Any] = []
    started, cut = time.monotonic(), False
    while state.phase != "done":
        if time.monotonic() - started > LONGEST:
            cut = True
            break
        asked = encode(question(state))
        answers = {n: read_answer(ask(asked), n, state) for n, ask in asks.items()}
        found = answers[site.name]
        said.append(found)
        if isinstance(found, Withdrawn):
            return _made(site, plan, found.reason, said, most, False)
        try:
            state = step(state, answers)
        except FederationError:
            if plan.method in ("linear", "binned") and not plan.penalty and penalty is None:
                return preview_of(site, plan, 1.0)  # a shrunken fit sends the same, and comes to an end
            cut = True
            break
    return _made(site, plan, "", said, most, cut)


def _trial(site: Site, plan: FederationPlan) -> dict[str, Ask]:
    """The site alone; with secure aggregation, which takes three, beside two copies of itself and with keys for this trial."""
    names = [site.name] if plan.secure is None else [site.name, f"{site.name} 2", f"{site.name} 3"]
    keys = keys_for(plan, names)
    return {n: asking(replace(site, name=n), plan, keys[n]) for n in names}


def _made(site: Site, plan: FederationPlan, reason: str, said: list[Any], most: int, cut: bool) -> LeavingPreview:
    schema = next((a for a in said if isinstance(a, SiteSchema | SiteNames)), None)
    features = () if schema is None else tuple(f.name for f in schema.features)
    levels = {} if schema is None else {f.name: f.levels for f in schema.features if f.levels}
    if plan.privacy is not None:
        features = tuple(c.feature for c in plan.privacy.columns)
        levels = {c.feature: c.levels for c in plan.privacy.columns if c.levels}
    messages = _kinds(said)
    shapes = sorted({json.dumps([type(one).__name__, holds(one)]) for a in said for one in (a, *_inside(a))})
    mark = digest(json.dumps([shapes, features, levels]).encode())
    return LeavingPreview(
        site.name, plan.study, plan.endpoint, digest(encode(plan)), len(site), site.patients(), reason, features, levels,
        messages, len(said), most, cut, mark,
    )  # fmt: skip


def _kinds(said: list[Any]) -> tuple[Leaving, ...]:
    """Each kind of message, and each kind of answer inside others, as the last of them was."""
    last: dict[tuple[str, str], Any] = {}
    times: dict[tuple[str, str], int] = {}
    size: dict[tuple[str, str], int] = {}
    for a in said:
        for within, one in [("", a), *((type(a).__name__, b) for b in _inside(a))]:
            key = (type(one).__name__, within)
            last[key] = one
            times[key] = times.get(key, 0) + 1
            size[key] = max(size.get(key, 0), len(encode(one)))
    return tuple(
        Leaving(kind, within, times[kind, within], size[kind, within], _fields(a)) for (kind, within), a in last.items()
    )


def _inside(answer: Any) -> list[Any]:
    """Answers that stand in the lists of another."""
    out = []
    for f in dataclasses.fields(answer):
        value = getattr(answer, f.name)
        if isinstance(value, tuple):
            out += [v.answer for v in value if dataclasses.is_dataclass(v) and hasattr(v, "answer")]
    return out


def _fields(answer: Any) -> tuple[tuple[str, str, str], ...]:
    how = holds(answer)
    said = dict(type(answer).LEAVES)
    return tuple((f, said[f], _counted(getattr(answer, f)) or how[f]) for f in how if f not in ENVELOPE)


def _counted(value: Any) -> str:
    """Counts as they are: a person approves numbers of patients, not that there are some."""
    several = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{v:,}" for v in several) if several and all(type(v) is int for v in several) else ""
