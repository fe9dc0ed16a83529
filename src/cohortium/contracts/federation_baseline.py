"""Messages of a Cox model with one baseline hazard for all sites, constant within bins of time.

Bins are chosen one after the other: each ends where every site has enough in it. Sums are
:class:`cohortium.contracts.federation.SiteSums` with one intercept for each bin: the logarithm of its hazard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cohortium.contracts.federation import Column, FitAnswer, FitQuestion, FloatArray


@dataclass(frozen=True)
class AskBin(FitQuestion):
    """After ``begin``, from when on do you have enough patients with an event for a bin, and as many left for the next? times: (T,) at which it
    may end, rising: steps of :data:`cohortium.contracts.federation_network.GRID`, those that are declared, or the cuts of an earlier fit."""

    plan: str
    round: int
    begin: float
    times: FloatArray


@dataclass(frozen=True)
class SiteBin(FitAnswer):
    """until: one of the times that were asked about; 0 where there are enough for one bin and
    not for two, -1 where not for one. exposure: time under observation of all its units together."""

    site: str
    plan: str
    round: int
    until: float
    exposure: float

    LEAVES: ClassVar[dict[str, str]] = {
        "until": "time of those asked about (steps of a fixed grid, or declared) until which the declared number of patients, and a twentieth of those with the event, had it since "
        "the last cut; 0 where fewer than the declared number would be left, -1 where fewer had it",
        "exposure": "time under observation, summed over units",
    }
    EXPOSES: ClassVar[str] = (
        "between which steps of a grid of four to a doubling a declared number of events is reached; no time of a patient"
    )


@dataclass(frozen=True)
class AskBinnedSums(FitQuestion):
    """Loss, gradient and Hessian at ``parameters`` (K + q,): logarithms of the hazards of K bins, then coefficients. cuts: (K - 1,) ends of
    the bins but the last, which has none; rising. Others as in :class:`cohortium.contracts.federation.AskSums`."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    cuts: FloatArray
    parameters: FloatArray


BASELINE_ANSWERS: tuple[type, ...] = (SiteBin,)
