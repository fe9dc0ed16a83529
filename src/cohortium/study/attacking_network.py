"""Reconstruction of a site's rows from what an update tells of their gradient (Zhu 2019; Geiping 2020, NeurIPS)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_network import AskUpdate
from cohortium.contracts.federation_results import AttackRecord
from cohortium.contracts.federation_wire import decode
from cohortium.study.federating import asking, drive

if TYPE_CHECKING:
    from cohortium.federation_site import Site

Array = NDArray[np.float64]

ROUND = 5
MOST_CELLS = 400
"""Rows times columns of a site whose rows are looked for: a larger search does not end, which protects nobody."""


def update_inverted(plan: FederationPlan, sites: Mapping[str, Site], name: str) -> AttackRecord:
    """Rows of a site whose gradient is that of its training units at the network of an early round (at the start a head of zeros hides all
    that is before it); outcomes, and who has which modality,
    are known to the attacker, and that the site takes one step on all its units with nothing dropped: updates of more steps tell less."""
    from cohortium.attacks import match, recovered, snapped
    from cohortium.federation_site.network import At

    assert plan.network is not None
    record = AttackRecord("reconstruction", "update", name, rounds=min(plan.network.rounds, ROUND))
    if find_spec("torch") is None:
        return replace(record, reason="not tried: it needs the extra 'deep'")
    q = _asked(plan, sites, name)
    if q is None:
        return replace(record, reason="the site was asked for no update")
    at = At(sites[name], plan, q)
    sizes = [x.shape for x in at.data.x]
    cells = sum(a * b for a, b in sizes)
    if cells > MOST_CELLS:
        return replace(record, reason=f"not tried: {cells} cells are more than {MOST_CELLS}")
    import torch

    cuts = [a * b for a, b in sizes]

    def gradient(flat: Any) -> Any:
        return at.gradient_of([v.reshape(s) for v, s in zip(torch.split(flat.reshape(-1), cuts), sizes, strict=True)])

    truth = np.concatenate([x.ravel() for x in at.data.x])
    seen = gradient(torch.as_tensor(truth)).detach().numpy()
    flat, misfit = match(gradient, seen, (1, cells), plan.seed)
    two = {j: (-q.mean[j] / q.sd[j], (1 - q.mean[j]) / q.sd[j]) for j, c in enumerate(q.columns) if c.level}
    parts = np.split(flat.ravel(), np.cumsum(cuts)[:-1])
    rows, real = _whole(at, parts), _whole(at, [x.ravel() for x in at.data.x])
    r = recovered(snapped(rows, two) * (real != 0), real, misfit, plan.seed)
    return replace(
        record,
        candidates=r.rows,
        columns=r.columns,
        share=r.share,
        chance=r.chance,
        distance=r.distance,
        misfit=r.misfit,
    )


def _whole(at: Any, parts: list[Array]) -> Array:
    """(n, q) rows of the training units, 0 where a unit lacks the modality."""
    out = [np.zeros((len(at.site), x.shape[1])) for x in at.data.x]
    for o, x, where, flat in zip(out, at.data.x, at.data.where, parts, strict=True):
        o[where] = flat.reshape(x.shape)
    return np.asarray(np.hstack(out)[at.data.train])


def _asked(plan: FederationPlan, sites: Mapping[str, Site], name: str) -> AskUpdate | None:
    """The question about an update of that round, or None."""
    assert plan.network is not None
    short = replace(plan, folds=0, network=replace(plan.network, rounds=min(plan.network.rounds, ROUND)))
    seen: list[AskUpdate] = []
    own = asking(sites[name], short)

    def ask(data: bytes) -> bytes:
        question = decode(data)
        if isinstance(question, AskUpdate) and question.train:
            seen.append(question)
        return own(data)

    drive(short, {n: ask if n == name else asking(s, short) for n, s in sites.items()})
    return seen[-1] if seen else None
