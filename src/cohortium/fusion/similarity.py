"""Networks of similar units: one for each block, and one of all blocks, of units that lack whole blocks.

*One block*: the scaled exponential kernel of Wang 2014 (Nat Methods 11:333), whose bandwidth is local: the mean of the two
units' distances to their k nearest and of their own. Distances are Euclidean, in the span of the units where a block is
wide; what a unit has outside of that span is known by its square alone, and taken to be orthogonal to what others have.

*All blocks*: similarity network fusion (cross-diffusion, Wang 2014). A unit that lacks a block has no edge in that
block's network. A pair's similarity is averaged over the blocks in which both are, relative to the mean similarity in each (as Rappoport
& Shamir 2019, Bioinformatics 35:3348, average relative similarities); where no other block has both, its own stands in.
With complete blocks this is the published algorithm.

*Further units* are attached to the units of the network by each block they have, with the network's bandwidths: their
neighbours are nobody else's business. Nothing is drawn at random. A round costs O(n² k) for each block, memory is n²
numbers for each block and a few times more: above :data:`LANDMARKS` units whoever calls is to choose some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

LANDMARKS = 1500
"""Most units of a network."""

SHARPNESS = 0.5
"""The kernel's hyperparameter: 0.3 to 0.8 are recommended."""

ROUNDS = 20
"""Of diffusion; 10 to 20 are recommended."""

AT_ONCE = 1024
"""Units whose distances to all of the network are held at a time."""

WIDE = 512
"""Coordinates above which distances come from products of matrices: much faster, and no more exact than half of the digits."""


@dataclass(frozen=True, eq=False)
class Points:
    """A block of some units. x: (m, c) coordinates. rows: (m,) positions of the units among all. rest: (m,) squared length
    of what the coordinates leave out."""

    x: Array
    rows: Rows
    rest: Array

    def take(self, at: Rows) -> Points:
        """Those at the given positions 0..m-1."""
        return Points(self.x[at], self.rows[at], self.rest[at])


def distances(a: Points, b: Points) -> Array:
    """(m, l) Euclidean distances; those of a unit do not depend on which others stand beside it, up to :data:`WIDE` coordinates."""
    if a.x.shape[1] <= WIDE:
        from scipy.spatial.distance import cdist

        square = cdist(a.x, b.x, "sqeuclidean") if a.x.shape[1] else np.zeros((len(a.x), len(b.x)))
    else:
        square = np.square(a.x).sum(axis=1)[:, None] + np.square(b.x).sum(axis=1) - 2 * a.x @ b.x.T
    return np.sqrt(np.maximum(square + a.rest[:, None] + b.rest, 0.0))


def reach(distance: Array, k: int) -> Array:
    """(m,) mean distance to the k nearest; infinite ones are none. A row without any has 0."""
    near = np.partition(distance, min(k, distance.shape[1]) - 1, axis=1)[:, :k] if distance.shape[1] else distance
    known = np.isfinite(near)
    return np.asarray(np.where(known, near, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def affinity(distance: Array, own: Array, others: Array) -> Array:
    """(m, l) scaled exponential kernel of distances, with the reach (m,) and (l,) of the two sides. Infinitely far is 0."""
    tiny = np.spacing(1.0)
    known = np.isfinite(distance)
    d = np.where(known, distance, 0.0)
    scale = SHARPNESS * ((own[:, None] + others + 2 * tiny + d) / 3 + tiny)
    return np.asarray(np.where(known, np.exp(-0.5 * np.square(d / scale)) / (np.sqrt(2 * np.pi) * scale), 0.0))


def fuse(networks: Sequence[tuple[Array, Rows]], n: int, k: int, rounds: int = ROUNDS) -> Array:
    """(n, n) fused similarities of n units: symmetric, 1/2 and more on the diagonal, 0 for units without any block.

    networks: per block its units' affinities (m, m), symmetric, own ones included, and their positions (m,).
    """
    total, count = np.zeros((n, n)), np.zeros((n, n))
    states, kernels = list[Array](), list[Any]()
    for w, rows in networks:
        p = _symmetric(w / w.sum(axis=1, keepdims=True))
        states.append(len(rows) * p)  # relative to the mean: networks of different sizes can then be averaged
        kernels.append(_strongest(p, k))
        count[np.ix_(rows, rows)] += 1
    for round_ in range(rounds + 1):
        total[:] = 0.0
        for p, (_, rows) in zip(states, networks, strict=True):
            total[np.ix_(rows, rows)] += p
        if round_ == rounds:
            break
        for v, (p, s) in enumerate(zip(states, kernels, strict=True)):
            at = np.ix_(networks[v][1], networks[v][1])
            other = count[at] - 1
            mean = np.where(other > 0, (total[at] - p) / np.maximum(other, 1), p)
            states[v] = _symmetric(s @ (s @ mean).T) + len(p) * np.eye(len(p))
    fused = total / np.maximum(count, 1)
    fused /= np.maximum(fused.sum(axis=1, keepdims=True), 1e-300)
    some = (count.diagonal() > 0).astype(np.float64)
    return np.asarray((fused + fused.T + np.diag(some)) / 2)


def _symmetric(x: Array) -> Array:
    return np.asarray((x + x.T) / 2)


def _strongest(p: Array, k: int) -> Any:
    """Sparse (m, m): the k largest of each row, adding up to one."""
    from scipy.sparse import csr_matrix

    k = min(k, len(p))
    at = np.argsort(-p, axis=1, kind="stable")[:, :k]
    value = np.take_along_axis(p, at, axis=1)
    value = value / value.sum(axis=1, keepdims=True)
    return csr_matrix((value.ravel(), at.ravel(), np.arange(0, k * len(p) + 1, k)), shape=p.shape)


@dataclass(frozen=True, eq=False)
class Near:
    """Neighbours of m units among those of a network. index: (m, k) positions. weight: (m, k), 0 where there are fewer;
    those of a unit add up to one, or to nothing where it has none."""

    index: Rows
    weight: Array


def nearest(weight: Array, k: int) -> Near:
    """The k largest of each row of non-negative weights (m, l)."""
    m, l_ = weight.shape
    index, value = np.zeros((m, k), dtype=np.intp), np.zeros((m, k))
    if l_:
        at = np.argsort(-weight, axis=1, kind="stable")[:, :k]
        index[:, : at.shape[1]], value[:, : at.shape[1]] = at, np.take_along_axis(weight, at, axis=1)
    index[value <= 0] = 0
    return Near(index, value / np.maximum(value.sum(axis=1, keepdims=True), 1e-300))


@dataclass(frozen=True, eq=False)
class Graph:
    """A fused network of n units, to which others can be attached. points: of each block. reaches: of each block (m,) mean
    distances to the k nearest. fused: (n, k) neighbours in the fused network, oneself left out."""

    n: int
    k: int
    points: tuple[Points, ...]
    reaches: tuple[Array, ...]
    fused: Near

    def near(self, block: int, new: Points, apart: tuple[Any, Any] | None = None) -> Near:
        """Neighbours of m units by one block. apart: labels (m,) of the units and (n,) of the network's; units of the same label
        are no neighbours."""
        mine, own = self.points[block], self.reaches[block]
        parts = [Near(np.zeros((0, self.k), dtype=np.intp), np.zeros((0, self.k)))]
        for at in _chunks(len(new.rows)):
            d = distances(new.take(at), mine)
            if apart is not None:
                d[np.asarray(apart[0])[at][:, None] == np.asarray(apart[1])[mine.rows]] = np.inf
            found = nearest(affinity(d, reach(d, self.k), own), self.k)
            parts.append(Near(mine.rows[found.index] if len(mine.rows) else found.index, found.weight))
        return Near(np.concatenate([p.index for p in parts]), np.concatenate([p.weight for p in parts]))

    def state(self) -> dict[str, Any]:
        """Arrays and lists; :meth:`restore` makes the graph again."""
        points = [{"x": p.x, "rows": p.rows, "rest": p.rest} for p in self.points]
        fused = {"index": self.fused.index, "weight": self.fused.weight}
        return {"n": self.n, "k": self.k, "points": points, "reaches": list(self.reaches), "fused": fused}

    @staticmethod
    def restore(s: dict[str, Any]) -> Graph:
        def number(a: Any) -> Array:
            return np.asarray(a, dtype=np.float64)

        def place(a: Any) -> Rows:
            return np.asarray(a, dtype=np.intp)

        points = tuple(Points(number(p["x"]), place(p["rows"]), number(p["rest"])) for p in s["points"])
        fused = Near(place(s["fused"]["index"]), number(s["fused"]["weight"]))
        return Graph(int(s["n"]), int(s["k"]), points, tuple(number(r) for r in s["reaches"]), fused)


def _chunks(m: int) -> Iterable[Rows]:
    return (np.arange(a, min(a + AT_ONCE, m)) for a in range(0, m, AT_ONCE))


def fit_graph(points: Sequence[Points], n: int, k: int, apart: Any) -> Graph:
    """The fused network of n units. points: of each block, with at least one unit each. k: neighbours. apart: (n,) labels;
    units that share one (those of a patient) are no neighbours, and do not narrow each other's bandwidth.

    Raises ValueError for more than :data:`LANDMARKS` units.
    """
    if n > LANDMARKS:
        raise ValueError(f"a network of {n} units; at most {LANDMARKS} are fused")
    networks, reaches, label = list[tuple[Array, Rows]](), list[Array](), np.asarray(apart)
    for p in points:
        d = distances(p, p)
        np.fill_diagonal(d, 0.0)
        others = d.copy()
        others[label[p.rows][:, None] == label[p.rows]] = np.inf
        reaches.append(reach(others, k))
        networks.append((affinity(d, reaches[-1], reaches[-1]), p.rows))
    fused = fuse(networks, n, k)
    fused[label[:, None] == label] = 0.0
    return Graph(n, k, tuple(points), tuple(reaches), nearest(fused, k))
