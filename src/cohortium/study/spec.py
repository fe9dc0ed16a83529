"""The typed study file. Its JSON Schema is published (``cohortium schema study``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cohortium.errors import did_you_mean
from cohortium.schema.costs import CostsSpec
from cohortium.schema.declare import Declaration, EndpointSpec, UnitsSource
from cohortium.schema.deep import DeepLearner
from cohortium.schema.durations import days_of
from cohortium.schema.federation import FederationSpec
from cohortium.schema.joint import JointLearner
from cohortium.schema.shapes import AnyModality, Landmarks
from cohortium.schema.statements import Statements

MetricName = str


class CohortSpec(Declaration):
    """The unit table and the modalities."""

    units: UnitsSource
    modalities: dict[str, AnyModality] = Field(min_length=1)


class DesignSpec(Declaration):
    """Columns of the unit table with a role in the design; none of them is a predictor."""

    site: str | None = None
    batch: str | None = None
    groups: str | None = Field(None, description="column whose equal values stay in one fold; default: the patient")
    index_time: str | None = Field(
        None, description="date column: when the prediction is made; temporal splits order by it"
    )
    index_after: str | None = Field(
        None, description="the prediction is made so long after index_time, or after time zero: 24h, 30d"
    )
    landmarks: Landmarks | None = Field(
        None, description="a unit per patient and landmark time; survival then counts from the landmark"
    )
    weight: str | None = Field(None, description="sampling weight; kept and reported, not yet used in fitting")

    @model_validator(mode="after")
    def _one_index(self) -> DesignSpec:
        if self.index_after is not None:
            days_of(self.index_after)
        if self.landmarks is not None and (self.index_time is not None or self.index_after is not None):
            raise ValueError("landmarks are index times: leave out index_time and index_after")
        return self


class FoldsFile(Declaration):
    """Folds fixed elsewhere: one row per unit and repeat, with the fold in which it is tested."""

    file: str
    id: str | None = None
    fold: str = "fold"
    repeat: str | None = None
    part: str | None = Field(None, description="column that says train or test per fold (published benchmarks)")
    test_value: str = Field("test", description="value of 'part' that marks test rows")
    where: dict[str, str] | None = Field(None, description="rows of the file to use, e.g. {cohort: blca}")


class EvaluationSpec(Declaration):
    """How performance is estimated."""

    design: Literal["nested", "leave_one_site_out", "temporal", "column", "file", "fixed_test"] = "nested"
    repeats: int = Field(3, ge=1, le=100)
    folds: int = Field(5, ge=2, le=50)
    inner_folds: int = Field(5, ge=2, le=20)
    column: str | None = Field(
        None, description="design: column - fold label; fixed_test - column that marks test units"
    )
    test_value: str | int | float | bool | None = Field(None, description="fixed_test: value that marks a test unit")
    test_from: str | None = Field(None, description="temporal: units from this date on are tested")
    folds_file: FoldsFile | None = None
    metrics: list[MetricName] | None = None
    headline_metric: MetricName | None = None
    learning_curve: list[Annotated[float, Field(gt=0, le=1)]] | None = Field(
        None, description="fractions of the training folds, e.g. [0.25, 0.5, 1]"
    )
    recalibration: Literal["slope", "isotonic", "venn_abers"] = Field(
        "slope", description="of class probabilities, on inner folds: a slope and an intercept alone, or more"
    )
    coverage: Annotated[float, Field(ge=0.5, le=0.99)] | None = Field(
        0.9, description="level of the headline's prediction sets, intervals and lower bounds; null: none are made"
    )
    coverage_by: str | None = Field(
        None,
        description="column of groups (unit table, or modality.column) within which those hold too, where a group is large enough",
    )
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=lambda: [0.05, 0.1, 0.2, 0.3, 0.5],
        min_length=1,
        description="predicted probabilities from which on somebody would be treated: rows of the table of net benefit",
    )
    subgroups: list[str] = Field(
        default_factory=list,
        description="columns of the unit table, or modality.column, by which performance is shown beside site and availability",
    )
    subgroup_cuts: dict[str, list[float]] = Field(
        default_factory=dict,
        description="numeric column of subgroups: where groups begin, {age: [50, 70]}; default: thirds",
    )

    @model_validator(mode="after")
    def _needs(self) -> EvaluationSpec:
        if self.design in ("column", "fixed_test") and self.column is None:
            raise ValueError(f"design: {self.design} needs 'column'")
        if self.design == "fixed_test" and self.test_value is None:
            raise ValueError("design: fixed_test needs 'test_value', the value of 'column' that marks test units")
        if self.design == "file" and self.folds_file is None:
            raise ValueError("design: file needs 'folds_file'")
        if self.coverage_by is not None and self.coverage is None:
            raise ValueError("coverage_by needs a level of coverage: leave out coverage: null")
        for column, cuts in self.subgroup_cuts.items():
            if column not in (*self.subgroups, self.coverage_by):
                raise ValueError(f"subgroup_cuts names '{column}', which is not in subgroups")
            if not cuts or sorted(set(cuts)) != cuts:
                raise ValueError(f"subgroup_cuts of '{column}' are to be numbers that grow, such as [50, 70]")
        return self


class StudySpec(Declaration):
    """A whole study file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$")
    title: str = ""
    cohort: CohortSpec
    endpoints: dict[str, EndpointSpec] = Field(min_length=1)
    primary: str | None = Field(None, description="name of the primary endpoint; default: the only or first one")
    design: DesignSpec = DesignSpec()
    reference: list[str] = Field(default_factory=list, description="routine modalities: the model to beat")
    learners: list[str] | None = Field(None, description="learners of the leaderboard; default all")
    models: list[Literal["linear", "trees"]] = Field(
        default_factory=lambda: ["linear", "trees"], description="model families inside the learners"
    )
    deep: list[DeepLearner] = Field(
        default_factory=list, description="networks to add, by fusion; auto may choose the first (needs the extra deep)"
    )
    joint: list[JointLearner] = Field(
        default_factory=list,
        description="representations of all modalities with a linear head, to add; auto may choose the first",
    )
    plugins: list[str] = Field(
        default_factory=list,
        description="learners of installed packages to compare, by the names of their entry points",
    )
    priority: list[str] | None = Field(
        None, description="order of priority fusion after the reference; default: as declared"
    )
    presence_as_predictor: bool = Field(False, description="let the fact of having a modality be a predictor")
    evaluation: EvaluationSpec = EvaluationSpec()
    costs: CostsSpec | None = Field(
        None, description="what assays cost for each patient: of panels, and for each true decision that they change"
    )
    federation: FederationSpec = FederationSpec()
    preset: Literal["quick", "default", "thorough"] = "default"
    acknowledge: list[str] = Field(
        default_factory=list, description="serious findings of check, by name, that you accept"
    )
    seed: int = Field(0, ge=0)
    statements: Statements = Field(
        Statements(), description="what only a person can say: texts that checklists and model card quote"
    )

    @model_validator(mode="after")
    def _names(self) -> StudySpec:
        for what, names in (
            ("reference", self.reference),
            ("priority", self.priority or []),
            ("federation.modalities", [m for m in self.federation.modalities or [] if m not in self.federation.lacks]),
        ):
            for n in names:
                if n not in self.cohort.modalities:
                    raise ValueError(
                        f"{what} names '{n}', which is no modality.{did_you_mean(n, self.cohort.modalities)}"
                    )
        for key, names in (("deep", [d.name for d in self.deep]), ("joint", [j.name for j in self.joint])):
            for n in names:
                if names.count(n) > 1:
                    raise ValueError(f"{key} names '{n}' twice: give each its own name")
        for n in [n for j in self.joint for n in j.counts]:
            if n not in self.cohort.modalities:
                raise ValueError(f"counts names '{n}', which is no modality.{did_you_mean(n, self.cohort.modalities)}")
        for n, m in self.cohort.modalities.items():
            if getattr(m, "harmonise", "none") != "none" and self.design.batch is None:
                raise ValueError(f"modality '{n}' says harmonise: combat, which needs design: {{batch: <column>}}")
        self._costs()
        if self.primary is not None and self.primary not in self.endpoints:
            raise ValueError(
                f"primary names '{self.primary}', which is no endpoint.{did_you_mean(self.primary, self.endpoints)}"
            )
        return self

    def _costs(self) -> None:
        """Every modality has one: what is forgotten would be free."""
        if self.costs is None:
            return
        known = self.cohort.modalities
        for n, cost in self.costs.assays.items():
            if n not in known:
                raise ValueError(f"costs names '{n}', which is no modality.{did_you_mean(n, known)}")
            if cost.feature and known[n].shape != "table":
                raise ValueError(f"costs of '{n}': a cost per feature is of tables; give one for the whole assay")
        forgotten = [n for n in known if n not in self.costs.assays]
        if forgotten:
            raise ValueError(f"costs has nothing for '{forgotten[0]}': give 0 to what is free")

    @property
    def primary_name(self) -> str:
        """The primary endpoint's name."""
        return self.primary if self.primary is not None else next(iter(self.endpoints))
