"""Declarations of deep learners."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration, StartName

FusionName = Literal["attention", "gated", "tensor", "experts"]
TablesName = Literal["mlp", "lowrank", "tokens"]
BagsName = Literal["summary", "abmil", "set_transformer", "cross_attention", "mean"]
EventsName = Literal["summary", "codes", "transformer"]


class DeepLearner(Declaration):
    """A network that fuses all modalities. Its name alone stands for its defaults: ``deep: [attention]``."""

    fusion: FusionName = "attention"
    name: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="on the leaderboard, after 'deep:'; default: the fusion")  # fmt: skip
    tables: TablesName = Field("mlp", description="encoder of tables; those wider than 128 features are seen in the span of their training units")  # fmt: skip
    width: int = Field(32, ge=4, le=512, multiple_of=4, description="of an embedding")
    dropout: float = Field(0.2, ge=0, lt=1)
    modality_dropout: float = Field(0.2, ge=0, lt=1, description="chance that a modality is hidden in a training step")
    wide: bool = Field(True, description="a linear path beside the network")
    batch: int = Field(128, ge=8)
    rate: float = Field(3e-3, gt=0, le=1, description="of learning")
    decay: float = Field(0.05, ge=0, description="of weights, per step and rate")
    balanced: bool = Field(False, description="classes weigh the same in training")
    survival: Literal["cox", "discrete_time"] = "cox"
    multitask: float = Field(
        0.0, ge=0, description="weight of the study's other endpoints, trained from the same embedding"
    )
    start: StartName = Field(
        "late", description="late: fitted to what the plain late fusion leaves unexplained; null: to everything"
    )
    bags: BagsName = Field("summary", description="how bags are seen: by their summary alone, or also by an encoder of instances")  # fmt: skip
    events: EventsName = Field("summary", description="how events are seen: by their summary alone, or also by an encoder of events")  # fmt: skip
    instances: int = Field(1024, ge=1, description="of a bag, drawn at random in each training step, at most")
    last: int = Field(256, ge=8, le=1024, description="events of a unit that 'transformer' sees, the last ones")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"fusion": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _named(self) -> DeepLearner:
        if not self.name:
            object.__setattr__(self, "name", self.fusion)
        return self
