"""What a private study says of its privacy: the records behind the privacy statement of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivateRelease:
    """Something that each site released. part: of whose patients. sensitivity: L2, by which one patient can change the sums; deviation:
    of the noise on each number, by site. mu: of all ``times`` together (Gaussian differential privacy; 0 of sampled steps, which have none); epsilon: of it alone."""

    what: str
    part: str
    times: int
    sensitivity: float
    deviation: float
    mu: float
    epsilon: float


@dataclass(frozen=True)
class PrivatePerformance:
    """From noisy counts of the patients held out. low, high: 95%, of patients and noise. patients: by noisy counts."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    patients: float
    reason: str = ""


@dataclass(frozen=True)
class PrivacyStatement:
    """epsilon, delta: the budget. spent: of it, at delta, for the patient in the costlier part. source: of the noise, ``system`` or
    ``seed``. patients: noisy, by site. bounds: of each feature, as declared. steps: noisy ones in all. sampled: chance of a patient to be
    in one. network: whether that is what was fitted."""

    epsilon: float
    delta: float
    spent: float
    source: str
    hold_out: float
    rounds: int
    clip: float
    releases: list[PrivateRelease]
    patients: dict[str, float]
    bounds: dict[str, str]
    performance: list[PrivatePerformance]
    lacking: dict[str, list[str]]
    steps: int = 0
    sampled: float = 1.0
    network: bool = False
