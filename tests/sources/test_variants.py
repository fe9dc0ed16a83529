"""Variants: counts against a recount line by line, every kind of genotype, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cohortium.errors import DataError
from cohortium.schema.variants import VariantsSource
from cohortium.sources.variants.regions import Regions, read_gene_sets, read_regions
from cohortium.sources.variants.vcf import Filters, VcfFile
from tests.sources.variant_files import META, bgzip, frame, plink, read, simulated, vcf, write

IDS = tuple(f"p{i}" for i in range(8))
PEOPLE = ["a", "b", "c", "d"]


def recount(text: str, level: str, quality: float | None = None, terms: set[str] | None = None, most: float | None = None) -> pd.DataFrame:  # fmt: skip
    """The same from the text, written as plainly as can be."""
    out: dict[str, dict[str, float]] = {}
    called: dict[str, set[str]] = {}
    samples: list[str] = []
    for line in text.splitlines():
        if line.startswith("##"):
            continue
        cells = line.split("\t")
        if line.startswith("#"):
            samples = cells[9:]
            continue
        chrom, pos, _, ref, alt, qual, passed, info = cells[:8]
        if passed not in ("PASS", ".") or (quality is not None and (qual == "." or float(qual) < quality)):
            continue
        of = dict(p.split("=") for p in info.split(";"))
        for k, a in enumerate(alt.split(",")):
            ann = next(x.split("|") for x in of["ANN"].split(",") if x.split("|")[0] == a)
            if a == "*" or (terms and not set(ann[1].split("&")) & terms):
                continue
            if most is not None and float(of["AF"].split(",")[k]) > most:
                continue
            feature = ann[3] if level == "gene" else f"{chrom}:{pos}:{ref}>{a}"
            for s, call in zip(samples, cells[9:], strict=True):
                if s not in IDS:
                    continue
                alleles = call.split(":")[0].replace("|", "/").split("/")
                copies = sum(x == str(k + 1) for x in alleles)
                out.setdefault(s, {}).setdefault(feature, 0)
                if copies or "." not in alleles:
                    out[s][feature] += copies
                    called.setdefault(s, set()).add(feature)
    table = pd.DataFrame(out).T.reindex([i for i in IDS if i in out])
    for s in table.index:
        table.loc[s, [f for f in table.columns if f not in called[s]]] = np.nan
    return table


@pytest.mark.parametrize("level", ["gene", "variant"])
@pytest.mark.parametrize(
    "filters",
    [{}, {"min_quality": 10}, {"consequences": ["MISSENSE*", "stop_gained"]}, {"max_frequency": 0.1}],
    ids=["all", "quality", "consequences", "frequency"],
)
def test_table_equals_a_recount_line_by_line(tmp_path: Path, level: str, filters: dict[str, Any]) -> None:
    text = simulated()
    write(tmp_path, text, ids=IDS)
    found = frame(tmp_path, level=level, **filters)
    terms = {"missense_variant", "stop_gained"} if "consequences" in filters else None
    wanted = recount(text, level, filters.get("min_quality"), terms, filters.get("max_frequency"))
    wanted = wanted.loc[:, (wanted > 0).any()] if level == "variant" else wanted[sorted(wanted)]
    assert found.shape[1] > 2
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_compressed_files_give_the_same(tmp_path: Path) -> None:
    raw = simulated().encode()
    write(tmp_path, raw, ids=IDS)
    plain = frame(tmp_path)
    write(tmp_path, raw, "z.vcf.gz", ids=IDS)
    (tmp_path / "b.vcf.gz").write_bytes(bgzip(raw))
    (tmp_path / "crlf.vcf").write_bytes(raw.replace(b"\n", b"\r\n"))
    for name in ("z.vcf.gz", "b.vcf.gz", "crlf.vcf"):
        pd.testing.assert_frame_equal(frame(tmp_path, name), plain)


def test_every_kind_of_genotype(tmp_path: Path) -> None:
    lines = [
        "chrX 10 . C T,G . . . GT 0|1 2/1 ./. 1",
        "chrX 11 . C T . . . DP:GT 3:. 5:./1 4:0/. 9",
        "chrX 12 . C <DEL> . . END=99 GT 1/1 0/0 .|. 0/1",
        "chrX 13 . C . . . . GT 0/0 0/0 0/0 0/0",
        "chrX 14 . C T . q10 . GT 1/1 1/1 1/1 1/1",
        "chrX 15 . C T . . . GT 0/0 0/0 0/0 0/0",
    ]
    write(tmp_path, vcf(PEOPLE, lines))
    found = frame(tmp_path, level="variant")
    nan = np.nan
    wanted = {
        "chrX:10:C>T": [1, 1, nan, 1], "chrX:10:C>G": [0, 1, nan, 0], "chrX:11:C>T": [nan, 1, nan, nan],
        "chrX:12:C><DEL>:99": [2, 0, nan, 1],
    }  # fmt: skip
    # c has no genotype at all: its sample failed.
    pd.testing.assert_frame_equal(found, pd.DataFrame(wanted, index=PEOPLE).drop(index="c"), check_dtype=False)
    result = read(tmp_path, level="variant", pass_only=False)
    assert list(result.cohort.modalities["dna"].features.index)[-1] == "chrX:14:C>T"
    assert frame(tmp_path, level="variant").shape[1] == 4
    note = " ".join(read(tmp_path, level="variant").notes["dna"])
    assert "1 variant(s) that nobody" in note and "1 unit(s) without a single genotype" in note
    assert dict(read(tmp_path, level="variant").cohort.absent["dna"])["c"] == "failed_qc"


def test_who_is_in_no_column_lacks_the_modality_and_strangers_are_counted(tmp_path: Path) -> None:
    write(tmp_path, vcf(["b", "x", "a", "y"], ["1 10 . C T . . . GT 0/1 1/1 0/0 1/1"]))
    result = read(tmp_path, level="variant", absent_reason="not_at_site")
    assert result.unmatched == {"dna": 2}
    assert list(result.cohort.absent["dna"]) == ["present", "present", "not_at_site", "not_at_site"]
    assert list(frame(tmp_path, level="variant")["1:10:C>T"]) == [0, 1]


def test_samples_of_patients_go_to_all_their_units(tmp_path: Path) -> None:
    write(tmp_path, vcf(["P2-x", "P1-x"], ["1 10 . C T . . . GT 0/1 1/1"]))
    pd.DataFrame({"id": ["u1", "u2", "u3"], "p": ["P1", "P2", "P1"]}).to_csv(tmp_path / "units.csv", index=False)
    found = frame(tmp_path, level="variant", units={"patient": "p"}, id_rule={"split": "-"})
    assert list(found["1:10:C>T"]) == [2, 1, 2]
    with pytest.raises(DataError, match=r"no sample of modality 'dna'.*Try id_rule"):
        frame(tmp_path, level="variant", units={"patient": "p"})


def test_vep_alleles_and_frequencies(tmp_path: Path) -> None:
    meta = (
        META
        + '##INFO=<ID=CSQ,Number=.,Type=String,Description="VEP. Format: Allele|Consequence|SYMBOL|Gene|gnomADe_AF">\n'
    )
    csq = "CSQ=-|frameshift_variant|AA|E1|0.2,TT|missense_variant|BB|E2|,-|intron_variant|CC|E3|0.01"
    write(tmp_path, vcf(PEOPLE, [f"1 10 . CA C,CTT . . {csq} GT 0/1 1/1 2/2 0/0"], meta))
    assert frame(tmp_path).to_dict("list") == {"AA": [1, 2, 0, 0], "BB": [0, 0, 2, 0], "CC": [1, 2, 0, 0]}
    assert list(frame(tmp_path, max_frequency=0.1, frequency="gnomADe_AF")) == ["BB"]
    found = read(tmp_path, consequences=["missense*", "mis_typed"])
    assert "no consequence in v.vcf fits 'mis_typed'" in " ".join(found.notes["dna"])
    with pytest.raises(DataError, match="declares no frequency 'gnomAD'"):
        frame(tmp_path, max_frequency=0.1, frequency="gnomAD")
    assert "it knows the units" in " ".join(read(tmp_path, max_frequency=0.1).notes["dna"])


def test_regions_and_gene_sets(tmp_path: Path) -> None:
    (tmp_path / "g.bed").write_text("track\nchr1\t99\t120\tA\nchr1\t110\t130\tB\n2\t0\t9\tC\n")
    (tmp_path / "g.csv").write_text("chrom,start,end,gene\n1,100,120,A\n1,111,130,B\n2,1,9,C\n")
    (tmp_path / "r.csv").write_text('region,gene\nchr1:100-120,A\n1:111-130,B\n"2:1-9",C\n')
    (tmp_path / "s.gmt").write_text("one\tx\tA\tB\ntwo\thttp\tC\tnone\n")
    lines = [
        "1 99 . CA C . . . GT 1/1 0/0 0/0 0/0",
        "1 115 . C T . . . GT 0/1 ./. 0/0 0/0",
        "1 121 . C T . . . GT 0/1 0/0 0/1 0/0",
        "2 10 . C T . . . GT 1/1 1/1 1/1 1/1",
        "chr2 9 . C T . . . GT 0/0 0/0 0/0 0/1",
    ]
    write(tmp_path, vcf(PEOPLE, lines, META.replace("ID=ANN", "ID=NONE")))
    for genes in ("g.bed", "g.csv", "r.csv"):
        found = frame(tmp_path, genes=genes, gene_sets="s.gmt")
        wanted = {
            "A": [3, 0, 0, 0],
            "B": [2, 0, 1, 0],
            "C": [0, 0, 0, 1],
            "set:one": [4, 0, 1, 0],
            "set:two": [0, 0, 0, 1],
        }
        assert found.to_dict("list") == wanted, genes
    assert {p.name for p in read(tmp_path, genes="g.bed", gene_sets="s.gmt").files} >= {"g.bed", "s.gmt", "v.vcf"}
    with pytest.raises(DataError, match="names no genes"):
        read(tmp_path)
    with pytest.raises(DataError, match="no consequences"):
        read(tmp_path, level="variant", consequences=["missense*"])


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 25)), max_size=12), st.integers(1, 80), st.integers(0, 9))
def test_regions_equal_a_plain_search(spans: list[tuple[int, int]], first: int, more: int) -> None:
    rows = [("1", s, s + w, f"g{k}") for k, (s, w) in enumerate(spans)]
    wanted = sorted(g for _, s, e, g in rows if s <= first + more and e >= first)
    assert list(Regions(rows).genes_at("chr1", first, first + more)) == wanted


MAF = "#version 2.4\nHugo_Symbol\tChromosome\tStart_Position\tReference_Allele\tTumor_Seq_Allele2\tVariant_Classification\tTumor_Sample_Barcode\tFILTER\tgnomAD_AF\n"  # fmt: skip
ROWS = [
    "TP53 17 100 C T Missense_Mutation a-01 PASS .",
    "TP53 17 100 C T Missense_Mutation a-06 PASS .",
    "TP53 17 105 C T Nonsense_Mutation a-01 PASS 0.2",
    "KRAS 12 7 G - Frame_Shift_Del b-01 . 0.0001",
    "KRAS 12 8 G A Silent c-01 PASS .",
    "KRAS 12 9 G A Missense_Mutation b-01 germline .",
    "Unknown 9 9 G A IGR b-01 PASS .",
    "KRAS 12 8 G A Silent z-01 PASS .",
]


def maf(rows: list[str] = ROWS) -> str:
    return MAF + "".join("\t".join(r.split()) + "\n" for r in rows)


def test_maf(tmp_path: Path) -> None:
    write(tmp_path, maf(), "m.maf.gz")
    rule = {"split": "-"}
    found = frame(tmp_path, "m.maf.gz", id_rule=rule, consequences=["*_Mutation", "Frame_Shift*"])
    # c is known to be sequenced by its silent mutation; nobody knows of d.
    pd.testing.assert_frame_equal(
        found, pd.DataFrame({"KRAS": [0, 1, 0], "TP53": [2, 0, 0]}, index=["a", "b", "c"]), check_dtype=False
    )
    result = read(tmp_path, "m.maf.gz", id_rule=rule)
    assert result.unmatched == {"dna": 1}
    (tmp_path / "who.txt").write_text("a-01\nb-01\nc-01\nd-01\nq-01\n")
    found = frame(tmp_path, "m.maf.gz", id_rule=rule, sequenced="who.txt", max_frequency=0.01, frequency="gnomad_af")
    assert found.to_dict("list") == {"KRAS": [0, 1, 1, 0], "TP53": [1, 0, 0, 0]}
    by_variant = frame(tmp_path, "m.maf.gz", id_rule=rule, level="variant")
    assert list(by_variant) == ["17:100:C>T", "17:105:C>T", "12:7:G>-", "12:8:G>A", "9:9:G>A"]
    assert list(by_variant["17:100:C>T"]) == [1, 0, 0]


def test_plink(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ids = [f"p{i}" for i in range(7)]
    dosage = rng.integers(-1, 3, (9, 7))
    loci = [("1", 10 * k + 5, "T", "C") for k in range(9)]
    plink(tmp_path, dosage, ids, loci)
    pd.DataFrame({"id": ids[::-1][:5]}).to_csv(tmp_path / "units.csv", index=False)
    found = frame(tmp_path, "g.bed", level="variant")
    wanted = np.where(dosage == -1, np.nan, dosage).T[::-1][:5]
    np.testing.assert_array_equal(found, wanted)
    assert next(iter(found)) == "1:5:C>T"
    (tmp_path / "genes.csv").write_text("region,gene\n1:1-30,A\n1:31-99,B\n")
    burden = frame(tmp_path, "g.bed", genes="genes.csv")
    known = dosage.clip(0).T[::-1][:5]
    np.testing.assert_array_equal(
        burden["A"], np.where((dosage == -1).T[::-1][:5, :3].all(1), np.nan, known[:, :3].sum(1))
    )
    raw = (tmp_path / "g.bed").read_bytes()
    for bad, said in (
        (raw[:-1], "bytes"),
        (b"\x6c\x1b\x00" + raw[3:], "one after the other"),
        (b"chr1\t5\t6\n", "no PLINK"),
    ):
        (tmp_path / "g.bed").write_bytes(bad)
        with pytest.raises(DataError, match=said):
            frame(tmp_path, "g.bed", level="variant")
    (tmp_path / "g.bed").write_bytes(raw)
    (tmp_path / "g.fam").unlink()
    with pytest.raises(DataError, match=r"No file 'g\.fam'"):
        frame(tmp_path, "g.bed", level="variant")


def test_new_files_are_brought_to_the_features_of_training(tmp_path: Path) -> None:
    write(tmp_path, vcf(PEOPLE, ["1 10 . C T . . . GT 0/1 1/1 0/0 0/0", "1 11 . C T . . . GT 0/1 1/1 0/0 0/0"]))
    features = read(tmp_path, level="variant").cohort.modalities["dna"].features
    write(tmp_path, vcf(["a"], ["1 11 . C T . . . GT 0/0", "1 12 . C T . . . GT 1/1"]), ids=("a",))
    found = frame(tmp_path, level="variant", expected={"dna": features}, units_optional=True)
    np.testing.assert_array_equal(found, [[np.nan, 0]])
    assert list(found) == list(features.index)
    # A gene in which nothing passes has no burden.
    ann = "ANN=T|missense_variant|X|G9|E"
    write(tmp_path, vcf(["a"], [f"1 12 . C T . . {ann} GT 1/1"]), ids=("a",))
    one = pd.DataFrame({"kind": "numeric", "levels": None, "id_space": "symbol", "unit": ""}, index=["G1", "G9"])
    np.testing.assert_array_equal(frame(tmp_path, expected={"dna": one}, units_optional=True), [[0, 2]])


GOOD = "1 10 . C T 50 PASS AF=0.1 GT:DP 0/1:3 1/1:3 0/0:3 ./.:3"
HOSTILE = {
    "empty": (b"", "is empty"),
    "not a VCF": (b"id,x\n1,2\n", "no VCF file.*line 1"),
    "BCF": (b"BCF\x02\x02rest", "BCF file.*bcftools view"),
    "no header line": (META.encode() + b"1\t2\t3\n", "no header line #CHROM"),
    "meta only": (META.encode(), "no header line #CHROM"),
    "no samples": (vcf([], ["1 10 . C T . . . GT"]).encode(), "line 6: there is no column of a sample"),
    "other columns": (vcf(PEOPLE, [GOOD]).replace("\tREF", "\tBASE").encode(), "line 6: expected the columns"),
    "duplicate samples": (vcf(["a", "b", "a", "d"], [GOOD]).encode(), "line 6.*column 12 has the name of an earlier"),
    "short line": (vcf(PEOPLE, [GOOD, "1 11 . C T . . . GT 0/0"]).encode(), "line 8: 10 columns; expected 13"),
    "no GT": (vcf(PEOPLE, [GOOD.replace("GT:DP", "AD:DP")]).encode(), "line 7: FORMAT has no GT"),
    "position": (vcf(PEOPLE, [GOOD.replace(" 10 ", " ten ")]).encode(), "line 7: POS is no whole number"),
    "quality": (vcf(PEOPLE, [GOOD.replace(" 50 ", " good ")]).encode(), "line 7: QUAL is no number"),
    "genotype": (vcf(PEOPLE, [GOOD.replace("0/1", "0/x")]).encode(), "line 7, column 10: no genotype"),
    "allele": (vcf(PEOPLE, [GOOD.replace("1/1", "2/1")]).encode(), "line 7, column 11: .*ALT does not have"),
    "twice": (vcf(PEOPLE, [GOOD, GOOD]).encode(), "line 8: this variant stands in an earlier line"),
    "twice, apart": (vcf(PEOPLE, [GOOD, GOOD.replace(" 10 ", " 11 "), GOOD]).encode(), "there twice"),
    "latin-1": (vcf(PEOPLE, [GOOD]).replace("AF=0.1", "X=é").encode("latin-1"), "line 7 is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "said"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["v.vcf", "v.vcf.gz"])
def test_hostile_files_are_refused_with_file_and_line(tmp_path: Path, raw: bytes, said: str, name: str) -> None:
    write(tmp_path, raw, name)
    with pytest.raises(DataError, match=said if raw or name == "v.vcf" else "no VCF") as e:
        read(tmp_path, name, level="variant")
    assert "v.vcf" in str(e.value) or "1:10:C>T" in str(e.value)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, simulated(), ids=IDS)
    raw = simulated().encode()
    packed = gzip.compress(raw)
    blocks = bgzip(raw)
    for cut in (packed[:-20], packed[: len(packed) // 2], packed[:-4] + b"abcd", blocks[:-28], blocks[:-40]):
        (tmp_path / "z.vcf.gz").write_bytes(cut)
        with pytest.raises(DataError, match=r"z\.vcf\.gz is truncated"):
            read(tmp_path, "z.vcf.gz")


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path, simulated(), ids=IDS)
    write(tmp_path / "in", "", "x.vcf", ids=IDS)
    (tmp_path / "in" / "x.vcf").unlink()
    (tmp_path / "in" / "x.vcf").symlink_to(tmp_path / "v.vcf")
    with pytest.raises(DataError, match=r"x\.vcf leads out of its folder"):
        read(tmp_path / "in", "x.vcf")


def test_complaints_name_no_sample(tmp_path: Path) -> None:
    people = ["secret-1", "secret-2", "secret-2x", "secret-4"]
    cases = [
        (vcf([*people[:3], "secret-1"], [GOOD]), {}),
        (vcf(people, [GOOD.replace("0/1", "0/x")]), {}),
        (vcf(people, [GOOD]), {"id_rule": {"first": 8}}),
        (vcf(people, [GOOD]), {"id_rule": {"split": "-", "part": 7}}),
    ]
    for text, source in cases:
        write(tmp_path, text, ids=("secret-1", "secret-2", "secret-"))
        with pytest.raises(DataError) as e:
            read(tmp_path, level="variant", **source)
        assert "secret" not in str(e.value)
    write(tmp_path, vcf(people, [GOOD]), ids=("other-1", "other-2"))
    with pytest.raises(DataError, match="no sample") as e:
        read(tmp_path, level="variant")
    assert "secret" not in str(e.value)


MAF_HOSTILE = {
    "no header": ("#version\n", "has no header"),
    "column": (maf().replace("Hugo_Symbol", "Gene"), "no column 'hugo_symbol'"),
    "short": (maf() + "TP53\t17\n", "line 11: 2 columns; expected 9"),
    "position": (maf([ROWS[0].replace("100", "x")]), "line 3: Start_Position"),
    "sample": (maf([]) + "TP53\t17\t100\tC\tT\tSilent\t\tPASS\t.\n", "line 3: no Tumor_Sample_Barcode"),
    "frequency": (maf([ROWS[0][:-1] + "x"]), "line 3: gnomAD_AF is no number"),
}


@pytest.mark.parametrize(("text", "said"), MAF_HOSTILE.values(), ids=MAF_HOSTILE)
def test_hostile_maf(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text, "m.maf")
    with pytest.raises(DataError, match=said):
        read(tmp_path, "m.maf", id_rule={"split": "-"}, max_frequency=0.1, frequency="gnomAD_AF")


def test_hostile_regions_and_sets(tmp_path: Path) -> None:
    for name, text, said in [
        ("g.bed", "1\t5\t6\n", "line 1: expected chrom"), ("g.bed", "1\t5\tx\tA\n", "line 1: start and end"),
        ("g.bed", "1\t9\t3\tA\n", "line 1: a region ends"), ("g.csv", "a,b\n", "line 1: expected a header"),
        ("g.csv", "region,gene\n1-2,A\n", "line 2: expected a region"), ("g.csv", "region,gene\n", "holds no region"),
        ("g.csv", "region,gene\n1:1-2\n", "line 2: 1 columns"),
    ]:  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=said):
            read_regions(tmp_path / name)
    for text, said in [("a\tb\n", "line 1"), ("a\tb\tG\na\tb\tG\n", "line 2.*earlier"), ("\n", "no gene set")]:
        (tmp_path / "s.gmt").write_text(text)
        with pytest.raises(DataError, match=said):
            read_gene_sets(tmp_path / "s.gmt")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"file": "x.bin"}, "format is not known"),
        ({"file": "x.vcf", "level": "variant", "gene_sets": "s.gmt"}, "gene_sets"),
        ({"file": "x.maf", "min_quality": 3}, "min_quality"),
        ({"file": "x.bed"}, "hold no genes"),
        ({"file": "x.bed", "level": "variant", "max_frequency": 0.1}, "neither"),
        ({"file": "x.maf", "genes": "g.bed"}, "names the gene"),
        ({"file": "x.vcf.gz", "sequenced": "s.txt"}, "for MAF"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(source: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        VariantsSource(shape="variants", **source)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_vcf_raises_nothing_but_a_data_error(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(simulated(n=4, lines=6).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(raw) - 1))
        junk = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b"\t", b"\n", b"|", b"/", b",", b".", b"=", b";", b":"]))
        )
        raw[at : at + data.draw(st.integers(0, 4))] = junk
    if data.draw(st.booleans()):
        raw = bytearray(gzip.compress(bytes(raw)))
        raw[data.draw(st.integers(10, len(raw) - 1))] ^= data.draw(st.integers(0, 255))
    write(tmp_path, bytes(raw), "f.vcf", ids=IDS)
    level = data.draw(st.sampled_from(["gene", "variant"]))
    try:
        found = frame(tmp_path, "f.vcf", level=level, min_quality=1, max_frequency=0.9, consequences=["*"])
    except DataError:
        return
    assert (found.fillna(0) >= 0).to_numpy().all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.sampled_from(["f.vcf", "f.maf", "f.bed", "g.csv", "s.gmt"]))
def test_any_bytes_raise_nothing_but_a_data_error(tmp_path: Path, raw: bytes, name: str) -> None:
    plink(tmp_path, [[0, 1]], ["a", "b"], [("1", 5, "T", "C")])
    (tmp_path / "g.bim").rename(tmp_path / "f.bim")
    (tmp_path / "g.fam").rename(tmp_path / "f.fam")
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError):
        if name.startswith("f."):
            read(tmp_path, name, level="variant")
        elif name == "g.csv":
            read_regions(tmp_path / name)
        else:
            read_gene_sets(tmp_path / name)
            raise DataError("any bytes may be a set")


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_lines(tmp_path: Path) -> None:
    peaks = []
    for lines in (2000, 20000):
        one = "ANN=T|missense_variant|X|G1|E"
        write(tmp_path, vcf(PEOPLE, [f"1 {k} . C T . . {one} GT 0/1 1/1 0/0 ./." for k in range(1, lines)]))
        file = VcfFile(tmp_path / "v.vcf")
        tracemalloc.start()
        total = sum(int(v.dosage.clip(0).sum()) for v in file.variants(np.arange(4), Filters()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == 3 * (lines - 1)
    assert peaks[1] < 1.2 * peaks[0] + 50_000
