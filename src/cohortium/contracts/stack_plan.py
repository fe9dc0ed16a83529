"""What a study declares of stacking federated models; part of the plan that lead and sites share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StackPart:
    """A federated fit of its own: ``linear`` or ``trees``, of these tables, by the units that have one of them. penalty: ridge, of linear ones."""

    name: str
    method: str
    modalities: tuple[str, ...]
    penalty: float = 0.0


@dataclass(frozen=True)
class StackPlan:
    """parts: models that are combined. folds: that each site deals its patients into, for scores by models that were not fitted on them.
    penalty: on differences between weights."""

    parts: tuple[StackPart, ...]
    folds: int = 3
    penalty: float = 20.0
