"""Which genes a place lies in, and which sets a gene belongs to, as declared in files."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

from cohortium.errors import DataError
from cohortium.sources.variants.lines import lines_of, text_of

_REGION = re.compile(r"^([^:\s]+):([0-9,]+)-([0-9,]+)$")
_MOST_DIGITS = 12


def bare(chromosome: str) -> str:
    """A chromosome's name without ``chr``: files differ in it."""
    return chromosome[3:] if chromosome[:3].lower() == "chr" else chromosome


class Regions:
    """Regions of genes. :meth:`genes_at` takes first and last base, counted from 1, both inside."""

    def __init__(self, rows: list[tuple[str, int, int, str]]) -> None:
        self._of: dict[str, tuple[list[int], list[int], list[int], list[str]]] = {}
        by: dict[str, list[tuple[int, int, str]]] = {}
        for chromosome, start, end, gene in rows:
            by.setdefault(bare(chromosome), []).append((start, end, gene))
        for chromosome, regions in by.items():
            regions.sort()
            reach, furthest = 0, []
            for _, end, _ in regions:
                reach = max(reach, end)
                furthest.append(reach)
            self._of[chromosome] = ([r[0] for r in regions], [r[1] for r in regions], furthest, [r[2] for r in regions])

    def genes_at(self, chromosome: str, first: int, last: int) -> tuple[str, ...]:
        """Genes whose regions overlap the bases from ``first`` to ``last``, sorted."""
        starts, ends, furthest, genes = self._of.get(bare(chromosome), ([], [], [], []))
        found = set()
        k = bisect_right(starts, last) - 1
        while k >= 0 and furthest[k] >= first:
            if ends[k] >= first:
                found.add(genes[k])
            k -= 1
        return tuple(sorted(found))


def read_regions(path: Path) -> Regions:
    """Regions of a BED file (start counted from 0, end outside, gene in column 4) or of a table with a header:
    ``chrom, start, end, gene`` or ``region, gene`` (counted from 1, end inside). Raises :class:`DataError`."""
    bed = path.name.lower().removesuffix(".gz").endswith(".bed")
    rows: list[tuple[str, int, int, str]] = []
    names: list[str] | None = None
    for number, raw in lines_of(path):
        place = f"{path.name}, line {number}"
        line = text_of(raw, place).lstrip("\ufeff")
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        cells = [c.strip().strip('"') for c in line.split("\t" if "\t" in line else ("," if not bed else None))]
        if bed:
            if len(cells) < 4:
                raise DataError(f"{place}: expected chrom, start, end and gene; found {len(cells)} column(s).")
            rows.append(_row(cells[0], cells[1], cells[2], cells[3], place, zero=True))
        elif names is None:
            names = [c.lower() for c in cells]
            if not ({"chrom", "start", "end", "gene"} <= set(names) or {"region", "gene"} <= set(names)):
                raise DataError(f"{place}: expected a header with chrom, start, end and gene, or with region and gene.")
        elif len(cells) != len(names):
            raise DataError(f"{place}: {len(cells)} columns, and the header has {len(names)}.")
        else:
            of = dict(zip(names, cells, strict=True))
            if "region" in of:
                m = _REGION.match(of["region"])
                if m is None:
                    raise DataError(f"{place}: expected a region such as chr1:1000-2000.")
                of.update(chrom=m[1], start=m[2].replace(",", ""), end=m[3].replace(",", ""))
            rows.append(_row(of["chrom"], of["start"], of["end"], of["gene"], place, zero=False))
    if not rows:
        raise DataError(f"{path.name} holds no region.")
    return Regions(rows)


def _row(chromosome: str, start: str, end: str, gene: str, place: str, *, zero: bool) -> tuple[str, int, int, str]:
    if not all(x.isascii() and x.isdigit() and len(x) <= _MOST_DIGITS for x in (start, end)):
        raise DataError(f"{place}: start and end of a region are whole numbers.")
    first, last = int(start) + zero, int(end)
    if first > last or not gene or not chromosome:
        raise DataError(f"{place}: a region ends after its start and has a chromosome and a gene.")
    return chromosome, first, last, gene


def read_gene_sets(path: Path) -> dict[str, frozenset[str]]:
    """Set -> its genes, of a GMT file: name, description, genes, separated by tabs. Raises :class:`DataError`."""
    out: dict[str, frozenset[str]] = {}
    for number, raw in lines_of(path):
        place = f"{path.name}, line {number}"
        line = text_of(raw, place)
        if not line.strip():
            continue
        cells = [c.strip() for c in line.split("\t")]
        genes = frozenset(c for c in cells[2:] if c)
        if not cells[0] or not genes:
            raise DataError(f"{place}: expected a set's name, its description and its genes, separated by tabs.")
        if cells[0] in out:
            raise DataError(f"{place}: the set '{cells[0]}' stands in an earlier line too.")
        out[cells[0]] = genes
    if not out:
        raise DataError(f"{path.name} holds no gene set.")
    return out
