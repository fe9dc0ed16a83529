"""Folders that a verb writes its answer into: free before any work is done, and there whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cohortium.errors import DataError
from cohortium.study.runfolder import try_writing


def free_folder(folder: Path, ours: Callable[[Path], bool] | None = None) -> Path:
    """The folder, when it can be made or is empty, or is an older answer as ``ours`` says; raises :class:`DataError`."""
    if folder.is_dir():
        if any(folder.iterdir()) and not (ours is not None and ours(folder)):
            what = "is not empty" if ours is None else "holds something else"
            raise DataError(f"{folder} is there already and {what}. Give a new folder with --out.")
    elif folder.exists() or not folder.parent.is_dir():
        what = "is a file" if folder.exists() else "is in a folder that does not exist"
        raise DataError(f"{folder} {what}. Give a new folder with --out.")
    try_writing(folder.parent, folder)
    return folder


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside to write into; it takes the place of ``folder`` when the block ends well, its files private.

    Raises :class:`DataError` where it cannot be written; then nothing is left of it.
    """
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        yield part
        for file in part.rglob("*"):
            file.chmod(0o700 if file.is_dir() else 0o600)
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except OSError as e:
        raise DataError(f"{folder} cannot be written: {e.strerror or e}. Give another folder with --out.") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
