"""Messages of a study with secure aggregation: numbers leave a site masked, and only their sums over sites can be read.

A round of the study is two of the engine: numbers are sealed, then those who sealed open the sum together. What is sealed is
the answers to the questions of :class:`AskSealed`, which are about all patients or about folds; :mod:`cohortium.masking` says how. Bytes are base64.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cohortium.contracts.federation import Column, FeatureSchema, FederationPlan, FitQuestion, FloatArray, Model
from cohortium.contracts.federation_network import AskTimes, AskUpdate
from cohortium.contracts.federation_preparing import AskAssociation
from cohortium.contracts.federation_private import PRIVATE_QUESTIONS


@dataclass(frozen=True)
class AskTotals(FitQuestion):
    """How many, and sums of columns. classes: those that sites agreed on, in the order of the counts."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class AskSpread(FitQuestion):
    """Sums of squared deviations from ``mean`` (q,), and of a continuous endpoint from ``outcome``; where effects of sites are taken out of some
    column, of deviations too."""

    plan: str
    round: int
    columns: tuple[Column, ...]
    mean: FloatArray
    outcome: float


@dataclass(frozen=True)
class AskHeld(FitQuestion):
    """How well does this model predict those who are held out? classes: in the order of the model's scores."""

    plan: str
    round: int
    model: Model
    classes: tuple[str, ...]


@dataclass(frozen=True)
class AskBatches(FitQuestion):
    """Sums behind the grand mean and pooled spread of the numeric columns of tables of which effects of sites are taken out."""

    plan: str
    round: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class AskParts(FitQuestion):
    """Which parts of the network of ``update`` would you train, 1 or 0; do you keep patients from training; how many numbers has each part?"""

    plan: str
    round: int
    update: AskUpdate


@dataclass(frozen=True)
class SealedQuestion:
    """A question about all patients (fold -1), or about a fold: about those outside it, and ``AskHeld`` about those in it. weight, events:
    of all sites together; no site's sums can be larger than these allow."""

    fold: int
    weight: float
    events: float
    question: FitQuestion


@dataclass(frozen=True)
class AskSealed:
    """Seal the answers to these, one after the other, for a sum over ``sites``."""

    plan: str
    round: int
    sites: tuple[str, ...]
    asks: tuple[SealedQuestion, ...]


@dataclass(frozen=True)
class Box:
    """A sealed share on its way from one site to another, unreadable to anyone else. text: base64."""

    sender: str
    receiver: str
    text: str


@dataclass(frozen=True)
class AskOpen:
    """Open the sum of ``inside``, who sealed an answer to ``content`` that ``sites`` were asked for. own: boxes with shares of the
    own seeds; pairs: of the seeds with those who did not seal."""

    plan: str
    round: int
    content: str
    sites: tuple[str, ...]
    inside: tuple[str, ...]
    own: tuple[Box, ...]
    pairs: tuple[Box, ...]


@dataclass(frozen=True)
class SiteNames:
    """A site is there, with these features. How many patients it has is not said. folds: empty, or why it cannot deal its patients
    into the declared folds."""

    site: str
    plan: str
    round: int
    classes: tuple[str, ...]
    features: tuple[FeatureSchema, ...]
    folds: str

    LEAVES: ClassVar[dict[str, str]] = {
        "classes": "names of the classes",
        "features": "names and coding of features; levels that at least the declared number of patients share",
        "folds": "with an evaluation: why its patients cannot be dealt into folds, in words without counts",
    }
    EXPOSES: ClassVar[str] = "names of features, and of levels and classes that enough share"


@dataclass(frozen=True)
class SiteSealed:
    """Masked numbers, and the boxes by which sites can open a sum with them in it."""

    site: str
    plan: str
    round: int
    content: str
    sites: tuple[str, ...]
    numbers: int
    masked: str
    own: str
    pairs: tuple[str, ...]
    boxes: tuple[Box, ...]
    pair_boxes: tuple[Box, ...]

    LEAVES: ClassVar[dict[str, str]] = {
        "content": "digest of what was asked",
        "sites": "names of the sites that the masks are made for",
        "numbers": "how many numbers there are",
        "masked": "the numbers under masks: uniformly random to everyone, until a sum over at least the declared sites is opened",
        "own": "digest of the seed of the site's own mask",
        "pairs": "digests of the seeds of masks that it has with each other site",
        "boxes": "for each site a share of the own seed that only it can read",
        "pair_boxes": "for each site shares of the seeds with others that only it can read",
    }
    EXPOSES: ClassVar[str] = (
        "nothing of the site's numbers; with those of others and their shares the sum over the sites"
    )


@dataclass(frozen=True)
class Share:
    """A site's share of a seed: of ``of``'s own (other empty), or of that which it has with ``other``. text: base64."""

    of: str
    other: str
    text: str


@dataclass(frozen=True)
class SiteOpening:
    """A site's part in opening one sum. unreadable: sites whose boxes it cannot read; then it gives no shares."""

    site: str
    plan: str
    round: int
    content: str
    inside: tuple[str, ...]
    shares: tuple[Share, ...]
    unreadable: tuple[str, ...]

    LEAVES: ClassVar[dict[str, str]] = {
        "content": "digest of what was asked",
        "inside": "names of the sites whose sum is opened",
        "shares": "shares of the seeds of masks that have to be taken off this sum; never of both seeds of one site",
        "unreadable": "names of sites whose boxes it could not read",
    }
    EXPOSES: ClassVar[str] = (
        "one sum over at least the declared sites, together with shares of more than two thirds of them"
    )


COUNTS = "counts "
"""Begins the content of sums that hold counts: masks and shares are made for the content, so that nobody can call them something else."""

COUNTING = (AskTotals, AskTimes, AskBatches, AskAssociation)
"""Questions of which the answers are or hold counts."""

BY_ROUND = (AskUpdate, *PRIVATE_QUESTIONS)
"""Questions of which the answer depends on the round that they name, which is the fit's own."""


def content_of(asks: Sequence[SealedQuestion]) -> str:
    """Digest of what is asked, whatever the round: the same numbers are asked for again by the same content. A site's steps depend on the
    round of its training (order, dropout), which is a part of it: one content never stands for two vectors of numbers."""
    from cohortium.contracts.federation_wire import digest, encode

    parts = [
        encode(a if isinstance(a.question, BY_ROUND) else replace(a, question=replace(a.question, round=0)))  # type: ignore[type-var]
        for a in asks
    ]
    kind = COUNTS if any(isinstance(a.question, COUNTING) for a in asks) else ""
    return kind + digest(json.dumps([p.decode() for p in parts]).encode())


def context_of(plan: str, content: str, sites: Sequence[str]) -> bytes:
    """What masks and boxes are made for: a plan, a content, a set of sites."""
    return hashlib.sha256(json.dumps([plan, content, list(sites)]).encode()).digest()


def form_of(asks: Sequence[SealedQuestion], plan: FederationPlan) -> tuple[int, int]:
    """Words of 64 bits, and bits after the point, of the numbers that answer these questions."""
    assert plan.secure is not None
    raw = any(isinstance(a.question, AskTotals | AskSpread | AskBatches) for a in asks)  # of columns in their own units
    return (4, 128) if raw else (2, plan.secure.bits)


SECURE_ANSWERS: tuple[type, ...] = (SiteNames, SiteSealed, SiteOpening)


@dataclass(frozen=True)
class SecureRecord:
    """How the sums of a study were protected, for its page. units, patients, counts: of all sites of the first sums together; units of a linear model after a drop-out: those that are left.
    fewest: sites in the smallest sum that was opened. needed: sites whose shares open a sum of the first ones. sums: that were
    opened. bound: how far a number of a sum can be from the exact one, before rounding to float64. dropped: sites that dropped out after sums
    with them were opened."""

    units: int
    patients: int
    counts: tuple[int, ...]
    first: int
    fewest: int
    needed: int
    sums: int
    bits: int
    bound: float
    dropped: tuple[str, ...]
