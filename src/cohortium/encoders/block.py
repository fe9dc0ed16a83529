"""One modality on one set of training rows, in the three forms that heads want.

*Sample space*: with more features than units, everything that a rotation-invariant method (ridge) can see
of n units lies in at most n dimensions, found from the n × n Gram matrix at O(n^2 p). Cost then follows
units. Ridge in that basis equals ridge on the features, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Modality
from cohortium.encoders.represent import Encoder, fit_encoder

Array = NDArray[np.float64]

SCREENED = 1000
"""Features that the elastic net looks at: those with the largest null gradient, when there are more."""

TREE_FEATURES = 150
TREE_COMPONENTS = 40
TREE_SCREENED = 60
"""Trees see every feature up to TREE_FEATURES; above, leading components and screened features."""


def rotate(x: Array) -> tuple[Array, Array, Array]:
    """Singular basis of x (n, q), by the smaller Gram matrix.

    Returns z (n, r) = u s with orthogonal columns, u/s (n, r) and v (q, r) of which one is empty: z of new
    rows is ``new @ v`` when q <= n, else ``(new @ x.T) @ (u / s)``. Signs are fixed (largest entry of the
    vector positive), so that the basis does not depend on the LAPACK build's whims.
    """
    from scipy.linalg import eigh

    n, q = x.shape
    small = x @ x.T if q > n else x.T @ x
    values, vectors = eigh(small)
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = values > max(float(values[0]) if len(values) else 0.0, 1e-300) * 1e-9
    values, vectors = values[keep], vectors[:, keep]
    if vectors.size:
        top = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.where(vectors[top, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    s = np.sqrt(values)
    if q > n:
        return vectors * s, vectors / s, np.zeros((q, 0))
    return x @ vectors, np.zeros((n, 0)), vectors


@dataclass(frozen=True, eq=False)
class FittedBlock:
    """Encoded training rows of one modality.

    encoder: fitted on them. x: (n, q) standardised. z: (n, r) rotated, divided by sqrt(q) so that its total
    variance is about one. net: columns the elastic net sees. tree_columns, tree_basis (q, c): what trees see.
    """

    encoder: Encoder
    x: Array
    z: Array
    dual: Array
    primal: Array
    net: NDArray[np.intp]
    tree_columns: NDArray[np.intp]
    tree_basis: Array

    @property
    def scale(self) -> float:
        return float(np.sqrt(max(self.x.shape[1], 1)))

    def rotate_new(self, x: Array) -> Array:
        """(m, r) rotated form of encoded new rows (m, q)."""
        if self.primal.shape[1]:
            return x @ self.primal / self.scale
        return (x @ self.x.T) @ self.dual / self.scale

    def to_features(self, coef: Array) -> Array:
        """(q, K) coefficients on encoded features of coefficients (r, K) on z."""
        if self.primal.shape[1]:
            return self.primal @ coef / self.scale
        return self.x.T @ (self.dual @ coef) / self.scale

    def trees(self, x: Array) -> Array:
        """(m, t) what trees see of encoded rows (m, q)."""
        return tree_view(x, self.tree_columns, self.tree_basis)


def tree_view(x: Array, columns: NDArray[np.intp], basis: Array) -> Array:
    """Chosen columns, then components."""
    return np.hstack([x[:, columns], x @ basis]) if basis.shape[1] else x[:, columns]


def fit_block(data: Modality, null_gradient: Array) -> FittedBlock:
    """Encode the training rows of a modality.

    null_gradient: (n, K) gradient of the null model's loss for the same rows, used to rank features when
    there are too many for the elastic net or the trees.
    """
    encoder = fit_encoder(data)
    x = encoder.transform(data)
    q = x.shape[1]
    z, dual, primal = rotate(x)
    order = np.arange(q)
    if q > TREE_FEATURES:
        centred = null_gradient - null_gradient.mean(axis=0)
        order = np.argsort(-np.abs(x.T @ centred).max(axis=1), kind="stable")
    net = np.sort(order[:SCREENED])
    if q <= TREE_FEATURES:
        columns, basis = np.arange(q), np.zeros((q, 0))
    else:
        columns = np.sort(order[:TREE_SCREENED])
        c = min(TREE_COMPONENTS, z.shape[1])
        basis = primal[:, :c] if primal.shape[1] else x.T @ dual[:, :c]
    return FittedBlock(encoder, x, z / np.sqrt(max(q, 1)), dual, primal, net, columns, basis)
