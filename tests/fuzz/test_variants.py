"""Files of variants, damaged: dosages and burdens stay possible, or one error names the file and the line."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cohortium.errors import CohortiumError
from cohortium.sources.variants.lines import lines_of
from cohortium.sources.variants.regions import read_gene_sets, read_regions
from tests.fuzz.mangle import damaged, folder, fuzz, nasty, put
from tests.sources.test_variants import ROWS, maf
from tests.sources.variant_files import bgzip, plink, read, simulated

IDS = ("p0", "p1", "p2", "p3")
VCF = simulated(n=4, lines=5).encode()
MAF = maf(ROWS).encode()
BED = b"chr1\t99\t120\tA\nchr1\t110\t130\tB\n2\t0\t9\tC\n"
TABLE = b"region,gene\nchr1:100-120,A\n1:111-130,B\n"
SETS = b"one\tx\tA\tB\ntwo\thttp\tC\tnone\n"


def checked(at: Path, file: str, most: float, **source: Any) -> None:
    """Read; a feature of a unit is unknown, or a whole number from 0 to ``most``."""
    pd.DataFrame({"id": list(source.pop("ids", IDS))}).to_csv(at / "units.csv", index=False)
    try:
        table: Any = read(at, file, **source).cohort.modalities["dna"]
    except CohortiumError as e:
        assert str(e).strip() and not re.search(r"\bp[0-3]\b|stranger", str(e)), e
        return
    assert set(table.units) <= {*IDS, "a", "b", "c", "d"} and table.features.index.is_unique
    x = table.values[~np.isnan(table.values)]
    assert (x >= 0).all() and (x <= most).all() and (x == np.round(x)).all()


@fuzz(120)
@given(damaged(VCF, b"\t"), st.sampled_from(["", "gzip", "bgzip"]), st.sampled_from(["gene", "variant"]), st.booleans())
def test_vcf(raw: bytes, packed: str, level: str, filtered: bool) -> None:
    how = {"": lambda r: r, "gzip": gzip.compress, "bgzip": bgzip}[packed]
    filters = {"min_quality": 1, "max_frequency": 0.9, "consequences": ["*"]} if filtered else {}
    with folder() as here:
        put(Path(here) / "v.vcf", how(raw))
        # At most 16 copies an allele, three alleles a line, and no line gives more genes than it has effects.
        checked(Path(here), "v.vcf", 16 * 3 * (raw.count(b"\n") + 1), level=level, **filters)


@fuzz(40)
@given(damaged(bgzip(VCF), most=2))
def test_vcf_of_damaged_blocks(raw: bytes) -> None:
    with folder() as here:
        put(Path(here) / "v.vcf.gz", raw)
        checked(Path(here), "v.vcf.gz", 1000, level="variant")


@fuzz(60)
@given(damaged(MAF, b"\t"), st.sampled_from(["gene", "variant"]), st.booleans(), damaged(b"a-01\nb-01\nq-01\n"))
def test_maf(raw: bytes, level: str, listed: bool, who: bytes) -> None:
    more: dict[str, Any] = {"sequenced": "who.txt"} if listed else {}
    with folder() as here:
        put(Path(here) / "m.maf", raw)
        put(Path(here) / "who.txt", who)
        checked(
            Path(here),
            "m.maf",
            raw.count(b"\n") + 1,
            level=level,
            ids="abcd",
            id_rule={"split": "-"},
            max_frequency=0.5,
            frequency="gnomAD_AF",
            **more,
        )


@fuzz(60)
@given(st.data(), st.sampled_from(["bed", "bim", "fam"]), st.booleans())
def test_plink(data: st.DataObject, spoilt: str, genes: bool) -> None:
    with folder() as here:
        at = Path(here)
        plink(at, [[0, 1, 2, -1], [2, 2, 0, 1]], list(IDS), [("1", 105, "T", "C"), ("2", 5, "G", "A")])
        file = at / f"g.{spoilt}"
        put(file, data.draw(damaged(file.read_bytes(), None if spoilt == "bed" else b"\t")))
        put(at / "r.bed", BED)
        more: dict[str, Any] = {"genes": "r.bed"} if genes else {"level": "variant"}
        checked(at, "g.bed", 4, **more)


@fuzz(50)
@given(damaged(BED, b"\t"), damaged(TABLE, b","), damaged(SETS, b"\t"))
def test_regions_and_sets(bed: bytes, table: bytes, sets: bytes) -> None:
    with folder() as here:
        for name, raw, reader in (
            ("r.bed", bed, read_regions),
            ("r.csv", table, read_regions),
            ("s.gmt", sets, read_gene_sets),
        ):
            path = put(Path(here) / name, raw)
            try:
                found: Any = reader(path)
            except CohortiumError as e:
                assert name in str(e)
                continue
            if reader is read_gene_sets:
                assert found and all(name.strip() and genes for name, genes in found.items())
            else:
                assert len(found.genes_at("1", 1, 10**12)) <= raw.count(b"\n") + raw.count(b"\r") + 1


@fuzz(60)
@given(st.one_of(st.binary(max_size=200), damaged(gzip.compress(VCF, mtime=0), most=2), nasty().map(str.encode)))
def test_lines(raw: bytes) -> None:
    with folder() as here:
        path = put(Path(here) / "x.gz", raw)
        try:
            found = list(lines_of(path))
        except CohortiumError as e:
            assert "x.gz" in str(e)
            return
    assert [n for n, _ in found] == list(range(1, len(found) + 1)) and not any(
        line.endswith(b"\n") for _, line in found
    )
