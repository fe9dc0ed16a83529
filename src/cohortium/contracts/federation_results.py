"""What a federated study found: the records behind its page and ``federation.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_secure import SecureRecord
from cohortium.contracts.private_results import PrivacyStatement


@dataclass(frozen=True)
class Coefficient:
    """A coefficient per unit of its column (log hazard ratio, log odds ratio, or in units of the endpoint). outcome: the
    class it speaks of, where there are several. error: standard error; low, high: 95% interval (Wald); p; None of penalised or
    aliased ones. i2: share of the differences between sites that is not chance; sites: that could be asked for it.
    local, pooled: by site, and fitted on all rows together, where a simulation was asked for them."""

    column: str
    outcome: str
    estimate: float | None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    i2: float | None = None
    sites: int = 0
    local: dict[str, float] | None = None
    pooled: float | None = None


@dataclass(frozen=True)
class SiteRecord:
    """A site as the coordinator knew it. units, patients, counts: None where it withdrew. left: why and when it was left out."""

    site: str
    units: int | None
    patients: int | None
    counts: tuple[int, ...]
    left: str = ""
    local_reason: str = ""


@dataclass(frozen=True)
class MessageRow:
    """A message. to: ``site`` or ``coordinator``. holds: field -> its shape or length, in words. digest: BLAKE2b of its bytes."""

    round: int
    site: str
    to: str
    kind: str
    holds: dict[str, str]
    size: int
    digest: str


@dataclass(frozen=True)
class SitePerformance:
    """How well a model predicts at a site. design: ``leave_one_site_out``, ``folds`` or ``own`` (the site's own model, its own
    folds). value: None with a reason. error: standard error; low, high: 95% interval. bound: how far the value can be from that
    of unbinned scores. units, events: behind it (of two classes the second)."""

    design: str
    metric: str
    site: str
    value: float | None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float = 0.0
    units: int = 0
    events: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Performance:
    """Across sites. value, low, high: mean of a random-effects model and its 95% interval; tau: standard deviation of sites on
    the model's scale; i2: share of their variance that is not chance; next_low, next_high: 95% prediction interval of a new site.
    least, most: the mean if all binned values were as low, or high, as they can be. None with a reason."""

    design: str
    metric: str
    sites: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    tau: float | None = None
    i2: float | None = None
    next_low: float | None = None
    next_high: float | None = None
    least: float | None = None
    most: float | None = None
    scale: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CalibrationLine:
    """Regression of the outcome on scores of all sites that were held out. design: as in :class:`SitePerformance`. intercept: None
    of survival; slope; error, low, high of each; None with a reason."""

    design: str
    sites: int
    intercept: float | None = None
    intercept_error: float | None = None
    intercept_low: float | None = None
    intercept_high: float | None = None
    slope: float | None = None
    slope_error: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class FederatedEvaluation:
    """How well the model predicts patients whom it was not fitted on, without pooling them. calibration: of all together, by design."""

    folds: int
    seed: int
    across: list[Performance]
    sites: list[SitePerformance]
    notices: list[str]
    calibration: list[CalibrationLine] = field(default_factory=list)


@dataclass(frozen=True)
class SelectedColumn:
    """A column that was chosen of many. score: chi-squared statistic of ``freedom`` degrees of freedom, p: of it, not corrected for the
    number of candidates; or its variance, freedom 0. times: of the fits of the evaluation, how many chose it too."""

    column: str
    score: float
    freedom: int
    p: float
    times: int


@dataclass(frozen=True)
class BatchEffect:
    """What was taken out of a table's numeric columns at a site. columns: adjusted; shift: median over them of how far values were moved,
    in standard deviations of the column, without sign; factor: median, and its 5% and 95% quantiles, of what values were multiplied by."""

    site: str
    modality: str
    columns: int
    shift: float
    factor: float
    factor_low: float
    factor_high: float


@dataclass(frozen=True)
class Shaping:
    """unknown: what stands for unknown cells; filled: columns that have some. compressed: names of columns, and their skewness before. width: of the
    widest cell that a quartile was read off, in the column's standard deviations. clip: whether standardised values end at 6."""

    unknown: str
    filled: int
    compressed: dict[str, float]
    width: float
    clip: bool


@dataclass(frozen=True)
class Preparing:
    """What was done before the fit. by: how columns were chosen, of so many candidates; empty where none were. fits: of the
    evaluation, that chose anew. shaping: of unknown cells and skewed columns, where it was not the plain way."""

    by: str
    candidates: int
    chosen: list[SelectedColumn]
    fits: int
    batches: list[BatchEffect]
    shaping: Shaping | None = None


@dataclass(frozen=True)
class Importance:
    """A column of boosted trees. gain: its share of what all splits gained for the penalised loss; splits: how many are its own."""

    column: str
    gain: float
    splits: int


@dataclass(frozen=True)
class PooledTrees:
    """Boosting on all rows in one place with the same edges of bins, against the federated one. same: largest difference of a score with the
    same groups and shared bins of small nodes; plain: without them, on exact values; spread: standard deviation of the federated scores; correlation of the two."""

    same: float
    plain: float
    spread: float
    correlation: float | None


@dataclass(frozen=True)
class FederatedTrees:
    """Boosted trees. trees: of each class where there are several; stopped: whether it ended before the declared number. losses, held_losses: per
    unit before each tree (of survival per event), of those trained on and those held out to know when to stop; held: their number. off: largest distance of an edge of
    a bin from the quantile it stands for, as a share of units, of columns that have all bins. columns: names, in the order of edges; edges, base, splits, values: the model, as in
    :class:`cohortium.contracts.federation_trees.TreesModel`. pooled: where a simulation was asked for it."""

    trees: int
    stopped: bool
    importance: list[Importance]
    losses: list[float]
    held_losses: list[float]
    held: int
    off: float
    columns: list[str]
    edges: list[list[float]]
    base: list[float]
    splits: list[list[float]]
    values: list[list[float]]
    pooled: PooledTrees | None = None


@dataclass(frozen=True)
class AttackRecord:
    """An attack on what the study releases. attack: ``membership`` or ``reconstruction``. surface: ``model``, or ``sums`` (of private fits
    ``gradients``, of networks ``update``) that the coordinator sees of ``site``. shadows: further fits of the attacker. candidates: patients' units, or rows that are looked for. Membership:
    auc, and tpr at fpr, with 95% intervals. Reconstruction: share of rows recovered, chance: of rows drawn from moments, distance: median, in standard
    deviations, of columns; rounds: of sums. reason: why a figure is missing, or what it lacks."""

    attack: str
    surface: str
    site: str = ""
    shadows: int = 0
    candidates: int = 0
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    tpr: float | None = None
    tpr_low: float | None = None
    tpr_high: float | None = None
    fpr: float = 0.01
    columns: int = 0
    rounds: int = 0
    share: float | None = None
    chance: float | None = None
    distance: float | None = None
    misfit: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Paired:
    """The federated network less another model by sites: of the same patients. design: ``folds`` or ``leave_one_site_out``. against:
    ``pooled`` or ``own``. low, high: 95% interval of the mean difference, by t over sites; None below three."""

    design: str
    metric: str
    against: str
    sites: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class NetworkFit:
    """A network that was trained across sites. parameters: numbers in it. have: site -> modality -> training units having it; of private
    networks 1 where its study file has it. losses, inner:
    mean by round at the network that it began with, the last of the end; inner of patients kept from training. chosen: round whose
    network it is, -1: the last. model: as JSON, to be decoded to :class:`cohortium.contracts.federation_network.NetworkModel`. paired: where a simulation
    compared."""

    parameters: int
    modalities: list[str]
    have: dict[str, dict[str, int]]
    losses: list[float]
    inner: list[float | None]
    chosen: int
    model: dict[str, Any]
    paired: list[Paired]


@dataclass(frozen=True)
class StackedPart:
    """A part of a stack. weight, spread: of its score, standard deviation of that over units that have it; None where it has no fit. units: with a score of it; sites: that it was fitted on.
    reason: why it has no fit."""

    name: str
    method: str
    modalities: list[str]
    weight: float | None
    spread: float | None
    units: int | None
    sites: list[str]
    reason: str = ""


@dataclass(frozen=True)
class FederatedStack:
    """A stack of federated models. folds: within sites, of scores by models that had not seen the unit; penalty: on differences between weights; units: with a score of any part, or sum of weights;
    intercepts: of the combined score. correlation: of the scores of two parts, of those that have both, one class aside; empty of several. model: as JSON, to be decoded to
    :class:`cohortium.contracts.federation_stack.StackModel`. paired: where a simulation compared."""

    parts: list[StackedPart]
    folds: int
    penalty: float
    units: float
    intercepts: list[float]
    correlation: list[list[float]]
    model: dict[str, Any]
    paired: list[Paired] = field(default_factory=list)


@dataclass(frozen=True)
class FederatedResults:
    """A federated fit. classes: of the endpoint (of survival: censored, event). reference: the class that others are held
    against. intercepts: by class or empty; on the scale of the columns. loss: penalised, at the end. heterogeneity: p of equal
    coefficients at all sites. seconds: by round. largest_difference: between federated and pooled coefficients. evaluation, attacks, privacy: where they
    were asked for. secure: how sums were protected, where they were. network: of method ``network``, which has no coefficients.
    stack: of method ``stack``, which has none either.
    cuts: of a common baseline hazard ends of bins but the last."""

    study: str
    endpoint: str
    kind: str
    plan: FederationPlan
    digest: str
    sites: list[SiteRecord]
    classes: tuple[str, ...]
    reference: str
    coefficients: list[Coefficient]
    intercepts: dict[str, float]
    loss: float
    rounds: int
    heterogeneity: float | None
    notices: list[str]
    messages: list[MessageRow]
    seconds: list[float]
    engine: str
    version: str
    largest_difference: float | None = None
    evaluation: FederatedEvaluation | None = None
    attacks: list[AttackRecord] = field(default_factory=list)
    preparing: Preparing | None = None
    trees: FederatedTrees | None = None
    secure: SecureRecord | None = None
    privacy: PrivacyStatement | None = None
    network: NetworkFit | None = None
    cuts: list[float] = field(default_factory=list)
    stack: FederatedStack | None = None
