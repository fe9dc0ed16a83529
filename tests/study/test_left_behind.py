"""What a killed ``audit`` or ``explain`` leaves in a run folder is removed by the next command, and nothing that is still in use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cohortium.study import runfolder

HOLD = """\
import sys, time
from pathlib import Path
from cohortium.study.runfolder import work_inside
with work_inside(Path(sys.argv[1]), "explain") as work:
    (work / "cohort.npy").write_text("private")
    print("there", flush=True)
    time.sleep(60)
"""


def left(folder: Path) -> list[Path]:
    return sorted(folder.glob(".explain-*"))


def test_a_killed_process_leaves_a_folder_that_the_next_command_removes(tmp_path: Path) -> None:
    held = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None and held.stdout.readline() == "there\n"
        (work,) = left(tmp_path)
        assert work.stat().st_mode & 0o777 == 0o700
        assert runfolder.sweep(tmp_path) == 0 and left(tmp_path) == [work], "its process lives"
        held.send_signal(signal.SIGKILL)
        held.wait()
        time.sleep(0.05)
        assert left(tmp_path) == [work], "nobody has removed it"
        with runfolder.locked(tmp_path):
            assert left(tmp_path) == []
    finally:
        held.kill()
        held.wait()
        assert held.stdout is not None
        held.stdout.close()


def test_the_next_of_its_kind_removes_it_too_and_its_own_in_the_end(tmp_path: Path) -> None:
    old = tmp_path / ".audit-old"
    old.mkdir()
    (old / runfolder.OWNER).write_text(json.dumps({"pid": dead(), "host": runfolder.platform.node()}))
    with runfolder.work_inside(tmp_path, "explain") as work:
        assert not old.exists() and work.is_dir()
        assert json.loads((work / runfolder.OWNER).read_text())["pid"] == os.getpid()
    assert left(tmp_path) == []
    with pytest.raises(ValueError, match="broke"), runfolder.work_inside(tmp_path, "audit"):
        raise ValueError("broke")
    assert list(tmp_path.glob(".audit-*")) == []


def dead() -> int:
    """A process id that nobody has now."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize(
    "owner",
    [None, "", "{", "[1]", '{"pid": "x", "host": "h"}', '{"pid": 0}', '{"pid": 999999999999999999999, "host": "HOST"}', '{"pid": 1, "host": "HOST"}', '{"pid": DEAD, "host": "another machine"}'],
)  # fmt: skip
def test_what_may_be_in_use_or_somebody_elses_stays(tmp_path: Path, owner: str | None) -> None:
    work = tmp_path / ".explain-x"
    work.mkdir()
    if owner is not None:
        text = owner.replace("HOST", runfolder.platform.node()).replace("DEAD", "4194303")
        (work / runfolder.OWNER).write_text(text)
    (tmp_path / ".explain-file").write_text("a file")
    assert runfolder.sweep(tmp_path) == 0 and work.is_dir() and (tmp_path / ".explain-file").is_file()
