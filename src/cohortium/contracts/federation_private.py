"""Messages of differentially private studies. Everything in an answer that depends on patients has noise on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FitAnswer, FitQuestion

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AskPrivateCounts(FitQuestion):
    """How many are there, and the sums behind means and variances, if the plan pays for them."""

    plan: str
    round: int


@dataclass(frozen=True)
class AskPrivateGradient(FitQuestion):
    """Sum of clipped gradients at ``parameters`` (P,), of columns standardised by ``mean`` and ``sd`` (q,); unknown is the mean."""

    plan: str
    round: int
    mean: FloatArray
    sd: FloatArray
    parameters: FloatArray


@dataclass(frozen=True)
class AskPrivateScores(FitQuestion):
    """Counts of those held out by bin of their score. grid: (B - 1,) rising edges; empty for a continuous endpoint."""

    plan: str
    round: int
    mean: FloatArray
    sd: FloatArray
    parameters: FloatArray
    grid: FloatArray


@dataclass(frozen=True)
class SitePrivateCounts(FitAnswer):
    """counts: (cells,) patients by class, or by last interval and event. moments: (3 q,) sums, or empty. source: of the noise,
    ``system`` or ``seed``. features: of the declared ones those that the site has, by number."""

    site: str
    plan: str
    round: int
    source: str
    features: tuple[int, ...]
    counts: FloatArray
    moments: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "source": "whether the noise comes from the operating system or from a seed",
        "features": "which of the declared features the site has",
        "counts": "patients by class, or by last interval and event, with noise",
        "moments": "known cells, sums and sums of squares by column, cut to the declared bounds, with noise",
    }
    EXPOSES: ClassVar[str] = (
        "about how many patients the site has, and of which outcome, through noise; which features it has, exactly"
    )


@dataclass(frozen=True)
class SitePrivateGradient(FitAnswer):
    """gradient: (P,)."""

    site: str
    plan: str
    round: int
    gradient: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "gradient": "sum over the patients of the fit of their gradients, each cut to the declared norm, with noise",
    }
    EXPOSES: ClassVar[str] = "what the model learns there, through noise: of one patient no more than the budget allows"


@dataclass(frozen=True)
class SitePrivateScores(FitAnswer):
    """counts: patients held out by cell (bin of the score, class or interval and event), or four sums of a continuous endpoint."""

    site: str
    plan: str
    round: int
    counts: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "counts": "patients held out by bin of their score and outcome, or sums of values and errors cut to their bounds, with noise",
    }
    EXPOSES: ClassVar[str] = "about how well the model does there, through noise"


@dataclass(frozen=True)
class PrivatePart:
    """A part of a network. change: (p,) what was added to its start, which every site draws from the plan's seed."""

    name: str
    change: FloatArray


@dataclass(frozen=True)
class AskPrivateUpdate(FitQuestion):
    """Take the plan's noisy steps from this network. mean, sd: (q,) of declared columns. base: (H,) start of the outputs' intercepts. patients:
    by which every site's sums are divided, the same at all. parts: of the network; one that is not named is at its start."""

    plan: str
    round: int
    mean: FloatArray
    sd: FloatArray
    base: FloatArray
    patients: float
    parts: tuple[PrivatePart, ...]


@dataclass(frozen=True)
class AskPrivateNetworkScores(FitQuestion):
    """Counts of those held out by bin of the score of this network; fields as in :class:`AskPrivateUpdate`. Edges of bins follow from
    the network: each site finds the same ones, from made-up patients."""

    plan: str
    round: int
    mean: FloatArray
    sd: FloatArray
    base: FloatArray
    parts: tuple[PrivatePart, ...]


@dataclass(frozen=True)
class SitePrivateUpdate(FitAnswer):
    """parts: of modalities that the site's study file has, and of those that all have."""

    site: str
    plan: str
    round: int
    parts: tuple[PrivatePart, ...]

    LEAVES: ClassVar[dict[str, str]] = {
        "parts": "for each part of the network of which the site has the modality: change of its weights by the declared steps, each of which "
        "sums patients' gradients, cut together to the declared norm, with noise",
    }
    EXPOSES: ClassVar[str] = (
        "what the network learns there, through noise: of one patient no more than the budget allows; which modalities the site's study file has"
    )


PRIVATE_NETWORK_ANSWERS: tuple[type, ...] = (SitePrivateCounts, SitePrivateUpdate, SitePrivateScores)
"""What leaves a site of a private network."""

PRIVATE_QUESTIONS: tuple[type, ...] = (AskPrivateCounts, AskPrivateGradient, AskPrivateScores)
PRIVATE_ANSWERS: tuple[type, ...] = (SitePrivateCounts, SitePrivateGradient, SitePrivateScores)
