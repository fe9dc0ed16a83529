"""The laws hold for our learners, and each is broken by the learner that deserves it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from cohortium.contracts import Fold, Probabilities
from cohortium.learners import LearnerConfig, learner, restore
from cohortium.schema import EndpointKind
from cohortium.testing import LawBroken, check_learner, simulate_cohort, simulated_fold
from tests.marks import thorough_but


def ours(name: str, kind: EndpointKind):
    s = simulate_cohort(np.random.default_rng(0), 60, {"labs": 6, "rna": 12, "noise": 80}, kind)
    config = LearnerConfig(reference=("labs",), preset="quick", models=("linear",))
    return learner(name, config, simulated_fold(s, np.arange(60)))


@pytest.mark.parametrize("kind", thorough_but(list(EndpointKind), EndpointKind.BINARY, EndpointKind.ORDINAL))
def test_our_learners_keep_the_laws(kind):
    # tests/learners holds them all to the same laws on every kind; here the checker is tried, on two.
    name = "early" if kind in (EndpointKind.MULTICLASS, EndpointKind.ORDINAL) else "auto"
    held = check_learner(ours(name, kind), np.random.default_rng(1), [kind], restore=restore)
    assert len(held) == 7


def test_our_learner_finds_nothing_where_nothing_is():
    kind = EndpointKind.BINARY
    held = check_learner(ours("early", kind), np.random.default_rng(2), [kind], null_draws=12, finds_signal=False)
    assert held[-1] == "finds nothing where nothing is"


@dataclass(frozen=True, eq=False)
class Nearest:
    """Binary: how near to the mean of the positives ``labs`` is, weighed by a logistic; the fault is by name."""

    fault: str = ""
    name: str = "nearest"
    role: str = "single"
    modalities: tuple[str, ...] = ("labs",)

    def fit(self, fold: Fold) -> Fitted:
        table = fold.cohort.modalities["labs"]
        if self.fault == "data":
            table.values[:] += 1.0
        rows = fold.cohort.units.index.get_indexer(table.units)
        positive = fold.outcome.codes[rows] == 1
        direction = table.values[positive].mean(axis=0) - table.values[~positive].mean(axis=0)
        if self.fault == "signal":
            direction = -direction
        if self.fault == "global":
            direction = direction + np.random.normal(size=len(direction))  # noqa: NPY002
        return Fitted(direction, self.fault)


@dataclass(frozen=True, eq=False)
class Fitted:
    direction: np.ndarray
    fault: str

    def predict(self, cohort: Any) -> Probabilities:
        p = np.full(len(cohort), 0.5)
        if "labs" not in cohort.modalities and self.fault == "pattern":
            raise KeyError("labs")
        if "labs" in cohort.modalities:
            table = cohort.modalities["labs"]
            x = table.values - (table.values.mean(axis=0) if self.fault == "order" and len(table.values) else 0.0)
            p[cohort.units.index.get_indexer(table.units)] = expit(2 * x @ self.direction)
        both = np.column_stack([1 - p, p * 1.01 if self.fault == "proper" else p])
        if self.fault == "nan" and len(both):
            both[0] = np.nan
        units = cohort.ids[::-1] if self.fault == "units" else cohort.ids
        return Probabilities(units, ("no", "yes"), both)

    def state(self) -> dict[str, Any]:
        return {"direction": self.direction + (1.0 if self.fault == "state" else 0.0), "fault": self.fault}


def again(state: dict[str, Any]) -> Fitted:
    return Fitted(**state)


def test_an_honest_stranger_passes():
    assert len(check_learner(Nearest(), np.random.default_rng(3), ["binary"], restore=again)) == 7


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("data", "Fitting changes no data, on a binary endpoint: it changed labs"),
        ("pattern", "with no modality it raised KeyError"),
        ("proper", "do not add up to 1"),
        ("nan", "not finite"),
        ("units", "in their order"),
        ("order", "Neither the order of rows"),
        ("global", "Refit equals fit"),
        ("state", "Restored predicts the same"),
        ("signal", "The planted signal"),
    ],
)
def test_each_law_finds_its_breaker(fault, message):
    with pytest.raises(LawBroken, match=message):
        check_learner(Nearest(fault), np.random.default_rng(4), ["binary"], restore=again)


def test_a_learner_that_sees_test_rows_is_found_out():
    kept = []

    class Peeping(Nearest):
        """Is handed the whole cohort behind the fold's back."""

        def fit(self, fold: Fold) -> Fitted:
            fitted = super().fit(fold)
            return replace(fitted, direction=fitted.direction + kept[-1])

    import cohortium.testing.laws as laws

    def watched(simulated):
        kept.append(float(np.nanmean(simulated.cohort.modalities["labs"].values)))
        return simulated_fold(simulated, np.arange(laws.TRAINED))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laws, "_fold", watched)
        with pytest.raises(LawBroken, match="Garbage in the test rows"):
            check_learner(Peeping(), np.random.default_rng(5), ["binary"])
