"""What a panel costs a patient, and the sets of assays from which a cheaper one is looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

MOST = 4
"""Modalities of which every set is tried; of more, a chosen few."""


@dataclass(frozen=True)
class Costs:
    """assay: modality -> cost of measuring it in a patient. feature: modality -> further cost of each feature that is used."""

    assay: dict[str, float]
    feature: dict[str, float]

    def of(self, features: Iterable[tuple[str, int]]) -> float:
        """Cost for a patient of a panel of (modality, number of the feature): each assay and each feature is paid for once."""
        used = set(features)
        return sum(self.assay[m] for m in sorted({m for m, _ in used})) + sum(self.feature[m] for m, _ in sorted(used))

    def whole(self, modality: str, n_features: int) -> float:
        """Cost for a patient of a modality with all its features."""
        return self.assay[modality] + self.feature[modality] * n_features


def sets_of_assays(candidates: list[str], costs: Costs) -> list[tuple[str, ...]]:
    """The sets to which panels may be restricted, all candidates last: every one of up to ``MOST`` modalities; of more, each
    alone, the k cheapest for every k, and all but one."""
    if len(candidates) <= MOST:
        found = [s for k in range(1, len(candidates) + 1) for s in combinations(candidates, k)]
    else:
        cheap = sorted(candidates, key=lambda m: costs.assay[m])  # stable: of equals the first declared
        chains = [tuple(m for m in candidates if m in cheap[:k]) for k in range(1, len(candidates) + 1)]
        but_one = [tuple(m for m in candidates if m != out) for out in candidates]
        found = [(m,) for m in candidates] + chains + but_one
    unique = list(dict.fromkeys(found))
    whole = tuple(candidates)
    return [s for s in unique if s != whole] + [whole]
