"""``init``: the proposed study file, tried before it is written."""

from __future__ import annotations

from pathlib import Path

from cohortium.errors import DataError, StudyError


def write_proposal(folder: Path, endpoint: str | None, force: bool) -> Path:
    """Write ``folder/study.yaml`` and give its path.

    endpoint: column to predict, None for a guess. Raises :class:`StudyError` when the file is there and not to be
    replaced, or no endpoint is found; :class:`DataError` for a folder that is missing, has no readable table, or
    cannot be written to.
    """
    from cohortium.sources import propose
    from cohortium.study import parse_study

    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give the folder that holds the cohort's tables.")
    file = folder / "study.yaml"
    if file.exists() and not force:
        raise StudyError(f"{file} is there already. Add --force to replace it.")
    text = propose(folder, endpoint)
    parse_study(text, file.name)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as e:
        raise DataError(f"{file} cannot be written: {e.strerror}.") from e
    return file
