"""What ``subtype`` found, as records: of ``subtypes.json`` and of its page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Candidate:
    """Evidence for a number of clusters, in standard deviations above clouds without clusters: how much nearer units are to
    their own centre than to the next (``separation``), and how empty the borders are (``valley``)."""

    clusters: int
    separation: float
    valley: float


@dataclass(frozen=True)
class Cluster:
    """n: units. stability: mean Jaccard index over parts of the cohort. within, between: mean consensus inside, and with the
    nearest other cluster. confidence: median over its units."""

    name: str
    n: int
    share: float
    stability: float
    within: float
    between: float
    confidence: float


@dataclass(frozen=True)
class Group:
    """One cluster in a comparison. value: of ``Difference.quantity``, with its 95% interval where there is one."""

    subtype: str
    n: int
    n_events: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """Clusters compared in something that did not form them.

    role: ``endpoint``, or ``design`` (site, batch, who has which modality: what clusters should not be). p: of the test;
    p_holm: corrected for all of its role. None with a reason where there is no test.
    """

    name: str
    role: str
    kind: str
    test: str
    quantity: str
    n: int
    groups: list[Group]
    p: float | None = None
    p_holm: float | None = None
    reason: str | None = None
    unit: str = ""


@dataclass(frozen=True)
class Curve:
    """Kaplan-Meier curve of a cluster: survival just after each time, with its 95% interval; numbers at risk at ``ticks``."""

    endpoint: str
    subtype: str
    n: int
    times: list[float]
    survival: list[float]
    low: list[float]
    high: list[float]
    last: float


@dataclass(frozen=True)
class Marker:
    """A feature and the clusters. p, q: of a test against clusters formed without its modality, and corrected for all features
    (Benjamini-Hochberg). effects: subtype -> standardised difference to the other units, in those clusters. naive: in the
    subtypes themselves, which the feature helped to form: too large, and never tested."""

    modality: str
    feature: str
    n: int
    p: float | None
    q: float | None
    effects: dict[str, float | None]
    naive: dict[str, float | None]


@dataclass(frozen=True)
class MarkerSource:
    """A modality whose features were tested. agreement: adjusted Rand index of the subtypes with the clusters formed without it.
    found: features with q < 0.05. reason: why nothing was tested."""

    modality: str
    n: int
    features: int
    found: int | None = None
    agreement: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class SubtypeResults:
    """n_clusters: 0 when there are none. p: of no clusters; there are some when it is no larger than ``level``. forced: the number was given, whatever the evidence.
    shared: latent variables weigh by what modalities share. markers: the leading ones; all are in ``markers.csv``."""

    study: str
    title: str
    method: str
    seed: int
    version: str
    n_units: int
    n_patients: int
    n_clustered: int
    n_without: int
    modalities: dict[str, int]
    latent: int
    shared: bool
    p: float
    level: float
    draws: int
    n_clusters: int
    forced: bool
    candidates: list[Candidate]
    clusters: list[Cluster] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    sources: list[MarkerSource] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
