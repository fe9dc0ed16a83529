"""Counting alternate alleles by gene and gene set, or keeping them by variant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.sources.variants.vcf import MISSING, Dosages

MOST_CELLS = 500_000_000
"""Samples × features beyond which a table does not fit a usual memory."""

Values = NDArray[np.float32]


def _too_many(n: int, what: str) -> DataError:
    return DataError(
        f"There are more than {MOST_CELLS // max(n, 1):,} {what}, which is too many for a table of {n:,} samples. Filter them "
        "(max_frequency, consequences, min_quality), or count by gene."
    )


class BurdenTally:
    """Number of alternate alleles of each gene and set; a variant in two genes of one set counts once in the set.

    n: samples. sets: set -> genes. Unknown (NaN) where no variant of the gene is called in the sample.
    """

    def __init__(self, n: int, sets: Mapping[str, frozenset[str]]) -> None:
        self.n = n
        self._count: dict[str, NDArray[np.int32]] = {}
        self._called: dict[str, NDArray[np.bool_]] = {}
        self._sets: dict[str, list[str]] = {}
        for name, genes in sets.items():
            for gene in genes:
                self._sets.setdefault(gene, []).append(f"set:{name}")

    def _keys(self, genes: Collection[str]) -> list[str]:
        return sorted({*genes, *(s for g in genes for s in self._sets.get(g, ()))})

    def _row(self, key: str) -> NDArray[np.int32]:
        if key not in self._count:
            if (len(self._count) + 1) * self.n > MOST_CELLS:
                raise _too_many(self.n, "genes and sets")
            self._count[key] = np.zeros(self.n, dtype=np.int32)
            self._called[key] = np.zeros(self.n, dtype=bool)
        return self._count[key]

    def add(self, name: str, genes: Collection[str], dosage: Dosages) -> None:
        """A variant of all samples. dosage: (n,)."""
        called = dosage != MISSING
        for key in self._keys(genes):
            self._row(key)[:] += np.where(called, dosage, 0)
            self._called[key] |= called

    def add_one(self, name: str, genes: Collection[str], sample: int) -> None:
        """A mutation of one sample; the others do not have it."""
        for key in self._keys(genes):
            self._row(key)[sample] += 1
            self._called[key][:] = True

    def table(self, wanted: Collection[str] | None) -> tuple[list[str], Values]:
        """(names, (n, p)), by name; of ``wanted`` ones that were not met: zeros."""
        names = sorted(self._count) if wanted is None else list(wanted)
        out = np.zeros((self.n, len(names)), dtype=np.float32)
        for j, name in enumerate(names):
            if name in self._count:
                out[:, j] = np.where(self._called[name], self._count[name], np.nan)
        return names, out


class DosageTally:
    """Copies of each variant's alternate allele, in the order of the file.

    wanted: names to keep, whatever they hold; None keeps those that somebody has. absent: value of a wanted variant
    that the file does not have.
    """

    def __init__(self, n: int, wanted: Collection[str] | None, absent: float) -> None:
        self.n, self.absent = n, absent
        self._wanted = None if wanted is None else set(wanted)
        self._rows: dict[str, Dosages] = {}
        self.monomorphic = 0

    def _new(self, name: str, row: Dosages) -> Dosages:
        if (len(self._rows) + 1) * self.n > MOST_CELLS:
            raise _too_many(self.n, "variants")
        self._rows[name] = row
        return row

    def add(self, name: str, genes: Collection[str], dosage: Dosages) -> None:
        """A variant of all samples. dosage: (n,)."""
        if self._wanted is not None and name not in self._wanted:
            return
        if self._wanted is None and not (dosage > 0).any():
            # Constant in everybody is constant in every training fold: leaving it out tells nothing.
            self.monomorphic += 1
            return
        if name in self._rows:
            raise DataError(f"The variant {name} is there twice. Try: bcftools norm -d exact, after sorting.")
        self._new(name, dosage.copy())

    def add_one(self, name: str, genes: Collection[str], sample: int) -> None:
        """A mutation of one sample; the others do not have it."""
        if self._wanted is None or name in self._wanted:
            row = self._rows.get(name)
            (self._new(name, np.zeros(self.n, dtype=np.int8)) if row is None else row)[sample] = 1

    def table(self, wanted: Collection[str] | None) -> tuple[list[str], Values]:
        """(names, (n, p)); of ``wanted`` ones that the file does not have: ``absent``."""
        names = list(self._rows) if wanted is None else list(wanted)
        out = np.full((self.n, len(names)), self.absent, dtype=np.float32)
        for j, name in enumerate(names):
            row = self._rows.get(name)
            if row is not None:
                out[:, j] = np.where(row == MISSING, np.nan, row)
        return names, out
