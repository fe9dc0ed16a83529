"""Declarations of what assays cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from cohortium.schema.declare import Declaration


class AssayCost(Declaration):
    """What it costs to measure a modality in one patient."""

    assay: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="for each patient measured, however many features are used"
    )
    feature: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="further, for each feature that is used; of tables"
    )


def _short(given: object) -> object:
    """A number alone is the cost of the whole assay."""
    return {"assay": given} if isinstance(given, int | float | str) and not isinstance(given, bool) else given


Cost = Annotated[
    AssayCost,
    BeforeValidator(_short),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {
                    "type": "object",
                    "properties": {k: {"type": "number", "minimum": 0, "default": 0} for k in ("assay", "feature")},
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class CostsSpec(Declaration):
    """What every modality costs for each patient, in one currency."""

    currency: str = Field(
        "", max_length=12, pattern=r"^[^\d<>&]*$", description="as it is printed: EUR, US$, GBP, points"
    )
    assays: dict[str, Cost] = Field(
        min_length=1, description="every modality -> its cost per patient; or {assay: 40, feature: 6}"
    )
