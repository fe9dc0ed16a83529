"""Declarations of the study file about a federated fit (``cohortium federate``)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration
from cohortium.schema.federation_network import NetworkSpec
from cohortium.schema.federation_stack import PrepareSpec, StackSpec


class SelectSpec(Declaration):
    """Of many columns those that are fitted, chosen anew in every fit of the evaluation."""

    features: int = Field(ge=1, description="columns that are kept; a level counts as one")
    by: Literal["association", "variance"] = Field(
        "association",
        description="association: score test of the endpoint, each column by itself; variance: in the column's own units",
    )
    modalities: list[str] | None = Field(
        None, description="tables of which columns are chosen, those of others are all kept; default: all of the fit"
    )


class TreesSpec(Declaration):
    """Gradient boosted trees on histograms, with ``method: trees``."""

    rounds: int = Field(100, ge=1, le=2000, description="trees, of each class where there are several; at most")
    depth: int = Field(3, ge=1, le=6, description="splits from the root of a tree to a leaf, at most")
    learning_rate: float = Field(0.1, gt=0, le=1, description="share of a tree that is added")
    bins: int = Field(32, ge=2, le=255, description="of a column, at most")
    ridge: float = Field(1.0, ge=0, description="on the value of a leaf")
    least_curvature: float = Field(1.0, ge=0, description="sum of second derivatives in a leaf, over all sites")
    least_leaf: int = Field(20, ge=1, description="units in a leaf, over all sites")
    stop: int = Field(0, ge=0, description="trees without gain for patients held out, after which it ends; 0: never")
    held: float = Field(0.2, ge=0.05, le=0.5, description="their share, with stop")


class PrivacySpec(Declaration):
    """Differential privacy of a federated study: the budget, and what a person declares so that it need not be taken from the data."""

    epsilon: float = Field(gt=0, le=100, description="the budget: of everything that a site releases of this study")
    delta: float = Field(gt=0, lt=1, description="well below one over the number of patients")
    bounds: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="least and most of each number; values beyond are cut"
    )
    levels: dict[str, list[str | int | float]] = Field(
        default_factory=dict, description="all levels of each coded feature; the first is the reference"
    )
    binary: list[str] = Field(default_factory=list, description="features coded 0 and 1: levels [0, 1] for each")
    outcome: tuple[float, float] | None = Field(None, description="least and most of a continuous endpoint")
    times: list[float] = Field(default_factory=list, description="ends of the intervals of survival, rising")
    rounds: int | None = Field(
        None, ge=1, le=500, description="steps of gradient descent, default 25; of a network rounds, default 15"
    )
    clip: float | None = Field(
        None,
        gt=0,
        description="a patient's gradient is cut to this times the root of its columns and one, default 0.2; of a network to this, default 0.4",
    )
    step: float | None = Field(
        None, gt=0, description="length of a step, default 1; of a network its learning rate, default 8"
    )
    counts: float = Field(0.05, gt=0, lt=1, description="share of the budget for counts")
    moments: float = Field(
        0.0, ge=0, lt=1, description="share of it for means and variances; 0: columns are scaled by bounds"
    )
    hold_out: float = Field(0.25, gt=0, lt=1, description="share of patients held out where there is an evaluation")
    site_epsilon: float | None = Field(
        None, gt=0, description="most that this site releases over all studies of its kit; default: epsilon"
    )
    steps: int = Field(1, ge=1, le=100, description="of a network, that a site takes in a round")
    sampled: float = Field(1.0, gt=0, le=1, description="of a network, chance of a patient to be in a step")

    @model_validator(mode="after")
    def _declared(self) -> PrivacySpec:
        for what, (low, high) in [*self.bounds.items(), *([("outcome", self.outcome)] if self.outcome else [])]:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"bounds of '{what}' are {low:g} and {high:g}: the lower comes first, and both are numbers"
                )
        for name, levels in self.levels.items():
            if len({str(n) for n in levels}) < max(2, len(levels)):
                raise ValueError(f"levels of '{name}' are to be two or more, each once")
        named = [*self.bounds, *self.levels, *self.binary]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"'{name}' is declared twice: under bounds, levels and binary it may be once")
        rising = all(a < b for a, b in zip([0.0, *self.times], self.times, strict=False))
        if not rising or not all(map(math.isfinite, self.times)):
            raise ValueError("times are to rise, from above nought")
        if self.counts + self.moments >= 1:
            raise ValueError(
                "counts and moments are shares of the budget: together below 1, or nothing is left for the model"
            )
        return self


class FederationSpec(Declaration):
    """What leaves a site, and when there is an answer. ``run`` does not look at it."""

    modalities: list[str] | None = Field(
        None, description="tables whose features are used; default: the reference, else all modalities"
    )
    penalty: float = Field(0.0, ge=0, description="ridge on coefficients of standardised columns")
    least_patients: int = Field(10, ge=1, description="a site with fewer patients takes no part")
    least_events: int = Field(10, ge=1, description="so does one with fewer events, or patients in a class")
    least_cell: int = Field(10, ge=1, description="what fewer patients of a site share is unknown there")
    quorum: int = Field(2, ge=1, description="with fewer sites there is no answer")
    rounds: int = Field(50, ge=3, le=500, description="at most")
    evaluate: bool = Field(False, description="also how well the model predicts, by sites and folds held out")
    folds: int = Field(5, ge=2, le=20, description="that each site deals its patients into for the evaluation")
    secure: bool = Field(False, description="the coordinator sees only sums over sites, of at least three")
    patience: float = Field(600.0, gt=0, description="seconds that are waited for a site in a round")
    select: SelectSpec | None = Field(None, description="fit some of many columns only")
    method: Literal["linear", "trees", "network", "stack"] = Field(
        "linear",
        description="what is fitted: a linear model, boosted trees, a network of several modalities, or a stack",
    )
    trees: TreesSpec = Field(TreesSpec(), description="how trees are boosted, with method: trees, or in a stack")
    privacy: PrivacySpec | None = Field(None, description="differential privacy: nothing exact leaves a site")
    network: NetworkSpec = NetworkSpec()
    baseline: Literal["site", "common"] = Field(
        "site",
        description="of a Cox model: each site has a baseline hazard of its own, or all share one, constant within bins of time",
    )
    baseline_times: list[float] | None = Field(
        None, description="ends of those bins but the last, in the endpoint's unit; default: by counts of events"
    )
    lacks: list[str] = Field(
        default_factory=list,
        description="modalities that other sites have and this one does not (methods network, stack)",
    )
    prepare: PrepareSpec = Field(PrepareSpec(), description="unknown cells, skewed columns, outliers")
    stack: StackSpec = Field(StackSpec(), description="which models are combined, with method: stack")
