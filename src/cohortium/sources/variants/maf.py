"""Mutation annotation format (MAF): a line for each mutation of each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cohortium.errors import DataError, did_you_mean_column
from cohortium.sources.variants.lines import lines_of, text_of
from cohortium.sources.variants.vcf import Filters

NEEDED = {
    "sample": ("tumor_sample_barcode",),
    "gene": ("hugo_symbol",),
    "what": ("variant_classification",),
    "chrom": ("chromosome",),
    "pos": ("start_position",),
    "ref": ("reference_allele",),
    "alt": ("tumor_seq_allele2",),
}
_NO_GENE = {"", "Unknown", "."}


@dataclass(frozen=True)
class Mutation:
    """sample: as in the file. name: ``chrom:pos:ref>alt``, None where the line is filtered out."""

    sample: str
    name: str | None
    gene: str


class MafFile:
    """A MAF file with its header read. Column names fit whatever their capitals; lines with # before it are passed over.

    Raises :class:`DataError` for what is no MAF, and, naming the line, for a line that does not fit.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._lines = lines_of(path)
        self.left_out: Counter[str] = Counter()
        self.n_alleles = 0
        self.columns = self._header()
        self._at: dict[str, int] = {}
        for key, names in NEEDED.items():
            found = [self.columns.index(n) for n in names if n in self.columns]
            if not found:
                raise DataError(
                    f"{self.name} is no MAF file that can be read: it has no column '{names[0]}' (capitals do not "
                    f"matter).{did_you_mean_column(names[0], self.columns[:50])}"
                )
            self._at[key] = found[0]

    def _header(self) -> list[str]:
        for number, raw in self._lines:
            if raw.startswith(b"#") or not raw.strip():
                continue
            cells = [
                c.strip().lower() for c in text_of(raw, f"{self.name}, line {number}").lstrip("\ufeff").split("\t")
            ]
            if len(cells) < len(NEEDED):
                raise DataError(f"{self.name}, line {number}: expected the header of a MAF file, separated by tabs.")
            return cells
        raise DataError(f"{self.name} is no MAF file: it has no header.")

    def declares(self, key: str) -> bool:
        """Whether there is a column of that name."""
        return key.lower() in self.columns

    def mutations(self, keep: Filters) -> Iterator[Mutation]:
        """Every line in turn; those that do not pass tell of their sample only."""
        passed = self.columns.index("filter") if "filter" in self.columns else None
        frequency = self.columns.index(keep.frequency.lower()) if keep.max_frequency is not None else None
        for number, raw in self._lines:
            if not raw or raw.startswith(b"#"):
                continue
            place = f"{self.name}, line {number}"
            cells = text_of(raw, place).split("\t")
            if len(cells) != len(self.columns):
                raise DataError(f"{place}: {len(cells)} columns; expected {len(self.columns)}, as in the header.")
            of = {key: cells[at].strip() for key, at in self._at.items()}
            if not of["sample"]:
                raise DataError(f"{place}: no Tumor_Sample_Barcode, whose mutation it is.")
            if not (of["pos"].isascii() and of["pos"].isdigit() and len(of["pos"]) <= 10):
                raise DataError(f"{place}: Start_Position is no whole number.")
            self.n_alleles += 1
            why = self._why_not(keep, of, cells, passed, frequency, place)
            if why:
                self.left_out[why] += 1
                yield Mutation(of["sample"], None, "")
                continue
            name = f"{of['chrom']}:{int(of['pos'])}:{of['ref'] or '-'}>{of['alt'] or '-'}"
            yield Mutation(of["sample"], name, of["gene"])

    def _why_not(
        self, keep: Filters, of: dict[str, str], cells: list[str], passed: int | None, frequency: int | None, place: str
    ) -> str:
        if keep.pass_only and passed is not None and cells[passed].strip() not in ("PASS", ".", ""):
            return "FILTER"
        if not keep.patterns.fit(of["what"]):
            return "consequences"
        if frequency is not None and keep.max_frequency is not None:
            text = cells[frequency].strip()
            try:
                if text not in ("", ".", "NA") and float(text) > keep.max_frequency:
                    return "max_frequency"
            except ValueError:
                raise DataError(f"{place}: {keep.frequency} is no number.") from None
        return "in no gene" if keep.genes_needed and of["gene"] in _NO_GENE else ""
