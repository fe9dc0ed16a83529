"""Records of how new units differ from those of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModalityDrift:
    """share_seen, share_new: of units that have it; p: of their difference. units: new ones that have it. outside: share of
    these that are outside what the model has seen, of whom one in a hundred is expected."""

    modality: str
    share_seen: float
    share_new: float
    p: float | None
    units: int
    outside: float | None


@dataclass(frozen=True)
class FeatureDrift:
    """psi: population stability index. p: chi-squared, None where it cannot be had; q: corrected for all features."""

    modality: str
    feature: str
    psi: float
    p: float | None
    q: float | None


@dataclass(frozen=True)
class DriftResults:
    """modalities, features (the most changed first) of ``units`` new units of a run."""

    study: str
    units: int
    modalities: list[ModalityDrift]
    features: list[FeatureDrift]
    strangers: int
