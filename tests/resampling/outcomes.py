"""Outcomes of every family, small."""

from __future__ import annotations

import numpy as np

from cohortium.contracts import ClassOutcome, SurvivalOutcome, ValueOutcome
from cohortium.schema import Endpoint, EndpointKind


def names(n: int) -> np.ndarray:
    return np.array([f"u{i}" for i in range(n)], dtype=object)


def classes(codes: object, k: int | None = None) -> ClassOutcome:
    c = np.asarray(codes, dtype=np.int64)
    k = max(2, int(c.max(initial=1)) + 1) if k is None else k
    kind = EndpointKind.BINARY if k == 2 else EndpointKind.MULTICLASS
    return ClassOutcome(Endpoint("y", kind, tuple(f"class{i}" for i in range(k))), names(len(c)), c)


def survival(event: object) -> SurvivalOutcome:
    e = np.asarray(event, dtype=bool)
    time = 1.0 + np.arange(len(e))
    return SurvivalOutcome(Endpoint("os", EndpointKind.SURVIVAL, time_unit="days"), names(len(e)), time, e, 0 * time)


def values(v: object) -> ValueOutcome:
    x = np.asarray(v, dtype=float)
    return ValueOutcome(Endpoint("v", EndpointKind.CONTINUOUS), names(len(x)), x)
