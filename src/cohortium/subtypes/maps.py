"""Pictures of clusters as numbers: two axes to look along, and a consensus matrix that is small enough to draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.subtypes.centroids import Array, Labels, Points

MOST_CELLS = 220


def two_axes(points: Points, labels: Labels | None) -> Array:
    """(n, 2) the units on the plane through the clusters' means where they lie furthest apart, filled up by, or without clusters made of,
    principal axes."""
    x = points.at - points.at.mean(axis=0)
    first = np.zeros((0, x.shape[1]))
    if labels is not None:
        means = np.stack([x[labels == g].mean(axis=0) * np.sqrt((labels == g).sum()) for g in np.unique(labels)])
        _, s, v = np.linalg.svd(means, full_matrices=False)
        first = v[:2][s[:2] > 1e-9 * max(float(s[0]), 1e-300)]
    rest = x - (x @ first.T) @ first
    axes = np.vstack([first, np.linalg.svd(rest, full_matrices=False)[2]])[:2]
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    out = x @ axes.T
    return out if out.shape[1] == 2 else np.column_stack([out, np.zeros(len(out))])


def consensus_picture(together: NDArray[np.float32], labels: Labels) -> tuple[Array, NDArray[np.int64]]:
    """A matrix of at most :data:`MOST_CELLS` rows in the order of the clusters, and the cluster of each row; of more units evenly
    spaced ones are shown."""
    inside = together @ (labels[:, None] == np.arange(int(labels.max()) + 1)).astype(np.float32)
    order = np.lexsort((-inside[np.arange(len(labels)), labels], labels))
    if len(order) > MOST_CELLS:
        order = order[np.linspace(0, len(order) - 1, MOST_CELLS).round().astype(int)]
    return np.asarray(together[np.ix_(order, order)], dtype=np.float64), labels[order].astype(np.int64)
