"""Declarations of joint representations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration

JointName = Literal["factors"]

IMPUTED = frozenset({"imputed", "imputed_from"})
"""Columns that mark a table of predicted values: that they are, and the modalities that each row was predicted from."""


class JointLearner(Declaration):
    """Latent variables of all modalities, found without outcomes, and a linear head. Its name alone stands for its
    defaults: ``joint: [factors]``."""

    model: JointName = "factors"
    name: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="on the leaderboard, after 'joint:'; default: the model")  # fmt: skip
    size: int = Field(24, ge=1, le=256, description="most latent variables; inner folds choose how many are used")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"model": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _named(self) -> JointLearner:
        if not self.name:
            object.__setattr__(self, "name", self.model)
        return self
