"""Declarations of modalities that are no tables: events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from cohortium.schema.cells import CellsSource
from cohortium.schema.cytometry import CytometrySource
from cohortium.schema.declare import Declaration, IdRule, ModalitySource, Where
from cohortium.schema.durations import days_of
from cohortium.schema.images import ImagesSource
from cohortium.schema.notes import NotesSource
from cohortium.schema.variants import VariantsSource

Reason = Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"]


class EventTable(Declaration):
    """One table of events, a row each, with its columns named."""

    file: str = Field(description="CSV (plain, gz, xz) or Parquet, relative to the study file")
    id: str = Field(description="column: whose event it is")
    of: Literal["patient", "unit"] = Field("patient", description="whether 'id' names patients or units")
    time: str | None = Field(None, description="column: when it became known; none for facts without a time")
    code: list[str] = Field(default_factory=list, description="columns that make the code, joined by //")
    name: str = Field("", description="first part of every code, such as LAB")
    value: str | None = Field(None, description="column: a number")
    values: list[str] = Field(default_factory=list, description="columns of numbers: each is a code of its own")
    unit: str | None = Field(None, description="column: unit of measurement of the value")
    end: str | None = Field(None, description="column: when it ended; gives an event of its own, <code>//end")
    where: Where | None = None

    @model_validator(mode="after")
    def _has_code(self) -> EventTable:
        if not self.code and not self.name and not self.values:
            raise ValueError("give code (columns), name (a constant) or values (columns of numbers)")
        if self.values and (self.value or self.unit):
            raise ValueError("give either value with its unit, or values")
        return self


class Rollup(Declaration):
    """Codes made coarser: by a file (a column of codes, a column of what they become), or by their first characters."""

    file: str | None = None
    code: str = Field("code", description="column of the file: the code")
    to: str = Field("to", description="column of the file: what it becomes")
    first: int | None = Field(None, gt=0, description="keep so many characters of the code's last part")
    unmapped: Literal["keep", "drop", "error"] = "keep"


class EventsSource(Declaration):
    """A modality of shape ``events``: health records. A unit sees what happened before its index time, nothing else."""

    shape: Literal["events"]
    format: Literal["tables", "meds", "omop", "fhir"] = "tables"
    tables: list[EventTable] = Field(default_factory=list, description="format: tables")
    folder: str | None = Field(None, description="formats meds, omop, fhir: folder (or one FHIR file)")
    id_rule: IdRule = IdRule()
    time_unit: Literal["minutes", "hours", "days", "weeks", "months", "years"] | None = Field(
        None, description="times are numbers, counted in this unit from the patient's own zero"
    )
    timezone: str | None = Field(None, description="zone of times that carry none, such as Europe/Berlin")
    resolution: Literal["auto", "day"] = Field(
        "auto", description="day: only the date is true, whatever hour is written; known when the day is over"
    )
    no_time: Literal["error", "drop", "static"] | None = Field(
        None, description="events without a time; default: an error, but static in MEDS"
    )
    no_code: Literal["error", "drop"] = Field("error", description="rows of tables whose code is empty")
    windows: list[str] = Field(
        default_factory=lambda: ["30d", "365d", "all"], min_length=1, description="how far back features look"
    )
    only: list[str] = Field(default_factory=list, description="codes to use, as patterns such as LAB//*")
    exclude: list[str] = Field(default_factory=list, description="codes to leave out, as patterns")
    rollup: Rollup | None = None
    units: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="code -> unit -> factor that makes its values comparable, e.g. LAB//glucose: {mg/dL: 0.0555, mmol/L: 1}",
    )
    absent_reason: Reason = "not_measured"

    @field_validator("windows")
    @classmethod
    def _durations(cls, given: list[str]) -> list[str]:
        for text in given:
            days_of(text)
        return given

    @model_validator(mode="after")
    def _complete(self) -> EventsSource:
        if self.format == "tables" and not self.tables:
            raise ValueError("format: tables needs 'tables', the files and their columns")
        if self.format != "tables" and self.folder is None:
            raise ValueError(f"format: {self.format} needs 'folder'")
        return self

    @property
    def paths(self) -> list[str]:
        """Files and folders that it reads."""
        return [t.file for t in self.tables] if self.format == "tables" else [str(self.folder)]

    @property
    def window_days(self) -> tuple[float, ...]:
        """Windows in days, shortest first."""
        return tuple(sorted({days_of(w) for w in self.windows}))


def _shape(value: Any) -> str:
    given = value.get("shape", "table") if isinstance(value, dict) else getattr(value, "shape", "table")
    return str(given)


AnyModality = Annotated[
    Annotated[ModalitySource, Tag("table")]
    | Annotated[EventsSource, Tag("events")]
    | Annotated[ImagesSource, Tag("images")]
    | Annotated[NotesSource, Tag("texts")]
    | Annotated[CellsSource, Tag("cells")]
    | Annotated[CytometrySource, Tag("cytometry")]
    | Annotated[VariantsSource, Tag("variants")],
    Discriminator(_shape),
]


class Landmarks(Declaration):
    """A unit per patient and landmark at which the patient is still under observation without the event."""

    at: list[float] = Field(min_length=1, description="times from the patient's zero, e.g. [0.5, 1, 2]")
    time_unit: Literal["days", "weeks", "months", "years"]
