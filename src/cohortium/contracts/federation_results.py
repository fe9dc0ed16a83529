"""What a federated study found: the records behind its page and ``federation.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cohortium.contracts.federation import FederationPlan


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
class FederatedEvaluation:
    """How well the model predicts patients whom it was not fitted on, without pooling them."""

    folds: int
    seed: int
    across: list[Performance]
    sites: list[SitePerformance]
    notices: list[str]


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
    """A network that was trained across sites. parameters: numbers in it. have: site -> modality -> training units having it. losses, inner:
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
class FederatedResults:
    """A federated fit. classes: of the endpoint (of survival: censored, event). reference: the class that others are held
    against. intercepts: by class or empty; on the scale of the columns. loss: penalised, at the end. heterogeneity: p of equal
    coefficients at all sites. seconds: by round. largest_difference: between federated and pooled coefficients. evaluation: where it was asked for.
    network: of method ``network``, which has no coefficients."""

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
    network: NetworkFit | None = None
