"""Declaration of a modality of genetic variants."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration, IdRule

_ENDINGS = {".vcf": "vcf", ".maf": "maf", ".txt": "maf", ".tsv": "maf", ".bed": "plink"}


class VariantsSource(Declaration):
    """A modality of variants, read line by line: alternate alleles counted by gene, or the dosage of each variant.

    Everything that is filtered on stands in the file; nothing is learned from the cohort's units.
    """

    shape: Literal["variants"]
    file: str = Field(
        description="VCF or MAF (plain, .gz, bgzipped), or the .bed of PLINK with .bim and .fam beside it"
    )
    format: Literal["auto", "vcf", "maf", "plink"] = "auto"
    level: Literal["gene", "variant"] = Field("gene", description="what is a feature: burden of a gene, or dosage")
    of: Literal["patient", "unit"] = Field("patient", description="whether samples name patients or units")
    id_rule: IdRule = IdRule()
    pass_only: bool = Field(True, description="only variants whose FILTER is PASS, or not given")
    min_quality: float | None = Field(None, ge=0, description="VCF: least QUAL; variants without one are left out")
    consequences: list[str] = Field(
        default_factory=list,
        description="patterns such as missense*: of INFO ANN or CSQ (VCF), of Variant_Classification (MAF)",
    )
    max_frequency: float | None = Field(
        None, gt=0, le=1, description="leave out commoner variants; those without a frequency are kept"
    )
    frequency: str = Field("AF", description="which INFO key, field of CSQ or column of the MAF holds the frequency")
    genes: str | None = Field(
        None, description="BED file, or CSV with chrom, start, end, gene (or region, gene): for files without genes"
    )
    gene_sets: str | None = Field(None, description="GMT file: burden of each gene set too")
    sequenced: str | None = Field(
        None, description="MAF: text file, an id a line, of everybody sequenced; those without a mutation have zeros"
    )
    absent_reason: Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"] = "not_measured"

    @model_validator(mode="after")
    def _complete(self) -> VariantsSource:
        kind = self.kind
        if kind is None:
            raise ValueError("the format is not known from the name: say format: vcf, maf or plink")
        if self.gene_sets is not None and self.level != "gene":
            raise ValueError("gene_sets are for level: gene")
        if kind != "vcf" and self.min_quality is not None:
            raise ValueError("min_quality is for VCF files")
        if kind == "plink" and (self.consequences or self.max_frequency is not None):
            raise ValueError("PLINK files hold neither consequences nor frequencies: filter them before")
        if kind == "plink" and self.level == "gene" and self.genes is None:
            raise ValueError("PLINK files hold no genes: give genes, the regions of each, or level: variant")
        if kind == "maf" and self.genes is not None:
            raise ValueError("a MAF names the gene of each row: leave out genes")
        if kind != "maf" and self.sequenced is not None:
            raise ValueError("sequenced is for MAF files: others name everybody")
        return self

    @property
    def kind(self) -> str | None:
        """``vcf``, ``maf`` or ``plink``; None when neither the declaration nor the file's name says."""
        if self.format != "auto":
            return self.format
        name = self.file.lower().removesuffix(".gz").removesuffix(".bgz")
        return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)

    @property
    def paths(self) -> list[str]:
        """The file that has to be there."""
        return [self.file]
