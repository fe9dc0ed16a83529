"""Traces of selection and scaling before the split: found where they are, and not where they are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohortium.checks.running import run_checks
from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ClassOutcome, SurvivalOutcome, ValueOutcome
from cohortium.schema import Endpoint, EndpointKind

N = 150


def found(x, y):
    """Names of findings about prepared data."""
    index = pd.Index([f"u{i}" for i in range(len(x))], name="unit", dtype=object)
    units = pd.DataFrame({"patient": index.to_numpy()}, index=index)
    table = Table(index, np.asarray(x, float), feature_frame([f"g{j}" for j in range(x.shape[1])]))
    names = [f.name for f in run_checks(Cohort(units, {"rna": table}), {"y": y(index.to_numpy(object))})]
    return {n for n in names if n.startswith(("scaled_over", "chosen_by"))}


def outcomes(signal, rng):
    """kind -> function of units to an outcome that the signal drives."""
    n = len(signal)
    time = rng.exponential(size=n) * np.exp(-signal)
    return {
        "binary": lambda u: ClassOutcome(Endpoint("y", EndpointKind.BINARY, ("a", "b")), u, (signal + rng.normal(size=n) > 0).astype(int)),
        "continuous": lambda u: ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), u, signal + rng.normal(size=n)),
        "survival": lambda u: SurvivalOutcome(
            Endpoint("y", EndpointKind.SURVIVAL, time_unit="days"), u, time, rng.random(n) < 0.7, np.zeros(n)
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["binary", "continuous", "survival"])
def test_features_chosen_by_the_outcome_of_everybody_are_noticed_and_all_of_them_are_not(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, size=(N, 3000))
    make = outcomes(rng.normal(size=N), rng)[kind]
    held = make(np.arange(N).astype(str).astype(object))
    target = {"binary": "codes", "continuous": "values", "survival": "time"}[kind]
    y = getattr(held, target)
    y = y if kind == "binary" else np.argsort(np.argsort(y))
    r = np.abs(np.corrcoef(np.argsort(np.argsort(x, axis=0), axis=0).T, y)[-1, :-1])
    best = np.argsort(-r)[:30]
    again = lambda u: held.__class__(*(u if f == "units" else getattr(held, f) for f in held.__dataclass_fields__))  # noqa: E731
    assert found(x, again) == set()
    if kind != "survival":  # its residuals are not its times: what is chosen by time is not chosen by the event
        assert found(x[:, best], again) == {"chosen_by_outcome:rna"}


def test_few_modules_that_all_predict_are_not_called_chosen():
    rng = np.random.default_rng(1)
    module = rng.normal(size=(N, 3))
    x = np.repeat(module, 15, axis=1) + 0.3 * rng.normal(size=(N, 45))
    assert found(x, outcomes(module.sum(axis=1), rng)["binary"]) == set()


def test_columns_scaled_over_everybody_are_noticed_and_those_of_a_larger_cohort_are_not():
    rng = np.random.default_rng(2)
    x = rng.gamma(2, 3, size=(2 * N, 40))
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    make = outcomes(rng.normal(size=2 * N), rng)["binary"]
    assert found(z, make) == {"scaled_over_everyone:rna"}
    z[0, :3] = np.nan
    half = outcomes(rng.normal(size=N), rng)["binary"]
    assert found(z[:N], half) == set() and found(x[:N], half) == set()


def test_it_is_rarely_said_of_clean_panels():
    rng = np.random.default_rng(3)
    said = 0
    for _ in range(100):
        x = rng.normal(size=(N, 25)) + 0.4 * rng.normal(size=(N, 1))
        said += bool(found(x, outcomes(x[:, :3].sum(axis=1), rng)["survival"]))
    assert said == 0
