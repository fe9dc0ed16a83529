"""What every joint representation can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.encoders import Encoder, fit_encoder

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Embedding:
    """mean, sd: (n, K) of the representation of each unit given what is known of it. known: (n,) bool, False for a unit
    that has none of the modalities: it stands at the prior, mean 0 and sd 1."""

    mean: Array
    sd: Array
    known: NDArray[np.bool_]


class Joint(Protocol):
    """A fitted representation. names: its modalities, in the order of ``encoders``."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def encoders(self) -> tuple[Encoder, ...]: ...
    @property
    def size(self) -> int:
        """K."""
        ...

    @property
    def loadings(self) -> tuple[Array, ...]:
        """Per modality (q, K): how much of each encoded feature a unit of each latent variable makes."""
        ...

    @property
    def explained(self) -> Array:
        """(M, K) share of a modality's variance that each latent variable explains."""
        ...

    def embed(self, cohort: Cohort) -> Embedding:
        """The units of any cohort, whatever modalities they have."""
        ...

    def predict(self, cohort: Cohort, target: str) -> tuple[Array, Array]:
        """(n, q) encoded features of the modality ``target`` expected from the unit's other modalities, and their standard
        deviations."""
        ...


def fit_encoders(cohort: Cohort, names: Iterable[str], fewest: int = 2) -> dict[str, Encoder]:
    """name -> encoder fitted on a cohort, of the modalities that ``fewest`` units have and in which a feature varies.

    Raises ValueError when there is none.
    """
    out = dict[str, Encoder]()
    for name in names:
        if len(cohort.modalities[name].units) >= fewest:
            encoder = fit_encoder(cohort.modalities[name])
            if len(encoder.names_):
                out[name] = encoder
    if not out:
        raise ValueError(f"no modality has {fewest} units and a feature that varies")
    return out
