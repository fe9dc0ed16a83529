"""Messages of stacking: questions about its parts, moments of their scores, and sums of the fit of their weights.

As those of :mod:`cohortium.contracts.federation`. P parts, K scores of each (one, but for several classes), d = P K. A score of a unit
that was in a model's fit is never used: each part has a model for each fold, of the units outside it, and a unit is scored by that of its own fold. Parameters: T
intercepts (none of survival, K - 1 of several classes: the first has 0, else one), then P weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan, FitAnswer, FitQuestion, Model

FloatArray = NDArray[np.float64]


def part_plan(plan: FederationPlan, part: int) -> FederationPlan:
    """The plan of a part: that of a study of its tables by its method, without an evaluation of its own."""
    assert plan.stack is not None
    p = plan.stack.parts[part]
    linear, select = p.method == "linear", plan.select
    if select is not None:
        chosen = tuple(m for m in select.modalities if m in p.modalities)
        select = replace(select, modalities=chosen) if chosen and linear else None
    return replace(
        plan, method=p.method, modalities=p.modalities, folds=0, stack=None, select=select,
        harmonise=tuple(m for m in plan.harmonise if m in p.modalities), trees=None if linear else plan.trees,
        penalty=p.penalty, prepare=plan.prepare if linear else None,
    )  # fmt: skip


def intercepts(kind: str, classes: int) -> int:
    """T, of an endpoint."""
    return {"survival": 0, "multiclass": classes - 1}.get(kind, 1)


@dataclass(frozen=True)
class PartQuestion:
    """A question about one fit of a part: without a fold of each site's units, or with all of them (-1)."""

    part: int
    fold: int
    question: FitQuestion


@dataclass(frozen=True)
class AskStackParts(FitQuestion):
    """The fits of all parts, in the same rounds."""

    plan: str
    round: int
    parts: tuple[PartQuestion, ...]


@dataclass(frozen=True)
class PartAnswer:
    """A site's answer about one fit of a part."""

    part: int
    fold: int
    answer: FitAnswer


@dataclass(frozen=True)
class SiteParts(FitAnswer):
    """Answers about the fits of all parts."""

    site: str
    plan: str
    round: int
    parts: tuple[PartAnswer, ...]

    LEAVES: ClassVar[dict[str, str]] = {
        "parts": "for each fit of a part of a stack one of the messages above, of the units that have its tables, or of those outside a fold",
    }
    EXPOSES: ClassVar[str] = (
        "what a study of each part would; sums of all less those of a training part are sums of a fold"
    )


@dataclass(frozen=True)
class PartModel:
    """A part's model of one of its fits."""

    part: int
    fold: int
    model: Model


@dataclass(frozen=True)
class AskStackMoments(FitQuestion):
    """How do the scores of parts vary together? outcome: mean and standard deviation of a continuous endpoint, else (0, 1)."""

    plan: str
    round: int
    models: tuple[PartModel, ...]
    classes: tuple[str, ...]
    outcome: tuple[float, float]


@dataclass(frozen=True)
class SiteStackMoments(FitAnswer):
    """Of scores by models that were not fitted on the unit. count: (d, d) units with both scores; sums: (d, d) of the first of both; products: (d, d).
    outcome: (K,) units by class (one of binary: the second; sum of a standardised continuous one; none of survival: 0) of those with any score; units: (1,) their number,
    or sum of weights. What fewer than the declared number of patients share is 0."""

    site: str
    plan: str
    round: int
    count: FloatArray
    sums: FloatArray
    products: FloatArray
    outcome: FloatArray
    units: FloatArray

    LEAVES: ClassVar[dict[str, str]] = {
        "count": "units that have the scores of two parts, by pair",
        "sums": "sum of the first's scores over them",
        "products": "sum of products of both scores over them",
        "outcome": "units by class, or sum of a continuous endpoint, of those with any score",
        "units": "number of units with any score; with weights their sum",
    }
    EXPOSES: ClassVar[str] = (
        "how the scores of parts vary at the site; how many of its units have each table, and each two"
    )


@dataclass(frozen=True)
class AskStackSums(FitQuestion):
    """Loss, gradient and Hessian of the fit of weights at ``parameters``. mean (d,), cov (d, d): by which a score that a unit lacks is replaced
    by its expectation, given those that it has."""

    plan: str
    round: int
    models: tuple[PartModel, ...]
    classes: tuple[str, ...]
    outcome: tuple[float, float]
    mean: FloatArray
    cov: FloatArray
    parameters: FloatArray


@dataclass(frozen=True)
class SiteStackSums(FitAnswer):
    """What Newton's method needs, of units with any score. time, hazard: of survival the time under observation, and that times the hazard
    of the combined score; else 0."""

    site: str
    plan: str
    round: int
    loss: float
    gradient: FloatArray
    hessian: FloatArray
    time: float
    hazard: float

    LEAVES: ClassVar[dict[str, str]] = {
        "loss": "negative log likelihood given the combined scores, summed over the site's units",
        "gradient": "its gradient by intercepts and weights of parts",
        "hessian": "its second derivatives",
        "time": "time under observation, summed over units (survival)",
        "hazard": "the same times the relative hazard of the combined score (survival)",
    }
    EXPOSES: ClassVar[str] = "how well parts go together at the site: a handful of sums over its patients"


@dataclass(frozen=True)
class StackModel(Model):
    """Parts, fitted on all, and how they are combined; fields as in :class:`AskStackSums`. neutral: (K,) score of a unit of which nothing is known."""

    parts: tuple[PartModel, ...]
    classes: tuple[str, ...]
    outcome: tuple[float, float]
    mean: FloatArray
    cov: FloatArray
    parameters: FloatArray
    neutral: FloatArray
