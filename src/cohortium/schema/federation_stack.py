"""Declarations of the study file about preparing columns, and about stacking federated models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cohortium.schema.declare import Declaration


class PrepareSpec(Declaration):
    """What is done about unknown cells, skewed columns and outliers before a linear fit or a network. As ``run`` has it: median, compress, clip."""

    unknown: Literal["mean", "median"] = Field(
        "mean", description="what stands for an unknown cell of a unit that has the table; of all sites"
    )
    skewed: Literal["leave", "compress"] = Field(
        "leave", description="compress: columns with a skewness beyond 2 become asinh of their robust z-score"
    )
    outliers: Literal["leave", "clip"] = Field("leave", description="clip: standardised values end at 6 and -6")


class StackSpec(Declaration):
    """Federated models that are combined by weights (``federation: {method: stack}``)."""

    parts: list[Literal["linear", "trees"]] = Field(
        ["linear", "trees"], min_length=1, description="methods: linear, trees"
    )
    by: Literal["modality", "all", "both"] = Field(
        "modality", description="each method on each table, on all tables together, or both"
    )
    folds: int = Field(3, ge=2, le=10, description="within sites, for scores by models that had not seen the unit")
    penalties: dict[str, float] = Field(
        default_factory=dict, description="ridge of a table's own linear part; default: federation.penalty"
    )
    penalty: float = Field(20.0, ge=0, le=1e6, description="on differences between weights; 1000000: all the same")
