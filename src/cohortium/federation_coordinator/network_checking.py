"""What an update must be before it is averaged. An update within these bounds can still be wrong: ``aggregate`` is for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_network import HEAD, SHARED, PartUpdate, SiteUpdate, of_modality
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.network_state import declared, network
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

UNLIKE = 100.0
"""An update whose norm is so many times the median of the others' is no other population."""

LEAST = 1e-9
"""Norms below this are nothing: they are not compared."""


def names(state: State) -> tuple[str, ...]:
    """Parts of the network, in order."""
    return (*dict.fromkeys(of_modality(c.modality) for c in state.columns), SHARED, HEAD)


def sizes(state: State, answers: Mapping[str, SiteUpdate]) -> Array:
    """(parts,) numbers of each part, as most sites say."""
    known = network(state).sizes
    if len(known):
        return known
    said = Counter(tuple(a.sizes) for _, a in sorted(answers.items()) if a.sizes.shape == (len(names(state)),))
    return np.array(said.most_common(1)[0][0] if said else ())


def wrong_updates(state: State, answers: Mapping[str, SiteUpdate]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    agreed = sizes(state, answers)
    left = {s: reason for s, a in answers.items() if (reason := _wrong(a, state, agreed))}
    return left | unlike(state, {s: a for s, a in answers.items() if s not in left})


def _wrong(a: SiteUpdate, state: State, agreed: Array) -> str:
    if a.sizes.shape != (len(names(state)),) or a.sizes.shape != agreed.shape or (a.sizes != agreed).any():
        return "its network has other sizes than elsewhere"
    every = [x for p in a.parts for x in (p.change, p.variate, p.centre)]
    if not all(np.isfinite(x).all() for x in every) or not np.isfinite([a.loss, a.inner_loss]).all():
        return "it sent NaN or infinite numbers"
    units = state.schemas[a.site].units
    if not 0 <= a.units + a.inner_units <= units or min(a.units, a.inner_units) < 0:
        return "its counts do not fit the number of its units"
    if state.plan.kind != "continuous" and min(a.loss, a.inner_loss) < 0:
        return "its loss is negative"
    sent = [p.name for p in a.parts]
    needed = {SHARED} if declared(state).personal else {SHARED, HEAD}
    if len(set(sent)) < len(sent) or not needed <= set(sent) or not set(sent) <= set(names(state)):
        return "its update has other parts than the network"
    if declared(state).personal and HEAD in sent:
        return "it sent its own head, which is to stay there"
    for p, size in ((p, int(agreed[names(state).index(p.name)])) for p in a.parts):
        if reason := _wrong_part(p, size, a, state):
            return reason
    if any(len(p.change) for p in a.parts) and network(state).last.get(a.site) == fingerprint(a):
        return "it sent the update of an earlier round again"
    return ""


def _wrong_part(p: PartUpdate, size: int, a: SiteUpdate, state: State) -> str:
    trained = network(state).stage == "train"
    scaffold = trained and declared(state).strategy == "scaffold"
    if p.change.shape != ((size,) if trained else (0,)) or p.variate.shape != ((size,) if scaffold else (0,)):
        return "its update has another shape than the network"
    of_all = p.name in (SHARED, HEAD)
    if p.centre.shape != ((0,) if of_all else (declared(state).width,)):
        return "its mean embedding has another shape"
    if p.units > a.units or (of_all and p.units != a.units) or p.units < state.plan.least_patients:
        return "its counts do not fit the number of its units"
    return ""


def norm(a: SiteUpdate, field: str = "change") -> float:
    """Of all parts together, by the root of their number: a site that lacks a modality has fewer."""
    every = [x for p in a.parts if len(x := getattr(p, field))]
    n = sum(len(x) for x in every)
    return float(np.sqrt(sum(float(x @ x) for x in every) / n)) if n else 0.0


def unlike(state: State, answers: Mapping[str, SiteUpdate]) -> dict[str, str]:
    """Site -> reason, where its update is longer than the plan allows, or far longer than the others'."""
    clip, out = declared(state).clip, {}
    for s, a in answers.items():
        whole = float(np.sqrt(sum(float(p.change @ p.change) for p in a.parts)))
        if clip and whole > clip * (1 + 1e-6):
            out[s] = "its update is longer than the declared clip"
    for field, what in (("change", "update"), ("variate", "control variate"), ("centre", "mean embedding")):
        each = {s: norm(a, field) for s, a in answers.items() if s not in out}
        for s, x in each.items():
            others = [y for t, y in each.items() if t != s]
            if others and x > UNLIKE * max(float(np.median(others)), LEAST):
                out[s] = f"its {what} is more than {UNLIKE:.0f} times as long as that of other sites"
    per = {s: a.loss / max(a.units, 1) for s, a in answers.items() if s not in out}
    for s, x in per.items():
        others = [y for t, y in per.items() if t != s]
        if others and x > UNLIKE * max(float(np.median(others)), LEAST):
            out[s] = f"its loss per unit is more than {UNLIKE:.0f} times that of other sites"
    return out


def fingerprint(a: SiteUpdate) -> str:
    """Of an update without its envelope: the same steps from another network are never the same numbers."""
    return digest(b"".join(encode(p) for p in a.parts))
