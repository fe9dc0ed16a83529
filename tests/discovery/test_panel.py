"""The minimal panel: few planted features are found, performance is honest under nothing, and test rows cannot be seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import ClassOutcome
from cohortium.discovery.panel import SIZES, minimal_panel
from cohortium.testing import simulate_cohort
from tests.marks import thorough_but


def of_kind(kind: str, seed: int = 0, signal: float = 3.0, n: int = 160):
    return simulate_cohort(
        np.random.default_rng(seed), n, {"clinical": 4, "rna": 30}, kind, informative={"clinical": 1, "rna": 3}, signal=signal,
        missing={"rna": 0.2},
    )  # fmt: skip


@pytest.mark.parametrize(
    "kind", thorough_but(["binary", "multiclass", "ordinal", "continuous", "survival"], "binary", "survival")
)
def test_few_planted_features_make_a_small_panel(kind: str) -> None:
    s = of_kind(kind)
    p = minimal_panel(s.cohort, s.outcome, ["clinical", "rna"], [], np.random.default_rng(1))
    causal = {(m, f) for m, names in s.causal.items() for f in names}
    assert p.within and len(p.names) <= 8 and len(causal & set(p.names)) >= min(len(p.names), 3)
    assert p.panel.value is not None and p.panel.value > (0.3 if kind in ("continuous", "ordinal") else 0.6)
    assert p.base is None and len(p.chosen) == 10 and set(p.chosen) <= set(SIZES) and all(0 <= o <= 1 for o in p.often)


def test_beyond_covariates_and_of_nothing() -> None:
    s = of_kind("binary")
    beyond = minimal_panel(s.cohort, s.outcome, ["rna"], ["clinical"], np.random.default_rng(1))
    assert beyond.base is not None and beyond.minus_base is not None and {m for m, _ in beyond.names} == {"rna"}
    values = []
    for seed in range(2):
        s = of_kind("binary", seed, signal=0.0)
        values.append(minimal_panel(s.cohort, s.outcome, ["clinical", "rna"], [], np.random.default_rng(1)).panel.value)
    assert abs(np.mean(values) - 0.5) < 0.12


def test_labels_of_a_test_fold_change_nothing_that_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    from cohortium.discovery import panel

    s = of_kind("binary")
    assert isinstance(s.outcome, ClassOutcome)
    seen = list[np.ndarray]()
    fit = panel._fit

    def spy(cohort, outcome, *rest):
        made = fit(cohort, outcome, *rest)
        seen.append(made.fits[max(made.fits)][0])
        return made

    monkeypatch.setattr(panel, "_fit", spy)
    monkeypatch.setattr(panel, "_deal", lambda strata, rng: np.arange(len(strata)) % panel.FOLDS)
    panel.minimal_panel(s.cohort, s.outcome, ["clinical", "rna"], [], np.random.default_rng(1))
    first = seen[: panel.FOLDS + 1]
    seen = list[np.ndarray]()
    codes = s.outcome.codes.copy()
    codes[::5] = 1 - codes[::5]
    other = ClassOutcome(s.outcome.endpoint, s.outcome.units, codes)
    panel.minimal_panel(s.cohort, other, ["clinical", "rna"], [], np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(first, seen[: panel.FOLDS + 1], strict=True))
    assert not pd.isna(first[0]).any()
