"""The number of a prediction that is explained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import CumulativeIncidence, Prediction, Probabilities, Survival
from cohortium.schema import Endpoint, EndpointKind

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """kind: of the endpoint. label: what the number is, in words. names: of its columns, one per class of a multiclass
    endpoint. horizon: by which a risk is meant (survival, competing risks). percent: it is a probability."""

    kind: EndpointKind
    label: str
    names: tuple[str, ...]
    horizon: float | None = None

    @property
    def percent(self) -> bool:
        return self.kind not in (EndpointKind.ORDINAL, EndpointKind.CONTINUOUS)

    def of(self, p: Prediction) -> Array:
        """(n, K) probability of the positive class, of each of several classes, or of the event by the horizon; expected
        grade of an ordinal endpoint, counted from 0; the value of a continuous one."""
        if isinstance(p, Survival):
            assert self.horizon is not None
            return 1.0 - p.at(np.array([self.horizon]))
        if isinstance(p, CumulativeIncidence):
            assert self.horizon is not None
            return p.at(np.array([self.horizon]))
        if isinstance(p, Probabilities):
            if self.kind is EndpointKind.BINARY:
                return p.p[:, 1:2]
            if self.kind is EndpointKind.ORDINAL:
                return (p.p @ np.arange(p.p.shape[1], dtype=np.float64))[:, None]
            return p.p
        return p.values[:, None]

    def size(self, change: Array) -> Array:
        """(...,) how large changes (..., K) are: absolute; of several classes the probability that moved from some to
        others, half the sum of absolute changes."""
        sizes = np.abs(change).sum(axis=-1)
        return sizes / 2 if len(self.names) > 1 else sizes


def target_of(endpoint: Endpoint, horizon: float | None = None) -> Target:
    """What is explained of an endpoint's predictions. horizon: needed for survival."""
    kind = endpoint.kind
    if kind in (EndpointKind.SURVIVAL, EndpointKind.COMPETING_RISKS):
        if horizon is None:
            raise ValueError("a risk needs a horizon")
        what = "the event" if kind is EndpointKind.SURVIVAL else endpoint.classes[0]
        return Target(kind, f"risk of {what} by {horizon:g} {endpoint.time_unit}".rstrip(), ("risk",), horizon)
    if kind is EndpointKind.BINARY:
        return Target(kind, f"probability of '{endpoint.classes[1]}'", (endpoint.classes[1],))
    if kind is EndpointKind.MULTICLASS:
        return Target(kind, "probabilities of the classes", endpoint.classes)
    if kind is EndpointKind.ORDINAL:
        return Target(kind, f"expected grade, from 0 ('{endpoint.classes[0]}')", ("grade",))
    return Target(kind, "predicted value", ("value",))
