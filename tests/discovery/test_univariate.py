"""Univariate associations against R (``oracle/univariate.R``), under hostile features, and as p-values of nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import ClassOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.discovery import univariate
from cohortium.discovery.features import Features
from cohortium.discovery.univariate import with_fits
from cohortium.schema import Endpoint, EndpointKind

HERE = Path(__file__).parent / "oracle"
DATA = pd.read_csv(HERE / "data.csv")
R = pd.read_csv(HERE / "values.csv", index_col="name")["value"]
KINDS = {
    "lm": EndpointKind.CONTINUOUS,
    "glm": EndpointKind.BINARY,
    "polr": EndpointKind.ORDINAL,
    "class": EndpointKind.MULTICLASS,
    "cox": EndpointKind.SURVIVAL,
}


def outcome_of(model: str) -> Outcome:
    kind, d = KINDS[model], DATA
    units = np.array([f"{i:03d}" for i in range(len(d))], dtype=object)
    classes = {"glm": ("no", "yes"), "polr": ("a", "b", "c"), "class": ("a", "b", "c")}.get(model, ())
    endpoint = Endpoint("y", kind, classes, "months" if model == "cox" else "")
    if model == "lm":
        return ValueOutcome(endpoint, units, d["value"].to_numpy(float))
    if model == "cox":
        return SurvivalOutcome(
            endpoint, units, d["time"].to_numpy(float), d["event"].to_numpy(bool), d["entry"].to_numpy(float)
        )
    column = {"glm": "yes", "polr": "grade", "class": "kind"}[model]
    return ClassOutcome(endpoint, units, d[column].to_numpy(np.int64))


def features_of(x: np.ndarray) -> Features:
    q = x.shape[1]
    return Features(
        x, np.full(q, "m", dtype=object), np.array([f"f{j}" for j in range(q)], dtype=object), ("m",), {"m": 0}
    )


FEATURES = features_of(DATA[["x1", "x2", "x3"]].to_numpy(float))


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("adjusted", [False, True])
def test_as_r_says(model: str, adjusted: bool) -> None:
    c = DATA[["c1", "c2"]].to_numpy(float) if adjusted else None
    outcome = outcome_of(model)
    found = with_fits(univariate(outcome, FEATURES, c), outcome, FEATURES, c, np.arange(3))
    tag = "_adjusted" if adjusted else ""
    p_name = {"lm": "lm_p", "glm": "glm_rao_p", "cox": "cox_score_p", "class": "class_f_p"}.get(model)
    for j, x in enumerate(("x1", "x2", "x3")):
        if p_name is not None:
            assert found.p[j] == pytest.approx(R[f"{p_name}_{x}{tag}"], rel=1e-4)
        if model == "class":
            continue
        effect, se = R[f"{model}_effect_{x}{tag}"], R[f"{model}_se_{x}{tag}"]
        assert found.effect[j] / found.scale[j] == pytest.approx(effect, rel=2e-4), (x, model)
        if model == "lm":
            from scipy.stats import t

            half = t.ppf(0.975, len(DATA) - 2 - 2 * adjusted) * se
        else:
            half = 1.959963984540054 * se
        assert (found.high[j] - found.low[j]) / 2 / found.scale[j] == pytest.approx(half, rel=1e-3)
    assert found.scale[2] == 1.0 and found.scale[0] == pytest.approx(DATA["x1"].std(ddof=0))


def test_the_ordinal_score_test_is_near_the_wald_test() -> None:
    from scipy.stats import norm

    found = univariate(outcome_of("polr"), FEATURES)
    for j, x in enumerate(("x1", "x2", "x3")):
        wald = abs(R[f"polr_effect_{x}"] / R[f"polr_se_{x}"])
        assert abs(norm.isf(found.p[j] / 2) - wald) < 0.4


@pytest.mark.parametrize("model", KINDS)
def test_hostile_features_have_no_p_value_or_a_finite_one(model: str) -> None:
    outcome, n = outcome_of(model), len(DATA)
    if isinstance(outcome, ClassOutcome):
        separating = (outcome.codes > 0).astype(float)
    elif isinstance(outcome, ValueOutcome):
        separating = outcome.values.copy()
    else:
        separating = outcome.event.astype(float)
    c = DATA[["c1", "c2"]].to_numpy(float)
    x = np.column_stack([separating, np.zeros(n), 2 * c[:, 0] + 1, 1e9 * np.random.default_rng(0).normal(size=n)])
    features = features_of(x)
    with np.errstate(all="raise", under="ignore"):
        found = with_fits(univariate(outcome, features, c), outcome, features, c, np.arange(4))
    assert np.isnan(found.p[1]) and np.isnan(found.p[2])
    assert 0 <= found.p[0] < 1e-6 or model in ("cox",)
    assert 0 <= found.p[3] <= 1 and np.isfinite(found.effect[3])
    if model in ("glm",):
        assert np.isnan(found.effect[0])


@pytest.mark.parametrize("model", KINDS)
def test_p_values_of_nothing_are_uniform(model: str) -> None:
    rng = np.random.default_rng(3)
    p = univariate(
        outcome_of(model), features_of(rng.standard_normal((len(DATA), 4000))), DATA[["c1"]].to_numpy(float)
    ).p
    for level in (0.01, 0.05, 0.2, 0.5):
        assert abs((p < level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 4000) + 0.1 * level


def test_each_modality_is_tested_in_the_units_that_have_it() -> None:
    x = DATA[["x1", "x2", "x3"]].to_numpy(float)
    x[:50, 1] = np.nan
    features = Features(
        x, np.array(["a", "b", "a"], dtype=object), np.array(["f", "g", "h"], dtype=object), ("a", "b"), {}
    )
    outcome = outcome_of("glm")
    found = univariate(outcome, features)
    alone = univariate(outcome.take(np.arange(50, len(x))), features_of(x[50:, [1]]))
    assert list(found.n) == [150, 100, 150] and found.p[1] == pytest.approx(alone.p[0])
