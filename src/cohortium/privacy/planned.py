"""What follows from a plan's privacy for both sides: columns of the model, and the norm that gradients are cut to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cohortium.contracts.private_plan import PrivacyPlan, PrivateColumn


def columns_of(p: PrivacyPlan) -> list[tuple[PrivateColumn, str]]:
    """Columns of the model: each number, and each level of a feature but the first."""
    return [(c, level) for c in p.columns for level in (c.levels[1:] if c.levels else ("",))]


def groups_of(p: PrivacyPlan) -> list[tuple[bool, int]]:
    """Of each feature whether it is coded by levels, and its number of columns."""
    return [(bool(c.levels), max(len(c.levels) - 1, 1)) for c in p.columns]


def classes_of(kind: str, classes: Sequence[str]) -> int:
    """Number of classes of an endpoint; 0 of others."""
    return {"binary": 2, "multiclass": len(classes)}.get(kind, 0)


def gradient_bound(p: PrivacyPlan) -> float:
    """L2 norm that a patient's gradient is cut to."""
    return p.clip * math.sqrt(1 + len(columns_of(p)))


def modalities_of(p: PrivacyPlan) -> tuple[str, ...]:
    """In the order of the declared columns."""
    return tuple(dict.fromkeys(c.modality for c in p.columns))


def outputs_of(kind: str, times: Sequence[float], classes: Sequence[str]) -> int:
    """Outputs of a network: one for each class or interval, else one."""
    return {"survival": len(times), "multiclass": len(classes)}.get(kind, 1)
