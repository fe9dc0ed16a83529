"""Bags and events as inputs of a network: the laws of every learner, and what their summaries cannot see."""

from __future__ import annotations

import numpy as np
import pytest

from tests.marks import thorough_but

pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.learners import DeepSpec, LearnerConfig, deep, restore
from cohortium.learners.suite import SuiteLearner
from cohortium.schema import EndpointKind
from cohortium.testing import check_learner

SHAPES = {"rna": "bag", "noise": "events"}
SPECS = (
    DeepSpec("abmil", bags="abmil", events="codes"),
    DeepSpec("sets", fusion="gated", bags="set_transformer", events="transformer", last=16, instances=6),
    DeepSpec("mean", bags="mean", wide=False, start="null"),
    DeepSpec("cross", bags="cross_attention"),
)
CONFIG = LearnerConfig(models=("linear",), preset="quick", deep=SPECS)
PAIRS = [("abmil", EndpointKind.BINARY), ("abmil", EndpointKind.SURVIVAL), ("sets", EndpointKind.BINARY), ("mean", EndpointKind.CONTINUOUS), ("cross", EndpointKind.BINARY)]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), thorough_but(PAIRS, ("abmil", EndpointKind.BINARY)))
def test_learners_on_bags_and_events_keep_the_laws(name, kind, monkeypatch):
    if kind is EndpointKind.BINARY:  # the laws hold after any number of epochs
        monkeypatch.setattr(deep, "EPOCHS", (0, 2, 4, 6))
    learner = SuiteLearner(f"deep:{name}", "fusion", ("labs", "rna", "noise"), CONFIG)
    # Late fusion, where they begin, finds it anyhow; what only instances and order tell is tested elsewhere.
    signal = name in ("abmil", "mean") and kind is not EndpointKind.BINARY
    check_learner(learner, np.random.default_rng(1), [kind], restore=restore, finds_signal=signal, shapes=SHAPES)
