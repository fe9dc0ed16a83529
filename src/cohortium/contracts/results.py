"""The records of ``results.json``. Frozen; JSON Schema is made from them (``cohortium schema results``).

Numbers are Estimates or counts; a bare float never reaches a report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from cohortium.contracts.description import Description
from cohortium.contracts.estimates import Estimate

SCHEMA_VERSION = "1.3"

Role = Literal["reference", "single", "fusion", "auto"]


@dataclass(frozen=True)
class ModalityRecord:
    """n_units: units that have it. n_features: features as read. kinds: kind -> number of features. id_space: what
    the features are, as declared (symbol, ensembl …). shape: as declared (table, images …). cost: of all its features for a patient
    who is measured, in the study's currency; None: not declared."""

    name: str
    n_units: int
    n_features: int
    kinds: dict[str, int] = field(default_factory=dict)
    reference: bool = False
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    id_space: str = ""
    shape: str = ""
    cost: float | None = None


@dataclass(frozen=True)
class PatternRecord:
    """An availability pattern: units that have exactly these modalities."""

    modalities: list[str]
    n_units: int


@dataclass(frozen=True)
class EndpointRecord:
    """n_units, n_patients: with a usable label. n_events: events or positives. excluded: reason -> units.

    classes: class -> units (classification), in code order; cause -> events (competing risks), that of interest first. tau: time up to which concordance is measured;
    median_follow_up: by reverse Kaplan-Meier (survival). headline_metric: the metric the answer is given in
    (empty: the kind's usual one). definition: columns and conditions that the study file declares it by.
    """

    name: str
    kind: str
    n_units: int
    n_patients: int
    n_events: int | None = None
    classes: dict[str, int] | None = None
    excluded: dict[str, int] = field(default_factory=dict)
    time_unit: str = ""
    horizons: list[float] = field(default_factory=list)
    tau: float | None = None
    median_follow_up: float | None = None
    headline_metric: str = ""
    definition: str = ""


@dataclass(frozen=True)
class CohortRecord:
    """Who is in the study. n_rows_read: rows of the unit table before exclusions (None: units plus excluded)."""

    n_units: int
    n_patients: int
    n_events: int | None
    classes: dict[str, int] | None
    excluded: dict[str, int]
    modalities: list[ModalityRecord]
    patterns: list[PatternRecord]
    endpoints: list[EndpointRecord]
    n_rows_read: int | None = None


@dataclass(frozen=True)
class Versus:
    """Paired differences (this learner minus the other) on the same folds, one Estimate per metric."""

    reference: list[Estimate] = field(default_factory=list)
    best_single: list[Estimate] = field(default_factory=list)


@dataclass(frozen=True)
class LeaderboardRow:
    """One learner on one endpoint. exploratory: picked, or to be read, as one of many looks."""

    endpoint: str
    learner: str
    role: Role
    modalities: list[str]
    estimates: list[Estimate]
    versus: Versus = field(default_factory=Versus)
    headline: bool = False
    chosen_inside: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AddedValueRow:
    """Paired change of the late fusion when a modality is left out (all minus all-without-it), and when it
    alone is added to the reference (reference+it minus reference). Positive = it helps (sign is already
    turned for metrics where lower is better)."""

    endpoint: str
    modality: str
    left_out: list[Estimate]
    added_to_reference: list[Estimate]


@dataclass(frozen=True)
class LearningCurveRow:
    """Performance of the headline learner trained on a fraction of every training fold."""

    endpoint: str
    learner: str
    fraction: float
    n_train: int
    estimates: list[Estimate]


@dataclass(frozen=True)
class Curve:
    """An estimate along an axis: at each place of ``at``, value and 95% limits, None where not estimable."""

    at: list[float]
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]


@dataclass(frozen=True)
class CalibrationRow:
    """Whether one learner's probabilities hold, per class (label) or horizon.

    estimates: ``calibration_slope`` (1; below: too extreme), ``calibration_intercept`` (0; above: too low),
    ``expected_observed`` (1; above: too high), ``ici``, ``e50``, ``e90`` (mean, median and 90th percentile of the distance
    to the smooth curve) and ``ici_by_chance`` (the mean that perfect calibration would show in folds of this size). curve:
    smooth observed over predicted probability.
    """

    endpoint: str
    learner: str
    label: str
    horizon: float | None
    estimates: list[Estimate]
    curve: Curve | None = None


@dataclass(frozen=True)
class DecisionPoint:
    """Net benefit of those who are treated from one predicted probability on. threshold: that probability.

    model, reference, treat_all: ``net_benefit`` of each; to treat nobody has 0. versus_reference, versus_all: the model minus
    the other on the same folds.
    """

    threshold: float
    model: Estimate
    treat_all: Estimate
    versus_all: Estimate
    reference: Estimate | None = None
    versus_reference: Estimate | None = None


@dataclass(frozen=True)
class DecisionRow:
    """Decision curves of the headline learner for the positive class (label) or by a horizon: net benefit (Vickers & Elkin
    2006), true positives per patient less false ones weighed by the odds of the threshold. points: at the thresholds asked for."""

    endpoint: str
    learner: str
    label: str
    horizon: float | None
    model: Curve
    treat_all: Curve
    points: list[DecisionPoint]
    reference: Curve | None = None
    versus_reference: Curve | None = None


@dataclass(frozen=True)
class Contrast:
    """A difference with its p-value, and that corrected for all of the endpoint's (Holm 1979)."""

    estimate: Estimate
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class SubgroupRow:
    """One learner in one group of units (``group`` of ``variable``).

    estimates: the headline metric; of two classes also ``sensitivity`` and ``specificity`` at the learner's thresholds; of
    two classes and survival ``expected_minus_observed`` (mean predicted less observed probability). Null with the reason
    where the group is too small to say. versus_rest: the same of the group minus those of all other groups of the variable, on the
    same folds; of a variable with two groups it stands at the first.
    """

    endpoint: str
    learner: str
    variable: str
    group: str
    n_units: int
    n_events: int | None
    estimates: list[Estimate]
    versus_rest: list[Contrast] = field(default_factory=list)


@dataclass(frozen=True)
class CoverageRow:
    """How often the sets, intervals or lower bounds of one learner held in one group of test units (``group`` of
    ``variable``, ``everyone``, or a ``class``). level: how often they should.

    estimates: ``coverage``; of classes also ``one_class`` (share of sets that name one class: of the others the model abstains)
    and ``one_class_right``; of values ``interval_width``, of survival ``lower_bound`` (medians). own: of groups by which coverage is
    asked for the share of test units calibrated within their own group; None of other variables.
    """

    endpoint: str
    learner: str
    level: float
    variable: str
    group: str
    n_units: int
    estimates: list[Estimate]
    own: float | None = None


@dataclass(frozen=True)
class SensitivityRow:
    """Competing risks: one learner's headline metric with the events of unknown cause treated otherwise than in the fit. treatment: what
    they are taken for. n_units, n_events: tested, and of the cause of interest. versus_reference: minus the reference, on the same
    folds; None of the reference itself."""

    endpoint: str
    learner: str
    treatment: str
    n_units: int
    n_events: int | None
    estimate: Estimate
    versus_reference: Estimate | None = None


@dataclass(frozen=True)
class Finding:
    """A finding of ``check``. grade: ``serious`` stops a run unless acknowledged by name; ``warning``; ``note``.

    name: what the study file acknowledges, e.g. ``outcome_in_disguise:labs.hospdead``.
    """

    name: str
    grade: Literal["serious", "warning", "note"]
    message: str
    modality: str | None = None
    columns: list[str] = field(default_factory=list)
    endpoint: str | None = None
    acknowledged: bool = False


@dataclass(frozen=True)
class EvaluationRecord:
    """How the estimates were made. design: nested, grouped, leave_one_site_out, temporal, column, file, fixed_test."""

    design: str
    repeats: int
    folds: int
    inner_folds: int
    n_outer: int
    grouped_by: str
    low_powered: bool
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Selected:
    """The learner refitted on everyone, per endpoint, and its settings in words and as a tree of facts."""

    endpoint: str
    learner: str
    reason: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyRecord:
    """What was asked. choices: settings of the study file that the checklists name, in words. currency: of costs."""

    name: str
    title: str
    primary: str
    reference: list[str]
    learners: list[str]
    preset: str
    seed: int
    choices: dict[str, str] = field(default_factory=dict)
    currency: str = ""


@dataclass(frozen=True)
class Results:
    """Everything that ``results.json`` holds. Same study, same machine: byte for byte the same file."""

    study: StudyRecord
    cohort: CohortRecord
    evaluation: EvaluationRecord
    selected: list[Selected]
    leaderboard: list[LeaderboardRow]
    added_value: list[AddedValueRow]
    checks: list[Finding]
    learning_curve: list[LearningCurveRow] = field(default_factory=list)
    calibration: list[CalibrationRow] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)
    subgroups: list[SubgroupRow] = field(default_factory=list)
    coverage: list[CoverageRow] = field(default_factory=list)
    descriptions: list[Description] = field(default_factory=list)
    sensitivity: list[SensitivityRow] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: str = SCHEMA_VERSION
