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
