"""A study from its files to its run folder, and what is done with that folder afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import ChecksFailed, DataError, EndpointError, RunFolderError, StudyError
from cohortium.study import RunResult, check, compare, expected_fits, load_study, open_run, predict, run, validate
from tests.marks import thorough_but
from tests.study import cohort_files

ROOT = Path(__file__).parents[2]
EVALUATION = cohort_files.STUDY.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort_files.write(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def done(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(study_file, tmp_path_factory.mktemp("runs") / "first", jobs=1)


def variant(tmp_path: Path, old: str, new: str) -> Path:
    assert old in cohort_files.STUDY
    return cohort_files.write(tmp_path / "cohort", study=cohort_files.STUDY.replace(old, new))


def test_run_folder_is_whole_private_and_without_ids(done: RunResult) -> None:
    names = {p.name for p in done.folder.iterdir()}
    assert names >= {
        "report.html", "results.json", "predictions.parquet", "outcomes.parquet", "censoring.parquet", "scores.parquet",
        "units.csv", "model", "run.json", "study.yaml", "log.txt",
    }  # fmt: skip
    assert not any(n.endswith(".part") for n in names) and "work" not in names
    for path in [done.folder, *done.folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    mark = json.loads((done.folder / "run.json").read_text())
    assert mark["status"] == "finished" and mark["seconds"] > 0 and mark["peak_memory_bytes"] > 1e7
    for name in ("results.json", "run.json", "log.txt", "report.html"):
        text = (done.folder / name).read_text()
        assert not any(f"{left}0037{right}" in text for left, right in (('"', '"'), (">", "<"), (" ", " "))), name
    for name in ("predictions.parquet", "outcomes.parquet"):
        units = set(pd.read_parquet(done.folder / name)["unit"])
        assert all(u.startswith("u") for u in units) and len(units) == 120
    key = pd.read_csv(done.folder / "units.csv", dtype=str)
    assert sorted(key["unit"]) == [f"{i:04d}" for i in range(120)]
    assert key["pseudonym"].tolist() != [f"u{i + 1:04d}" for i in range(120)] or key["unit"].tolist() != sorted(
        key["unit"]
    )


def test_results_say_who_what_and_how(done: RunResult) -> None:
    r = done.results
    assert r.cohort.n_units == 120 and r.study.primary == "response"
    response, os_ = r.cohort.endpoints
    assert response.n_units == 116 and sum(response.excluded.values()) == 4
    assert response.classes is not None and sum(response.classes.values()) == 116 and os_.n_events is not None
    assert os_.tau is not None and len(os_.horizons) == 3 and os_.time_unit == "days"
    assert sum(p.n_units for p in r.cohort.patterns) == 120 and len(r.cohort.patterns) == 2
    assert [m.reference for m in r.cohort.modalities] == [True, False]
    learners = [row.learner for row in r.leaderboard if row.endpoint == "os"]
    assert learners == ["reference", "best_single", "late"]
    late = next(row for row in r.leaderboard if row.endpoint == "os" and row.learner == "late")
    assert late.estimates[0].metric == "harrell_c" and late.estimates[0].value > 0.6
    assert late.estimates[0].n == 120 and late.versus.reference and late.versus.best_single
    assert next(a.modality for a in r.added_value if a.endpoint == "os") == "clinical"
    assert r.evaluation.n_outer == 3 and r.evaluation.low_powered
    assert {s.endpoint for s in r.selected} == {"response", "os"}
    board = done.leaderboard("response")
    assert set(board["learner"]) == {"reference", "best_single", "late"} and board["n"].eq(116).all()


def test_probabilities_decisions_and_subgroups_are_judged(done: RunResult) -> None:
    r = done.results
    rows = {(x.endpoint, x.learner, x.horizon) for x in r.calibration}
    horizons = next(e for e in r.cohort.endpoints if e.name == "os").horizons
    assert rows == {
        *(("response", n, None) for n in ("late", "reference")),
        *(("os", n, h) for n in ("late", "reference") for h in horizons),
    }
    assert [(x.endpoint, x.horizon) for x in r.decisions] == [("response", None), *(("os", h) for h in horizons)]
    assert all(len(x.points) == 5 and x.versus_reference is not None for x in r.decisions)
    assert {(x.variable, x.group) for x in r.subgroups} == {
        ("availability", "all modalities"),
        ("availability", "clinical"),
    }
    html = (done.folder / "report.html").read_text()
    for heading in ("Are the predicted probabilities right?", "What would be decided?", "For whom does it work?"):
        assert html.count(heading) == 2, heading


def test_stored_predictions_give_the_reported_metrics(done: RunResult) -> None:
    rows = pd.read_parquet(done.folder / "predictions.parquet")
    truth = pd.read_parquet(done.folder / "outcomes.parquet")
    rows = rows[(rows.endpoint == "response") & (rows.learner == "late")].merge(
        truth[truth.endpoint == "response"], on="unit"
    )
    brier = ((rows["p_yes"] - rows["code"].astype(float)) ** 2).groupby(rows["fold"]).mean().mean()
    board = done.leaderboard("response")
    told = board[(board.learner == "late") & (board.metric == "brier")]["value"].item()
    assert brier == pytest.approx(told, abs=1e-12)


def test_finished_run_is_not_fitted_again_and_another_study_is_refused(
    done: RunResult, study_file: Path, tmp_path: Path
) -> None:
    before = (done.folder / "run.json").read_text()
    events = []
    again = run(study_file, done.folder, jobs=1, progress=events.append)
    assert {e.stage for e in events} == {"read"}
    assert again.resumed and again.results == done.results
    assert (done.folder / "run.json").read_text() == before
    with pytest.raises(RunFolderError, match="another study"):
        run(study_file, done.folder, learners=["early"])
    assert (done.folder / "run.json").read_text() == before
    with pytest.raises(RunFolderError, match="other data"):
        run(cohort_files.write(tmp_path / "other", seed=1), done.folder)


def test_other_jobs_other_hash_seed_and_a_kill_give_the_same_results(
    done: RunResult, study_file: Path, tmp_path: Path
) -> None:
    code = f"from cohortium.study import run; run({str(study_file)!r}, {str(tmp_path / 'run')!r}, jobs=2)"
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)
    deadline = time.monotonic() + 90
    while not list((tmp_path / "run" / "work").glob("e*.npz")) and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(RunFolderError, match="not finished"):
        open_run(tmp_path / "run")
    with pytest.raises(RunFolderError, match="not finished"):
        predict(tmp_path / "run", study_file.parent)
    time.sleep(0.5)
    resumed = run(study_file, tmp_path / "run", jobs=1)
    assert not resumed.resumed
    assert json.loads((resumed.folder / "run.json").read_text())["resumed_parts"] >= 1
    for name in ("results.json", "predictions.parquet", "scores.parquet", "units.csv"):
        assert (resumed.folder / name).read_bytes() == (done.folder / name).read_bytes(), name
    for file in (done.folder / "model").rglob("*.*"):
        assert file.read_bytes() == (resumed.folder / file.relative_to(done.folder)).read_bytes()


def test_predict_takes_whatever_modalities_there_are(done: RunResult, tmp_path: Path) -> None:
    cohort_files.write(tmp_path / "new", n=30, seed=3, first=500)
    (tmp_path / "new" / "units.csv").write_text("patient_id\n" + "\n".join(f"{500 + i:04d}" for i in range(30)) + "\n")
    frame = predict(done, tmp_path / "new", tmp_path / "p.csv")
    assert frame["unit"].tolist() == [f"{500 + i:04d}" for i in range(30)]
    assert frame["response.p_no"].add(frame["response.p_yes"]).to_numpy() == pytest.approx(1.0)
    assert set(frame["response.class"]) <= {"no", "yes"} and np.isfinite(frame["os.risk"]).all()
    assert pd.read_csv(tmp_path / "p.csv", dtype={"unit": str})["unit"].tolist() == frame["unit"].tolist()
    assert set(frame["response.classes_90"]) <= {"no", "yes", "no|yes", ""} and (frame["os.outlived_90"] >= 0).all()
    (tmp_path / "new" / "rna.csv").unlink()
    less = predict(done.folder, tmp_path / "new")
    assert set(less["modalities"]) == {"clinical"} and np.isfinite(less["os.risk"]).all()
    both = frame["modalities"] == "clinical"
    assert less.loc[both, "os.risk"].to_numpy() == pytest.approx(frame.loc[both, "os.risk"].to_numpy(), abs=1e-12)
    with pytest.raises(DataError, match="No folder"):
        predict(done, tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be written"):
        predict(done, tmp_path / "new", tmp_path / "none" / "p.csv")


def test_predicting_the_training_units_is_the_refitted_model(done: RunResult, study_file: Path) -> None:
    frame = predict(done, study_file.parent)
    shuffled = predict(done, study_file.parent)
    pd.testing.assert_frame_equal(frame, shuffled)
    assert len(frame) == 120


def test_validate_writes_estimates_and_report(done: RunResult, tmp_path: Path) -> None:
    cohort_files.write(tmp_path / "external", n=150, seed=8, first=900)
    made = validate(done, tmp_path / "external")
    auc = next(e for e in made["response"] if e.metric == "roc_auc")
    assert auc.value > 0.6 and auc.low < auc.value < auc.high and auc.method == "delong" and auc.n == 146
    c = next(e for e in made["os"] if e.metric == "harrell_c")
    assert c.value > 0.6 and c.low < c.value < c.high and c.method == "bootstrap_patients"
    entries = json.loads((done.folder / "validation.json").read_text())
    assert [e["endpoint"] for e in entries] == ["response", "os"] and entries[0]["calibration"]
    models_json = done.folder / "model" / "models.json"
    assert json.loads(models_json.read_text())[0]["learner"] == entries[0]["learner"]
    validate(done, tmp_path / "external")
    assert len(json.loads((done.folder / "validation.json").read_text())) == 2
    assert "external" in (done.folder / "report.html").read_text()
    assert (done.folder / "validation.json").stat().st_mode & 0o077 == 0
    units = tmp_path / "external" / "units.csv"
    pd.read_csv(units, dtype=str).drop(columns=["response", "status"]).to_csv(units, index=False)
    with pytest.raises(DataError, match="usable label"):
        validate(done, tmp_path / "external")


def test_compare_is_paired_on_the_same_folds_and_says_when_not(
    done: RunResult, study_file: Path, tmp_path: Path
) -> None:
    other = run(study_file, tmp_path / "b", jobs=1, learners=["priority"])
    found = [c for c in compare(other, done) if c.endpoint == "os" and c.a.metric == "harrell_c"]
    head = found[0]
    assert (head.learner_a, head.learner_b) == ("best_single", "late") or head.learner_a == "priority"
    assert head.difference.value == pytest.approx(head.a.value - head.b.value)
    same = next(c for c in found if c.learner_a == c.learner_b == "reference")
    assert same.difference.value == 0 and same.difference.low == 0
    file = cohort_files.write(tmp_path / "seeded", study=cohort_files.STUDY + "seed: 3\n")
    unpaired = compare(done, run(file, tmp_path / "c", jobs=1))
    assert all(c.difference.value is None and "different folds" in c.difference.reason for c in unpaired)


def test_checks_stop_a_run_before_any_fit_unless_acknowledged(tmp_path: Path) -> None:
    file = cohort_files.write(tmp_path / "leaky")
    units = pd.read_csv(file.parent / "units.csv", dtype=str)
    clinical = pd.read_csv(file.parent / "clinical.csv", dtype=str)
    clinical["outcome_copy"] = units["response"].map({"yes": "1", "no": "0"})
    clinical.to_csv(file.parent / "clinical.csv", index=False)
    findings = check(load_study(file))
    serious = [f for f in findings if f.grade == "serious"]
    assert serious and findings[: len(serious)] == serious
    with pytest.raises(ChecksFailed) as e:
        run(file, tmp_path / "run", jobs=1)
    assert serious[0].name in str(e.value) and "acknowledge" in str(e.value)
    assert not (tmp_path / "run").exists()
    names = ", ".join(f"'{f.name}'" for f in serious)
    file.write_text(cohort_files.STUDY + f"acknowledge: [{names}]\n")
    assert all(f.acknowledged for f in check(load_study(file)) if f.grade == "serious")
    assert any(f.acknowledged for f in run(file, tmp_path / "run", jobs=1).results.checks)


DESIGNS = [
    ("{design: leave_one_site_out}", 3, "nadeau_bengio"),
    ("{design: column, column: hospital}", 3, "nadeau_bengio"),
    ("{design: fixed_test, column: part, test_value: test}", 1, "bootstrap_patients"),
    ("{design: file, folds_file: {file: folds.csv, repeat: rep}}", 4, "nadeau_bengio"),
]


@pytest.mark.parametrize(
    ("evaluation", "n_outer", "method"),
    thorough_but(DESIGNS, DESIGNS[0]),
)
def test_designs(tmp_path: Path, evaluation: str, n_outer: int, method: str) -> None:
    text = f"evaluation: {evaluation[:-1]}, metrics: [harrell_c, roc_auc, brier]}}\ndesign: {{site: hospital}}"
    file = variant(tmp_path, EVALUATION, text)
    ids = pd.read_csv(file.parent / "units.csv", dtype=str)["patient_id"]
    folds = pd.DataFrame(
        {"patient_id": np.tile(ids, 2), "rep": np.repeat([0, 1], 120), "fold": np.tile(np.arange(120) % 2, 2)}
    )
    folds.to_csv(file.parent / "folds.csv", index=False)
    result = run(file, tmp_path / "run", jobs=1)
    assert result.results.evaluation.n_outer == n_outer
    row = next(r for r in result.results.leaderboard if r.endpoint == "os" and r.headline)
    assert row.estimates[0].method == method and row.estimates[0].value is not None


def test_groups_stay_together(tmp_path: Path) -> None:
    from cohortium.study.data import load_data
    from cohortium.study.plan import make_plan

    study = load_study(cohort_files.write(tmp_path, study=cohort_files.STUDY + "design: {groups: family}\n"))
    plan = make_plan(study, load_data(study))
    e = plan.endpoints["os"]
    assert len(np.unique(e.groups)) == 60
    for s in e.splits:
        assert not set(e.groups[s.train]) & set(e.groups[s.test])


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("rna.csv", "rnaa.csv", DataError, "rnaa.csv"),
        ("column: response", "column: respons", EndpointError, "Did you mean 'response'"),
        ("equals: dead", "equals: gone", EndpointError, "holds for nobody"),
        ("learners: [late]", "learners: [lat]", StudyError, "Did you mean 'late'"),
        (EVALUATION.removeprefix("evaluation: "), "{metrics: [roc_auk]}", StudyError, "Did you mean 'roc_auc'"),
        (EVALUATION.removeprefix("evaluation: "), "{design: leave_one_site_out}", StudyError, "design.site"),
        (
            EVALUATION.removeprefix("evaluation: "),
            "{design: column, column: hospitl}",
            StudyError,
            "Did you mean 'hospital'",
        ),
        (
            EVALUATION.removeprefix("evaluation: "),
            "{design: file, folds_file: {file: none.csv}}",
            DataError,
            "none.csv",
        ),
    ],
)
def test_bad_studies_leave_no_folder(tmp_path: Path, old: str, new: str, error: type[Exception], words: str) -> None:
    file = variant(tmp_path, old, new)
    with pytest.raises(error, match=words):
        run(file, tmp_path / "run", jobs=1)
    assert not (tmp_path / "run").exists()


def test_rows_without_any_label_are_counted_and_not_in_the_cohort(tmp_path: Path) -> None:
    from cohortium.study.data import load_data

    study = load_study(cohort_files.write(tmp_path, study=cohort_files.STUDY.replace("  os:", "  os_not_used:")))
    data = load_data(study)
    assert len(data.cohort) == data.n_rows == 120 and data.unlabelled == {}
    only = "\n".join(line for line in cohort_files.STUDY.splitlines() if "  os:" not in line)
    data = load_data(load_study(cohort_files.write(tmp_path / "one", study=only)))
    assert (len(data.cohort), data.n_rows, sum(data.unlabelled.values())) == (116, 120, 4)
    assert list(data.cohort.ids) == list(data.outcomes["response"].units)


def test_expected_work_counts_every_fit(study_file: Path) -> None:
    few = expected_fits(load_study(study_file), jobs=1)
    more = expected_fits(load_study(study_file).having(preset="thorough"), jobs=1)
    assert few.n_parts == 8 and few.n_fits > 50 and few.seconds > 0
    assert more.n_fits > few.n_fits and more.seconds > few.seconds


def test_temporal_design_tests_later_patients(tmp_path: Path) -> None:
    from cohortium.study.data import load_data
    from cohortium.study.plan import make_plan

    def study(evaluation: str) -> Path:
        text = cohort_files.STUDY.replace(EVALUATION, f"evaluation: {evaluation}\ndesign: {{index_time: seen}}")
        file = cohort_files.write(tmp_path, study=text)
        units = pd.read_csv(file.parent / "units.csv", dtype=str)
        units["seen"] = [f"20{10 + i // 12:02d}-{i % 12 + 1:02d}-15" for i in range(len(units))]
        units.to_csv(file.parent / "units.csv", index=False)
        return file

    forward = load_study(study("{design: temporal, folds: 3}"))
    plan = make_plan(forward, load_data(forward))
    for s in plan.endpoints["os"].splits:
        assert s.train.max() < s.test.min()
    once = load_study(study("{design: temporal, test_from: 2017-01-01}"))
    splits = make_plan(once, load_data(once)).endpoints["os"].splits
    assert len(splits) == 1 and len(splits[0].test) == 36
