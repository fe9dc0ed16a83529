"""All candidate features of a cohort side by side, NaN where a unit lacks the modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cohortium.encoders import fit_encoder

if TYPE_CHECKING:
    from cohortium.cohort import Cohort

Array = NDArray[np.float64]

RARE = 5
"""A feature that differs from its commonest value in fewer units than this is not looked at."""


@dataclass(frozen=True, eq=False)
class Features:
    """x: (n, q) encoded, NaN rows where a unit lacks the modality. modality, name: (q,). present: (n, modalities).
    rare: modality -> features left out because too few units differ in them."""

    x: Array
    modality: NDArray[np.object_]
    name: NDArray[np.object_]
    modalities: tuple[str, ...]
    rare: dict[str, int]

    def __len__(self) -> int:
        return self.x.shape[1]

    def take(self, rows: NDArray[np.intp]) -> Features:
        """The same features of some of the units."""
        return Features(self.x[rows], self.modality, self.name, self.modalities, self.rare)

    def columns(self, modality: str) -> NDArray[np.intp]:
        """Positions of a modality's features."""
        return np.flatnonzero(self.modality == modality)


def encoded_features(cohort: Cohort, names: list[str]) -> Features:
    """The named modalities as their encoders give them: standardised, one column for each level, unknown cells at the
    median; what a unit was not measured in stays absent."""
    n, parts, modality, name, rare = len(cohort), list[Array](), list[str](), list[str](), dict[str, int]()
    for m in names:
        data = cohort.modalities[m]
        encoder = fit_encoder(data)
        z = encoder.transform(data)
        keep = np.array([_varies(z[:, j]) for j in range(z.shape[1])], dtype=bool)
        rare[m] = int((~keep).sum())
        block = np.full((n, int(keep.sum())), np.nan)
        block[cohort.units.index.get_indexer(data.units)] = z[:, keep]
        parts.append(block)
        modality += [m] * block.shape[1]
        name += [str(c) for c in np.asarray(encoder.names_)[keep]]
    x = np.hstack(parts) if parts else np.zeros((n, 0))
    return Features(x, np.array(modality, dtype=object), np.array(name, dtype=object), tuple(names), rare)


def _varies(v: Array) -> bool:
    """Whether enough units differ from the commonest value."""
    ordered = np.sort(v)
    edges = np.flatnonzero(np.diff(ordered) > 0)
    runs = np.diff(np.concatenate([[-1], edges, [len(v) - 1]]))
    return bool(len(v) - runs.max() >= RARE) if len(v) else False
