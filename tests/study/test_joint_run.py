"""A study that lists a joint representation: on the leaderboard, in the report, and as the finished model."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import MissingExtra, StudyError
from cohortium.study import parse_study, predict, run
from tests.marks import thorough_but
from tests.study import factor_files

ASKED = {
    "factors": "joint: [{model: factors, size: 8}]\nlearners: [joint:factors]\n",
    "graph": "joint: [{model: graph, epochs: 12, neighbours: 8}]\nlearners: [joint:graph]\n",
}


@pytest.mark.parametrize("name", thorough_but(list(ASKED), "factors"))
@pytest.mark.thorough
def test_the_learner_is_run_reported_and_predicts_new_patients(name, tmp_path):
    if name == "graph":
        pytest.importorskip("torch", reason="the extra 'deep' is not installed")
    study = factor_files.write(tmp_path / "cohort", 120, study=factor_files.STUDY + ASKED[name])
    result = run(study, tmp_path / "run", jobs=1)
    board = result.leaderboard().set_index(["learner", "metric"])["value"]
    assert board[f"joint:{name}", "roc_auc"] > 0.6
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"joint:{name}" in page and "Map of patients" in page
    drawn = pd.read_parquet(tmp_path / "run" / "map.parquet")
    assert list(drawn.columns) == ["unit", "x", "y", "n_modalities"] and drawn["unit"].str.match(r"^u\d{4}$").all()
    assert np.isfinite(drawn[["x", "y"]].to_numpy()).all() and drawn.attrs["model"] == "factors"
    assert drawn["x"].var() >= drawn["y"].var() and (tmp_path / "run" / "map.parquet").stat().st_mode & 0o77 == 0
    new = factor_files.write(tmp_path / "new", 40, seed=1)
    found = predict(result, new.parent)
    assert np.isfinite(found["response.p_yes"]).all() and len(found) == 40


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("joint: [factor]\n", ["joint.0", "'factors'"]),
        ("joint: [factors, factors]\n", ["joint names 'factors' twice"]),
        ("joint: [{model: vae, counts: [rnaa]}]\n", ["'rnaa'", "Did you mean 'rna'?"]),
        ("joint: [{model: vae, posterior: pie}]\n", ["posterior", "mopoe"]),
        ("joint: [{model: graph, neighbours: 0}]\n", ["neighbours", "1"]),
        ("joint: [{model: graph, start: early}]\n", ["start", "late"]),
        ("joint: factors\n", ["joint", "a list"]),
        ("joint: [{modl: vae}]\n", ["'modl'", "Did you mean 'model'?"]),
    ],
)
def test_mistakes_are_told(text, words):
    with pytest.raises(StudyError) as e:
        parse_study(factor_files.STUDY + text, "study.yaml")
    for w in words:
        assert w in str(e.value), str(e.value)


def test_without_torch_a_graph_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    study = factor_files.write(tmp_path / "cohort", 60, study=factor_files.STUDY + ASKED["graph"])
    with pytest.raises(MissingExtra, match=r"'graph'.*torch.*cohortium\[deep\]"):
        run(study, tmp_path / "run", jobs=1)


def test_null_without_quotes_is_the_word():
    for text in ("null", "'null'"):
        spec = parse_study(
            f"{factor_files.STUDY}joint: [{{model: graph, start: {text}}}]\ndeep: [{{start: {text}}}]\n", "s"
        )
        assert (spec.joint[0].start, spec.deep[0].start) == ("null", "null")
    assert parse_study(factor_files.STUDY + "joint: [graph]\n", "s").joint[0].start == "late"
