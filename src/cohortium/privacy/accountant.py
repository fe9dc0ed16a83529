"""One accountant for everything that was released: the epsilon, at the study's delta, of all of it together.

Gaussian releases compose exactly (:mod:`cohortium.privacy.gaussian`). Where others are among them (Poisson-sampled steps of a
network, Laplace) the privacy loss distributions of all are convolved, by Google's ``dp-accounting`` (Koskela 2020; Doroshenko 2022).
Releases of disjoint patients (those of the fit, those held out) cost the larger of the two, not their sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from cohortium._optional import require
from cohortium.privacy.gaussian import delta_of, epsilon_of, together

GRID_SHARE = 1e-6
"""Share of delta that is kept for noise on a grid being not quite Gaussian: a total variation of less than 2e-20 for each number."""

MOST_WAYS = 64
ROUNDING = 1e-9

EVERYONE, FITTED, HELD_OUT = "everyone", "fitted", "held out"

KINDS = ("gaussian", "sampled_gaussian", "laplace")


@dataclass(frozen=True)
class Release:
    """Something that left a site. noise: standard deviation (of Laplace: scale) over sensitivity. times: how often. rate: chance
    that a patient is in a step (``sampled_gaussian``). part: of whose patients. plan: digest of the plan that asked for it."""

    name: str
    kind: str
    noise: float
    times: int = 1
    rate: float = 1.0
    part: str = EVERYONE
    plan: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not self.noise >= 0 or self.times < 1 or not 0 < self.rate <= 1:
            raise ValueError(f"no release: {self}")

    @property
    def mu(self) -> float | None:
        """Of Gaussian releases: sensitivity over standard deviation, of all ``times`` together; else None."""
        if self.kind != "gaussian":
            return None
        return math.inf if self.noise == 0 else math.sqrt(self.times) / self.noise


def spent(releases: Sequence[Release], delta: float) -> float:
    """The epsilon of all releases at ``delta``, for the patient who is in the costliest of the parts of each plan."""
    if not releases:
        return 0.0
    delta = delta * (1 - GRID_SHARE)
    return max(_epsilon(way, delta) for way in _ways(releases))


def spent_delta(releases: Sequence[Release], epsilon: float) -> float:
    """The delta of all releases at ``epsilon``."""
    return max((_delta(way, epsilon) for way in _ways(releases)), default=0.0)


def refused(before: Sequence[Release], new: Sequence[Release], epsilon: float, delta: float) -> str:
    """Why ``new`` must not be released after ``before`` under a budget; empty where it may."""
    now = spent([*before, *new], delta)
    if now <= epsilon * (1 + ROUNDING):
        return ""
    said = "no finite epsilon" if math.isinf(now) else f"epsilon {now:.4g}"
    return f"it would spend {said} at delta {delta:g}, and the budget is {epsilon:g}"


def _ways(releases: Sequence[Release]) -> list[list[Release]]:
    """What one patient can have been part of: everything of everyone, and of each plan one of its disjoint parts."""
    common = [r for r in releases if r.part == EVERYONE]
    plans: dict[str, dict[str, list[Release]]] = {}
    for r in releases:
        if r.part != EVERYONE:
            plans.setdefault(r.plan, {}).setdefault(r.part, []).append(r)
    options = [list(parts.values()) for parts in plans.values()]
    if all(r.kind == "gaussian" for r in releases):
        # Of Gaussian releases the costliest part of a plan is that of the largest mu, whatever else there is.
        chosen = [max(o, key=lambda part: together(r.mu or 0.0 for r in part)) for o in options]
        return [[*common, *itertools.chain(*chosen)]]
    if math.prod(map(len, options)) > MOST_WAYS:
        return [list(releases)]  # too many to try: as if every patient had been in every part
    return [[*common, *itertools.chain(*way)] for way in itertools.product(*options)]


def _epsilon(releases: Sequence[Release], delta: float) -> float:
    mus = [r.mu for r in releases if r.mu is not None]
    if len(mus) == len(releases):
        return epsilon_of(together(mus), delta)
    if any(r.noise == 0 for r in releases):
        return math.inf
    return _convolved(tuple(sorted(_counted(releases).items(), key=repr)), delta)


@lru_cache(maxsize=256)
def _convolved(counted: tuple[tuple[Release, int], ...], delta: float) -> float:
    """Seconds of work, asked for again in each round of each site."""
    return float(_distributions([replace(r, times=n) for r, n in counted]).get_epsilon(delta))


def _delta(releases: Sequence[Release], epsilon: float) -> float:
    mus = [r.mu for r in releases if r.mu is not None]
    if len(mus) == len(releases):
        return delta_of(together(mus), epsilon)
    return 1.0 if any(r.noise == 0 for r in releases) else float(_distributions(releases).get_delta(epsilon))


def _counted(releases: Sequence[Release]) -> dict[Release, int]:
    """Each kind of release, and how often it was."""
    counted: dict[Release, int] = {}
    for r in releases:
        key = replace(r, name="", times=1, part="", plan="")
        counted[key] = counted.get(key, 0) + r.times
    return counted


def _distributions(releases: Sequence[Release]) -> Any:
    """dp-accounting's accountant of the releases; equal ones are composed at once."""
    require("dp_accounting", extra="privacy", purpose="Accounting of sampled or Laplace noise")
    from dp_accounting.pld import PLDAccountant

    counted = _counted(releases)
    account = PLDAccountant()
    gaussian = [(r, n) for r, n in counted.items() if r.kind == "gaussian"]
    if gaussian:  # exact before anything is made discrete
        mu = together(math.sqrt(n) / r.noise for r, n in gaussian)
        account.compose(event(Release("", "gaussian", 1 / mu)))
    for r, n in counted.items():
        if r.kind != "gaussian":
            account.compose(event(r), n)
    return account


def event(r: Release) -> Any:
    """dp-accounting's event for one release of the kind of ``r``."""
    import dp_accounting as dp

    if r.kind == "laplace":
        return dp.LaplaceDpEvent(r.noise)
    one = dp.GaussianDpEvent(r.noise)
    return one if r.kind == "gaussian" else dp.PoissonSampledDpEvent(r.rate, one)
