"""What a joint representation that was not made to decode says of each modality: a linear image of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.encoders import Encoder
from cohortium.joint.model import Array

PRIOR = 1.0
"""Ridge on each variable, in units: of what few units show only part is believed."""


@dataclass(frozen=True, eq=False)
class Readout:
    """weights: per modality (q, K) encoded features per unit of each variable. spread: per modality (q,) standard deviation
    of what is left. explained: (M, K) share of a modality's variance by each variable."""

    weights: tuple[Array, ...]
    spread: tuple[Array, ...]
    explained: Array

    def predict(self, at: int, z: Array) -> tuple[Array, Array]:
        """(n, q) encoded features of a modality expected given representations (n, K), and standard deviations."""
        value = z @ self.weights[at].T
        return value, np.broadcast_to(self.spread[at], value.shape).copy()


Represent = Callable[[Cohort, str | None], tuple[Array, NDArray[np.bool_]]]
"""Representations (n, K) of units, made without the modality that is named, and (n,) of whom something is known."""


def fit_readout(cohort: Cohort, names: Sequence[str], encoders: Sequence[Encoder], represent: Represent) -> Readout:
    """Regress each modality's encoded features on the representation of the same units that the others make of them, or,
    where nobody has others, on the whole one."""
    weights, spread, explained = [], [], []
    for name, encoder in zip(names, encoders, strict=True):
        data = cohort.modalities[name]
        rows = cohort.units.index.get_indexer(data.units)
        x = encoder.transform(data)  # type: ignore[arg-type]
        z, known = represent(cohort, name)
        known = known[rows]
        if known.sum() <= z.shape[1]:
            z, known = represent(cohort, None)[0], np.ones(len(rows), dtype=bool)
        z, y = z[rows][known], x[known]
        gram = z.T @ z + PRIOR * np.eye(z.shape[1])
        w = np.linalg.solve(gram, z.T @ y).T
        weights.append(w)
        spread.append(np.maximum((y - z @ w.T).std(axis=0), 1e-3))
        total = max(float(np.square(y).sum()), 1e-12)
        explained.append(np.square(w).sum(axis=0) * np.square(z).sum(axis=0) / total)
    return Readout(tuple(weights), tuple(spread), np.stack(explained))
