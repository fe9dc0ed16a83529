"""What a verb found, kept in the folder of a run, whose report then has a section on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.study import runfolder
from cohortium.study.outfolder import free_folder

if TYPE_CHECKING:
    from cohortium.study.load import Study


def place(run: Path, study: Study, endpoint: str) -> Path:
    """Where what ``biomarkers`` finds of an endpoint is kept in a run of this study on these data.

    Raises :class:`RunFolderError` when the run is unfinished or of something else, or when it cannot be written to,
    :class:`DataError` when something else is there.
    """
    from cohortium.report.found import FILE, KEPT
    from cohortium.study.refitting import open_source

    open_source(run, study)
    with runfolder.locked(run):  # whether it can be written to is known before any work is done
        parent = run / KEPT
        parent.mkdir(mode=0o700, exist_ok=True)
        return free_folder(
            parent / f"endpoint_{list(study.spec.endpoints).index(endpoint)}", lambda p: (p / FILE).is_file()
        )


def keep(run: Path, folder: Path, write: Callable[[], None]) -> None:
    """Write ``folder`` inside the run, and the run's report anew."""
    from cohortium.report import write_report

    with runfolder.locked(run):
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        write()
        write_report(run)
