"""Declarations of joint representations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration, StartName

JointName = Literal["factors", "cca", "vae", "contrastive", "graph"]
AlignmentName = Literal["infonce", "sigmoid", "correlation"]
PosteriorName = Literal["mopoe", "poe", "moe"]

IMPUTED = frozenset({"imputed", "imputed_from"})
"""Columns that mark a table of predicted values: that they are, and the modalities that each row was predicted from."""


class JointLearner(Declaration):
    """Latent variables of all modalities and a linear head, or a network on a graph of similar units. Its name alone stands
    for its defaults: ``joint: [factors]``. ``size`` to ``counts`` are not the graph's; what follows ``size`` is of the networks,
    ``vae`` and ``contrastive``, what follows ``counts`` the graph's too, the last two the graph's."""

    model: JointName = "factors"
    name: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="on the leaderboard, after 'joint:'; default: the model")  # fmt: skip
    size: int = Field(24, ge=1, le=256, description="most latent variables; inner folds choose how many are used")
    posterior: PosteriorName = Field("mopoe", description="of vae: how experts of modalities are joined")
    alignment: AlignmentName = Field(
        "infonce", description="of contrastive: how embeddings of a unit are pulled together"
    )
    supervised: float = Field(1.0, ge=0, description="weight of the endpoint in training; 0: found without outcomes")
    counts: list[str] = Field(default_factory=list, description="modalities that are tables of counts, not transformed")
    width: int = Field(32, ge=4, le=512, multiple_of=4, description="of hidden layers")
    dropout: float = Field(0.1, ge=0, lt=1)
    batch: int = Field(128, ge=8)
    rate: float = Field(3e-3, gt=0, le=1, description="of learning")
    decay: float = Field(0.01, ge=0, description="of weights, per step and rate")
    epochs: int = Field(300, ge=1, le=1000, description="most; inner folds choose how many")
    balanced: bool = Field(False, description="classes weigh the same in training")
    survival: Literal["cox", "discrete_time"] = "cox"
    neighbours: int = Field(15, ge=1, le=200, description="of a unit by each modality, at most")
    start: StartName = Field("late", description="scores that training begins at")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"model": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _named(self) -> JointLearner:
        if not self.name:
            object.__setattr__(self, "name", self.model)
        return self
