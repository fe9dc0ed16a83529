"""How well a model predicts a site's own patients, as sums, counts by bin, and one number for survival."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logsumexp

from cohortium.contracts.federation import AskScores, FederationPlan, Histogram, SiteScores
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]

BLOCK = 4_000_000
"""Pairs that are compared at once."""


def scores_of(site: Site, predicted: Array, plan: FederationPlan, q: AskScores) -> SiteScores:
    """Of the units of ``site``, by their scores as :func:`cohortium.federation_site.models.predicted_by` gives them; without its
    envelope."""
    counts = np.bincount(site.y.astype(int), minlength=len(site.classes)) if site.classes else np.array([len(site)])
    numbers = dict.fromkeys(
        ("expected", "brier", "brier_squares", "absolute", "squares", "variation", "explained_error", "concordance",
         "concordance_error"), 0.0,
    )  # fmt: skip
    histograms: tuple[Histogram, ...] = ()
    pairs = 0
    if plan.kind == "survival":
        c, error, pairs = concordance(site.time, site.y > 0, site.entry, predicted, site.patient)
        numbers |= {"concordance": c, "concordance_error": error}
    elif plan.kind == "continuous":
        numbers |= _errors(site, predicted)
    elif plan.kind == "binary":
        p = expit(predicted)
        off = (p - site.y) ** 2
        numbers |= {"expected": float(p.sum()), "brier": float(off.sum()), "brier_squares": float(off @ off)}
        histograms = (histogram(site.classes[-1], predicted, site.y > 0, site.patient, q.grid, plan.least_cell),)
    else:
        m = log_softmax(predicted, axis=1)
        made = []
        for c_, name in enumerate(q.classes):
            rest = logsumexp(np.delete(m, c_, axis=1), axis=1)
            own = np.array([n == name for n in site.classes])[site.y.astype(int)]
            made.append(histogram(name, m[:, c_] - rest, own, site.patient, q.grid, plan.least_cell))
        histograms = tuple(made)
    return SiteScores(
        "", "", 0, len(site), tuple(int(n) for n in counts), histograms, pairs=pairs, **numbers,
    )  # fmt: skip


def _errors(site: Site, predicted: Array) -> dict[str, float]:
    """Sums of errors, and the jackknife's standard error of R2 over patients."""
    y, r2 = site.y, (site.y - predicted) ** 2
    _, who = np.unique(site.patient, return_inverse=True)
    n, size = len(y), np.bincount(who)
    people, centre = len(size), y - y.mean()
    left, error = n - size, 0.0
    variation = float(centre @ centre)
    if people > 2 and (left > 0).all():
        moved = np.bincount(who, centre)
        rest = variation - np.bincount(who, centre**2) - moved**2 / left
        if (rest > 1e-12 * variation).all():
            each = 1 - (r2.sum() - np.bincount(who, r2)) / rest
            error = float(np.sqrt((people - 1) / people * ((each - each.mean()) ** 2).sum()))
    return {
        "absolute": float(np.sqrt(r2).sum()), "squares": float(r2.sum()), "variation": variation, "explained_error": error,
    }  # fmt: skip


def histogram(
    outcome: str, score: Array, own: NDArray[np.bool_], patient: NDArray[np.int64], grid: Array, least: int
) -> Histogram:
    """Units of a class and of the others by bin of their score, bins merged until each holds ``least`` patients of either.

    Of all ways to merge neighbours the one that leaves the fewest pairs in one bin. A patient's units count together as
    one of him.
    """
    none = np.zeros(0)
    at = np.searchsorted(grid, score, side="right")
    bins = len(grid) + 1
    units = np.array([np.bincount(at[own == k], minlength=bins) for k in (False, True)], float)
    people = np.zeros((2, bins))
    for k in (0, 1):
        rows = own == bool(k)
        if not rows.any():
            return Histogram(outcome, none, none, none)
        _, who, times = np.unique(patient[rows], return_inverse=True, return_counts=True)
        people[k] = np.bincount(at[rows], 1 / times[who], bins)
    n, m = (np.hstack([np.zeros((2, 1)), np.cumsum(x, axis=1)]) for x in (units, people))
    best, back = np.full(bins + 1, np.inf), np.zeros(bins + 1, int)
    best[0] = 0.0
    for j in range(1, bins + 1):
        inside = n[:, j, None] - n[:, :j]
        enough = ((m[:, j, None] - m[:, :j]) >= least - 1e-9).all(0)
        cost = np.where(enough, best[:j] + inside[0] * inside[1], np.inf)
        back[j] = int(cost.argmin())
        best[j] = cost[back[j]]
    ends = []
    j = bins if np.isfinite(best[bins]) else 0
    while j > 0:
        ends.append(j)
        j = int(back[j])
    if len(ends) < 2:
        return Histogram(outcome, none, none, none)
    cuts = np.array([0, *reversed(ends)])
    counts = np.diff(n[:, cuts], axis=1)
    return Histogram(outcome, grid[cuts[1:-1] - 1], counts[0], counts[1])


def concordance(
    time: Array, event: NDArray[np.bool_], entry: Array, risk: Array, patient: NDArray[np.int64]
) -> tuple[float, float, int]:
    """Harrell's C (Harrell 1996, Stat Med 15:361), its standard error by the jackknife over patients, and the number of pairs.

    Pairs as in :func:`cohortium.metrics.concordance.concordance`; (0, 0, 0) where there is none. Cost: events times units.
    """
    good, every, total, pairs = pairs_by_patient(time, event, entry, risk, patient)
    people = len(good)
    if pairs == 0:
        return 0.0, 0.0, 0
    error = 0.0
    if people > 2 and (pairs - every > 0).all():
        each = (total - good) / (pairs - every)
        error = float(np.sqrt((people - 1) / people * ((each - each.mean()) ** 2).sum()))
    return total / pairs, error, int(pairs)


def pairs_by_patient(
    time: Array, event: NDArray[np.bool_], entry: Array, risk: Array, patient: NDArray[np.int64]
) -> tuple[Array, Array, float, float]:
    """By patient the pairs with a unit of theirs that are in the right order (a tie counts one half) and all that can be compared; and
    the numbers of pairs of both kinds."""
    n = len(time)
    _, who = np.unique(patient, return_inverse=True)
    people = int(who.max()) + 1
    good, every = np.zeros(people), np.zeros(people)  # of pairs with a unit of that patient
    total, pairs = 0.0, 0.0
    rows = np.flatnonzero(event)
    for block in np.array_split(rows, max(1, len(rows) * n // BLOCK + 1)):
        t, r = time[block, None], risk[block, None]
        longer = (time[None, :] > t) | ((time[None, :] == t) & ~event[None, :])
        can = longer & (entry[None, :] < t)
        won = can * ((risk[None, :] < r) + 0.5 * (risk[None, :] == r))
        same = who[block, None] == who[None, :]
        for x, sums in ((won, good), (can.astype(float), every)):
            sums += np.bincount(who[block], x.sum(1), people) + np.bincount(who, x.sum(0), people)
            sums -= np.bincount(who[block], (x * same).sum(1), people)
        total, pairs = total + float(won.sum()), pairs + float(can.sum())
    return good, every, total, pairs
