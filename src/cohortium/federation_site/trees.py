"""What a site answers when trees are boosted: counts by cell of a grid, and histograms of gradients."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan, Withdrawn
from cohortium.contracts.federation_trees import (
    MOST_CELLS,
    AskHistograms,
    AskQuantiles,
    SiteHistograms,
    SiteQuantiles,
    cells,
    open_nodes,
)
from cohortium.federation_site.boosting import (
    bins_of,
    derivatives,
    fits_splits,
    n_scores,
    places_at,
    scores_by,
    unfit,
)
from cohortium.federation_site.grouping import grouped, people_of
from cohortium.federation_site.site import Site
from cohortium.federation_site.small_nodes import enough, merged, shared
from cohortium.federation_site.trials import take
from cohortium.resampling.dealing import deal

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

WITHOUT = "its study file does not ask for trees"


def quantile_counts(site: Site, plan: FederationPlan, q: AskQuantiles, own: str) -> SiteQuantiles | Withdrawn:
    """Units by cell of each column's grid."""
    if plan.trees is None and not (plan.prepare is not None and plan.prepare.asks):
        return Withdrawn(site.name, own, q.round, WITHOUT)
    c = len(q.columns)
    fits = q.grid.ndim == 2 and q.grid.shape[0] == c and 0 < q.grid.shape[1] < MOST_CELLS
    if not fits or not np.isfinite(q.grid).all() or (np.diff(q.grid, axis=1) <= 0).any():
        return Withdrawn(site.name, own, q.round, "the question has no cells")
    counts = np.zeros((c, q.grid.shape[1] + 1))
    for part, _ in parts_of(site, plan) if plan.trees is not None else [(site, None)]:
        x = grouped(part, q.columns, plan.least_cell)
        for j in range(c):
            known = x[~np.isnan(x[:, j]), j]
            counts[j] += np.bincount(np.searchsorted(q.grid[j], known, side="left"), minlength=counts.shape[1])
    return SiteQuantiles(site.name, own, q.round, counts)


def histograms(site: Site, plan: FederationPlan, q: AskHistograms, own: str) -> SiteHistograms | Withdrawn:
    """Sums of derivatives and counts by node, column and bin."""
    if plan.trees is None:
        return Withdrawn(site.name, own, q.round, WITHOUT)
    k = n_scores(plan, q.model.classes)
    reason = unfit(q.model, plan) or fits_splits(q.growing, q.model)
    if reason or len(q.growing) != k * (2**plan.trees.depth - 1) or not 0 <= q.level < plan.trees.depth:
        return Withdrawn(site.name, own, q.round, reason or "the question does not fit its trees")
    nodes = open_nodes(q.growing, q.level, k)
    mask = cells(q.model.edges)
    sums = np.zeros((3, len(nodes), int(mask.sum())))
    loss, held_loss, held_out = 0.0, 0.0, 0
    for train, held in parts_of(site, plan):
        f = scores_by(train, plan, q.model, groups=True)
        found = derivatives(train, plan, q.model, f)
        if isinstance(found, str):
            return Withdrawn(site.name, own, q.round, found)
        loss += found[0]
        for j in range(k):
            every = _node_sums(train, plan, q, found[1][:, j], found[2][:, j], j)
            mine = [(a, i) for a, (score, i) in enumerate(nodes) if score == j]
            for a, i in mine:
                sums[:, a] += every[:, i - (2**q.level - 1)][:, mask]
        if held is not None:
            outside = derivatives(held, plan, q.model, scores_by(held, plan, q.model, groups=False))
            assert not isinstance(outside, str)
            held_loss, held_out = held_loss + outside[0], held_out + len(held)
    return SiteHistograms(site.name, own, q.round, *sums, loss, held_loss, held_out)


def _node_sums(site: Site, plan: FederationPlan, q: AskHistograms, g: Array, h: Array, score: int) -> Array:
    """(3, 2^level, q, B + 1) of one score: sums of g (n,), h (n,) and ones."""
    places = len(q.growing) // n_scores(plan, q.model.classes)
    splits = q.growing[score * places : (score + 1) * places]
    bins = bins_of(site, plan, q.model, groups=True)
    columns, width = len(q.model.columns), q.model.edges.shape[1] + 2
    offset = bins + np.arange(columns) * width

    def by_node(level: int, *values: Array) -> Array:
        at = places_at(bins, splits, level, width - 1)
        flat = (offset + at[:, None] * columns * width).ravel()
        size = 2**level * columns * width
        many = [np.bincount(flat, np.repeat(v, columns), size) for v in values]
        return np.array(many).reshape(len(values), 2**level, columns, width)

    sums = by_node(q.level, g, h, np.ones(len(g)))
    if q.level == 0 or plan.least_cell <= 1:
        return sums
    people = people_of(site)
    root = by_node(0, people)[0]
    ends, allowed = np.ones((1, columns, width), bool), np.ones(1, bool)
    for level in range(1, q.level + 1):
        inside = by_node(level, people)[0]
        whole = enough(inside[:, 0].sum(-1), plan.least_cell)
        ends = np.repeat(merged(inside[0::2], inside[1::2], ends, plan.least_cell), 2, axis=0)
        allowed = np.repeat(allowed & whole[0::2] & whole[1::2], 2)
    sums[:, ~allowed] = 0.0
    return np.stack([shared(s, ends, root[0]) for s in sums])


def parts_of(site: Site, plan: FederationPlan) -> list[tuple[Site, Site | None]]:
    """By stratum (one at a real site): who is trained on, and who is held out to know when to stop, or None where a part would be
    too small for that."""
    key = ("parts", plan)
    if key not in site.folds:
        found = []
        for s in np.unique(site.stratum):
            rows = np.flatnonzero(site.stratum == s)
            found.append(_parted(site if len(rows) == len(site) else take(site, rows), plan))
        site.folds[key] = found
    parts: list[tuple[Site, Site | None]] = site.folds[key]
    return parts


def _parted(site: Site, plan: FederationPlan) -> tuple[Site, Site | None]:
    held = held_rows(site, plan)
    return (take(site, np.flatnonzero(~held)), take(site, np.flatnonzero(held))) if held.any() else (site, None)


def held_rows(site: Site, plan: FederationPlan) -> NDArray[np.bool_]:
    """(n,) which units are held out to know when to stop; by the plan's seed and the site's name."""
    from cohortium.federation_site.answering import too_few

    trees, nobody = plan.trees, np.zeros(len(site), bool)
    assert trees is not None
    k = round(1 / trees.held)
    if not trees.stop or site.patients() < k:
        return nobody
    name = int.from_bytes(hashlib.blake2b(site.name.encode(), digest_size=8).digest(), "little")
    strata = site.y.astype(np.int64) if site.classes else np.zeros(len(site), np.int64)
    needed = [int(s) for s in np.unique(strata)]
    fold = deal(strata, site.patient, k, needed, np.random.default_rng([plan.seed, name, 1]))
    small = any(too_few(take(site, np.flatnonzero(rows)), plan) for rows in (fold > 0, fold == 0))
    return nobody if small else fold == 0
