"""Messages of federated preprocessing and calibration: which columns are associated with the endpoint, how scores are calibrated.

As those of :mod:`cohortium.contracts.federation`; q columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FitAnswer, FitQuestion, Model

FloatArray = NDArray[np.float64]

STILL = 1e-18
"""Of squared deviations, relative to squares: less is rounding of a column that does not vary."""


@dataclass(frozen=True)
class AskAssociation(FitQuestion):
    """What is the score test of each column made of? Columns are standardised by ``mean`` and ``sd`` (q,); unknown is the mean.
    outcome: mean and standard deviation of a continuous endpoint, else (0, 1)."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    outcome: tuple[float, float]


@dataclass(frozen=True)
class SiteAssociation(FitAnswer):
    """Sums behind a score test of each column by itself. weights: (C,) by class; all of a continuous endpoint; events. sums: (q, C)
    of a class's columns; of a continuous endpoint (q, 2) of columns, and of columns times endpoint; of survival (q, 1) the gradient
    of Cox's likelihood where nothing matters. squares: (q,) of columns; of survival their information."""

    site: str
    plan: str
    round: int
    weights: FloatArray
    sums: FloatArray
    squares: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "weights": "units by class (with weights their sum); all of a continuous endpoint; of survival events",
        "sums": "by column its sum over each class; or its sum, and its sum of products with the endpoint; or its gradient (survival)",
        "squares": "by column its sum of squares; or its information (survival)",
    }
    EXPOSES: ClassVar[str] = (
        "of each column how it goes with the outcome at the site: of a level, how many of each class have it"
    )


@dataclass(frozen=True)
class AskCalibration(FitQuestion):
    """How do the scores of this model relate to the outcomes of those who are held out? who: empty for all sites together, else a
    site. at: (F, 2) intercept and slope of each of them; a site answers to its own and to that of all."""

    plan: str
    round: int
    model: Model
    classes: tuple[str, ...]
    who: tuple[str, ...]
    at: FloatArray


@dataclass(frozen=True)
class SiteCalibration(FitAnswer):
    """Sums of a regression of the outcome on the score, over a site's units that are held out. who: which of the asked fits; loss: (f,);
    gradient: (f, 2); hessian: (f, 3) of intercept twice, both, slope twice. Of survival the intercept is none: 0."""

    site: str
    plan: str
    round: int
    who: tuple[str, ...]
    loss: FloatArray
    gradient: FloatArray
    hessian: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "who": "the site's name, or empty for the fit of all",
        "loss": "negative log likelihood of the outcome given intercept and slope of the score, summed over those held out",
        "gradient": "its gradient, two numbers",
        "hessian": "its second derivatives, three numbers",
    }
    EXPOSES: ClassVar[str] = "intercept and slope of the model's scores there, and how far scores spread"
