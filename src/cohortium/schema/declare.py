"""Declarations that a study file makes of its tables and endpoints (pydantic; unknown keys refused).

Readers and the study room share them. Paths are kept as written; the study resolves them against its
own folder.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from cohortium.schema.kinds import ColumnKind


class Declaration(BaseModel):
    """Base: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


StartName = Annotated[
    Literal["late", "null"],
    BeforeValidator(lambda given: "null" if given is None else given),
    WithJsonSchema({"enum": ["late", "null", None]}),
]
"""Scores at which a network's training begins. YAML reads ``null`` without quotes as nothing: it means the word here."""


class IdRule(Declaration):
    """How the id cell becomes an id. Applied in this order: strip, split, first."""

    split: str | None = Field(None, description="separator; keep the part given by 'part'")
    part: int = Field(0, description="which part after the split, 0 = first, -1 = last")
    first: int | None = Field(None, gt=0, description="keep the first so many characters (12 for TCGA patients)")


class Where(Declaration):
    """Rows of a file to keep: those whose column equals the value (or is one of the values)."""

    column: str
    equals: str | int | float | bool | None = None
    one_of: list[str | int | float | bool] | None = None


class FileSource(Declaration):
    """Where a table comes from and how it is read."""

    file: str = Field(description="path, relative to the study file")
    format: Literal["auto", "csv", "tsv", "parquet", "excel", "npz", "npy", "h5ad", "h5mu"] = "auto"
    sheet: str | None = Field(None, description="Excel sheet, or the modality inside an .h5mu file")
    encoding: str = "utf-8"
    id: str | None = Field(None, description="id column; default: the unit table's id column, else the first column")
    id_rule: IdRule = IdRule()
    orientation: Literal["auto", "units_in_rows", "units_in_columns"] = "auto"
    where: Where | None = None
    na_values: list[str] = Field(default_factory=list, description="further texts that mean missing")


class ModalitySource(FileSource):
    """One modality of shape ``table``."""

    shape: Literal["table"] = "table"
    columns: list[str] | None = Field(None, description="features to use; default all but the id and declared others")
    exclude: list[str] = Field(default_factory=list, description="columns to leave out")
    recorded_after_index: list[str] = Field(
        default_factory=list,
        description="columns recorded after the prediction is made: never used, and named in the report",
    )
    kinds: dict[str, ColumnKind] = Field(
        default_factory=dict, description="measurement scale where the inferred one is wrong"
    )
    levels: dict[str, list[str | int | float]] = Field(
        default_factory=dict, description="order of the levels of ordinal columns, lowest first"
    )
    duplicates: Literal["error", "mean", "first", "latest"] = "error"
    latest_by: str | None = Field(None, description="date or number column that says which row is the latest")
    transform: Literal["none", "log1p", "log2p1", "cpm_log", "m_value"] = Field(
        "none", description="of numeric columns, each row by itself; cpm_log: of counts, m_value: of beta values"
    )
    harmonise: Literal["none", "combat"] = Field(
        "none", description="combat: batch effects (design.batch) are taken out of numeric features, in each fold"
    )
    harmonise_covariates: list[str] = Field(
        default_factory=list, description="columns of the unit table in which batches differ by right; no outcome"
    )
    id_space: Literal["", "symbol", "ensembl", "entrez", "uniprot", "cpg", "chebi"] = Field(
        "", description="what the features are; names that plainly are something else are refused"
    )
    strip_version: bool = Field(False, description="take the version off feature ids: ENSG00000141510.17")
    absent_reason: Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"] = "not_measured"

    @model_validator(mode="after")
    def _latest_needs_by(self) -> ModalitySource:
        if self.duplicates == "latest" and not self.latest_by:
            raise ValueError("duplicates: latest needs latest_by, the column that says which row is the latest")
        if self.harmonise_covariates and self.harmonise == "none":
            raise ValueError("harmonise_covariates need harmonise: combat")
        return self


class UnitsSource(FileSource):
    """The unit table: one row per unit to predict; endpoints and design columns live here."""

    patient: str | None = Field(None, description="patient column when a patient has several units")
    duplicates: Literal["error", "first"] = Field(
        "error", description="first: of several rows of one unit the first; what endpoints use must agree in all"
    )


class Condition(Declaration):
    """A yes/no reading of a column: ``{column: status, equals: deceased}``."""

    column: str
    equals: str | int | float | bool | None = None
    one_of: list[str | int | float | bool] | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        given = [x is not None for x in (self.equals, self.one_of, self.above, self.at_least, self.below)]
        if sum(given) != 1:
            raise ValueError("give exactly one of equals, one_of, above, at_least, below")
        return self


class _EndpointBase(Declaration):
    file: str | None = Field(None, description="table with the endpoint's columns; default: the unit table")
    id: str | None = Field(None, description="id column of that table")
    exclude_where: list[Condition] = Field(default_factory=list, description="units without a usable label, by rule")


class BinarySpec(_EndpointBase):
    """Yes or no. ``positive``: a condition, or ``column`` with ``positive_value`` (default: 1/yes/true)."""

    kind: Literal["binary"]
    column: str | None = None
    positive: str | int | float | bool | Condition | None = None
    negative: str | int | float | bool | None = Field(
        None, description="default: every other value that is not missing"
    )
    prevalence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of positives where the model is to be used, if cases and controls were sampled apart",
    )

    @model_validator(mode="after")
    def _has_column(self) -> BinarySpec:
        if self.column is None and not isinstance(self.positive, Condition):
            raise ValueError("give column, or positive: {column: ..., equals: ...}")
        return self


class MulticlassSpec(_EndpointBase):
    """One of several unordered classes."""

    kind: Literal["multiclass"]
    column: str
    classes: list[str | int | float] | None = Field(None, description="classes to use; default all found, sorted")


class OrdinalSpec(_EndpointBase):
    """One of several ordered classes, lowest first."""

    kind: Literal["ordinal"]
    column: str
    classes: list[str | int | float] = Field(min_length=3)


class ContinuousSpec(_EndpointBase):
    """A number."""

    kind: Literal["continuous"]
    column: str
    transform: Literal["none", "log", "log1p"] = "none"


class SurvivalSpec(_EndpointBase):
    """Right-censored time, optionally with delayed entry."""

    kind: Literal["survival"]
    time: str = Field(description="column: time from the index time to event or last contact")
    event: str | Condition = Field(description="column with 1/0, true/false; or {column: ..., equals: ...}")
    time_unit: Literal["days", "weeks", "months", "years"]
    entry: str | None = Field(None, description="column: time at which observation begins (left truncation)")
    horizons: list[float] = Field(
        default_factory=list, description="times for time-dependent metrics; default: quartiles"
    )
    zero_times: Literal["error", "exclude"] = "error"


def _listed(given: object) -> object:
    every = given if isinstance(given, list) else [given]
    if not every or not all(isinstance(v, str | int | float) for v in every):
        raise ValueError("give a value of the column, or a list of values")
    return every


Values = Annotated[
    list[str | int | float | bool],
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
            ]
        }
    ),
]
"""Cell values; one alone needs no brackets."""


class CompetingRisksSpec(_EndpointBase):
    """Time to the first of several events that exclude each other; one of them is of interest."""

    kind: Literal["competing_risks"]
    time: str = Field(description="column: time from the index time to the first event or last contact")
    cause: str = Field(description="column that says which event came, or that none has")
    causes: dict[str, Values] = Field(
        description="name of each cause and its value or values; the first is of interest"
    )
    censored: Values = Field(description="value or values of the cause column for units without an event")
    unknown: Values | None = Field(None, description="value or values that say: an event, of a cause that is not known")
    unknown_as: Literal["other_cause", "exclude"] = Field(
        "other_cause", description="what an event of unknown cause counts as"
    )
    model: Literal["fine_gray", "cause_specific"] = "fine_gray"
    time_unit: Literal["days", "weeks", "months", "years"]
    horizons: list[float] = Field(
        default_factory=list, description="times for time-dependent metrics; default: quartiles"
    )
    zero_times: Literal["error", "exclude"] = "error"

    @model_validator(mode="after")
    def _several_causes(self) -> CompetingRisksSpec:
        if len(self.causes) + (self.unknown is not None and self.unknown_as == "other_cause") < 2:
            raise ValueError(
                "causes: give at least two, the one of interest first; with one cause it is kind: survival"
            )
        if UNKNOWN_CAUSE in self.causes:
            raise ValueError(f"causes: '{UNKNOWN_CAUSE}' is what values under unknown are called; take another name")
        return self


UNKNOWN_CAUSE = "unknown cause"
"""What events of unknown cause are called, where they count as a cause of their own."""

EndpointSpec = Annotated[
    BinarySpec | MulticlassSpec | OrdinalSpec | ContinuousSpec | SurvivalSpec | CompetingRisksSpec,
    Field(discriminator="kind"),
]
