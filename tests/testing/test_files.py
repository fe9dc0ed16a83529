"""Simulated folders are read back as what they were, and a study runs on them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cohortium.schema import EndpointKind
from cohortium.study import load_data, load_study, run
from cohortium.testing import simulate_cohort, write_study_folder


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", list(EndpointKind))
def test_a_written_folder_reads_back_as_the_cohort(kind, several, tmp_path):
    s = simulate_cohort(
        np.random.default_rng(1),
        60,
        {"labs": 6, "rna": 30},
        kind,
        missing={"rna": 0.3},
        missing_cells=0.1,
        nominal={"labs": 1},
        units_per_patient=3 if several else 1,
        sites=2,
        delayed_entry=True,
        name="goal",
    )
    data = load_data(load_study(write_study_folder(s, tmp_path, digits=9)))
    assert list(data.cohort.ids) == list(s.cohort.ids)
    assert list(data.cohort.units["patient"]) == list(s.cohort.units["patient"])
    assert (data.cohort.presence().to_numpy() == s.cohort.presence().to_numpy()).all()
    for name, table in s.cohort.modalities.items():
        read = data.cohort.modalities[name]
        assert list(read.features.index) == list(table.features.index)
        assert list(read.features["kind"]) == list(table.features["kind"])
        np.testing.assert_allclose(read.values, table.values, atol=1e-6)
    y, was = data.outcomes["goal"], s.outcome
    assert y.endpoint.classes == was.endpoint.classes and y.endpoint.kind is kind
    for field in ("codes", "values", "time", "event", "entry", "cause"):
        if hasattr(was, field):
            np.testing.assert_allclose(getattr(y, field), getattr(was, field), atol=1e-8)


@pytest.mark.thorough
def test_a_study_runs_on_a_written_folder_and_finds_what_was_planted(tmp_path):
    s = simulate_cohort(
        np.random.default_rng(2), 150, {"labs": 5, "rna": 30, "noise": 40}, signal=4.0, missing={"rna": 0.3}
    )
    settings = {
        "preset": "quick",
        "models": ["linear"],
        "evaluation": {"repeats": 1, "folds": 3, "inner_folds": 3, "metrics": ["roc_auc"]},
    }
    file = write_study_folder(s, tmp_path / "study", settings=settings)
    run(load_study(file), out=tmp_path / "run", jobs=1)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    auc = {row["learner"]: row["estimates"][0]["value"] for row in results["leaderboard"]}
    assert auc["auto"] > 0.7 and auc["auto"] > auc["single:noise"] + 0.15
    assert results["cohort"]["n_units"] == 150
