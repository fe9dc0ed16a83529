"""Where the boosting of trees stands, and its steps: bins by quantiles, then trees level by level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, TreesPlan
from cohortium.contracts.federation_trees import SiteHistograms, SiteQuantiles, TreesModel, cells, open_nodes
from cohortium.federation_coordinator import quantiles
from cohortium.federation_coordinator.splitting import best_split
from cohortium.federation_coordinator.state import Progress, State

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Boosting(Progress):
    """Trees between two rounds, as in :mod:`cohortium.contracts.federation_trees`; K scores, S = 2^depth - 1.

    grid: (c, m - 1) of the numeric columns that are asked for quantiles, empty afterwards; laid: how often it was laid. off:
    largest distance of an edge from its quantile, of columns that have all bins. splits, values: trees that are done. growing: (K S, 3), sums: (K (2 S + 1), 3) of
    the nodes of those that are grown, level: of the nodes that are asked about. gains, uses: (T / K, q) gain by column and splits
    of each round of trees. spread: (T / K, K) standard deviation of their values. losses, held_losses: (T / K + 1,) before each round of
    trees. said: by site its losses, by which a repeated answer is known. held: units held out.
    """

    grid: NDArray[np.float64]
    laid: int
    off: float
    edges: NDArray[np.float64]
    base: NDArray[np.float64]
    splits: NDArray[np.float64]
    values: NDArray[np.float64]
    growing: NDArray[np.float64]
    sums: NDArray[np.float64]
    level: int
    gains: NDArray[np.float64]
    uses: NDArray[np.float64]
    spread: NDArray[np.float64]
    losses: NDArray[np.float64]
    held_losses: NDArray[np.float64]
    said: dict[str, NDArray[np.float64]]
    held: int


def boosting(state: State) -> Boosting:
    """The progress of boosted trees."""
    assert isinstance(state.fit, Boosting)
    return state.fit


def plan_of(state: State) -> TreesPlan:
    """How trees are boosted."""
    assert state.plan.trees is not None
    return state.plan.trees


def n_scores(state: State) -> int:
    """Scores K."""
    return len(state.classes) if state.plan.kind == "multiclass" else 1


def numeric(state: State) -> tuple[Column, ...]:
    """Columns whose bins are quantiles; of levels and ranks the edges are known."""
    return tuple(c for c in state.columns if c.kind == "numeric")


def fresh(state: State) -> Boosting:
    """The start: no bins, no trees."""
    plan, k, q = plan_of(state), n_scores(state), len(state.columns)
    places = 2**plan.depth - 1
    at = [j for j, c in enumerate(state.columns) if c.kind == "numeric"]
    grid = quantiles.first_grid(state.mean[at], state.sd[at])
    none = np.zeros((0, q))
    fit = Boosting(
        grid, 0, 0.0, np.zeros((q, 0)), base_scores(state), np.zeros((0, 3)), np.zeros((0, places + 1)), unsplit(k * places),
        np.zeros((k * (2 * places + 1), 3)), 0, none, none, np.zeros((0, k)), np.zeros(0), np.zeros(0), {}, 0,
    )  # fmt: skip
    return fit if at else replace(fit, edges=all_edges(state, {}))


def unsplit(places: int) -> Array:
    """(places, 3) of trees without a split."""
    return np.tile([-1.0, 0.0, 0.0], (places, 1))


def base_scores(state: State) -> Array:
    """(K,) log odds, or logarithms of the classes' shares, by the declared counts; 0 of standardised values and of risks."""
    if state.plan.kind not in ("binary", "multiclass"):
        return np.zeros(1)
    counts = np.zeros(len(state.classes))
    for s in state.here:
        a = state.schemas[s]
        for name, n in zip(a.classes, a.counts, strict=True):
            counts[state.classes.index(name)] += n
    share = np.log(np.maximum(counts, 0.5) / counts.sum())
    return share if state.plan.kind == "multiclass" else np.array([share[1] - share[0]])


def all_edges(state: State, found: dict[int, Array]) -> Array:
    """(q, B - 1) edges; of numeric columns those found, by position."""
    bins, own = plan_of(state).bins, []
    for j, c in enumerate(state.columns):
        ranks = np.arange(len(c.levels) - 1) + 0.5
        if c.kind == "ordinal" and len(ranks) >= bins:
            ranks = ranks[np.linspace(0, len(ranks) - 1, bins - 1).round().astype(int)]
        own.append(found[j] if c.kind == "numeric" else ranks if c.kind == "ordinal" else np.array([0.5]))
    out = np.full((len(own), max(map(len, own))), np.inf)
    for j, e in enumerate(own):
        out[j, : len(e)] = e
    return out


def counted(state: State, answers: dict[str, SiteQuantiles]) -> State:
    """After a round of quantiles: a finer grid, or edges."""
    fit = boosting(state)
    at = [j for j, c in enumerate(state.columns) if c.kind == "numeric"]
    counts = sum((answers[s].counts for s in state.here), np.zeros((len(at), fit.grid.shape[1] + 1)))
    if fit.laid + 1 < quantiles.ROUNDS:
        grid = quantiles.finer_grid(fit.grid, counts, state.mean[at], state.sd[at])
        return replace(state, fit=replace(fit, grid=grid, laid=fit.laid + 1))
    made = {j: quantiles.edges_of(fit.grid[i], counts[i], plan_of(state).bins) for i, j in enumerate(at)}
    edges = all_edges(state, {j: e for j, (e, _) in made.items()})
    # Where many units share a value no edge can be near a quantile: that is no error of the counts.
    off = max((off for e, off in made.values() if len(e) == plan_of(state).bins - 1), default=0.0)
    return replace(state, fit=replace(fit, grid=np.zeros((0, 0)), laid=fit.laid + 1, edges=edges, off=off))


def model_of(state: State) -> TreesModel:
    """The trees so far."""
    fit = boosting(state)
    return TreesModel(state.columns, state.classes, fit.edges, state.outcome, fit.base, fit.splits, fit.values)


def grown(state: State, answers: dict[str, SiteHistograms]) -> State:
    """After a round of histograms: one level deeper, the next trees, or done."""
    fit, plan, k = boosting(state), plan_of(state), n_scores(state)
    here = [answers[s] for s in state.here]
    if fit.level == 0:
        said = {s: np.append(fit.said.get(s, np.zeros(0)), answers[s].loss) for s in state.here}
        losses = np.append(fit.losses, sum(a.loss for a in here))
        held_losses = np.append(fit.held_losses, sum(a.held_loss for a in here))
        fit = replace(fit, losses=losses, held_losses=held_losses, said=said, held=sum(a.held for a in here))
        if plan.stop and fit.held and len(losses) - 1 - int(held_losses.argmin()) >= plan.stop:
            return replace(state, phase="done", fit=shortened(fit, int(held_losses.argmin()), k))
    mask = cells(fit.edges)
    flat = np.array([sum(getattr(a, f) for a in here) for f in ("gradient", "hessian", "count")])
    sums = np.zeros((3, flat.shape[1], *mask.shape))
    sums[:, :, mask] = flat
    fit = _split_level(fit, sums, plan, k)
    if fit.level + 1 < plan.depth and open_nodes(fit.growing, fit.level + 1, k):
        return replace(state, fit=replace(fit, level=fit.level + 1))
    places = 2**plan.depth - 1
    if (fit.growing[::places, 0] < 0).all():
        if not len(fit.values):
            state = replace(state, notices=(*state.notices, "No split gains anything: there are no trees."))
        return replace(state, phase="done", fit=fit)
    fit = _added(fit, plan, k, len(state.columns))
    if len(fit.values) < k * plan.rounds:
        return replace(state, fit=fit)
    best = int(fit.held_losses.argmin()) if plan.stop and fit.held else plan.rounds
    # The last trees were not judged any more: without patience left they count as the best found only where nobody is held out.
    return replace(state, phase="done", fit=shortened(fit, best, k))


def _split_level(fit: Boosting, sums: Array, plan: TreesPlan, k: int) -> Boosting:
    """Split the nodes of a level. sums: (3, A, q, B + 1)."""
    growing, kept, gains, uses = fit.growing.copy(), fit.sums.copy(), fit.gains, fit.uses
    places = 2**plan.depth - 1
    q = sums.shape[2]
    if fit.level == 0:
        gains, uses = np.vstack([gains, np.zeros((1, q))]), np.vstack([uses, np.zeros((1, q))])
    gains, uses = gains.copy(), uses.copy()
    for a, (score, i) in enumerate(open_nodes(growing, fit.level, k)):
        found = best_split(sums[:, a], plan)
        if found is None:
            continue
        growing[score * places + i] = found.column, found.cut, found.unknown
        first = score * (2 * places + 1)
        kept[first + 2 * i + 1], kept[first + 2 * i + 2] = found.left, found.right
        gains[-1, found.column] += found.gain
        uses[-1, found.column] += 1
    return replace(fit, growing=growing, sums=kept, gains=gains, uses=uses)


def _added(fit: Boosting, plan: TreesPlan, k: int, q: int) -> Boosting:
    """With the trees that were grown, and none growing. Below a node that was not split all leaves have its value."""
    places = 2**plan.depth - 1
    values, spread = np.zeros((k, places + 1)), np.zeros(k)
    for score in range(k):
        growing = fit.growing[score * places : (score + 1) * places]
        node = fit.sums[score * (2 * places + 1) : (score + 1) * (2 * places + 1)].copy()
        if growing[0, 0] < 0:
            continue  # a class whose tree has no split is left as it is
        for i in range(places):
            if growing[i, 0] < 0:
                node[2 * i + 1] = node[i]
                node[2 * i + 2] = [*node[i, :2], 0.0]
        leaves = node[places:]
        values[score] = -plan.learning_rate * leaves[:, 0] / np.maximum(leaves[:, 1] + plan.ridge, 1e-300)
        n = leaves[:, 2] / max(leaves[:, 2].sum(), 1e-300)
        spread[score] = np.sqrt(max(float(n @ values[score] ** 2 - (n @ values[score]) ** 2), 0.0))
    return replace(
        fit, splits=np.vstack([fit.splits, fit.growing]), values=np.vstack([fit.values, values]), level=0,
        growing=unsplit(k * places), sums=np.zeros_like(fit.sums), spread=np.vstack([fit.spread, spread]),
    )  # fmt: skip


def shortened(fit: Boosting, rounds: int, k: int) -> Boosting:
    """With the first rounds of trees alone."""
    places = fit.values.shape[1] - 1
    return replace(
        fit, splits=fit.splits[: rounds * k * places], values=fit.values[: rounds * k], gains=fit.gains[:rounds],
        uses=fit.uses[:rounds], spread=fit.spread[:rounds],
    )  # fmt: skip
