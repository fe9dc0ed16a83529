"""What a study declares of a network that is trained across sites; part of its plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkPlan:
    """strategy: ``fedavg``, ``fedprox``, ``scaffold`` or ``fedadam``. rounds: of training. local_epochs: passes of a site over its
    patients in a round, in steps of ``batch`` (0: all at once) by ``optimiser`` (``sgd`` or ``adam``, begun anew each round) with
    learning rate ``rate``, decoupled weight ``decay`` and gradients of norm at most ``gradient_clip`` (0: any). fusion, width,
    dropout, modality_dropout: of the network. proximal: FedProx's mu. server_rate: of the coordinator's step. clip: largest norm of
    an update that leaves a site (0: any). aggregate: ``mean``, ``median``, ``trimmed_mean`` or ``krum``. personal: each site has a
    head of its own, which stays there. survival: ``discrete_time`` or ``cox``. inner: share of a site's patients that are kept
    from training, to choose the round (0: the last one). seed: of start, order and dropout."""

    strategy: str = "fedavg"
    rounds: int = 30
    local_epochs: int = 1
    batch: int = 32
    optimiser: str = "sgd"
    rate: float = 0.05
    decay: float = 0.01
    gradient_clip: float = 1.0
    fusion: str = "attention"
    width: int = 32
    dropout: float = 0.2
    modality_dropout: float = 0.2
    proximal: float = 0.0
    server_rate: float = 1.0
    clip: float = 0.0
    aggregate: str = "mean"
    personal: bool = False
    survival: str = "discrete_time"
    inner: float = 0.0
    seed: int = 0
