"""From the updates of a round to the next network: how sites are averaged, and the step that is taken.

Each part of the network is averaged over the sites that have it, by the units that have it there. FedAvg: McMahan 2017 (AISTATS).
FedProx: Li 2020 (MLSys); its pull is in the sites' steps. SCAFFOLD: Karimireddy 2020 (ICML), option I of its control variates.
FedAdam: Reddi 2021 (ICLR). Median and trimmed mean by coordinate: Yin 2018 (ICML). Krum: Blanchard 2017 (NeurIPS).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_network import SiteUpdate
from cohortium.contracts.network_plan import NetworkPlan

Array = NDArray[np.float64]

TRIMMED = 0.2
"""Share of sites that a trimmed mean leaves out at either end; at least one."""

FEWEST = 3
"""Sites without which a lying one cannot be outvoted: the mean is taken."""

BETA1, BETA2, TAU = 0.9, 0.99, 1e-3
"""Of FedAdam, as its authors have them."""


def combined(answers: Mapping[str, SiteUpdate], field: str, how: str) -> dict[str, Array]:
    """Part -> what sites say of it together. field: ``change``, ``variate`` or ``centre``. Sites in order of their names, so that sums are the same to
    the bit."""
    found: dict[str, list[tuple[float, Array]]] = {}
    for site in sorted(answers):
        for p in answers[site].parts:
            values = getattr(p, field)
            if len(values):
                found.setdefault(p.name, []).append((float(p.units), values))
    out = {}
    for name in sorted(found):
        w = np.array([u for u, _ in found[name]])
        x = np.array([v for _, v in found[name]])
        out[name] = mean(w, x) if len(x) < FEWEST else AGGREGATES[how](w, x)
    return out


def mean(w: Array, x: Array) -> Array:
    """(p,) of x (sites, p), weighted by w (sites,)."""
    return np.asarray((w / w.sum()) @ x)


def median(w: Array, x: Array) -> Array:
    """By coordinate; sites count alike."""
    return np.asarray(np.median(x, axis=0))


def trimmed_mean(w: Array, x: Array) -> Array:
    """By coordinate, without the largest and smallest; sites count alike."""
    cut = max(1, int(TRIMMED * len(x)))
    return np.asarray(np.sort(x, axis=0)[cut : len(x) - cut].mean(axis=0))


def krum(w: Array, x: Array) -> Array:
    """The update of one site: that which is nearest to its n - f - 2 nearest others, f = (n - 3) / 2 of n lying."""
    n = len(x)
    near = n - (n - 3) // 2 - 2
    apart = ((x[:, None] - x[None]) ** 2).sum(2)
    score = np.sort(apart, axis=1)[:, 1 : near + 1].sum(1)
    return np.asarray(x[int(score.argmin())])


AGGREGATES: dict[str, Callable[[Array, Array], Array]] = {
    "mean": mean, "median": median, "trimmed_mean": trimmed_mean, "krum": krum,
}  # fmt: skip


def stepped(
    plan: NetworkPlan,
    now: Mapping[str, Array],
    update: Mapping[str, Array],
    first: Mapping[str, Array],
    second: Mapping[str, Array],
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """The next network, and the moments of FedAdam. A part of which nobody said anything stays as it is."""
    out, m, v = dict(now), dict(first), dict(second)
    for name, delta in update.items():
        here = out.get(name, np.zeros(len(delta)))
        if plan.strategy != "fedadam":
            out[name] = here + plan.server_rate * delta
            continue
        m[name] = BETA1 * m.get(name, np.zeros(len(delta))) + (1 - BETA1) * delta
        v[name] = BETA2 * v.get(name, np.full(len(delta), TAU**2)) + (1 - BETA2) * delta**2
        out[name] = here + plan.server_rate * m[name] / (np.sqrt(v[name]) + TAU)
    return out, m, v
