"""Small files of variants, and a reader of them."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.schema.declare import UnitsSource
from cohortium.schema.variants import VariantsSource
from cohortium.sources import ReadResult, read_cohort

META = """##fileformat=VCFv4.3
##FILTER=<ID=q10,Description="Quality below 10">
##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">
##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations: 'Allele | Annotation | Annotation_Impact | Gene_Name | Gene_ID'">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""
FIXED = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"


def vcf(samples: list[str], lines: list[str], meta: str = META) -> str:
    """A VCF of lines whose blanks stand for tabs."""
    body = "".join("\t".join(line.split()) + "\n" for line in lines)
    return meta + FIXED + "".join(f"\t{s}" for s in samples) + "\n" + body


def write(folder: Path, text: str | bytes, name: str = "v.vcf", ids: tuple[str, ...] = ("a", "b", "c", "d")) -> None:
    """The file, gzipped where its name says so, and ``units.csv``."""
    raw = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    pd.DataFrame({"id": ids}).to_csv(folder / "units.csv", index=False)


def read(folder: Path, file: str = "v.vcf", units: dict[str, Any] | None = None, **source: Any) -> ReadResult:
    """Read the modality ``dna``; keywords of :class:`VariantsSource`, and of ``read_cohort``."""
    more = {k: source.pop(k) for k in ("expected", "units_optional") if k in source}
    declared = {"dna": VariantsSource(shape="variants", file=file, **source)}
    return read_cohort(UnitsSource(file="units.csv", id="id", **(units or {})), declared, folder, **more)


def frame(folder: Path, file: str = "v.vcf", **source: Any) -> pd.DataFrame:
    """What was read, units × features."""
    table: Any = read(folder, file, **source).cohort.modalities["dna"]
    return pd.DataFrame(table.values, index=list(table.units), columns=list(table.features.index))


def bgzip(raw: bytes, size: int = 700) -> bytes:
    """Blocks as bgzip writes them, and the empty one at the end."""
    out = b""
    for k in [*range(0, len(raw), size), None]:
        part = b"" if k is None else raw[k : k + size]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
        out += head + body + struct.pack("<II", zlib.crc32(part), len(part))
    return out


def simulated(n: int = 8, lines: int = 120, seed: int = 0) -> str:
    """A VCF with everything that a line may have, of samples ``p0``.. and strangers between them."""
    rng = np.random.default_rng(seed)
    samples = [f"p{i}" if i % 3 else f"stranger{i}" for i in range(n)]
    out = []
    for k in range(lines):
        n_alt = int(rng.integers(1, 4))
        alts = list(rng.choice(["T", "G", "CA", "CAT", "*"], n_alt, replace=False))
        terms = rng.choice(["missense_variant", "synonymous_variant", "stop_gained&splice_region_variant"], n_alt)
        genes = rng.choice(["G1", "G2", "G3"], n_alt)
        ann = ",".join(f"{a}|{t}|X|{g}|E" for a, t, g in zip(alts, terms, genes, strict=True))
        af = ",".join(f"{f:.3f}" for f in rng.uniform(0, 0.2, n_alt))
        calls = []
        for _ in range(n):
            alleles = [str(a) if a <= n_alt else "." for a in rng.integers(0, n_alt + 2, rng.choice([1, 2, 2, 2]))]
            calls.append(str(rng.choice(["/", "|"])).join(alleles) + ":7")
        quality, passed = rng.choice(["50", ".", "3"]), rng.choice(["PASS", ".", "q10"])
        info = f"AF={af};ANN={ann}"
        out.append(f"1 {100 + 5 * k} . C {','.join(alts)} {quality} {passed} {info} GT:DP {' '.join(calls)}")
    return vcf(samples, out)


def plink(folder: Path, dosage: Any, ids: list[str], loci: list[tuple[str, int, str, str]]) -> None:
    """``g.bed``, ``.bim`` and ``.fam``. dosage: (m, n) copies of the first allele, -1 = missing."""
    code = {2: 0, -1: 1, 1: 2, 0: 3}
    raw = bytearray(b"\x6c\x1b\x01")
    for row in np.asarray(dosage):
        packed = bytearray((len(ids) + 3) // 4)
        for i, d in enumerate(row):
            packed[i // 4] |= code[int(d)] << (2 * (i % 4))
        raw += packed
    (folder / "g.bed").write_bytes(bytes(raw))
    (folder / "g.bim").write_text("".join(f"{c}\trs{k}\t0\t{p}\t{a}\t{b}\n" for k, (c, p, a, b) in enumerate(loci)))
    (folder / "g.fam").write_text("".join(f"f{i}\t{s}\t0\t0\t1\t-9\n" for i, s in enumerate(ids)))
    pd.DataFrame({"id": ids}).to_csv(folder / "units.csv", index=False)
