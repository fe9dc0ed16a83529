"""Unknown cells get medians, skewed columns are compressed, as ``run`` does it (:mod:`cohortium.encoders.table`), from counts and sums.

One round gives third moments, by which skewness is exact; three rounds of counts by cell of a grid find quartiles (each time the cells around
them are cut finer); one the moments of columns that are compressed. What follows is that of all rows together, quartiles given; those are off by less
than the width of their cell, groups of small counts aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, AskMoments, Column, FitQuestion, SiteMoments
from cohortium.contracts.federation_shaping import AskShape, SiteShape
from cohortium.contracts.federation_trees import AskQuantiles, SiteQuantiles
from cohortium.contracts.federation_wire import digest, encode
from cohortium.contracts.prepare_plan import PreparePlan
from cohortium.errors import FederationError
from cohortium.federation_coordinator.checking import adjusted_moments
from cohortium.federation_coordinator.checking_shapes import wrong_counts, wrong_shape, wrong_squashed
from cohortium.federation_coordinator.prepared import Prepared
from cohortium.federation_coordinator.quantiles import CELLS, first_grid
from cohortium.federation_coordinator.scaling import scaled
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

SKEW = 2.0
"""Columns more skewed than this are compressed, as in ``run``."""

ROUNDS = 3


def wanted(state: State) -> bool:
    """Whether the plan asks sites for anything of it."""
    return plan_of(state).asks


def plan_of(state: State) -> PreparePlan:
    """What the plan says; the plain way where it says nothing."""
    return PreparePlan() if state.plan.prepare is None else state.plan.prepare


def measured(state: State) -> list[int]:
    """Positions of columns that have quantiles: numbers and ranks."""
    return [j for j, c in enumerate(state.columns) if c.kind != "level"]


def begin(state: State) -> State:
    """The state at its first grid."""
    at = measured(state)
    grid = first_grid(state.mean[at], state.sd[at])
    ranks = np.arange(CELLS - 1) + 0.5
    for i, j in enumerate(at):
        if state.columns[j].kind == "ordinal":
            grid[i] = ranks
    none = np.zeros((0, 3))
    return replace(state, phase="prepare", prepared=Prepared(grid, 0, none, none, np.zeros(0)))


def progress(state: State) -> Prepared:
    """Where it stands."""
    assert state.prepared is not None
    return state.prepared


def counting(state: State) -> bool:
    """Whether the open question is about cells of a grid."""
    p = progress(state)
    return bool(p.shapes and measured(state)) and p.laid < ROUNDS


def question(state: State) -> FitQuestion:
    """Shapes, then counts by cell, then moments of what is compressed."""
    p, plan = progress(state), digest(encode(state.plan))
    if not p.shapes:
        return AskShape(plan, state.round, state.columns, state.mean, state.sd)
    if counting(state):
        return AskQuantiles(plan, state.round, tuple(state.columns[j] for j in measured(state)), p.grid)
    return AskMoments(plan, state.round, tuple(c for c in state.columns if c.compress))


def answered_by(state: State) -> type:
    """What sites answer now."""
    return SiteShape if not progress(state).shapes else SiteQuantiles if counting(state) else SiteMoments


def check(state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    p = progress(state)
    if not p.shapes:
        found = {s: wrong_shape(a, state) for s, a in answers.items()}
    elif counting(state):
        found = {s: wrong_counts(a, p.grid, state) for s, a in answers.items()}
    else:
        found = {s: wrong_squashed(a, state) for s, a in answers.items()}
    return {s: reason for s, reason in found.items() if reason}


def advance(state: State, answers: Mapping[str, Answer]) -> State:
    """The state after a round; its phase is no longer ``prepare`` when columns are as they will be fitted."""
    p = progress(state)
    if not p.shapes:
        state = replace(state, prepared=replace(p, shapes={s: answers[s] for s in state.here}))
        return state if counting(state) else _shaped(state)
    if counting(state):
        return _counted(state, [answers[s].counts for s in state.here])
    return _finished(state, {s: answers[s] for s in state.here})


def lacking_of(state: State) -> tuple[Array, Array]:
    """(sites, q) known cells, and unknown ones of units that have the table."""
    count = np.array([adjusted_moments(state, s)[0] for s in state.here])
    present = np.array([progress(state).shapes[s].present for s in state.here])
    return count, np.maximum(present - count, 0.0)


def shares_of(state: State) -> Array:
    """(c, 3) of known cells below the quartiles of all, once unknown ones are at the median: those at the median are not among them."""
    count, lacking = (x.sum(0)[measured(state)] for x in lacking_of(state))
    known = count / np.maximum(count + lacking, 1e-300)
    low = np.minimum(0.25 / np.maximum(known, 1e-300), 0.5) if plan_of(state).unknown == "median" else 0.25 + 0 * known
    return np.stack([low, 0.5 + 0 * low, 1 - low], axis=1)


def _counted(state: State, counts: list[Array]) -> State:
    p, at, shares = progress(state), measured(state), shares_of(state)
    total = sum(counts, np.zeros((len(at), p.grid.shape[1] + 1)))
    units = max(float(total.sum(1).max(initial=1.0)), 1.0)
    ends = np.array([_ends(p.grid[i], state.mean[j], state.sd[j], units) for i, j in enumerate(at)])
    ranks = [state.columns[j].kind == "ordinal" for j in at]
    if p.laid + 1 < ROUNDS:
        every = zip(ranks, p.grid, total, ends, shares, strict=True)
        grid = np.array([g if r else finer(g, n, e, q) for r, g, n, e, q in every])
        return replace(state, prepared=replace(p, grid=grid, laid=p.laid + 1))
    made = [
        rank_quartiles(n, q) if r else quartiles(g, n, e, q)
        for r, g, n, e, q in zip(ranks, p.grid, total, ends, shares, strict=True)
    ]
    found, width = (np.array([m[i] for m in made]) for i in range(2))
    off = float((width / state.sd[at][:, None]).max(initial=0.0))
    after = replace(p, grid=np.zeros((0, 0)), laid=p.laid + 1, quantiles=found, width=width, off=off)
    return _shaped(replace(state, prepared=after))


def _ends(grid: Array, mean: float, sd: float, n: float) -> Array:
    """Least and most that a value can be (Samuelson 1968, JASA 63:1522)."""
    reach = sd * np.sqrt(n)
    return np.array([min(mean - reach, grid[0] - sd), max(mean + reach, grid[-1] + sd)])


def cell_of(counts: Array, share: float) -> int:
    """The cell in which a quantile lies."""
    below = np.cumsum(counts)
    return int(np.searchsorted(below, share * below[-1], side="left"))


def finer(grid: Array, counts: Array, ends: Array, shares: Array) -> Array:
    """As many edges, all in the cells that hold quartiles."""
    if not counts.any():
        return grid
    at = np.concatenate([ends[:1], grid, ends[1:]])
    cells = sorted({cell_of(counts, q) for q in shares})
    runs: list[list[int]] = []
    for c in cells:
        if runs and c == runs[-1][1] + 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    sizes = [len(part) for part in np.array_split(np.arange(len(grid)), len(runs))]
    made = np.concatenate([np.linspace(at[a], at[b + 1], n) for (a, b), n in zip(runs, sizes, strict=True)])
    scale = np.finfo(float).eps * 8 * np.maximum(np.abs(made), np.abs(made).max())
    return made if (np.diff(made) > scale[1:]).all() else grid


def quartiles(grid: Array, counts: Array, ends: Array, shares: Array) -> tuple[Array, Array]:
    """(3,) quantiles, evenly within their cells; and (3,) widths of these."""
    found, width = np.zeros(3), np.zeros(3)
    if not counts.any():
        return found, width
    at, below = np.concatenate([ends[:1], grid, ends[1:]]), np.concatenate([[0.0], np.cumsum(counts)])
    for k, q in enumerate(shares):
        c = cell_of(counts, q)
        width[k] = at[c + 1] - at[c]
        found[k] = at[c] + (q * below[-1] - below[c]) / max(counts[c], 1e-300) * width[k]
    return found, width


def rank_quartiles(counts: Array, shares: Array) -> tuple[Array, Array]:
    """(3,) ranks; the mean of two where a quantile is between them. Exact, groups of small counts aside."""
    if not counts.any():
        return np.zeros(3), np.zeros(3)
    below, last = np.cumsum(counts), len(counts) - 1
    first, after = (np.minimum(np.searchsorted(below, shares * below[-1], side=w), last) for w in ("left", "right"))
    return (first + after) / 2, np.zeros(3)


def _shaped(state: State) -> State:
    """Columns with what stands for unknown cells, and how they are compressed."""
    p, plan = progress(state), plan_of(state)
    place = {j: i for i, j in enumerate(measured(state))}
    count, lacking = lacking_of(state)
    moments = [adjusted_moments(state, s) for s in state.here]
    share = (count * np.array([m[1] for m in moments])).sum(0) / np.maximum(count.sum(0), 1e-300)
    fill = np.array([_fill(c, j, place, p, plan, state, share[j]) for j, c in enumerate(state.columns)])
    skewness = skew(state, count.sum(0), lacking.sum(0), fill)
    columns = []
    for j, c in enumerate(state.columns):
        squash: tuple[float, ...] = ()
        if plan.skewed == "compress" and c.kind == "numeric" and abs(skewness[j]) > SKEW:
            n = count[:, j].sum() + lacking[:, j].sum()
            sd = _spread(state, j, n, lacking[:, j].sum() / n, fill[j])
            squash = _squash(p.quantiles[place[j]], p.width[place[j]], sd)
        some = bool(lacking[:, j].sum() > 0)
        columns.append(replace(c, fill=(float(fill[j]),) if some else (), compress=squash))
    after = replace(state, columns=tuple(columns), prepared=replace(p, skewness=skewness))
    return after if any(c.compress for c in columns) else _finished(after, {})


def _spread(state: State, j: int, n: float, share: float, fill: float) -> float:
    """Standard deviation of a column of which a share is filled."""
    u = fill - state.mean[j]
    return float(np.sqrt((1 - share) * state.sd[j] ** 2 + share * (1 - share) * u**2))


def _squash(quartile: Array, width: Array, sd: float) -> tuple[float, float]:
    """Centre and spread: median, and interquartile range as a standard deviation, or sd where it is nought, within its cells."""
    low, half, high = quartile
    flat = high - low <= max(float(width.max()), 1e-12 * sd)
    return float(half), sd if flat else float(high - low) / 1.349


def _fill(
    c: Column, j: int, place: dict[int, int], p: Prepared, plan: PreparePlan, state: State, share: float
) -> float:
    if plan.unknown == "mean":
        return float(state.mean[j])
    if c.kind == "level":
        return 0.5 if abs(share - 0.5) < 1e-12 else float(share > 0.5)
    return float(p.quantiles[place[j], 1])


def skew(state: State, n: Array, lacking: Array, fill: Array) -> Array:
    """(q,) skewness of columns of which n (q,) cells are known and others filled."""
    u, whole = (fill - state.mean) / state.sd, np.maximum(n + lacking, 1e-300)
    cubes = sum((progress(state).shapes[s].cubes for s in state.here), np.zeros(len(u)))
    # Of known cells the mean is 0 and the mean square 1: state.mean and state.sd are theirs.
    first, second, third = lacking * u / whole, (n + lacking * u**2) / whole, (cubes + lacking * u**3) / whole
    spread = np.maximum(second - first**2, 1e-300)
    return np.asarray((third - 3 * first * second + 2 * first**3) / spread**1.5)


def _finished(state: State, squashed: dict[str, SiteMoments]) -> State:
    """Means and deviations of the columns as they are fitted, unknown cells filled."""
    p = progress(state)
    place = {j: i for i, j in enumerate(j for j, c in enumerate(state.columns) if c.compress)}
    moments: dict[str, Array] = {}
    for s in state.here:
        count, mean, squares = (x.copy() for x in adjusted_moments(state, s))
        for j, i in place.items():
            count[j], mean[j], squares[j] = squashed[s].count[i], squashed[s].mean[i], squashed[s].squares[i]
        for j, c in enumerate(state.columns):
            lacking = max(float(p.shapes[s].present[j] - count[j]), 0.0)
            if c.fill and lacking > 0:
                x = np.arcsinh((c.fill[0] - c.compress[0]) / c.compress[1]) if c.compress else c.fill[0]
                whole = count[j] + lacking
                squares[j] += count[j] * lacking / whole * (x - mean[j]) ** 2
                mean[j] = (count[j] * mean[j] + lacking * x) / whole
                count[j] = whole
        moments[s] = np.array([count, mean, squares])
    mean, sd, varies = scaled({s: (m[0], m[1], m[2]) for s, m in moments.items()})
    if not varies.any():
        raise FederationError("No column varies once unknown cells are filled.")
    lost = [c.name for c, v in zip(state.columns, varies, strict=True) if not v]
    notices = tuple(f"Column '{n}' does not vary once unknown cells are filled: not used." for n in lost)
    return replace(
        state, phase="fit", columns=tuple(c for c, v in zip(state.columns, varies, strict=True) if v),
        mean=mean[varies], sd=sd[varies], notices=(*state.notices, *notices),
        prepared=replace(
            p, squashed=squashed, moments={s: m[:, varies] for s, m in moments.items()}, skewness=p.skewness[varies],
            shapes={s: replace(a, cubes=a.cubes[varies], present=a.present[varies]) for s, a in p.shapes.items()},
        ),
    )  # fmt: skip
