"""Messages of federated gradient boosting: binned quantiles, histograms of gradients, and the model.

As those of :mod:`cohortium.contracts.federation`; q columns, K scores (one, but for several classes). A column has edges; a value x
is in bin b when b edges are below it, so that what is at most an edge lies to its left. B: most bins of a column; place B holds those
whose value is unknown. A tree of depth D has 2^D - 1 places for splits, the children of place i at 2i + 1 (left) and 2i + 2, and
2^D leaves from left to right. A split is (column, bin, 1 when unknown goes left): bins up to that one go left; column -1: there is no
split, everything goes left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FitAnswer, FitQuestion, Model

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AskQuantiles(FitQuestion):
    """How many units are in each cell of a grid? columns: (c,) numbers. grid: (c, m - 1) rising edges of each."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    grid: FloatArray


@dataclass(frozen=True)
class SiteQuantiles(FitAnswer):
    """counts: (c, m) units by cell; groups of the least number of patients with neighbouring values are counted where their mean is."""

    site: str
    plan: str
    round: int
    counts: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "counts": "units by cell of a grid over a column; patients of neighbouring values, at least the declared number, are counted together where their mean is",
    }
    EXPOSES: ClassVar[str] = (
        "how a column is spread, to groups of at least the declared number of patients; one that lies can find where the mean of a group is"
    )


@dataclass(frozen=True)
class TreesModel(Model):
    """Boosted trees. edges: (q, B - 1) rising, infinite beyond a column's last. outcome: mean and standard deviation of a
    continuous endpoint, else (0, 1). base: (K,) scores before the first tree. splits: (T (2^D - 1), 3), values: (T, 2^D) of T trees,
    those of a round by class."""

    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    edges: FloatArray
    outcome: tuple[float, float]
    base: FloatArray
    splits: FloatArray
    values: FloatArray


@dataclass(frozen=True)
class AskHistograms(FitQuestion):
    """Sums of gradients by node, column and bin. growing: (K (2^D - 1), 3) splits of the trees that are grown now, above ``level``."""

    plan: str
    round: int
    model: TreesModel
    growing: FloatArray
    level: int


@dataclass(frozen=True)
class SiteHistograms(FitAnswer):
    """By node (A, see :func:`open_nodes`) and cell (C): bins of each column one after the other, each column's last cell for unknown.
    loss: of the model at those trained on; held_loss: at those held out, to know when to stop; 0 without. held: their number."""

    site: str
    plan: str
    round: int
    gradient: FloatArray
    hessian: FloatArray
    count: FloatArray
    loss: float
    held_loss: float
    held: int

    LEAVES: ClassVar[dict[str, str]] = {
        "gradient": "sums over units of the gradient of their loss, by node of a tree, column and bin; each bin of a node holds the declared number of patients, or shares the sums of its neighbours with them",
        "hessian": "the same of the second derivative",
        "count": "the same of the number of units",
        "loss": "negative log likelihood, summed over the units trained on",
        "held_loss": "the same over units held out to know when to stop",
        "held": "their number",
    }
    EXPOSES: ClassVar[str] = (
        "of each group of a column how many had the outcome; of nodes below the root the same of at least the declared number; "
        "differences between nodes of two trees may be of few"
    )


def open_nodes(growing: FloatArray, level: int, scores: int) -> list[tuple[int, int]]:
    """(score, place) of the nodes at a level of the trees that are grown; children of a split, left and right one after the other."""
    places = len(growing) // scores
    first = 2**level - 1
    return [
        (k, i)
        for k in range(scores)
        for i in range(first, 2 * first + 1)
        if level == 0 or growing[k * places + (i - 1) // 2, 0] >= 0
    ]


def cells(edges: FloatArray) -> NDArray[np.bool_]:
    """(q, B + 1) which places of a padded histogram are cells: bins that a column has, and the one for unknown."""
    bins = np.isfinite(edges).sum(1)
    place = np.arange(edges.shape[1] + 2)
    found: NDArray[np.bool_] = (place[None, :] <= bins[:, None]) | (place == edges.shape[1] + 1)
    return found


MOST_CELLS = 512
"""Cells of a grid for quantiles that a site counts."""
