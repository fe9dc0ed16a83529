"""Messages of federated studies: what goes to a site, and all that leaves it.

The coordinator sends a question (:data:`Question`) and gets an answer (:data:`Answer`) of every site. ``LEAVES`` of an answer
says of each field what it holds; there is nothing else in it. Arrays are float64; q columns, K scores (one, but for several
classes), P parameters: K intercepts (none for survival), then coefficients (q, K) by column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.network_plan import NetworkPlan
from cohortium.contracts.private_plan import PrivacyPlan

FloatArray = NDArray[np.float64]


class FitQuestion:
    """A question about a fit: of the main one, or of one of the evaluation."""


class FitAnswer:
    """What may answer a :class:`FitQuestion`."""


class Model:
    """A fitted model as it is sent to sites, to score their patients."""


@dataclass(frozen=True)
class SecurePlan:
    """Sums that nobody sees one by one. least_sites: that a sum is of, at least. bits: after the point, of the sums of a fit."""

    least_sites: int = 3
    bits: int = 64


@dataclass(frozen=True)
class Selection:
    """Which columns are fitted: ``features`` of those of ``modalities``, with the highest score ``by`` (``association`` with the
    endpoint, or ``variance``); columns of other tables are kept."""

    features: int
    by: str
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class TreesPlan:
    """Gradient boosting. rounds: trees (by class) at most; depth of each; learning_rate: share of a leaf's value that is added. bins:
    of a column at most. ridge: on values of leaves. least_curvature, least_leaf: sum of second derivatives, and units, of a leaf over
    all sites, at least. stop: trees without gain for units held out after which it ends; 0: never. held: their share."""

    rounds: int = 100
    depth: int = 3
    learning_rate: float = 0.1
    bins: int = 32
    ridge: float = 1.0
    least_curvature: float = 1.0
    least_leaf: int = 20
    stop: int = 0
    held: float = 0.2


@dataclass(frozen=True)
class BaselinePlan:
    """One baseline hazard for all sites. times: ends of bins but the last, in the endpoint's unit; None: chosen from sites' counts."""

    times: tuple[float, ...] | None = None


@dataclass(frozen=True)
class FederationPlan:
    """What the lead declares and every site holds against its own study file.

    kind: of the endpoint. classes: names where the study file gives them, else empty. modalities: tables whose features are
    used. penalty: ridge, on standardised coefficients. least_patients, least_events, least_cell: small-count
    suppression. quorum: sites without which there is no answer. rounds: at most. weighted: sampling weights are used.
    folds: that each site deals its patients into for the evaluation, by ``seed``; 0: there is no evaluation. method: which of
    the coordinator's methods answers the study. select: of many columns some, or None. harmonise: tables of which the effects of
    sites are taken out. trees: how trees are boosted, where that is the method. secure: whether the coordinator sees only sums
    over sites, and how. privacy: differential privacy, where it was asked for. network: of method ``network``. baseline: of a Cox
    model that all sites share; None: each site has its own.
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
    folds: int = 0
    seed: int = 0
    method: str = "linear"
    select: Selection | None = None
    harmonise: tuple[str, ...] = ()
    trees: TreesPlan | None = None
    secure: SecurePlan | None = None
    privacy: PrivacyPlan | None = None
    network: NetworkPlan | None = None
    baseline: BaselinePlan | None = None


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
    levels: all that sites agreed on; others are unknown. batches: (site, shift, factor) where the effect of sites is taken out: a
    value x of that site stands for shift + factor x; at other sites it is as it is."""

    modality: str
    feature: str
    kind: str
    level: str
    levels: tuple[str, ...]
    batches: tuple[tuple[str, float, float], ...] = ()

    @property
    def name(self) -> str:
        """``age``, or ``grade=high``; of 0 and 1 only ``nodes``."""
        return f"{self.feature}={self.level}" if self.level and self.levels != ("0", "1") else self.feature


@dataclass(frozen=True)
class AskSchema(FitQuestion):
    """Who is there, and with which features?"""

    plan: str
    round: int


@dataclass(frozen=True)
class AskMoments(FitQuestion):
    """Counts, means and variances of these columns."""

    plan: str
    round: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class AskSums(FitQuestion):
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
class LinearModel(Model):
    """Scores linear in standardised columns; fields as in :class:`AskSums`."""

    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    outcome: tuple[float, float]
    parameters: FloatArray


@dataclass(frozen=True)
class AskScores(FitQuestion):
    """How well does this model predict those who are held out? classes: in the order of the model's scores. grid: (B - 1,)
    rising edges of the bins of scores, for classes; else empty."""

    plan: str
    round: int
    model: Model
    classes: tuple[str, ...]
    grid: FloatArray


@dataclass(frozen=True)
class TrialQuestion:
    """A question about a fit of the evaluation. without: the site that is held out, or empty. fold: of every
    site that is held out, or -1. Where a site is held out it is asked for scores alone, the others for the fit."""

    without: str
    fold: int
    question: FitQuestion


@dataclass(frozen=True)
class AskTrials:
    """The fits of the evaluation, all in the same rounds."""

    plan: str
    round: int
    trials: tuple[TrialQuestion, ...]


@dataclass(frozen=True)
class SiteSchema(FitAnswer):
    """A site is there, with so many patients."""

    site: str
    plan: str
    round: int
    units: int
    patients: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    features: tuple[FeatureSchema, ...]

    EXPOSES: ClassVar[str] = (
        "that the site has so many patients, with so many of each outcome; names of features and of levels that enough share"
    )
    LEAVES: ClassVar[dict[str, str]] = {
        "units": "number of units with a label",
        "patients": "number of their patients",
        "classes": "names of the classes",
        "counts": "units by class, or without and with the event; each class and the events at least the declared minimum",
        "features": "names and coding of features; levels that at least the declared number of patients share",
    }


@dataclass(frozen=True)
class SiteMoments(FitAnswer):
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

    EXPOSES: ClassVar[str] = (
        "the site's means, spreads and shares of levels, each of at least the declared number of patients"
    )
    LEAVES: ClassVar[dict[str, str]] = {
        "count": "known cells by column",
        "mean": "mean by column",
        "squares": "sum of squared deviations by column",
        "weight": "sum of weights; without weights the number of units",
        "outcome_mean": "mean of a continuous endpoint",
        "outcome_squares": "sum of squared deviations of a continuous endpoint",
    }


@dataclass(frozen=True)
class SiteSums(FitAnswer):
    """What Newton's method needs: loss (negative log likelihood), gradient (P,) and Hessian (P, P)."""

    site: str
    plan: str
    round: int
    loss: float
    gradient: FloatArray
    hessian: FloatArray

    EXPOSES: ClassVar[str] = (
        "of two levels how many patients have both, however few; with many columns against patients who took part, and single rows (see attacks)"
    )
    LEAVES: ClassVar[dict[str, str]] = {
        "loss": "negative log likelihood, summed over the site's units",
        "gradient": "its gradient: sums over units of column times residual; with a common baseline also expected less observed events by bin of time",
        "hessian": "its second derivatives: weighted sums over units of products of two columns",
    }


@dataclass(frozen=True)
class Histogram:
    """Units by bin of their score. outcome: the class against all others. edges: (b - 1,) of the grid; bins between them were
    merged until each holds enough. negatives, positives: (b,), empty where not even two bins can hold enough."""

    outcome: str
    edges: FloatArray
    negatives: FloatArray
    positives: FloatArray


@dataclass(frozen=True)
class SiteScores(FitAnswer):
    """How well a model predicts patients whom it was not fitted on. counts: as in :class:`SiteSchema`. What an endpoint does
    not have is empty or 0."""

    site: str
    plan: str
    round: int
    units: int
    counts: tuple[int, ...]
    histograms: tuple[Histogram, ...]
    expected: float
    brier: float
    brier_squares: float
    absolute: float
    squares: float
    variation: float
    explained_error: float
    concordance: float
    concordance_error: float
    pairs: int

    EXPOSES: ClassVar[str] = "how well the model does there; that a fold holds so many of each outcome"
    LEAVES: ClassVar[dict[str, str]] = {
        "units": "number of units held out",
        "counts": "of them by class, or without and with the event; each class and the events at least the declared minimum",
        "histograms": "units of each class by bin of their score; bins are merged until each holds the declared number of either class",
        "expected": "sum of predicted probabilities (binary)",
        "brier": "sum of squared differences of probability and outcome (binary)",
        "brier_squares": "sum of their squares (binary)",
        "absolute": "sum of absolute errors (continuous)",
        "squares": "sum of squared errors (continuous)",
        "variation": "sum of squared deviations of the endpoint from its mean there (continuous)",
        "explained_error": "standard error of R² there, by the jackknife over patients (continuous)",
        "concordance": "Harrell's C of pairs of the site's own units (survival)",
        "concordance_error": "its standard error, by the jackknife over patients (survival)",
        "pairs": "number of pairs that can be compared (survival)",
    }


@dataclass(frozen=True)
class Withdrawn(FitAnswer):
    """A site takes no part; nothing of its data leaves."""

    site: str
    plan: str
    round: int
    reason: str

    EXPOSES: ClassVar[str] = "that the site takes no part, and a reason without counts"
    LEAVES: ClassVar[dict[str, str]] = {"reason": "why, in words without counts or values"}


@dataclass(frozen=True)
class TrialAnswer:
    """A site's answer about one fit of the evaluation."""

    without: str
    fold: int
    answer: FitAnswer


@dataclass(frozen=True)
class SiteTrials:
    """Answers about the fits of the evaluation that a site takes part in."""

    site: str
    plan: str
    round: int
    trials: tuple[TrialAnswer, ...]

    EXPOSES: ClassVar[str] = "sums of training parts: taken from those of all patients they are sums of a fold"
    LEAVES: ClassVar[dict[str, str]] = {
        "trials": "for each fit of the evaluation one of the messages above, of all the site's patients or of those outside a fold",
    }


Question = Any
"""A :class:`FitQuestion`, or :class:`AskTrials`; of any method."""

Answer = Any
"""A :class:`FitAnswer`, or :class:`SiteTrials`; of any method."""

ANSWERS: tuple[type, ...] = (SiteSchema, SiteMoments, SiteSums, SiteScores, SiteTrials, Withdrawn)
ENVELOPE = ("site", "plan", "round")
"""Fields of every answer: who answers which question of which plan."""
