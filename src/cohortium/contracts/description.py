"""The records of table one: what variables are like in everybody, by availability pattern, by site and by partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FEWEST = 5
"""Counts of 1 to 4 patients of a level are withheld, and so are quantiles of fewer values."""

VariableKind = Literal["numeric", "levels", "follow_up"]
GroupKind = Literal["everyone", "availability", "site", "partition", "test_folds", "external"]


@dataclass(frozen=True)
class DescribedVariable:
    """A variable of table one. source: its modality; ``outcome`` and ``unit table`` for what is in none.

    kind: ``numeric``, ``levels`` (levels: in the order in which every group's counts stand), or ``follow_up`` (its median, by
    reverse Kaplan-Meier, Schemper & Smith 1996, in ``unit``). rare: levels too rare to be named, counted together as the last level.
    """

    name: str
    source: str
    kind: VariableKind
    levels: list[str] = field(default_factory=list)
    unit: str = ""
    rare: int = 0


@dataclass(frozen=True)
class Summary:
    """What one group has of one variable.

    n: units with a known value. missing: looked for and unknown. absent: units that lack the modality. median, q1, q3, mean,
    sd: of numbers, None with fewer than five known (mean and sd: of everyone only). counts: units per level, None where
    withheld: those of 1 to 4 (few: their positions), and where a sum would give such a count away. difference: absolute standardised mean difference to the units outside of the group (numbers:
    Austin 2009, Stat Med 28:3083; levels: Yang & Dalton 2012, SAS Global Forum 335); None where there is none or it would
    give a withheld count away.
    """

    n: int
    missing: int = 0
    absent: int = 0
    median: float | None = None
    q1: float | None = None
    q3: float | None = None
    mean: float | None = None
    sd: float | None = None
    counts: list[int | None] = field(default_factory=list)
    few: list[int] = field(default_factory=list)
    difference: float | None = None


@dataclass(frozen=True)
class DescribedGroup:
    """A column of table one: one Summary per variable.

    kind: ``everyone``; ``availability`` and ``site`` (parts of everyone); ``partition`` (real training and test parts);
    ``test_folds`` (folds of repeated cross-validation: n_units and summaries hold the smallest number over all test folds,
    most_units and most the largest, difference being that of a test fold to its training part); ``external`` (new data of
    ``validate``; difference to the study's everyone).
    """

    kind: GroupKind
    name: str
    n_units: int
    summaries: list[Summary]
    most_units: int | None = None
    most: list[Summary] = field(default_factory=list)


@dataclass(frozen=True)
class Description:
    """Table one of one endpoint: its units with a usable label. notes: what was left out, in words."""

    endpoint: str
    variables: list[DescribedVariable]
    groups: list[DescribedGroup]
    notes: list[str] = field(default_factory=list)
