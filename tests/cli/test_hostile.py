"""Wrong input to every command: one clear sentence on standard error, the right exit code, nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Call, Called, Done


def refused(found: Called, *words: str) -> None:
    """Exit code 2, nothing on standard output, and an error that says these words."""
    assert found.code == 2, found
    assert found.out == ""
    assert len(found.err) < 1500
    for w in words:
        assert w in found.err, f"{w!r} not in {found.err!r}"


@pytest.fixture
def folder(done: Done, tmp_path: Path) -> Path:
    """A copy of the cohort to spoil."""
    copy = tmp_path / "cohort"
    shutil.copytree(done.folder, copy)
    return copy


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def spoil_cell(folder: Path) -> None:
    frame = pd.read_csv(folder / "clinical.csv", dtype=str)
    frame.loc[3, "age"] = "unknowable"
    frame.to_csv(folder / "clinical.csv", index=False)
    change(folder / "study.yaml", "      file: clinical.csv", "      file: clinical.csv\n      kinds: {age: numeric}")


def one_class(folder: Path) -> None:
    frame = pd.read_csv(folder / "clinical.csv", dtype=str).assign(response="yes")
    frame.to_csv(folder / "clinical.csv", index=False)


def duplicate_id(folder: Path) -> None:
    lines = (folder / "clinical.csv").read_text().splitlines()
    (folder / "clinical.csv").write_text("\n".join([*lines, lines[1]]) + "\n")


def empty_file(folder: Path) -> None:
    (folder / "rna.csv").write_text("")


def wrong_encoding(folder: Path) -> None:
    raw = (folder / "clinical.csv").read_bytes()
    (folder / "clinical.csv").write_bytes(raw.replace(b"size", b"gr\xf6\xdfe", 1))


SPOILERS: list[tuple[Callable[[Path], None], tuple[str, ...]]] = [
    (lambda f: (f / "rna.csv").unlink(), ("rna.csv",)),
    (spoil_cell, ("clinical.csv", "age", "row 5")),
    (one_class, ("response", "class")),
    (duplicate_id, ("clinical.csv",)),
    (empty_file, ("rna.csv", "empty")),
    (wrong_encoding, ("clinical.csv", "encoding")),
    (lambda f: change(f / "study.yaml", "models:", "modls:"), ("study.yaml", "modls", "Did you mean 'models'?")),
    (lambda f: change(f / "study.yaml", "models: [linear]", "models: [linear"), ("study.yaml", "YAML")),
    (lambda f: change(f / "study.yaml", "column: response", "column: respons"), ("respons", "Did you mean 'response'?")),
    (lambda f: (f / "study.yaml").unlink(), ("study.yaml", "init")),
    (lambda f: (f / "study.yaml").write_bytes(b"\xff\xfe\x00"), ("study.yaml", "UTF-8")),
]  # fmt: skip


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("spoil", "words"), SPOILERS)
def test_spoilt_study(
    command: str, spoil: Callable[[Path], None], words: tuple[str, ...], folder: Path, call: Call
) -> None:
    spoil(folder)
    found = call(command, folder / "study.yaml", *(["--out", folder / "out"] if command == "run" else []))
    written = found.err
    found = Called(found.code, found.out, "\n".join(x for x in written.splitlines() if x != "reading files"))
    refused(found, *words)
    assert "unknowable" not in written, "a patient's value is nobody's business"
    assert not (folder / "out").exists()


def test_errors_are_json_where_json_was_asked_for(call: Call, tmp_path: Path) -> None:
    found = call("run", tmp_path / "none.yaml", "--json")
    assert found.code == 2
    assert found.json["exit_code"] == 2 and found.json["error"]["kind"] == "StudyError"
    assert found.json["error"]["message"] in found.err


def test_wrong_usage(call: Call, done: Done) -> None:
    for arguments in (["rnu"], ["run"], ["run", done.study, "--preset", "quik"], ["run", done.study, "--jobs", "0"], ["run", done.study, "--learners", " ,"],
                      ["predict", done.run], ["schema", "nothing"], ["compare", done.run]):  # fmt: skip
        found = call(*arguments)
        assert found.code == 2 and found.out == "" and found.err, arguments


def test_unknown_learner(call: Call, done: Done, tmp_path: Path) -> None:
    found = call("run", done.study, "--out", tmp_path / "r", "--learners", "lat")
    assert found.code == 2 and "Did you mean 'late'?" in found.err
    assert not (tmp_path / "r").exists()


def test_run_does_not_write_into_a_strangers_folder(call: Call, done: Done, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    found = call("run", done.study, "--out", tmp_path, "--learners", "late")
    assert found.code == 2 and "not empty" in found.err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


@pytest.mark.parametrize("state", ["missing", "no run", "unfinished", "damaged", "results gone"])
@pytest.mark.parametrize("command", ["report", "compare", "predict", "validate"])
def test_no_finished_run(command: str, state: str, call: Call, done: Done, tmp_path: Path) -> None:
    run = tmp_path / "run"
    if state == "no run":
        run.mkdir()
    elif state != "missing":
        shutil.copytree(done.run, run)
    if state == "unfinished":
        change(run / "run.json", '"finished"', '"running"')
    elif state == "damaged":
        (run / "run.json").write_text("{")
    elif state == "results gone":
        (run / "results.json").unlink()
        shutil.rmtree(run / "model")
    more = {
        "report": [],
        "compare": [done.run],
        "predict": ["--data", done.folder, "--out", tmp_path / "p.csv"],
        "validate": ["--data", done.folder],
    }
    refused(call(command, run, *more[command]), "Error: ", "run")
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("command", ["predict", "validate"])
def test_new_data_that_do_not_fit(command: str, call: Call, done: Done, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "p.csv"] if command == "predict" else []
    refused(call(command, done.run, "--data", tmp_path / "nowhere", *out), "nowhere")
    (tmp_path / "empty").mkdir()
    refused(call(command, done.run, "--data", tmp_path / "empty", *out), "clinical.csv")
    assert not (tmp_path / "p.csv").exists()


def test_predictions_into_a_folder_that_is_not_there(call: Call, done: Done, tmp_path: Path) -> None:
    refused(call("predict", done.run, "--data", done.folder, "--out", tmp_path / "no" / "p.csv"), "p.csv")


def test_init_of_what_is_no_cohort(call: Call, done: Done, tmp_path: Path) -> None:
    refused(call("init", tmp_path / "nowhere"), "nowhere")
    (tmp_path / "notes.txt").write_text("")
    refused(call("init", tmp_path), "no table")
    refused(call("init", done.folder, "--force", "--endpoint", "respons"), "Did you mean 'response'?")


def test_demo_keeps_another_study(call: Call, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: mine\n")
    refused(call("demo", "--out", tmp_path), "study.yaml", "--out")
    assert (tmp_path / "study.yaml").read_text() == "name: mine\n"


def test_check_that_stops_is_exit_code_3(call: Call, folder: Path) -> None:
    frame = pd.read_csv(folder / "clinical.csv", dtype=str)
    frame["outcome_code"] = (frame["response"] == "yes").map({True: "17", False: "4"})
    frame.to_csv(folder / "clinical.csv", index=False)
    found = call("check", folder / "study.yaml", "--json")
    assert found.code == 3 and found.json["stops"] is True
    names = [f["name"] for f in found.json["findings"] if f["grade"] == "serious"]
    assert names
    stopped = call("run", folder / "study.yaml", "--out", folder / "out", "--json")
    assert stopped.code == 3 and stopped.json["error"]["kind"] == "ChecksFailed"
    assert names[0] in stopped.err and "acknowledge" in stopped.err
    assert not (folder / "out" / "results.json").exists()


def test_ctrl_c_says_how_to_go_on(call: Call, done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cohortium.study.run", stopped, raising=False)
    found = call("run", done.study)
    assert found.code == 130 and "go on from the finished folds" in found.err


def test_our_own_failure_is_exit_code_1(call: Call, done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("cohortium.study.run", broken, raising=False)
    found = call("run", done.study)
    assert found.code == 1 and "--debug" in found.err and "ZeroDivisionError" in found.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where even root cannot write")
def test_a_place_that_cannot_be_written_to_is_the_users_mistake_and_known_before_fitting(
    call: Call, folder: Path
) -> None:
    study = folder / "study.yaml"
    for arguments in (
        ["run", study, "--out", "/proc/run", "--learners", "late"],
        ["embed", study, "--out", "/proc/x.h5ad"],
        ["impute", study, "--target", "clinical", "--out", "/proc/imputed"],
    ):
        found = call(*arguments)
        refused(found, "/proc/", "cannot be written to", "--out")
        assert "fitting" not in found.err
