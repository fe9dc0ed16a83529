"""What ``biomarkers`` found, as records: of ``biomarkers.json`` and of its page."""

from __future__ import annotations

from dataclasses import dataclass, field

from cohortium.contracts.estimates import Estimate


@dataclass(frozen=True)
class Association:
    """A feature and the endpoint by themselves, adjusted for the covariates. effect, low, high: of ``quantity`` of the results
    for one standard deviation of the feature, of a feature of two values for the higher against the lower; None where no
    finite estimate exists. level: the class in which it stands out, of several. p: None where nothing could be tested."""

    modality: str
    feature: str
    n: int
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    q: float | None
    level: str = ""


@dataclass(frozen=True)
class Group:
    """Features that correlate so much that no method can say which of them matters. lead: the member with the smallest p.

    p_given, q_given: of the group given all other features. selected: by knockoffs. w: contrast with the knockoffs of the first draw; again: share of further draws that select it.
    stability: share of half-samples that select it. folds, sites: in how many, of how many, the lead's effect has the same sign.
    None where that was not looked at.
    """

    number: int
    modality: str
    members: list[str]
    lead: Association
    selected: bool
    tested: bool
    p_given: float | None = None
    q_given: float | None = None
    w: float | None = None
    e: float | None = None
    again: float | None = None
    stability: float | None = None
    stable: bool = False
    folds: tuple[int, int] | None = None
    sites: tuple[int, int] | None = None


@dataclass(frozen=True)
class Source:
    """A modality. n: units that have it. features, groups: looked at. rare: left out, too few units differ in them.
    tested: groups that were tested given all others. given: of them with q <= fdr. found: of them by knockoffs. univariate: features below the rate by themselves."""

    modality: str
    n: int
    features: int
    groups: int
    rare: int
    tested: int
    given: int
    found: int
    univariate: int


@dataclass(frozen=True)
class StabilityRule:
    """halves: subsamples. each: groups selected in one. threshold: of the share. bound: expected number of false selections
    is at most this. found: groups."""

    halves: int
    each: int
    threshold: float
    bound: float
    found: int


@dataclass(frozen=True)
class SetScore:
    """A gene set. size: its members that were measured. direction: sign of its mean association, 1 or -1. p, q: rank-based, corrected for
    correlation within the set. listed, over_p, over_q: members on the univariate list, and over-representation there."""

    name: str
    size: int
    direction: int
    p: float
    q: float
    correlation: float
    listed: int
    over_p: float
    over_q: float


@dataclass(frozen=True)
class Enrichment:
    """file: of gene sets. background: measured features that were tested; known: those of them in any set. reason: why not."""

    file: str
    modality: str
    background: int
    known: int
    sets: list[SetScore]
    reason: str = ""


@dataclass(frozen=True)
class PanelMember:
    """often: share of the outer folds whose own panel holds it."""

    modality: str
    feature: str
    often: float


@dataclass(frozen=True)
class PanelSize:
    """A panel that was tried. excess: held-out loss beyond the full model's, and its standard error. assays: those to which it was
    restricted, and cost: for a patient; None where no costs are declared. taken: the one that the record is of."""

    size: int
    loss: float
    excess: float
    error: float
    assays: list[str] | None = None
    cost: float | None = None
    taken: bool = False


@dataclass(frozen=True)
class PanelCost:
    """For a patient who is given all assays of it, in ``currency``. panel, full: of the panel, of all features, covariates included.
    low, high: of the outer folds' own panels."""

    currency: str
    panel: float
    full: float
    low: float
    high: float


@dataclass(frozen=True)
class PanelRecord:
    """The smallest panel within one standard error of the full model, with declared costs the cheapest (``within``; else the best one), its
    members in the order in which they enter. panel, full, base: the metric in outer folds that neither chose nor fitted it; base: covariates
    alone. chosen: sizes chosen there."""

    metric: str
    members: list[PanelMember]
    within: bool
    sizes: list[PanelSize]
    panel: Estimate
    full: Estimate
    minus_full: Estimate
    chosen: list[int]
    base: Estimate | None = None
    minus_base: Estimate | None = None
    cost: PanelCost | None = None


@dataclass(frozen=True)
class BiomarkerResults:
    """n_tested: groups tested given all others. n_given: of them with q <= fdr. n_found: by knockoffs. refused: why no knockoffs were made. quantity: of effects. adjusted: modalities whose columns are covariates.
    n_effective: events, units outside the largest class, or units. associated: features with q <= fdr by themselves.
    screening: units that chose among the features and tested nothing. groups: those found by any method, then the smallest
    p-values; all features are in ``biomarkers.csv``."""

    study: str
    title: str
    endpoint: str
    kind: str
    quantity: str
    test: str
    time_unit: str
    seed: int
    version: str
    fdr: float
    adjusted: list[str]
    covariates: int
    n_units: int
    n_patients: int
    n_effective: int
    n_features: int
    n_groups: int
    n_tested: int
    n_given: int
    n_found: int
    associated: int
    refused: str
    joint: list[list[str]]
    screening: int
    draws: int
    sources: list[Source]
    groups: list[Group]
    stability: StabilityRule | None = None
    enrichment: list[Enrichment] = field(default_factory=list)
    panel: PanelRecord | None = None
    notes: list[str] = field(default_factory=list)
