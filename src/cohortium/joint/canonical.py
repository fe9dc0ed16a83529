"""Canonical variates of the modalities of a cohort: encoders and :mod:`cohortium.fusion.canonical`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.encoders import Encoder
from cohortium.fusion.canonical import Canonical, fit_canonical
from cohortium.fusion.factors import Block
from cohortium.joint.model import Array, Embedding, fit_encoders
from cohortium.joint.readout import Readout, fit_readout
from cohortium.resampling.dealing import deal

FOLDS, SEED = 3, 29


@dataclass(frozen=True, eq=False)
class JointCanonical:
    """Encoders of some modalities and the variates on which they agree. readout: None where it was not asked for."""

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    model: Canonical
    readout: Readout | None = None

    @property
    def size(self) -> int:
        """K, the number of variates."""
        return self.model.size

    @property
    def loadings(self) -> tuple[Array, ...]:
        """Per modality (q, K): change of its encoded features with each variate."""
        return self._read().weights

    @property
    def explained(self) -> Array:
        """(M, K) share of a modality's variance that a variate explains."""
        return self._read().explained

    def embed(self, cohort: Cohort) -> Embedding:
        """Means and standard deviations of the common variates; see :class:`~cohortium.joint.model.Joint`."""
        mean, variance, known = self._infer(cohort, None)
        return Embedding(mean, np.sqrt(variance), known)

    def predict(self, cohort: Cohort, target: str) -> tuple[Array, Array]:
        """(n, q) expected features of ``target`` given the others, and their standard deviations."""
        return self._read().predict(self.names.index(target), self._infer(cohort, target)[0])

    def _read(self) -> Readout:
        assert self.readout is not None, "fitted without a readout"
        return self.readout

    def _infer(self, cohort: Cohort, without: str | None) -> tuple[Array, Array, NDArray[np.bool_]]:
        blocks, known = list[Block | None](), np.zeros(len(cohort), dtype=bool)
        for name, encoder in zip(self.names, self.encoders, strict=True):
            data = None if name == without else cohort.modalities.get(name)
            if data is None or not len(data.units):
                blocks.append(None)
                continue
            rows = cohort.units.index.get_indexer(data.units)
            known[rows] = True
            blocks.append(Block(encoder.transform(data), rows))  # type: ignore[arg-type]
        return *self.model.infer(blocks, len(cohort)), known


def fit_joint_canonical(
    cohort: Cohort, names: Sequence[str] | None = None, size: int = 24, readout: bool = True
) -> JointCanonical:
    """Fit encoders and variates on the units of a cohort, which are held out in turn to see how far modalities agree.

    names: modalities to use, default all; those without four units or a feature that varies are left out. size: most
    variates. readout: also what they say of each modality. Of one modality alone these are its principal components.
    Raises ValueError when no modality is left.
    """
    encoders = fit_encoders(cohort, cohort.modalities if names is None else names, 4)
    blocks = list[Block]()
    for name, encoder in encoders.items():
        data = cohort.modalities[name]
        blocks.append(Block(encoder.transform(data), cohort.units.index.get_indexer(data.units)))  # type: ignore[arg-type]
    some = np.unique(np.concatenate([b.rows for b in blocks]))
    groups = cohort.groups()[some]
    k = min(FOLDS, len(np.unique(groups)))
    fold = deal(np.zeros(len(some), dtype=np.int64), groups, k, [], np.random.default_rng(SEED))
    folds = [(some[fold != j], some[fold == j]) for j in range(k)]
    made = JointCanonical(tuple(encoders), tuple(encoders.values()), fit_canonical(blocks, len(cohort), size, folds))
    if not readout:
        return made
    read = fit_readout(cohort, made.names, made.encoders, lambda c, without: made._infer(c, without)[::2])
    return JointCanonical(made.names, made.encoders, made.model, read)
