"""Messages of federated studies: what goes to a site, and all that leaves it.

The coordinator sends a question (:data:`Question`) and gets an answer (:data:`Answer`) of every site. ``LEAVES`` of an answer
says of each field what it holds; there is nothing else in it. Arrays are float64; q columns, K scores (one, but for several
classes), P parameters: K intercepts (none for survival), then coefficients (q, K) by column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FederationPlan:
    """What the lead declares and every site holds against its own study file.

    kind: of the endpoint. classes: names where the study file gives them, else empty. modalities: tables whose features are
    used. penalty: ridge, on standardised coefficients. least_patients, least_events, least_cell: small-count
    suppression. quorum: sites without which there is no answer. rounds: at most. weighted: sampling weights are used.
    """

    study: str
    endpoint: str
    kind: str
    classes: tuple[str, ...]
    time_unit: str
    modalities: tuple[str, ...]
    penalty: float
    least_patients: int
    least_events: int
    least_cell: int
    quorum: int
    rounds: int
    weighted: bool


@dataclass(frozen=True)
class FeatureSchema:
    """Name and coding of a feature at a site. kind: ``numeric``, ``ordinal`` or ``level``. levels: of coded ones, those that
    enough patients share (all, in order, of ordinal ones). id_space, unit: as declared, or empty."""

    modality: str
    name: str
    kind: str
    levels: tuple[str, ...]
    id_space: str
    unit: str


@dataclass(frozen=True)
class Column:
    """A column of the model: a numeric or ordinal feature (level empty), or one level of a feature against its first.
    levels: all that sites agreed on; others are unknown."""

    modality: str
    feature: str
    kind: str
    level: str
    levels: tuple[str, ...]

    @property
    def name(self) -> str:
        """``age``, or ``grade=high``; of 0 and 1 only ``nodes``."""
        return f"{self.feature}={self.level}" if self.level and self.levels != ("0", "1") else self.feature


@dataclass(frozen=True)
class AskSchema:
    """Who is there, and with which features?"""

    plan: str
    round: int


@dataclass(frozen=True)
class AskMoments:
    """Counts, means and variances of these columns."""

    plan: str
    round: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class AskSums:
    """Loss, gradient and Hessian at ``parameters`` (P,), of columns standardised by ``mean`` and ``sd`` (q,); unknown is the
    mean. outcome: mean and standard deviation of a continuous endpoint, else (0, 1)."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    outcome: tuple[float, float]
    parameters: FloatArray


@dataclass(frozen=True)
class SiteSchema:
    """A site is there, with so many patients."""

    site: str
    plan: str
    round: int
    units: int
    patients: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    features: tuple[FeatureSchema, ...]

    LEAVES: ClassVar[dict[str, str]] = {
        "units": "number of units with a label",
        "patients": "number of their patients",
        "classes": "names of the classes",
        "counts": "units by class, or without and with the event; each class and the events at least the declared minimum",
        "features": "names and coding of features; levels that at least the declared number of patients share",
    }


@dataclass(frozen=True)
class SiteMoments:
    """Sums behind means and variances. count, mean, squares: (q,) of known cells; squares: sum of squared deviations.
    weight: sum of weights. outcome_mean, outcome_squares: of a continuous endpoint, else 0."""

    site: str
    plan: str
    round: int
    count: FloatArray
    mean: FloatArray
    squares: FloatArray
    weight: float
    outcome_mean: float
    outcome_squares: float

    LEAVES: ClassVar[dict[str, str]] = {
        "count": "known cells by column",
        "mean": "mean by column",
        "squares": "sum of squared deviations by column",
        "weight": "sum of weights; without weights the number of units",
        "outcome_mean": "mean of a continuous endpoint",
        "outcome_squares": "sum of squared deviations of a continuous endpoint",
    }


@dataclass(frozen=True)
class SiteSums:
    """What Newton's method needs: loss (negative log likelihood), gradient (P,) and Hessian (P, P)."""

    site: str
    plan: str
    round: int
    loss: float
    gradient: FloatArray
    hessian: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "loss": "negative log likelihood, summed over the site's units",
        "gradient": "its gradient: sums over units of column times residual",
        "hessian": "its second derivatives: weighted sums over units of products of two columns",
    }


@dataclass(frozen=True)
class Withdrawn:
    """A site takes no part; nothing of its data leaves."""

    site: str
    plan: str
    round: int
    reason: str

    LEAVES: ClassVar[dict[str, str]] = {"reason": "why, in words without counts or values"}


Question = AskSchema | AskMoments | AskSums
Answer = SiteSchema | SiteMoments | SiteSums | Withdrawn

QUESTIONS: tuple[type, ...] = (AskSchema, AskMoments, AskSums)
ANSWERS: tuple[type, ...] = (SiteSchema, SiteMoments, SiteSums, Withdrawn)
ENVELOPE = ("site", "plan", "round")
"""Fields of every answer: who answers which question of which plan."""


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
class FederatedResults:
    """A federated fit. classes: of the endpoint (of survival: censored, event). reference: the class that others are held
    against. intercepts: by class or empty; on the scale of the columns. loss: penalised, at the end. heterogeneity: p of equal
    coefficients at all sites. seconds: by round. largest_difference: between federated and pooled coefficients."""

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
