"""Run folders: never taken from somebody else, never half-written and taken for whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cohortium.errors import RunFolderError
from cohortium.study import runfolder

HASHES = {"study": "s", "data": "d", "plan": "p"}


def test_a_new_folder_is_private_and_marked_as_running(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    assert runfolder.inspect(folder, HASHES) is None
    assert not folder.exists()
    runfolder.claim(folder, HASHES, resume=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "run.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RunFolderError, match="not finished"):
        runfolder.finished(folder)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="not empty"):
        runfolder.claim(tmp_path, HASHES, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("text", ["{", "[]", '{"status": "finished"}', '{"cohortium_run": 99}'])
def test_a_foreign_run_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunFolderError):
        runfolder.claim(tmp_path, HASHES, resume=True)
    assert (tmp_path / "run.json").read_text() == text


@pytest.mark.parametrize(("changed", "words"), [("study", "another study"), ("data", "other data")])
def test_another_study_or_other_data_are_refused_with_advice(tmp_path: Path, changed: str, words: str) -> None:
    runfolder.claim(tmp_path, HASHES, resume=True)
    with pytest.raises(RunFolderError, match=words) as e:
        runfolder.claim(tmp_path, {**HASHES, changed: "x"}, resume=True)
    assert "--out" in str(e.value)


def test_a_finished_run_of_another_version_is_refused_and_an_unfinished_one_done_again(tmp_path: Path) -> None:
    runfolder.claim(tmp_path, HASHES, resume=True)
    runfolder.claim(tmp_path, {**HASHES, "plan": "new"}, resume=True)
    mark = runfolder.read_mark(tmp_path)
    assert mark is not None and mark["hashes"]["plan"] == "new"
    runfolder.write_json(tmp_path / "run.json", {**mark, "status": "finished"})
    with pytest.raises(RunFolderError, match="another version"):
        runfolder.inspect(tmp_path, HASHES)


def test_resuming_keeps_finished_folds_and_removes_what_was_half_written(tmp_path: Path) -> None:
    runfolder.claim(tmp_path, HASHES, resume=True)
    (tmp_path / runfolder.WORK).mkdir()
    (tmp_path / runfolder.WORK / "fold.npz").write_text("x")
    (tmp_path / "results.json").write_text("{")
    (tmp_path / "model").mkdir()
    runfolder.claim(tmp_path, HASHES, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json", runfolder.WORK]
    assert (tmp_path / runfolder.WORK / "fold.npz").exists()
    runfolder.claim(tmp_path, HASHES, resume=False)
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="No run folder"):
        runfolder.finished(tmp_path / "none")
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        runfolder.finished(tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RunFolderError, match="is a file"):
        runfolder.inspect(file, HASHES)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    runfolder.write_json(file, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        runfolder.write_json(file, {"a": float("nan")})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        runfolder.write_json(file, {"a": 2})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_two_runs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    code = (
        "import sys; from pathlib import Path; from cohortium.study import runfolder\n"
        f"with runfolder.locked(Path({str(tmp_path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match="Another run"), runfolder.locked(tmp_path):
            pass
        other.kill()
    with runfolder.locked(tmp_path):
        pass
