"""Declaration of a modality of flow or mass cytometry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration, IdRule


class CytometrySource(Declaration):
    """A modality of shape ``cytometry``: FCS files, one or several a unit, whose events become a bag."""

    shape: Literal["cytometry"]
    folder: str | None = Field(None, description="files named <id>.fcs, or a sub-folder for each id")
    file: str | None = Field(None, description="index, CSV or Parquet: a row for each FCS file, paths relative to it")
    id: str = Field("id", description="file: column whose sample it is")
    path: str = Field("path", description="file: column with the path of the FCS file, or of a folder of them")
    of: Literal["patient", "unit"] = Field("patient", description="whether ids name patients or units")
    id_rule: IdRule = IdRule()
    channels: list[str] | None = Field(
        None, description="channels to use, by marker ($PnS) or detector ($PnN); default all but time and scatter"
    )
    exclude: list[str] = Field(default_factory=list, description="channels to leave out, by marker or detector")
    compensate: bool = Field(True, description="by the file's own matrix ($SPILLOVER, $SPILL), where it has one")
    cofactor: float | None = Field(
        None, gt=0, description="arcsinh(x / cofactor); default 150, and 5 where detectors are called by metal isotopes"
    )
    events: int = Field(2000, gt=0, description="so many events of a unit, evenly spaced over its files")
    min_events: int = Field(100, gt=0, description="units with fewer events lack the modality (failed_qc)")
    absent_reason: Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"] = "not_measured"

    @model_validator(mode="after")
    def _one_place(self) -> CytometrySource:
        if (self.folder is None) == (self.file is None):
            raise ValueError("give either folder (FCS files by id) or file (an index of their paths)")
        if self.folder is not None and {"id", "path"} & self.model_fields_set:
            raise ValueError("id and path are columns of file, the index; in a folder names are ids")
        if self.channels is not None and (not self.channels or self.exclude):
            raise ValueError("give channels to use, or exclude those to leave out")
        return self

    @property
    def paths(self) -> list[str]:
        """The folder or index that it reads."""
        return [str(self.folder or self.file)]
