"""``explain`` on run folders: refitted models are the run's, planted truth is found through files, numbers are the same again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cohortium
from cohortium.errors import DataError, RunFolderError, StudyError
from cohortium.study import refitting
from cohortium.study.refitting import fold_model, middle_horizon, open_source, refit, shared_work
from cohortium.testing import simulate_cohort, write_study_folder

SETTINGS = {"preset": "quick", "evaluation": {"repeats": 1, "folds": 3, "inner_folds": 3}}


def made(folder: Path, kind: str, **more) -> Path:
    sim = simulate_cohort(
        np.random.default_rng(2),
        150,
        {"a": 6, "b": 80},
        kind,
        informative={"a": 2, "b": 1},
        missing={"b": 0.3},
        signal=3.0,
    )
    study = write_study_folder(sim, folder, settings={**SETTINGS, **more})
    (folder / "causal.json").write_text(json.dumps({k: list(v) for k, v in sim.causal.items()}))
    cohortium.run(study, jobs=1)
    return folder / "study_run"


@pytest.fixture(scope="module")
def survival(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("survival"), "survival")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("classes"), "multiclass", learners=["late", "single:a"])


def stored(run: Path, learner: str) -> pd.DataFrame:
    """Predictions of a learner with real ids."""
    p = pd.read_parquet(run / "predictions.parquet")
    ids = pd.read_csv(run / "units.csv", dtype=str).set_index("pseudonym")["unit"]
    p = p[p["learner"] == learner]
    return p.assign(unit=ids.loc[p["unit"]].to_numpy()).set_index(["fold", "unit"])


@pytest.mark.parametrize(("kind", "learner"), [("survival", "auto"), ("survival", "single:b"), ("classes", "late")])
def test_refitted_models_predict_what_the_run_predicted(
    kind: str, learner: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(kind)
    source, was = open_source(run, None), stored(run, learner)
    e = source.plan.endpoints["y"]
    with shared_work(source) as shared:
        for k in (0, 2):
            refit(shared, "y", learner, k)
            model = fold_model(shared, "y", k, refitting.ask_of(source, "y", e), [])
            p = model.predictor.predict(model.cohort)
            then = was.loc[int(e.splits[k].fold)].loc[list(model.cohort.ids)]
            if kind == "survival":
                np.testing.assert_array_equal(p.risk, then["risk"].to_numpy())
            else:
                np.testing.assert_array_equal(p.p, then[[f"p_{c}" for c in p.classes]].to_numpy())
            board = pd.read_parquet(run / "scores.parquet")
            same = (board["learner"] == learner) & (board["fold"] == e.splits[k].fold)
            metric = "harrell_c" if kind == "survival" else "roc_auc"
            assert (
                model.score(p.on(e.grid) if kind == "survival" else p)
                == board[same & (board["metric"] == metric)]["value"].item()
            )
    assert not list(run.glob(".explain*"))


def test_planted_truth_is_found_through_files(survival: Path, tmp_path: Path) -> None:
    causal = json.loads((survival.parent / "causal.json").read_text())
    found = cohortium.explain(survival, out=tmp_path / "e", jobs=1)
    r = found.results
    assert (r.learner, r.metric, r.n_folds, r.n_outer, r.n_units) == ("auto", "harrell_c", 3, 3, 150)
    assert r.modalities[0].modality == "a" and r.modalities[0].worth.value > 0.05
    total = sum(m.worth.value for m in r.modalities)
    assert total == pytest.approx(r.full.value - r.nothing.value) and r.nothing.value == 0.5
    assert {m.modality: m.n_units for m in r.modalities} == {"a": 150, "b": 105}
    leading = {f.features[0] for f in r.features[:3]}
    assert leading & {*causal["a"], *causal["b"]} and set(causal["a"]) <= {f.features[0] for f in r.features[:4]}
    assert r.n_looked == {"a": 6, "b": 60} and r.deletion is not None and r.deletion.gap.value > 0.02
    assert r.full.low_powered and any("low-powered" in n for n in r.notes)
    assert all(x.moves.low >= 0 for x in (*r.features, *r.modalities))
    again = cohortium.explain(survival, out=tmp_path / "f", jobs=2)
    for name in ("explanation.json", "explanation.html", "features.csv"):
        assert (tmp_path / "e" / name).read_bytes() == (tmp_path / "f" / name).read_bytes()
    assert again.features.equals(found.features)
    assert all(p.stat().st_mode & 0o077 == 0 for p in (tmp_path / "e").iterdir())
    text = (tmp_path / "e" / "explanation.html").read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert not [i for i in pd.read_csv(survival / "units.csv")["unit"] if str(i) in text]


def test_classes_and_other_learners(classes: Path) -> None:
    r = cohortium.explain(classes, jobs=1, learner="single:a").results
    assert r.learner == "single:a" and r.quantity == "probabilities of the classes"
    b = next(m for m in r.modalities if m.modality == "b")
    assert b.used == 0 and b.worth.value == b.shuffled.value == b.moves.value == b.given.value == 0.0
    assert all(f.moves.value == 0 for f in r.features if f.modality == "b")


def test_a_patient_of_the_study_is_explained_by_a_model_that_never_saw_them(survival: Path, tmp_path: Path) -> None:
    source, was = open_source(survival, None), stored(survival, "auto")
    e = source.plan.endpoints["y"]
    fold, unit = was.index[7]
    r = cohortium.explain_patient(survival, unit, out=tmp_path / "p.json")
    assert r.held_out and r.unit == unit and "without this patient" in r.notes[0]
    grid = e.grid
    at = np.searchsorted(grid, middle_horizon(e), side="right") - 1
    assert r.predicted[0] == pytest.approx(1 - was.loc[(fold, unit), "survival"][at], abs=1e-6)
    assert sum(m.value[0] for m in r.modalities) == pytest.approx(r.predicted[0] - r.usual[0])
    assert unit not in [p.unit for p in r.peers] and len(r.peers) == 10
    tested = set(was.loc[fold].index)
    assert not tested & {p.unit for p in r.peers}, "similar patients are of the model's training part"
    assert json.loads((tmp_path / "p.json").read_text())["unit"] == unit
    assert r == cohortium.explain_patient(survival, unit)


def test_a_patient_who_lacks_a_modality_and_a_new_one(survival: Path, tmp_path: Path) -> None:
    b = set(pd.read_csv(survival.parent / "b.csv", dtype=str).iloc[:, 0])
    units = pd.read_csv(survival.parent / "units.csv", dtype=str)
    unit = next(u for u in units.iloc[:, 0] if u not in b)
    r = cohortium.explain_patient(survival, unit)
    (missing,) = r.missing
    assert (
        missing.modality == "b"
        and missing.n > 10
        and missing.low <= missing.expected <= missing.high
        and missing.change > 0
    )
    assert [m.modality for m in r.modalities] == ["a"] and {f.modality for f in r.features} == {"a"}
    new = tmp_path / "new"
    new.mkdir()
    a = pd.read_csv(survival.parent / "a.csv", dtype=str).iloc[:1]
    a.iloc[:, 0] = "somebody"
    a.to_csv(new / "a.csv", index=False)
    r = cohortium.explain_patient(survival, "somebody", data=new)
    frame = cohortium.predict(survival, new)
    horizon = middle_horizon(open_source(survival, None).plan.endpoints["y"])
    assert r.predicted[0] == pytest.approx(1 - frame[f"y.survival_{horizon:g}"].item())
    assert r.held_out and r.notes == [] and [m.modality for m in r.missing] == ["b"]


def test_what_does_not_fit_is_refused_before_anything_is_fitted(survival: Path, tmp_path: Path) -> None:
    study = survival.parent / "study.yaml"
    with pytest.raises(StudyError, match=r"learner called 'atuo'\. Did you mean 'auto'"):
        cohortium.explain(survival, learner="atuo")
    with pytest.raises(StudyError, match="endpoint called 'z'"):
        cohortium.explain(survival, endpoint="z")
    with pytest.raises(StudyError, match="1 or more"):
        cohortium.explain(survival, repeats=0)
    with pytest.raises(DataError, match="No unit 'P9999'"):
        cohortium.explain_patient(survival, "P9999")
    with pytest.raises(DataError, match="does not exist"):
        cohortium.explain(survival, out=tmp_path / "no" / "e")
    with pytest.raises(DataError, match="json for records"):
        cohortium.explain_patient(survival, "P0001", out=tmp_path)
    with pytest.raises(RunFolderError, match="No run folder"):
        cohortium.explain(tmp_path / "none", study)
    moved = tmp_path / "moved"
    moved.symlink_to(survival)
    assert open_source(moved, study).folder == moved  # given the study, a run may be anywhere
    other = tmp_path / "other.yaml"
    other.write_text(study.read_text().replace("preset: quick", "preset: quick\nseed: 5"))
    with pytest.raises(RunFolderError, match="another study"):
        cohortium.explain(survival, other)


def test_a_run_that_does_not_say_where_its_data_are(survival: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(survival, tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="Give the study file too"):
        cohortium.explain(tmp_path / "elsewhere")
    folder = tmp_path / "changed"
    shutil.copytree(survival.parent, folder)
    a = pd.read_csv(folder / "a.csv")
    a.iloc[3, 2] += 1
    a.to_csv(folder / "a.csv", index=False)
    with pytest.raises(RunFolderError, match="on other data"):
        cohortium.explain(folder / "study_run")


@pytest.mark.thorough
def test_one_test_part_and_a_metric_that_is_better_when_smaller(tmp_path: Path) -> None:
    sim = simulate_cohort(
        np.random.default_rng(1),
        150,
        {"a": 6, "b": 5},
        "continuous",
        informative={"a": 2},
        missing={"b": 0.3},
        signal=3.0,
    )
    evaluation = {
        "design": "fixed_test",
        "column": "part",
        "test_value": "test",
        "inner_folds": 3,
        "headline_metric": "mae",
    }
    study = write_study_folder(sim, tmp_path / "c", settings={"models": ["linear"], "evaluation": evaluation})
    units = pd.read_csv(tmp_path / "c" / "units.csv", dtype=str)
    units.assign(part=["test" if i % 3 == 0 else "train" for i in range(len(units))]).to_csv(
        tmp_path / "c" / "units.csv", index=False
    )
    run = cohortium.run(study, jobs=1).folder
    r = cohortium.explain(run, out=tmp_path / "e", jobs=1).results
    assert (r.metric, r.n_folds, r.n_outer) == ("mae", 1, 1) and "one test part" in r.notes[0]
    assert r.full.value < r.nothing.value, "errors are shown as they are"
    a = next(m for m in r.modalities if m.modality == "a")
    assert a.worth.value > 0.5 and a.worth.low is None, "what lowers the error helps; one part has no interval"
    assert sum(m.worth.value for m in r.modalities) == pytest.approx(r.nothing.value - r.full.value)
    assert (
        r.deletion is not None
        and r.deletion.ordered[-1].value > r.deletion.ordered[0].value
        and r.deletion.gap.value > 0
    )
    assert {f.features[0] for f in r.features[:2]} == set(sim.causal["a"]) and not r.percent
    ids = units["patient_id"]
    trained, tested = cohortium.explain_patient(run, ids[1]), cohortium.explain_patient(run, ids[0])
    assert not trained.held_out and "outcome it has seen" in trained.notes[0]
    assert tested.held_out and {p.unit for p in tested.peers} <= {u for i, u in enumerate(ids) if i % 3}
