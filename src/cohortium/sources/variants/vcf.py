"""VCF files, line by line: which variants pass, in which genes they are, and who has how many of their alleles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.sources.variants.annotation import Annotation, Effect, Patterns
from cohortium.sources.variants.lines import lines_of, text_of
from cohortium.sources.variants.regions import Regions

FIXED = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
MOST_COPIES = 16
MOST_GENOTYPES = 100_000
"""Different texts of genotypes that are remembered, so that hostile files do not fill the memory."""

MISSING = -1
_NO_ALLELE = {"*", ".", "<*>", "<NON_REF>", ""}
"""What stands for no alternate allele of its own: deleted by a neighbour, none, any other."""

Dosages = NDArray[np.int8]


@dataclass(frozen=True)
class Filters:
    """What passes, as the study declares it. genes_needed: a variant without a gene is of no use."""

    pass_only: bool = True
    min_quality: float | None = None
    patterns: Patterns = field(default_factory=lambda: Patterns([]))
    max_frequency: float | None = None
    frequency: str = "AF"
    regions: Regions | None = None
    genes_needed: bool = False


@dataclass(frozen=True, eq=False)
class Variant:
    """One alternate allele. name: ``chrom:pos:ref>alt``. genes: sorted. dosage: (n,) copies, -1 = not called."""

    name: str
    genes: tuple[str, ...]
    dosage: Dosages


class VcfFile:
    """A VCF file with its header read: ``samples`` in order. left_out: reason -> alternate alleles, after reading.

    Raises :class:`DataError` for what is no VCF, and, naming the line, for a line that does not fit.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._lines = lines_of(path)
        self._meta: list[str] = []
        self.samples = self._header()
        self.annotation = Annotation.declared(self._meta)
        self.left_out: Counter[str] = Counter()
        self.n_alleles = 0
        self._genotypes: dict[int, _Genotypes] = {}

    def _header(self) -> list[str]:
        for number, raw in self._lines:
            if number == 1 and raw[:3] == b"BCF":
                raise DataError(f"{self.name} is a BCF file. Write it as VCF: bcftools view -Oz.")
            if number == 1 and not raw.removeprefix(b"\xef\xbb\xbf").startswith(b"##fileformat=VCF"):
                raise DataError(f"{self.name} is no VCF file: expected ##fileformat=VCF in line 1.")
            if raw.startswith(b"##"):
                self._meta.append(text_of(raw, f"{self.name}, line {number}"))
                continue
            if not raw.startswith(b"#CHROM"):
                break
            return self._samples(text_of(raw, f"{self.name}, line {number}").split("\t"), number)
        if not self._meta:
            raise DataError(f"{self.name} is no VCF file: it holds nothing.")
        raise DataError(f"{self.name} has no header line #CHROM before its variants. Is the file complete?")

    def _samples(self, columns: list[str], number: int) -> list[str]:
        place = f"{self.name}, line {number}"
        if tuple(c.lstrip("#") for c in columns[:8]) != FIXED[:8] or columns[8:9] not in ([], ["FORMAT"]):
            raise DataError(f"{place}: expected the columns #{' '.join(FIXED)}, separated by tabs.")
        samples = columns[9:]
        if not samples:
            raise DataError(
                f"{place}: there is no column of a sample: the file lists variants and nobody who has them."
            )
        seen: set[str] = set()
        for k, s in enumerate(samples):
            if not s.strip() or s in seen:
                what = "has no name" if not s.strip() else "has the name of an earlier column"
                raise DataError(f"{place}: the sample in column {k + 10} {what}. Give each sample a name of its own.")
            seen.add(s)
        return samples

    def declares(self, key: str) -> bool:
        """Whether the header declares an INFO key, or its annotation a field, of that name."""
        in_info = any(m.startswith(f"##INFO=<ID={key},") for m in self._meta)
        return in_info or (self.annotation is not None and key in self.annotation.names)

    def variants(self, columns: NDArray[np.intp], keep: Filters) -> Iterator[Variant]:
        """Alternate alleles that pass, with the dosages of the samples at the given positions, in that order.

        A line with several alternate alleles gives one variant for each. Memory is that of a line.
        """
        width, at, here = len(FIXED) + len(self.samples), "", set[str]()
        for number, raw in self._lines:
            if not raw:
                continue
            place = f"{self.name}, line {number}"
            found = raw.count(b"\t") + 1
            if found != width:
                raise DataError(f"{place}: {found} columns; expected {width}, as in the header.")
            *first, rest = raw.split(b"\t", 9)
            fixed = [text_of(c, place) for c in first]
            line = _Line.of(fixed, place)
            if at != line.locus:
                at, here = line.locus, set()
            passing = self._passing(line, keep)
            if not passing:
                continue
            dosage = self._dosages(line, rest.split(b"\t"), columns)
            for k, genes in passing:
                name = line.name(k)
                if name in here:
                    raise DataError(
                        f"{place}: this variant stands in an earlier line too. Try: bcftools norm -d exact."
                    )
                here.add(name)
                yield Variant(name, genes, dosage[k])

    def _passing(self, line: _Line, keep: Filters) -> list[tuple[int, tuple[str, ...]]]:
        """[(which alternate allele, its genes)] of those that pass."""
        real = [k for k, a in enumerate(line.alts) if a not in _NO_ALLELE]
        self.n_alleles += len(real)
        if keep.pass_only and line.filter not in ("PASS", ".", ""):
            return self._out("FILTER", len(real))
        if keep.min_quality is not None and not line.quality >= keep.min_quality:
            return self._out("min_quality", len(real))
        effects = self._effects(line)
        out = []
        for k in real:
            fitting = effects[k]
            if keep.patterns.patterns:
                fitting = [e for e in fitting if any([keep.patterns.fit(t) for t in e.terms])]
                if not fitting:
                    self.left_out["consequences"] += 1
                    continue
            if keep.max_frequency is not None and self._frequency(line, k, effects[k], keep) > keep.max_frequency:
                self.left_out["max_frequency"] += 1
                continue
            if keep.regions is not None:
                genes = keep.regions.genes_at(line.chrom, line.pos, line.pos + len(line.ref) - 1)
            else:
                genes = tuple(sorted({e.gene for e in fitting if e.gene}))
            if keep.genes_needed and not genes:
                self.left_out["in no gene"] += 1
                continue
            out.append((k, genes))
        return out

    def _out(self, why: str, n: int) -> list[tuple[int, tuple[str, ...]]]:
        if n:
            self.left_out[why] += n
        return []

    def _effects(self, line: _Line) -> list[list[Effect]]:
        if self.annotation is None:
            return [[] for _ in line.alts]
        return self.annotation.effects(line.info.get(self.annotation.key, ""), line.ref, line.alts)

    def _frequency(self, line: _Line, k: int, effects: Sequence[Effect], keep: Filters) -> float:
        """The frequency that the file gives for an allele; 0 when it gives none."""
        value = line.info.get(keep.frequency)
        if value is not None:
            texts = value.split(",")
            return _number(texts[k] if len(texts) == len(line.alts) else texts[0], line.place, keep.frequency)
        given = [_number(e.fields.get(keep.frequency, ""), line.place, keep.frequency) for e in effects]
        return max(given, default=0.0)

    def _dosages(self, line: _Line, calls: list[bytes], columns: NDArray[np.intp]) -> Dosages:
        """(alternate alleles, n)"""
        try:
            where = line.format.index("GT")
        except ValueError:
            raise DataError(f"{line.place}: FORMAT has no GT, and there are no genotypes without it.") from None
        chosen = [calls[c] for c in columns.tolist()]
        if where:
            parts = (c.split(b":", where + 1) for c in chosen)
            chosen = [p[where] if where < len(p) else b"." for p in parts]
        elif len(line.format) > 1:
            chosen = [c.partition(b":")[0] for c in chosen]
        known = self._genotypes.get(len(line.alts))
        if known is None or len(known) > MOST_GENOTYPES:
            known = self._genotypes[len(line.alts)] = _Genotypes(len(line.alts))
        try:
            code = np.fromiter(map(known.__getitem__, chosen), dtype=np.intp, count=len(chosen))
        except _GenotypeError as e:
            column = int(columns[chosen.index(e.text)]) + 10
            raise DataError(
                f"{line.place}, column {column}: no genotype such as 0/1, or an allele that ALT does not have."
            ) from None
        return known.table()[code].T


class _GenotypeError(Exception):
    """text: what was found in the place of a genotype."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.text = text


class _Genotypes(dict[bytes, int]):
    """Genotype -> its row of :meth:`table`; read when it is met first. n_alt: alternate alleles of the line."""

    def __init__(self, n_alt: int) -> None:
        super().__init__()
        self._n_alt = n_alt
        self._rows: list[tuple[int, ...]] = []
        self._table = np.zeros((0, n_alt), dtype=np.int8)

    def __missing__(self, genotype: bytes) -> int:
        self._rows.append(_copies(genotype, self._n_alt))
        self[genotype] = len(self._rows) - 1
        return len(self._rows) - 1

    def table(self) -> Dosages:
        """(genotypes, n_alt) copies of each alternate allele."""
        if len(self._table) < len(self._rows):
            self._table = np.array(self._rows, dtype=np.int8).reshape(-1, self._n_alt)
        return self._table


@dataclass(frozen=True)
class _Line:
    """The fixed columns of a line. quality: NaN when not given."""

    chrom: str
    pos: int
    ref: str
    alts: list[str]
    quality: float
    filter: str
    info: dict[str, str]
    format: list[str]
    place: str

    @staticmethod
    def of(cells: list[str], place: str) -> _Line:
        chrom, pos, _, ref, alt, quality, passed, info, form = cells
        if not (pos.isascii() and pos.isdigit() and len(pos) <= 10):
            raise DataError(f"{place}: POS is no whole number.")
        if not chrom or not ref or not alt:
            raise DataError(f"{place}: CHROM, REF or ALT is empty.")
        try:
            number = float("nan") if quality in (".", "") else float(quality)
        except ValueError:
            raise DataError(f"{place}: QUAL is no number.") from None
        pairs = (p.partition("=") for p in info.split(";") if p)
        fields = {key: value for key, _, value in pairs}
        return _Line(chrom, int(pos), ref, alt.split(","), number, passed, fields, form.split(":"), place)

    @property
    def locus(self) -> str:
        return f"{self.chrom}:{self.pos}"

    def name(self, k: int) -> str:
        alt = self.alts[k]
        end = f":{self.info['END']}" if alt.startswith("<") and "END" in self.info else ""
        return f"{self.locus}:{self.ref}>{alt}{end}"


def _number(text: str, place: str, what: str) -> float:
    """The largest of numbers joined by & (as VEP does); 0 when not given."""
    try:
        return max((float(t) for t in text.split("&") if t not in (".", "")), default=0.0)
    except ValueError:
        raise DataError(f"{place}: {what} is no number.") from None


def _copies(genotype: bytes, n_alt: int) -> tuple[int, ...]:
    """How many copies of each alternate allele a genotype has, phased or not, haploid or not.

    An allele that is partly unknown (``./1``) counts what is seen; where nothing is seen it is :data:`MISSING`.
    """
    alleles = genotype.replace(b"|", b"/").removeprefix(b"/").split(b"/")
    if len(alleles) > MOST_COPIES:
        raise _GenotypeError(genotype)
    counts, unknown = [0] * n_alt, False
    for a in alleles:
        if a == b".":
            unknown = True
        elif a.isdigit() and len(a) <= 5 and int(a) <= n_alt:
            if int(a) > 0:
                counts[int(a) - 1] += 1
        else:
            raise _GenotypeError(genotype)
    return tuple(MISSING if unknown and not c else c for c in counts)
