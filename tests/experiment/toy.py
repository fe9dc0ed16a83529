"""A small cohort with two modalities, a survival and a continuous endpoint, and a plan of three outer folds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import Outcome, SurvivalOutcome, ValueOutcome
from cohortium.experiment import Plan, cohort_hash, endpoint_plan
from cohortium.learners import LearnerConfig
from cohortium.resampling import nested
from cohortium.schema import Endpoint, EndpointKind

N = 90


def cohort(seed: int = 0, per_patient: int = 1) -> Cohort:
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"{i:03d}" for i in range(N)], dtype=object, name="unit")
    x, y = rng.normal(size=(N, 4)), rng.normal(size=(N, 12))
    y[:, 0] += x[:, 0]
    have = np.sort(rng.choice(N, 70, replace=False))
    units = pd.DataFrame({"patient": [f"P{i // per_patient}" for i in range(N)]}, index=ids)
    return Cohort(
        units,
        {
            "clinical": Table(ids, x, feature_frame(list("abcd"))),
            "rna": Table(ids[have], y[have], feature_frame([f"g{i}" for i in range(12)])),
        },
    )


def outcomes(c: Cohort, seed: int = 1) -> dict[str, Outcome]:
    rng = np.random.default_rng(seed)
    x = c.modalities["clinical"].values[:, 0]
    died, lost = rng.exponential(np.exp(-x)), rng.exponential(2.0, size=N)
    time = np.minimum(died, lost) + 0.001
    os = Endpoint("os", EndpointKind.SURVIVAL, time_unit="years")
    score = Endpoint("score", EndpointKind.CONTINUOUS)
    return {
        "os": SurvivalOutcome(os, c.ids, time, died <= lost, np.zeros(N)),
        "score": ValueOutcome(score, c.ids, x + rng.normal(size=N)),
    }


def plan(c: Cohort, fractions: tuple[float, ...] = (), names: tuple[str, ...] = ("os", "score")) -> Plan:
    made = {n: o for n, o in outcomes(c).items() if n in names}
    return Plan(
        endpoints={n: endpoint_plan(o, c.groups(), nested(o, c.groups(), 1, 3, 5)) for n, o in made.items()},
        config=LearnerConfig(reference=("clinical",), models=("linear",), learners=("late",), preset="quick"),
        inner_folds=3,
        seed=7,
        headline="late",
        data_hash=cohort_hash(c),
        version="test",
        fractions=fractions,
    )
