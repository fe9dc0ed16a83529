"""``report``: the pages of a finished run anew, with what the study file states now. Nothing is fitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.errors import RunFolderError
from cohortium.study import runfolder
from cohortium.study.load import Study, load_study

if TYPE_CHECKING:
    from cohortium.study.running import RunResult

STATEMENTS = "statements.json"


def report(run: str | Path, study: Study | str | Path | None = None) -> RunResult:
    """Write report, checklists and model card of a finished run anew.

    study: its study file, whose ``statements`` are taken up; by default those that the run holds stay.

    Raises :class:`RunFolderError` for an unfinished run, or when the study file asks for something else than the run did.
    """
    from cohortium.report import write_report
    from cohortium.study.running import open_run

    folder = Path(run)
    found = open_run(folder)
    if study is not None:
        mark = runfolder.finished(folder)
        loaded = study if isinstance(study, Study) else load_study(study)
        loaded = loaded.having(mark.get("learners"), mark.get("preset"))
        if mark.get("hashes", {}).get("study") != loaded.hash:
            raise RunFolderError(
                f"{folder} holds a run of another study than {loaded.path}, or of it before it was changed. Only title and "
                "statements may differ; for anything else run the study again."
            )
    with runfolder.locked(folder):
        if study is not None:
            state(folder, loaded)
        write_report(folder)
    return found


def stated(folder: Path) -> dict[str, str]:
    """What a run folder holds of statements; empty where it has none."""
    try:
        found = json.loads((folder / STATEMENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def state(folder: Path, study: Study) -> None:
    """Keep what the study file states in the run folder, with the file itself."""
    runfolder.write_private(folder / "study.yaml", study.text)
    runfolder.write_json(folder / STATEMENTS, study.spec.statements.given())
