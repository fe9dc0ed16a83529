"""What a person states in the study file reaches the checklists of a finished run without a fit."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Done

STATED = "statements: {ethics: Approved 2004/17., dates: 1980 to 1998.}\n"


@pytest.fixture
def own(done: Done, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the run, and of its study file with statements beside the data."""
    run = Path(shutil.copytree(done.run, tmp_path / "run"))
    study = (
        Path(shutil.copytree(done.folder, tmp_path / "cohort", ignore=shutil.ignore_patterns("*_run")))
        / done.study.name
    )
    study.write_text(study.read_text() + STATED)
    return run, study


def _item(run: Path, number: str) -> dict[str, str]:
    with (run / "checklists.csv").open() as f:
        return next(r for r in csv.DictReader(f) if (r["guideline"], r["item"]) == ("TRIPOD+AI", number))


def test_statements_are_taken_up_and_nothing_else_changes(call: Call, own: tuple[Path, Path]) -> None:
    run, study = own
    before = (run / "results.json").read_bytes()
    assert _item(run, "17")["status"] == "open"
    assert call("report", run, study).code == 0
    assert _item(run, "17")["text"] == "Approved 2004/17."
    assert "Approved 2004/17." in (run / "model_card.md").read_text()
    assert (run / "results.json").read_bytes() == before
    assert call("report", run).code == 0
    assert _item(run, "5b")["status"] == "reported", "a report without the study file keeps them"


def test_the_same_run_again_takes_them_up_too(call: Call, own: tuple[Path, Path]) -> None:
    run, study = own
    found = call("run", study, "--out", run, "--learners", "late")
    assert found.code == 0 and "nothing was fitted" in found.out
    assert _item(run, "17")["status"] == "reported"
    study.write_text(study.read_text().replace(STATED, ""))
    assert call("run", study, "--out", run, "--learners", "late").code == 0
    assert _item(run, "17")["status"] == "open", "what is no longer stated is open again"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("folds: 3", "folds: 4", "another study"),
        ("ethics:", "ethic:", "Did you mean 'ethics'"),
        ("1980 to 1998.", "1980", "a text is expected"),
        ("1980 to 1998.", "''", "is empty"),
    ],
)
def test_a_study_that_does_not_fit_changes_nothing(
    call: Call, own: tuple[Path, Path], old: str, new: str, words: str
) -> None:
    run, study = own
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    assert old in study.read_text()
    study.write_text(study.read_text().replace(old, new, 1))
    found = call("report", run, study)
    assert found.code == 2 and words in found.err
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before


def test_every_command_that_adds_evidence_fills_the_checklists_anew(call: Call, own: tuple[Path, Path]) -> None:
    run, study = own
    assert _item(run, "16")["text"].startswith("Evaluation was internal")
    assert call("validate", run, "--data", study.parent).code == 0
    assert _item(run, "16")["text"].startswith("Numbers of the external data")
