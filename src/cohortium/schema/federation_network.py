"""Declarations of the study file about a network that is trained across sites (``federation: {method: network}``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration


class NetworkSpec(Declaration):
    """The network, the steps of a site, and how sites are averaged."""

    strategy: Literal["fedavg", "fedprox", "scaffold", "fedadam"] = Field(
        "fedavg", description="fedavg, fedprox, scaffold or fedadam"
    )
    rounds: int = Field(30, ge=1, le=1000, description="of training")
    local_epochs: int = Field(1, ge=1, le=100, description="passes of a site over its patients in a round")
    batch: int = Field(32, ge=0, description="patients a step; 0: all of the site at once")
    optimiser: Literal["sgd", "adam"] | None = Field(
        None, description="of a site's steps, begun anew each round; default sgd for scaffold and fedadam, else adam"
    )
    rate: float | None = Field(
        None, gt=0, description="of learning; default 0.003 for adam, 0.2 for sgd, 0.05 for sgd with fedadam"
    )
    decay: float = Field(0.05, ge=0, description="of weights, decoupled")
    gradient_clip: float = Field(1.0, ge=0, description="largest norm of a step's gradient; 0: any")
    fusion: Literal["attention", "gated"] = Field("attention", description="attention or gated")
    width: int = Field(32, ge=4, le=512, description="of an embedding; a multiple of 4")
    dropout: float = Field(0.2, ge=0, lt=1)
    modality_dropout: float = Field(
        0.2, ge=0, lt=1, description="chance that a modality of a patient is hidden in a step"
    )
    proximal: float = Field(0.01, ge=0, description="pull of a site's steps to where they began (fedprox)")
    server_rate: float | None = Field(None, gt=0, description="of the coordinator's step; default 1, of fedadam 0.01")
    clip: float = Field(0.0, ge=0, description="largest norm of an update that leaves a site; 0: any, with secure: 5")
    aggregate: Literal["mean", "median", "trimmed_mean", "krum"] = Field(
        "mean", description="of sites' updates: mean by patients, or median, trimmed_mean, krum against lying sites"
    )
    personal: bool = Field(False, description="each site has a head of its own, which never leaves it")
    survival: Literal["discrete_time", "cox"] = Field(
        "discrete_time", description="hazards of intervals, or the partial likelihood of a site's own risk sets"
    )
    inner: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of a site's patients kept from training to choose the round; 0: the last round",
    )

    @model_validator(mode="after")
    def _fits(self) -> NetworkSpec:
        if self.strategy in ("scaffold",) and self.optimiser == "adam":
            raise ValueError("strategy scaffold corrects plain gradients: it needs optimiser: sgd")
        if self.width % 4:
            raise ValueError("width must be a multiple of 4")
        if 0 < self.inner < 0.05:
            raise ValueError("inner is a share of 0.05 to 0.5, or 0")
        return self
