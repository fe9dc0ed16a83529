"""Declaration of a modality of single cells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration, IdRule, Where


class CellsSource(Declaration):
    """A modality of shape ``cells``: a matrix of cells × genes, whose cells say whose they are and perhaps what."""

    shape: Literal["cells"]
    file: str = Field(description=".h5ad or .h5mu, relative to the study file; cells are observations")
    modality: str | None = Field(None, description="which modality of an .h5mu file")
    id: str = Field(description="column of .obs: whose cell it is")
    of: Literal["patient", "unit"] = Field("patient", description="whether 'id' names patients or units")
    cell_type: str | None = Field(None, description="column of .obs: what the cell is; an empty one has no type")
    layer: str | None = Field(None, description="layer to read, or raw; default X")
    obsm: str | None = Field(None, description="data frame of .obsm to read instead of X, such as protein_expression")
    features: Where | None = Field(None, description="features to use, by a column of .var, such as feature_types")
    values: Literal["counts", "log", "clr", "binary"] = Field(
        "counts",
        description="counts: scaled to 10,000 a pseudobulk, then log1p; binary: the same of zeros and ones; clr: counts "
        "as centred log-ratios within each cell, mean taken; log: each cell already is, mean taken",
    )
    genes: int = Field(2000, gt=0, description="so many of the most variable genes, chosen in each fold")
    min_cells: int = Field(10, gt=0, description="units with fewer cells lack the modality (failed_qc)")
    id_rule: IdRule = IdRule()
    absent_reason: Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"] = "not_measured"

    @model_validator(mode="after")
    def _complete(self) -> CellsSource:
        ending = self.file.lower().rsplit(".", 1)[-1]
        if ending not in ("h5ad", "h5mu"):
            raise ValueError("cells are read from .h5ad and .h5mu files")
        if (ending == "h5mu") != (self.modality is not None):
            raise ValueError("modality says which part of an .h5mu file to read: needed there, and only there")
        if self.obsm is not None and (self.layer is not None or self.features is not None):
            raise ValueError("obsm is read instead of X or a layer, and has no .var: leave out layer and features")
        if self.features is not None and self.features.equals is None and not self.features.one_of:
            raise ValueError("features says neither equals nor one_of")
        if self.cell_type == self.id:
            raise ValueError("id and cell_type name the same column")
        return self

    @property
    def word(self) -> str:
        """What its features are called in the report: genes unless values or declared features plainly say otherwise."""
        named = None if self.features is None else self.features.equals
        known = {"Gene Expression": "genes", "Antibody Capture": "proteins", "Peaks": "peaks"}
        if named is not None:
            return known.get(str(named), "features")
        return {"clr": "proteins", "binary": "peaks"}.get(self.values, "genes" if self.obsm is None else "features")

    @property
    def paths(self) -> list[str]:
        """The file that it reads."""
        return [self.file]
