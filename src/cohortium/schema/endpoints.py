"""What is predicted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class EndpointKind(StrEnum):
    """Type of an outcome; decides the type of prediction, the metrics and the learners' loss."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    ORDINAL = "ordinal"
    CONTINUOUS = "continuous"
    SURVIVAL = "survival"
    COMPETING_RISKS = "competing_risks"

    @property
    def is_classes(self) -> bool:
        return self in (EndpointKind.BINARY, EndpointKind.MULTICLASS, EndpointKind.ORDINAL)


@dataclass(frozen=True)
class Endpoint:
    """A named endpoint.

    classes: class names in code order. Binary: (negative, positive). Ordinal: lowest first. Competing risks: the causes, that
    of interest first (cause k + 1 of an outcome is ``classes[k]``).
    time_unit: unit of survival times, for display (``days``, ``months``, ``years``).
    horizons: times, in ``time_unit``, at which time-dependent metrics are asked for.
    prevalence: share of positives where a model is to be used; None: as in the cohort. Binary only.
    model: of competing risks, ``fine_gray`` (also where empty) or ``cause_specific``.
    """

    name: str
    kind: EndpointKind
    classes: tuple[str, ...] = ()
    time_unit: str = ""
    horizons: tuple[float, ...] = ()
    model: str = field(default="", repr=False)
    prevalence: float | None = None
