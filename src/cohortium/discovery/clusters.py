"""Groups of correlated features, formed without outcomes: of look-alikes no method can say which one matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

ALIKE = 0.5
"""Mean absolute correlation from which two groups are joined."""

LARGEST = 40
"""Features in a group at most: covariances of larger ones cannot be estimated from a few hundred patients."""

AT_ONCE = 4000
"""More features than this are first dealt into pieces along their leading components."""


def cluster_features(z: Array) -> Codes:
    """(q,) group of every column of z (n, q, standardised), by average linkage of 1 - |correlation|.

    Groups are numbered by their first member.
    """
    q = z.shape[1]
    if q < 2:
        return np.zeros(q, dtype=np.int64)
    if q <= AT_ONCE:
        return _numbered(_linked(z))
    out, base = np.zeros(q, dtype=np.int64), 0
    for piece in _pieces(z):
        own = _linked(z[:, piece])
        out[piece] = own + base
        base += int(own.max()) + 1
    return _numbered(out)


def _linked(z: Array) -> Codes:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if z.shape[1] < 2:
        return np.zeros(z.shape[1], dtype=np.int64)
    d = 1.0 - np.abs(z.T @ z) / len(z)
    np.fill_diagonal(d, 0.0)
    tree = linkage(squareform(np.clip((d + d.T) / 2, 0.0, 1.0), checks=False), "average")
    codes = fcluster(tree, 1.0 - ALIKE, "distance").astype(np.int64) - 1
    for cut in (0.6, 0.7, 0.8, 0.9, 0.95, 0.98):
        large = np.flatnonzero(np.bincount(codes) > LARGEST)
        if not len(large):
            break
        finer = fcluster(tree, 1.0 - cut, "distance").astype(np.int64)
        inside = np.isin(codes, large)
        codes[inside] = finer[inside] + codes.max() + 1
        codes = _numbered(codes)
    sizes = np.bincount(codes)
    for g in np.flatnonzero(sizes > LARGEST):  # identical copies: cut in the order of the columns
        at = np.flatnonzero(codes == g)
        codes[at] = codes.max() + 1 + np.arange(len(at)) // LARGEST
    return _numbered(codes)


def _pieces(z: Array) -> list[NDArray[np.intp]]:
    """Columns split in two along their loadings on the leading component, until a piece is small."""
    out, stack = list[NDArray[np.intp]](), [np.arange(z.shape[1])]
    while stack:
        at = stack.pop()
        if len(at) <= AT_ONCE:
            out.append(at)
            continue
        x = z[:, at]
        u = np.linalg.eigh(x @ x.T)[1][:, -1]
        order = np.argsort(np.abs(u @ x), kind="stable")
        stack += [np.sort(at[order[: len(at) // 2]]), np.sort(at[order[len(at) // 2 :]])]
    return out


def _numbered(codes: NDArray[np.integer]) -> Codes:
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse.ravel()].astype(np.int64)
