"""Panels with costs: what they add up to, and that of those that are good enough the cheapest is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ValueOutcome
from cohortium.discovery import panel
from cohortium.discovery.assays import Costs, sets_of_assays
from cohortium.schema import Endpoint, EndpointKind


def costs(**assays: tuple[float, float]) -> Costs:
    return Costs({m: a for m, (a, _) in assays.items()}, {m: f for m, (_, f) in assays.items()})


def test_assays_and_features_are_paid_for_once() -> None:
    c = costs(blood=(40, 6), rna=(300, 0))
    assert c.of([]) == 0
    assert c.of([("blood", 0), ("blood", 0), ("blood", 3)]) == 40 + 2 * 6
    assert c.of([("blood", 1), ("rna", 1), ("rna", 2)]) == 46 + 300
    assert c.whole("blood", 10) == 100


def test_sets_of_few_assays_are_all_and_of_many_a_chosen_few() -> None:
    c = costs(a=(3, 0), b=(1, 0), c=(2, 0), d=(9, 0), e=(5, 0), f=(4, 0))
    few = sets_of_assays(["a", "b", "c"], c)
    assert len(few) == len(set(few)) == 7 and few[-1] == ("a", "b", "c")
    many = sets_of_assays(list("abcdef"), c)
    assert many[-1] == tuple("abcdef") and len(many) == len(set(many)) == 6 + 5 - 1 + 6 - 1 + 1
    assert ("b",) in many and ("b", "c") in many and ("a", "b", "c") in many and tuple("abcef") in many
    assert ("a", "d") not in many


def twins(n: int = 120) -> tuple[Cohort, ValueOutcome]:
    """The outcome follows a factor that rna tells best, and blood, a bit noisier, nearly as well; ct tells nothing."""
    rng = np.random.default_rng(4)
    units = pd.DataFrame({"patient": [str(i) for i in range(n)]}, index=pd.Index([str(i) for i in range(n)]))
    factor = rng.standard_normal(n)

    def table(m: str, x: np.ndarray) -> Table:
        return Table(units.index, x, feature_frame([f"{m}{j}" for j in range(x.shape[1])], ["numeric"] * x.shape[1], [None] * x.shape[1]))  # fmt: skip

    rna = np.column_stack([factor + 0.02 * rng.standard_normal(n), rng.standard_normal((n, 5))])
    blood = np.column_stack([factor + 0.2 * rng.standard_normal(n), rng.standard_normal((n, 3))])
    y = factor + rng.standard_normal(n)
    cohort = Cohort(units, {"rna": table("rna", rna), "blood": table("blood", blood), "ct": table("ct", rng.standard_normal((n, 2)))})  # fmt: skip
    return cohort, ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), units.index.to_numpy(object), y)


def test_the_cheapest_of_the_good_ones_is_taken_and_paid_in_every_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "SIZES", (1, 2))
    monkeypatch.setattr(panel, "REPEATS", 1)
    monkeypatch.setattr(panel, "FOLDS", 3)
    monkeypatch.setattr(panel, "POINTS", (2,))
    cohort, outcome = twins()
    names = ["rna", "blood", "ct"]

    def made(c: Costs | None, beyond: list[str] | None = None) -> panel.Panel:
        kept = [m for m in names if m not in (beyond or [])]
        return panel.minimal_panel(cohort, outcome, kept, beyond or [], np.random.default_rng(1), costs=c)

    plain = made(None)
    assert plain.names == [("rna", "rna0")] and plain.cost is None and plain.costs == []
    assert [(t.size, t.assays, t.taken) for t in plain.tried] == [(1, None, True), (2, None, False)]
    cheap = made(costs(rna=(300, 0), blood=(10, 2), ct=(500, 0)))
    assert cheap.names == [("blood", "blood0")] and (cheap.cost, cheap.full_cost) == (12, 300 + 18 + 500)
    assert cheap.within and len(cheap.tried) == 7 * 2 and len(cheap.costs) == 3 and min(cheap.costs) >= 12
    taken = next(t for t in cheap.tried if t.taken)
    good = [t for t in cheap.tried if t.excess <= t.error]
    assert taken.assays == ("blood",) and taken.cost == min(t.cost for t in good)
    # What has to be measured for the covariates is paid for by panel and full model alike.
    beyond = made(costs(rna=(300, 0), blood=(10, 2), ct=(500, 7)), ["ct"])
    assert (beyond.cost, beyond.full_cost) == (12 + 514, 300 + 18 + 514)
    # Where the good marker is the cheap one, nothing changes.
    assert made(costs(rna=(1, 0), blood=(10, 2), ct=(500, 0))).names == plain.names


def test_levels_of_one_column_are_one_measurement() -> None:
    rng = np.random.default_rng(0)
    ids = pd.Index([str(i) for i in range(60)])
    codes = np.column_stack([rng.integers(0, 3, 60), rng.standard_normal(60)]).astype(float)
    frame = feature_frame(["type", "age"], ["nominal", "numeric"], [("a", "b", "c"), None])
    cohort = Cohort(pd.DataFrame({"patient": ids}, index=ids), {"clinical": Table(ids, codes, frame)})
    q = panel._Question(["clinical"], [], costs(clinical=(0, 5)), [("clinical",)])
    encoded = panel._encode(cohort, q)
    assert len(encoded.names) == 4 and q.cost(cohort, encoded.source) == 10
