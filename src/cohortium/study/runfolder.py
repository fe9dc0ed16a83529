"""The run folder: whose it is, whether it is whole, and how files get into it.

``run.json`` marks a folder as ours. It says ``running`` from the first moment and ``finished`` only when everything
else is in place; both are written in one step. Until then no verb but ``run`` touches the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cohortium.errors import RunFolderError

MARK = "cohortium_run"
WORK = "work"
FORMAT = 1
ANOTHER = "Give another folder with --out, or delete this one."


def write_private(file: Path, data: str | bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(raw)
            f.flush()
            os.fsync(f.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(file: Path, data: Any) -> None:
    """``data`` as indented JSON, by :func:`write_private`."""
    write_private(file, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain(x: Any) -> Any:
    """For JSON: numbers of numpy are Python's, and one that is not finite is null."""
    import numpy as np

    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not np.isfinite(x) else x


def try_writing(folder: Path, wanted: Path) -> None:
    """Make and remove a hidden folder in an existing one: permissions alone do not tell.

    Raises :class:`RunFolderError` naming what was ``wanted``, before any work is done for it.
    """
    try:
        Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".part")).rmdir()
    except OSError as e:
        raise _unwritable(wanted, e) from e


def _unwritable(wanted: Path, e: OSError) -> RunFolderError:
    return RunFolderError(f"{wanted} cannot be written to: {e.strerror or e}. Give another place with --out.")


def read_mark(folder: Path) -> dict[str, Any] | None:
    """``run.json`` of one of our folders, None when the folder has none.

    Raises :class:`RunFolderError` when there is a ``run.json`` that is not ours.
    """
    file = folder / "run.json"
    if not file.is_file():
        return None
    try:
        mark = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RunFolderError(f"{file} cannot be read as JSON. {ANOTHER}") from e
    if not isinstance(mark, dict) or mark.get(MARK) != FORMAT:
        raise RunFolderError(f"{file} was not written by this version of cohortium. {ANOTHER}")
    return mark


def inspect(folder: Path, hashes: dict[str, str]) -> dict[str, Any] | None:
    """The mark of a folder that is ours and of this study, None for a new or empty one; touches nothing.

    hashes: ``study``, ``data`` and ``plan``. Raises :class:`RunFolderError` for a folder with other files in it, of another
    study, or of the same study on other data.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; a run needs a folder. Give another path with --out.")
    mark = read_mark(folder) if folder.exists() else None
    if mark is None:
        others = [p.name for p in folder.iterdir() if p.name != ".lock"] if folder.exists() else []
        if others:
            raise RunFolderError(
                f"{folder} is not empty and is no run folder (it holds {len(others)} other entries). {ANOTHER}"
            )
    else:
        _same(folder, mark, hashes)
    return mark


def claim(folder: Path, hashes: dict[str, str], resume: bool) -> None:
    """Mark ``folder`` as running, and remove what an earlier run left except its finished folds.

    Raises :class:`RunFolderError` as :func:`inspect` does, and when the folder cannot be written to.
    """
    inspect(folder, hashes)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        _clear(folder, keep_work=resume)
        write_json(folder / "run.json", {MARK: FORMAT, "status": "running", "hashes": hashes})
    except OSError as e:
        raise _unwritable(folder, e) from e


def _same(folder: Path, mark: dict[str, Any], hashes: dict[str, str]) -> None:
    found = mark.get("hashes", {})
    if found.get("study") != hashes["study"]:
        raise RunFolderError(
            f"{folder} holds a run of another study, or of this study before it was changed. {ANOTHER}"
        )
    if found.get("data") != hashes["data"]:
        raise RunFolderError(f"{folder} holds a run of this study on other data: the files have changed. {ANOTHER}")
    if mark.get("status") == "finished" and found.get("plan") != hashes["plan"]:
        raise RunFolderError(f"{folder} holds a finished run of this study by another version of cohortium. {ANOTHER}")


def _clear(folder: Path, keep_work: bool) -> None:
    """Remove what an unfinished or an older run left, so that nothing half-written is taken for whole."""
    for entry in folder.iterdir():
        if entry.name in ("run.json", ".lock", "log.txt") or (keep_work and entry.name == WORK):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


OWNER = "owner.json"
"""In a folder of work: who made it."""

PURPOSES = ("audit", "explain")


@contextlib.contextmanager
def work_inside(folder: Path, purpose: str) -> Iterator[Path]:
    """A private, hidden folder inside a run, gone when the block ends. What a killed process left is removed by the next one
    (:func:`sweep`), before this one is made. purpose: of :data:`PURPOSES`. Raises OSError where nothing can be written."""
    sweep(folder)
    work = Path(tempfile.mkdtemp(dir=folder, prefix=f".{purpose}-"))
    try:
        write_json(work / OWNER, {"pid": os.getpid(), "host": platform.node()})
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep(folder: Path) -> int:
    """Remove folders of work inside a run whose process, of this machine, has ended without removing them: they hold copies of the
    cohort. Returns how many there were. One whose owner is not known, or lives, stays."""
    gone = 0
    for purpose in PURPOSES:
        for work in folder.glob(f".{purpose}-*"):
            if work.is_dir() and not work.is_symlink() and _abandoned(work):
                shutil.rmtree(work, ignore_errors=True)
                gone += 1
    return gone


def _abandoned(work: Path) -> bool:
    try:
        owner = json.loads((work / OWNER).read_text(encoding="utf-8"))
        pid, host = int(owner["pid"]), str(owner["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if host != platform.node() or pid <= 0 or os.name == "nt":  # there, asking after a process would end it
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is somebody else's, and lives
        return False
    return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process, however that ends. What killed processes left there is removed.

    Raises :class:`RunFolderError` when another process holds it, and when the folder cannot be written to.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no lock, and no harm to a single run.
        yield
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise _unwritable(folder, e) from e
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise RunFolderError(f"Another run is writing to {folder}. Wait for it, or give another folder.") from e
        sweep(folder)
        yield
    finally:
        os.close(handle)


def finished(folder: Path) -> dict[str, Any]:
    """The mark of a finished run.

    Raises :class:`RunFolderError` when the folder is missing, not ours, or unfinished.
    """
    if not folder.is_dir():
        raise RunFolderError(f"No run folder at {folder}. Give the folder that 'cohortium run' wrote.")
    mark = read_mark(folder)
    if mark is None:
        raise RunFolderError(
            f"{folder} is no run folder: it holds no run.json. Give the folder that 'cohortium run' wrote."
        )
    if mark.get("status") != "finished":
        raise RunFolderError(f"The run in {folder} is not finished. Call 'cohortium run' again to resume it.")
    return mark
