"""What a study declares of its privacy; part of the plan that lead and sites share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivateColumn:
    """A feature with what was declared of it. Numbers: low, high. Levels: all that there are, the first is the reference; low and
    high are 0 and 1."""

    modality: str
    feature: str
    low: float
    high: float
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PrivacyPlan:
    """epsilon, delta: of everything that a site releases of this study. columns: features and their bounds. outcome: bounds of a
    continuous endpoint, else (0, 0). times: rising ends of the intervals of discrete-time hazards, of survival. rounds: steps of
    gradient descent. clip: L2 norm that a patient's gradient is cut to, over the square root of the number of its parameters (of a network:
    the norm itself). step: length of a step (of a network: its learning rate). counts, moments: shares of the budget (of mu²) for them. hold_out: share of patients that the model is not fitted
    on, who tell how well it predicts; 0 for none. steps: of a network, that a site takes in each of the rounds. sampled: chance of a patient to
    be in a step."""

    epsilon: float
    delta: float
    columns: tuple[PrivateColumn, ...]
    outcome: tuple[float, float] = (0.0, 0.0)
    times: tuple[float, ...] = ()
    rounds: int = 20
    clip: float = 1.0
    step: float = 1.0
    counts: float = 0.05
    moments: float = 0.0
    hold_out: float = 0.0
    steps: int = 1
    sampled: float = 1.0
