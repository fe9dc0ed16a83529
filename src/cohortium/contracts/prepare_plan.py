"""What a study declares of preparing columns before a federated fit; part of the plan that lead and sites share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PreparePlan:
    """unknown: what stands for an unknown cell, ``mean`` or ``median``. skewed: ``leave``, or ``compress``: columns whose skewness is
    beyond 2 become asinh of their robust z-score. clip: whether standardised values end at 6. As ``run`` has it: median, compress, True."""

    unknown: str = "mean"
    skewed: str = "leave"
    clip: bool = False

    @property
    def asks(self) -> bool:
        """Whether sites are asked anything for it."""
        return self.unknown != "mean" or self.skewed != "leave"
