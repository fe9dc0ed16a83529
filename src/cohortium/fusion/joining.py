"""Early fusion: block-scaled concatenation of rotated blocks.

A block weight is the square root of the share of the prior variance of the score that the block gets:
``feature`` gives every feature the same (big blocks dominate), ``block`` every block the same (small ones
are not drowned), ``evidence`` each block in proportion to what it explains alone on inner folds, so that a
block of noise gets nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SCHEMES = ("feature", "block", "evidence")


def scheme_weights(scheme: str, sizes: Array, gains: Array) -> Array:
    """(M,) block weights with unit sum of squares. sizes: features; gains: fall of inner loss, floored at 0."""
    if scheme == "feature":
        share = sizes.astype(np.float64)
    elif scheme == "block":
        share = np.ones(len(sizes))
    else:
        share = np.maximum(gains, 0.0)
    total = share.sum()
    if total <= 0:
        share, total = np.ones(len(sizes)), float(len(sizes))
    return np.sqrt(share / total)


@dataclass(frozen=True, eq=False)
class Joined:
    """Concatenated training features z (n, r), and the map (R, r) from the concatenation of blocks."""

    z: Array
    basis: Array | None
    widths: tuple[int, ...]
    weights: Array

    def split(self, coef: Array) -> list[Array]:
        """Coefficients per block, on the blocks' own rotated features."""
        full = coef if self.basis is None else self.basis @ coef
        edges = np.cumsum((0, *self.widths))
        return [w * full[a:b] for w, a, b in zip(self.weights, edges[:-1], edges[1:], strict=True)]


def _concatenate(blocks: list[tuple[Array, NDArray[np.intp]]], weights: Array, n: int) -> Array:
    """(n, R): each block's rows scattered to their positions; rows that lack a block are zero there (its mean)."""
    out = np.zeros((n, sum(b.shape[1] for b, _ in blocks)))
    at = 0
    for (block, rows), w in zip(blocks, weights, strict=True):
        out[rows, at : at + block.shape[1]] = w * block
        at += block.shape[1]
    return out


def sample_space(x: Array) -> tuple[Array, Array]:
    """Left singular vectors (n, r) and singular values (r,) of x (n, q), largest first, by the n × n Gram matrix.

    The largest entry of each vector is positive, so that the basis does not depend on the LAPACK build.
    """
    from scipy.linalg import eigh

    values, vectors = eigh(x @ x.T)
    keep = values > max(float(values[-1]), 1e-300) * 1e-9
    values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
    top = np.abs(vectors).argmax(axis=0)
    return vectors * np.where(vectors[top, np.arange(vectors.shape[1])] < 0, -1.0, 1.0), np.sqrt(values)


def join_train(blocks: list[tuple[Array, NDArray[np.intp]]], weights: Array, n: int) -> Joined:
    """Join training blocks, each (features, row positions); above n columns go to sample space again."""
    widths = tuple(b.shape[1] for b, _ in blocks)
    if len(blocks) == 1 and len(blocks[0][1]) == n:
        return Joined(blocks[0][0] * weights[0], None, widths, weights)
    whole = _concatenate(blocks, weights, n)
    if whole.shape[1] <= n:
        return Joined(whole, None, widths, weights)
    vectors, s = sample_space(whole)
    return Joined(vectors * s, whole.T @ (vectors / s), widths, weights)


def join_new(joined: Joined, blocks: list[tuple[Array, NDArray[np.intp]]], n: int) -> Array:
    """(n, r) joined features of new rows, in the training basis."""
    whole = _concatenate(blocks, joined.weights, n)
    return whole if joined.basis is None else whole @ joined.basis
