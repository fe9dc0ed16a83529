"""What ``explain`` found, as records: of ``explanation.json`` and of its page."""

from __future__ import annotations

from dataclasses import dataclass, field

from cohortium.contracts.estimates import Estimate


@dataclass(frozen=True)
class ModalityWorth:
    """A modality on held-out units. n_units: that have it. used: folds in which the model looks at it.

    worth: Shapley value of the metric, turned so that above zero helps; error: its Monte-Carlo standard error, 0 where
    exact. given: mean absolute Shapley value of the predictions of units that have it. shuffled: fall of the metric when it
    is shuffled among those who have it. moves: mean absolute change of their predictions then.
    """

    modality: str
    n_units: int
    used: int
    worth: Estimate
    error: float
    given: Estimate
    shuffled: Estimate
    moves: Estimate


@dataclass(frozen=True)
class FeatureWorth:
    """Features of a modality that were shuffled together; one where a feature was shuffled by itself. group: the features that it
    correlates with and was shuffled together with elsewhere in the list."""

    modality: str
    features: list[str]
    shuffled: Estimate
    moves: Estimate
    group: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DeletionCurve:
    """The metric after so many features are unknown: those that move predictions most first, and in random orders. gap: mean over
    the steps in between of random minus ordered, turned so that above zero means that the order holds."""

    steps: list[int]
    ordered: list[Estimate]
    random: list[Estimate]
    gap: Estimate


@dataclass(frozen=True)
class RandomisedCheck:
    """Of a learner with a network: the same explanations of networks with random weights (``draws`` in each fold). shuffled, gradients: rank
    correlation of features with those of the fitted network, by how much shuffling them moves predictions and by integrated
    gradients; near 0 they tell of what was learned. full, again: the metric of the fitted network alone, and of the random ones."""

    draws: int
    shuffled: Estimate
    gradients: Estimate
    full: Estimate
    again: Estimate


@dataclass(frozen=True)
class Explanation:
    """How one learner predicts one endpoint on held-out units.

    quantity: what "moves" and "given" are of. n_folds: of the study's n_outer that were refitted. full, nothing: the metric with
    every modality and with none. exact: Shapley values are over all coalitions. skipped: modality -> why its features were
    not looked at. n_looked: modality -> features that were. randomised: None of learners without a network.
    """

    study: str
    title: str
    endpoint: str
    kind: str
    learner: str
    metric: str
    quantity: str
    percent: bool
    seed: int
    version: str
    n_units: int
    n_folds: int
    n_outer: int
    full: Estimate
    nothing: Estimate
    exact: bool
    modalities: list[ModalityWorth]
    features: list[FeatureWorth] = field(default_factory=list)
    deletion: DeletionCurve | None = None
    n_looked: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    randomised: RandomisedCheck | None = None


@dataclass(frozen=True)
class ModalityShare:
    """What a present modality did to one prediction: its Shapley value, per column of the prediction."""

    modality: str
    value: list[float]


@dataclass(frozen=True)
class FeatureShare:
    """What features of one modality did to one prediction, beside the usual patient's. value, error: mean over draws and its Monte-Carlo
    standard error. measured: the patient's values, as written; place: share of training units with a smaller value."""

    modality: str
    features: list[str]
    value: list[float]
    error: list[float]
    measured: list[str]
    place: list[float | None]


@dataclass(frozen=True)
class IfMeasured:
    """An absent modality, were it measured: predictions with it as ``n`` similar units have it. expected: their mean; low, high: 10th
    and 90th percentile; change: mean absolute change; crossing: share on the other side of the decision threshold, None without one."""

    modality: str
    n: int
    expected: float
    low: float
    high: float
    change: float
    crossing: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class PartShare:
    """An instance of a bag, a code of a history or a sentence. value: the prediction with it less that without it, per column.
    attention: what the network's attention gave it, of 1; no measure of importance; None where there is none."""

    modality: str
    label: str
    value: list[float]
    attention: float | None = None


@dataclass(frozen=True)
class Gradient:
    """What an encoded feature did to the network's score, by integrated gradients."""

    modality: str
    feature: str
    value: float


@dataclass(frozen=True)
class Peer:
    """A similar unit and what became of it. similarity: standard deviations nearer than the mean unit."""

    unit: str
    similarity: float
    shared: list[str]
    outcome: str


@dataclass(frozen=True)
class PatientExplanation:
    """One unit. names: of the columns of ``predicted`` and ``usual``, which knows nothing of the unit. held_out: the model was fitted without it.
    threshold: of the decision (binary). gradients: the leading ones; gradients_total: change of the network's score from the training means
    to this unit, gradients_error: the sum of all of them less that."""

    study: str
    endpoint: str
    kind: str
    learner: str
    unit: str
    held_out: bool
    quantity: str
    percent: bool
    names: list[str]
    predicted: list[float]
    usual: list[float]
    modalities: list[ModalityShare]
    features: list[FeatureShare]
    missing: list[IfMeasured]
    peers: list[Peer]
    parts: list[PartShare] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)
    gradients_total: float | None = None
    gradients_error: float | None = None
    threshold: float | None = None
    exact: bool = True
    notes: list[str] = field(default_factory=list)
