"""PLINK 1 binary genotypes: ``NAME.bed`` with ``NAME.bim`` (variants) and ``NAME.fam`` (samples) beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.sources.formats import find
from cohortium.sources.variants.lines import lines_of, text_of
from cohortium.sources.variants.vcf import MISSING, Filters, Variant

MAGIC = b"\x6c\x1b\x01"
_COPIES = np.array([2, MISSING, 1, 0], dtype=np.int8)
"""Copies of the first allele of .bim by code: 00 both, 01 missing, 10 one, 11 none."""


class PlinkFile:
    """Genotypes of PLINK with the names of ``samples`` (within-family ids) read.

    The first allele of ``.bim`` is the one counted. Raises :class:`DataError` when the three files do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.name, path
        self.beside = [find(path.parent, path.with_suffix(e).name) for e in (".bim", ".fam")]
        self.samples = [c[1] for c, _ in _rows(self.beside[1], 6)]
        self.left_out: Counter[str] = Counter()
        self.n_alleles = sum(1 for _ in _rows(self.beside[0], 6))
        if len(set(self.samples)) != len(self.samples):
            raise DataError(f"{self.beside[1].name}: two rows have one within-family id (column 2). Make them unique.")
        if not self.samples or not self.n_alleles:
            raise DataError(f"{path.name}: .fam or .bim beside it has no row.")
        self._stride = (len(self.samples) + 3) // 4
        with path.open("rb") as f:
            magic = f.read(3)
        if magic[:2] == MAGIC[:2] and magic[2:] == b"\x00":
            raise DataError(f"{path.name} has samples one after the other, as PLINK wrote long ago. Write it anew.")
        if magic != MAGIC:
            raise DataError(f"{path.name} is no PLINK .bed file (other first bytes). Is it a BED file of regions?")
        expected = 3 + self._stride * self.n_alleles
        if path.stat().st_size != expected:
            raise DataError(
                f"{path.name} has {path.stat().st_size:,} bytes; {len(self.samples):,} samples and {self.n_alleles:,} variants "
                f"need {expected:,}. Is it truncated, or of other .bim and .fam files?"
            )

    def declares(self, key: str) -> bool:
        """Never: there is nothing but genotypes."""
        return False

    def variants(self, columns: NDArray[np.intp], keep: Filters) -> Iterator[Variant]:
        """Variants in order, with the dosages of the samples at the given positions."""
        shift = 2 * (columns % 4)
        with self.path.open("rb") as f:
            f.seek(3)
            for cells, place in _rows(self.beside[0], 6):
                raw = np.frombuffer(f.read(self._stride), dtype=np.uint8)
                chrom, _, _, pos, counted, other = cells[:6]
                if not (pos.isascii() and pos.isdigit() and len(pos) <= 10):
                    raise DataError(f"{place}: the position is no whole number.")
                if counted in ("0", "."):
                    self.left_out["no second allele"] += 1
                    continue
                last = int(pos) + len(other) - 1
                genes = keep.regions.genes_at(chrom, int(pos), last) if keep.regions is not None else ()
                if keep.genes_needed and not genes:
                    self.left_out["in no gene"] += 1
                    continue
                yield Variant(f"{chrom}:{int(pos)}:{other}>{counted}", genes, _COPIES[(raw[columns // 4] >> shift) & 3])


def _rows(path: Path, width: int) -> Iterator[tuple[list[str], str]]:
    for number, raw in lines_of(path):
        place = f"{path.name}, line {number}"
        cells = text_of(raw, place).split()
        if not cells:
            continue
        if len(cells) < width:
            raise DataError(f"{place}: {len(cells)} columns; expected {width}.")
        yield cells, place
