"""Survival with a hazard that is constant within bins of time: loss, gradient, Hessian of a site.

Given the bins this is the likelihood of the piecewise exponential model (Holford 1980, Biometrics 36:299; Friedman 1982, Ann Stat
10:101): a Poisson regression of events on time under observation in each bin, of which delayed entry and censoring are exact parts. As bins
grow fine it becomes Cox's model. Cost: O(n (K + q) q) for K bins.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan, SiteSums, Withdrawn
from cohortium.contracts.federation_baseline import AskBin, AskBinnedSums, SiteBin
from cohortium.contracts.federation_network import GRID
from cohortium.federation_site.models import FARTHEST, scaled
from cohortium.federation_site.site import Site
from cohortium.federation_site.trials import parts_of

Array = NDArray[np.float64]

MOST = 100
"""Bins."""

SHARE = 0.05
"""Of a site's events each bin that is chosen holds so many at least: early times would use up the bins else."""


def bin_answer(site: Site, plan: FederationPlan, q: AskBin, own: str) -> SiteBin | Withdrawn:
    """Where the next bin may end here."""
    if plan.baseline is None or plan.kind != "survival":
        return Withdrawn(site.name, own, q.round, "it was asked for bins of time that its study does not have")
    declared = plan.baseline.times
    allowed = np.union1d(GRID, declared or ())
    if q.times.ndim != 1 or not (np.isin([q.begin, *q.times], allowed).all() and (np.diff(q.times) > 0).all()):
        return Withdrawn(site.name, own, q.round, "it was asked about times that are no steps of the grid")
    under = float(site.weight @ (site.time - site.entry))
    return SiteBin(
        site.name,
        own,
        q.round,
        next_end(site, plan, q.begin, q.times, SHARE if declared is None else 0.0),
        under,
    )


def next_end(site: Site, plan: FederationPlan, begin: float, times: Array, share: float) -> float:
    """The first of ``times`` until which :func:`fewest` patients, and a ``share`` of all who had the event, had it since ``begin``; 0 where
    too few had it later, -1 where too few had it since ``begin``."""
    dead, least = (site.y > 0) & (site.time > begin), plan.least_events
    enough = math.ceil(share * site.patients(site.y > 0))
    for t in times[times > begin]:
        inside = dead & (site.time <= t)
        if site.patients(inside) >= enough and fewest(site, plan, inside) >= least:
            return float(t) if fewest(site, plan, dead & (site.time > t)) >= least else 0.0
    return 0.0 if fewest(site, plan, dead) >= least else -1.0


def fewest(site: Site, plan: FederationPlan, rows: NDArray[np.bool_]) -> int:
    """Patients of these units; with an evaluation those of the fold that has the fewest: sums of all less those of a training part are sums of a fold."""
    counts = [site.patients(rows)]
    parts = parts_of(site, plan) if plan.folds and site.whole else []
    for _, held in parts if not isinstance(parts, str) else ():
        counts.append(site.patients(rows & np.isin(np.arange(len(site)), held)))
    return min(counts)


def binned_answer(site: Site, plan: FederationPlan, q: AskBinnedSums, own: str) -> SiteSums | Withdrawn:
    """The site's sums, where each bin holds enough of its patients with an event."""
    if reason := wrong(site, plan, q):
        return Withdrawn(site.name, own, q.round, reason)
    z = scaled(site, plan, q.columns, q.mean, q.sd)
    found = binned_sums(z, site.time, site.y, site.entry, site.weight, q.cuts, q.parameters)
    return SiteSums(site.name, own, q.round, *found)


def wrong(site: Site, plan: FederationPlan, q: AskBinnedSums) -> str:
    """Why a question is not answered, or an empty text."""
    k = len(q.cuts) + 1
    if plan.baseline is None or plan.kind != "survival":
        return "it was asked for bins of time that its study does not have"
    fits = q.mean.shape == q.sd.shape == (len(q.columns),) and q.parameters.shape == (k + len(q.columns),)
    numbers = np.concatenate([q.mean, q.sd, q.parameters, q.cuts]) if q.cuts.ndim == 1 and fits else np.array([np.nan])
    if not np.isfinite(numbers).all() or (q.sd <= 0).any() or k > MOST or (np.diff(np.r_[0.0, q.cuts]) <= 0).any():
        return "the question does not fit its columns, or its bins do not rise"
    if np.abs(q.parameters).max(initial=0.0) > FARTHEST:
        return "the question is about parameters that no model has"
    if not np.isin(q.cuts, np.union1d(GRID, plan.baseline.times or ())).all():
        return "it was asked about times that are no steps of the grid"
    bins = np.searchsorted(q.cuts, site.time, side="left")
    if any(fewest(site, plan, (site.y > 0) & (bins == b)) < plan.least_events for b in range(k)):
        return f"a bin of time would hold fewer than {plan.least_events} of its patients with the event"
    if not np.isin(q.cuts, site.folds.setdefault("cuts", q.cuts)).all():
        return "other bins of time were asked for than before: by their differences smaller ones would be told"
    return ""


def binned_sums(
    z: Array, time: Array, event: Array, entry: Array, weight: Array, cuts: Array, parameters: Array
) -> tuple[float, Array, Array]:
    """Negative log likelihood and its derivatives. z: (n, q). An event at a cut belongs to the bin that it ends."""
    k, dead = len(cuts) + 1, event > 0
    low, high = np.r_[0.0, cuts], np.r_[cuts, np.inf]
    under = np.maximum(np.minimum(time[:, None], high) - np.maximum(entry[:, None], low), 0.0)
    eta, level = z @ parameters[k:], parameters[:k]
    expected = weight[:, None] * under * np.exp(np.minimum(level + eta[:, None], 700.0))
    at = np.searchsorted(cuts, time, side="left")
    events = np.bincount(at[dead], weight[dead], k)
    each = expected.sum(1)
    loss = float(expected.sum()) - float(level @ events) - float(weight[dead] @ eta[dead])
    gradient = np.concatenate([expected.sum(0) - events, z.T @ (each - weight * dead)])
    hessian = np.zeros((len(gradient), len(gradient)))
    hessian[:k, :k] = np.diag(expected.sum(0))
    hessian[:k, k:] = expected.T @ z
    hessian[k:, :k] = hessian[:k, k:].T
    own = (z * each[:, None]).T @ z
    hessian[k:, k:] = (own + own.T) / 2
    return loss, gradient, hessian
