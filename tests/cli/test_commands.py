"""Every command once, as a user and as a machine would call it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

import cohortium
from cohortium.cli.progress import Bars, Lines, progress, spoken
from cohortium.experiment import ProgressEvent
from tests.cli.conftest import SETTINGS, Call, Done, write_tables


def test_init_proposes_a_study_that_check_and_run_take(call: Call, tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "c")
    made = call("init", folder, "--endpoint", "response")
    assert made.code == 0 and str(folder / "study.yaml") in made.out
    file = folder / "study.yaml"
    assert "kind: binary" in file.read_text()
    file.write_text(file.read_text() + SETTINGS)
    found = call("check", file, "--json")
    assert found.code == 0 and found.json["stops"] is False and isinstance(found.json["findings"], list)
    plain = call("check", folder)
    assert plain.code == 0 and "serious" in plain.out


def test_init_keeps_what_is_there(call: Call, tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "c")
    (folder / "study.yaml").write_text("mine")
    refused = call("init", folder, "--endpoint", "response")
    assert refused.code == 2 and "--force" in refused.err
    assert (folder / "study.yaml").read_text() == "mine"
    made = call("init", folder, "--endpoint", "response", "--force", "--json")
    assert made.code == 0 and Path(made.json["study"]).read_text() != "mine"


def test_run_says_what_it_will_do_and_then_the_answer(call: Call, done: Done, tmp_path: Path) -> None:
    ran = call("run", done.study, "--out", tmp_path / "r", "--jobs", 1, "--learners", "late", "--preset", "quick")
    assert ran.code == 0
    first = ran.err.index("expected time")
    assert " fits" in ran.err[:first] and "fitting" in ran.err[first:], "the plan comes before the first fit"
    assert "improve the prediction of response?" in ran.out and "reference" in ran.out
    assert str(tmp_path / "r" / "report.html") in ran.out.replace("\n", "")


def test_run_again_fits_nothing(call: Call, done: Done) -> None:
    again = call("run", done.study, "--out", done.run, "--learners", "late")
    assert again.code == 0 and "finished already" in again.out and "fitting" not in again.err


def test_run_json_is_results_json_and_where_it_is(call: Call, done: Done) -> None:
    records = call("run", done.study, "--out", done.run, "--learners", "late", "--json").json
    stored = json.loads((done.run / "results.json").read_text())
    assert {k: records[k] for k in stored} == stored
    assert Path(records["report"]).is_file() and records["resumed"] is True


def test_quiet_is_quiet(call: Call, done: Done) -> None:
    ran = call("run", done.study, "--out", done.run, "--learners", "late", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_report_is_written_anew(call: Call, done: Done) -> None:
    (done.run / "report.html").unlink()
    assert call("report", done.run).code == 0
    assert (done.run / "report.html").is_file()
    assert call("report", done.run, "--json").json["leaderboard"]


def test_compare_with_itself_is_zero(call: Call, done: Done) -> None:
    assert "late" in call("compare", done.run, done.run).out
    found = call("compare", done.run, done.run, "--json").json["comparisons"]
    assert found and all(c["difference"]["value"] == 0 for c in found if c["a"]["value"] is not None)


def test_predict_needs_no_endpoint_and_takes_fewer_modalities(call: Call, done: Done, tmp_path: Path) -> None:
    new = write_tables(tmp_path / "new", n=7, seed=3, first=900)
    (new / "rna.csv").unlink()
    table = pd.read_csv(new / "clinical.csv", dtype=str).drop(columns="response")
    table.to_csv(new / "clinical.csv", index=False)
    out = tmp_path / "p.csv"
    made = call("predict", done.run, "--data", new, "--out", out, "--json")
    assert made.code == 0 and made.json["n_units"] == 7
    frame = pd.read_csv(out, dtype={"unit": str})
    assert frame["unit"].tolist() == table["patient"].tolist() and set(frame["modalities"]) == {"clinical"}
    assert frame[["response.p_no", "response.p_yes"]].sum(axis=1).to_numpy() == pytest.approx(1.0)


@pytest.mark.thorough
def test_validate_gives_intervals_and_a_page(call: Call, done: Done, tmp_path: Path) -> None:
    new = write_tables(tmp_path / "elsewhere", n=60, seed=5, first=700)
    run = tmp_path / "run"
    shutil.copytree(done.run, run)
    assert "roc_auc" in call("validate", run, "--data", new).out
    found = {e["metric"]: e for e in call("validate", run, "--data", new, "--json").json["endpoints"]["response"]}
    auc = found["roc_auc"]
    assert auc["low"] < auc["value"] < auc["high"] and auc["n"] == 60
    assert "elsewhere" in (run / "report.html").read_text()


def test_schemas_are_of_what_they_say(call: Call, done: Done) -> None:
    study, results = call("schema", "study").json, call("schema", "results").json
    jsonschema.Draft202012Validator.check_schema(study)
    assert set(study["properties"]) >= {"name", "cohort", "endpoints", "evaluation"}
    jsonschema.validate(json.loads((done.run / "results.json").read_text()), results)


def test_version_and_help(call: Call) -> None:
    assert call("--version").out.strip() == f"cohortium {cohortium.__version__}"
    assert "run" in call("--help").out
    assert call().code == 2, "no command is no success"


def test_progress_lines_count_and_tell_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as tell:
        assert isinstance(tell, Lines), "bars are for terminals only"
        tell(ProgressEvent("plan", 0, 40, seconds_left=100.0, text="40 fits"))
        tell(ProgressEvent("folds", 0, 4))
        tell(ProgressEvent("folds", 1, 4, 2.0, 6.0))
        tell(ProgressEvent("folds", 2, 4, 4.0, 4.0))
        tell(ProgressEvent("folds", 4, 4, 8.0, 0.0))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["40 fits; expected time about 2 min", "fitting 1/4, 6 s left", "fitting 4/4"]


def test_bars_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as tell:
        tell(ProgressEvent("plan", 0, 40, seconds_left=5.0, text="40 fits"))
        tell(ProgressEvent("folds", 1, 4, 2.0, 6.0))
        tell(ProgressEvent("folds", 4, 4, 8.0, 0.0))
    out, err = capsys.readouterr()
    assert out == "" and "40 fits; expected time about 5 s" in err and "4/4" in err


@pytest.mark.thorough
def test_a_poor_terminal_loses_no_answer_and_a_closed_pipe_makes_no_noise(done: Done) -> None:
    command = [sys.executable, "-m", "cohortium"]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run([*command, "report", str(done.run)], capture_output=True, env=ascii_only)
    assert shown.returncode == 0 and b"improve the prediction" in shown.stdout
    with subprocess.Popen([*command, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as piped:
        assert piped.stdout is not None and piped.stderr is not None
        piped.stdout.close()
        assert piped.stderr.read() == b""


def test_times_are_spoken_as_roughly_as_they_are_known() -> None:
    assert [spoken(s) for s in (0.2, 45, 300, 7800)] == ["1 s", "45 s", "5 min", "2 h 10 min"]
