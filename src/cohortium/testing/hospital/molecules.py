"""RNA and protein tables, and germline variants as VCF."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.testing.hospital.people import Array, People

GENES, CAUSAL_GENES, PROTEINS = 300, 12, 80
VARIANT_GENES, CAUSAL_VARIANT_GENES, SITES_PER_GENE = 30, 4, 12


def write_rna(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``rna.csv.gz``: log expression, genes in columns; some genes load on the cause, modules of others do not."""
    return _table(people, folder / "rna.csv.gz", "rna", "GENE", GENES, CAUSAL_GENES, rng)


def write_protein(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``protein.tsv``: proteins in rows, patients in columns, as such files come; none has to do with the outcome."""
    return _table(people, folder / "protein.tsv", "protein", "PROT", PROTEINS, 0, rng)


def _table(
    people: People, file: Path, modality: str, prefix: str, p: int, causal: int, rng: np.random.Generator
) -> dict[str, Any]:
    n = len(people.table)
    modules = rng.normal(size=(n, 6))
    loading = rng.normal(size=(6, p)) * (rng.random((6, p)) < 0.2)
    x = modules @ loading + rng.normal(size=(n, p))
    names = [f"{prefix}{k:03d}" for k in range(1, p + 1)]
    chosen = np.sort(rng.choice(p, causal, replace=False)) if causal else np.zeros(0, dtype=int)
    x[:, chosen] += 0.9 * people.driver[modality][:, None] * np.where(rng.random(causal) < 0.5, -1, 1)
    frame = pd.DataFrame((x + 6).round(3), columns=names, index=people.table.index)
    frame = frame.mask(rng.random((n, p)) < 0.01)[people.present[modality]]
    if file.suffix == ".tsv":
        frame.T.rename_axis("protein").to_csv(file, sep="\t")
    else:
        frame.to_csv(file, compression={"method": "gzip", "mtime": 0})
    return {"causal": [names[c] for c in chosen]}


def write_variants(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``variants.vcf.gz``, all patients in one file, and ``genes.csv``, which gene a place belongs to.

    The burden of four genes is the cause, so the patients' genotypes are drawn until they carry it.
    """
    n = len(people.table)
    frequency = rng.uniform(0.04, 0.25, (VARIANT_GENES, SITES_PER_GENE))
    causal = np.sort(rng.choice(VARIANT_GENES, CAUSAL_VARIANT_GENES, replace=False))
    dose = rng.binomial(2, frequency, size=(n, VARIANT_GENES, SITES_PER_GENE))
    # Patients are matched to genotypes by rank: the burden then is the cause, up to ties.
    burden = dose[:, causal].sum(axis=(1, 2)) + 0.01 * rng.normal(size=n)
    dose = dose[np.argsort(burden)][np.argsort(np.argsort(people.driver["variants"]))]
    names = [f"VGENE{k:02d}" for k in range(1, VARIANT_GENES + 1)]
    _write_vcf(people, folder / "variants.vcf.gz", dose, frequency, rng)
    regions = [{"chrom": str(g % 22 + 1), "start": 1_000_000 * (g + 1), "end": 1_000_000 * (g + 1) + 50_000, "gene": name}
               for g, name in enumerate(names)]  # fmt: skip
    pd.DataFrame(regions).to_csv(folder / "genes.csv", index=False)
    return {"causal": [names[c] for c in causal]}


def _write_vcf(people: People, file: Path, dose: np.ndarray, frequency: Array, rng: np.random.Generator) -> None:
    have = people.present["variants"].to_numpy()
    ids = people.table.index[have]
    lines = ["##fileformat=VCFv4.2", '##FILTER=<ID=LowQual,Description="Low quality">',
             '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency in the population">',
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">']  # fmt: skip
    lines += [f"##contig=<ID={c}>" for c in range(1, 23)]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *ids]))
    rows = []
    for g in range(dose.shape[1]):
        for s in range(dose.shape[2]):
            ref, alt = rng.choice(list("ACGT"), 2, replace=False)
            calls = np.array(["0/0", "0/1", "1/1"])[dose[have, g, s]]
            calls[rng.random(len(calls)) < 0.005] = "./."
            depth = rng.integers(8, 60, len(calls))
            fixed = [str(g % 22 + 1), str(1_000_000 * (g + 1) + 40 * s + 7), ".", ref, alt, "60", "PASS",
                     f"AF={frequency[g, s]:.3f}", "GT:DP"]  # fmt: skip
            rows.append(
                (
                    g % 22 + 1,
                    1_000_000 * (g + 1) + s,
                    "\t".join([*fixed, *(f"{c}:{d}" for c, d in zip(calls, depth, strict=True))]),
                )
            )
    lines += [text for _, _, text in sorted(rows, key=lambda r: (r[0], r[1]))]
    with file.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as out:
        out.write(("\n".join(lines) + "\n").encode())
