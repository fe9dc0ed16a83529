"""Encoded modalities of a fold: on the whole training part, and on each of its inner splits.

Kept in the fold's store, so that a block is encoded once per split, whatever number of heads look at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Bag, Events
from cohortium.contracts import Fold
from cohortium.encoders import FittedBlock, fit_block
from cohortium.encoders.raw import EventEncoder, InstanceEncoder, RawEncoder
from cohortium.heads.families import Family
from cohortium.heads.newton import fit_theta

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class SplitView:
    """One modality on one split: features of its training rows, and of its test rows (inner splits only).

    train, test: positions in the fold of the rows that have the modality. Each pair of arrays is
    (training rows, test rows); block is kept for the whole training part only. square: mean squared features of a row.
    """

    train: Rows
    test: Rows
    z: tuple[Array, Array]
    net: tuple[Array, Array]
    trees: tuple[Array, Array]
    size: int
    block: FittedBlock | None
    square: tuple[Array, Array]


class Views:
    """Lazily encoded modalities of one fold."""

    def __init__(self, fold: Fold, family: Family) -> None:
        self.fold, self.family = fold, family
        null = fit_theta(family, np.zeros((family.n, family.n_scores)))
        self.null_theta = null
        self.null_gradient = family.value_grad(np.zeros((family.n, family.n_scores)), null)[1]
        self._where = {
            name: fold.cohort.units.index.get_indexer(table.units) for name, table in fold.cohort.modalities.items()
        }

    def rows(self, modality: str) -> Rows:
        """Positions in the fold of the units that have the modality."""
        return self._where[modality]

    def split(self, modality: str, s: int | None) -> SplitView:
        """The modality on inner split ``s``, or on the whole training part (None)."""
        return self.fold.store.get(f"view/{modality}/{s}", lambda: self._encode(modality, s))  # type: ignore[no-any-return]

    def items(self, modality: str, s: int | None, last: int | None = None) -> RawEncoder:
        """Scales of the instances of a bag, or vocabulary of events, from the training rows of a split. last: of events."""

        def make() -> RawEncoder:
            data, rows = self.fold.cohort.modalities[modality], self._rows_of(modality, s)[0]
            if isinstance(data, Bag):
                return InstanceEncoder().fit(data, rows)
            assert isinstance(data, Events)
            return EventEncoder(last).fit(data, rows)

        return self.fold.store.get(f"items/{modality}/{s}/{last}", make)  # type: ignore[no-any-return]

    def _rows_of(self, modality: str, s: int | None) -> tuple[Rows, Rows]:
        """Positions in the modality of a split's training and test rows."""
        where = self._where[modality]
        if s is None:
            return np.arange(len(where)), np.zeros(0, dtype=np.intp)
        train, test = self.fold.inner[s]
        return np.flatnonzero(np.isin(where, train)), np.flatnonzero(np.isin(where, test))

    def _encode(self, modality: str, s: int | None) -> SplitView:
        data, where = self.fold.cohort.modalities[modality], self._where[modality]
        at_train, at_test = self._rows_of(modality, s)
        block = fit_block(data.take(at_train), self.null_gradient[where[at_train]])
        x = block.encoder.transform(data.take(at_test))
        return SplitView(
            train=where[at_train],
            test=where[at_test],
            z=(block.z, block.rotate_new(x)),
            net=(np.asfortranarray(block.x[:, block.net]), x[:, block.net]),
            trees=(block.trees(block.x), block.trees(x)),
            size=block.x.shape[1],
            block=block if s is None else None,
            square=(np.square(block.x).sum(axis=1) / block.scale**2, np.square(x).sum(axis=1) / block.scale**2),
        )

    def usable(self, modality: str) -> bool:
        """Enough rows and a feature that varies, on every split: else the modality cannot be learned from here."""
        need = 10
        if len(self._where[modality]) < need:
            return False
        for train, _ in self.fold.inner:
            if np.isin(self._where[modality], train).sum() < need:
                return False
        return all(self.split(modality, s).size > 0 for s in (*range(len(self.fold.inner)), None))
