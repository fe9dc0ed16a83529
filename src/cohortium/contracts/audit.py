"""Records of an audit: whether what must not reach a model reached it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["clean", "accused", "not shown"]

TRIALS = {
    "model": "the fitted model with garbage in the test rows",
    "prediction": "predictions with garbage for the test outcomes and other test rows",
    "alone": "predictions of test units asked for in two halves",
    "record": "predictions of the finished run",
    "separation": "who is trained on and who is tested",
}


@dataclass(frozen=True)
class Trial:
    """One trial of one learner in one outer fold. trial: a key of ``TRIALS``. difference: the largest between predictions that
    should be equal, None where none was computed. seen: in words, what was."""

    endpoint: str
    repeat: int
    fold: int
    learner: str
    trial: str
    verdict: Verdict
    seen: str = ""
    difference: float | None = None


@dataclass(frozen=True)
class Permuted:
    """A learner trained on shuffled labels: mean of ``metric`` against the shuffled labels of test units, and against their true
    ones, over ``n`` shuffles; chance; p: one-sided, that the higher of the two means is above chance (Bonferroni over both)."""

    endpoint: str
    learner: str
    metric: str
    chance: float
    n: int
    shuffled: float | None
    true: float | None
    p: float | None
    verdict: Verdict


@dataclass(frozen=True)
class LedgerRow:
    """What was fitted in one audited fold. part: base models and their combinations, or the fold itself. units: how many of the
    fold's training units it was fitted on; digest: of their pseudonyms, in order."""

    endpoint: str
    repeat: int
    fold: int
    part: str
    units: int
    digest: str


@dataclass(frozen=True)
class AuditResults:
    """study, plan: name, and hash of the plan of the run. folds: audited outer folds. accused: learner -> trials that it failed."""

    study: str
    plan: str
    version: str
    seed: int
    folds: int
    trials: list[Trial]
    permuted: list[Permuted]
    ledger: list[LedgerRow]
    accused: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
