"""Which files belong to which id: a folder, an index of paths.

Names of files hold ids, so complaints count files instead: "folder 'ct', file 3 of 120 by name (.png)".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cohortium.errors import DataError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
VOLUMES = (".nii", ".nii.gz")
DICOM = (".dcm", ".dicom", ".ima")
SLIDES = (".svs", ".ndpi", ".scn", ".bif")
KNOWN = (*PICTURES, *VOLUMES, *DICOM, *SLIDES)


@dataclass(frozen=True)
class File:
    """A file with an image. place: what complaints call it, without an id. ending: one of the known, "" for DICOM
    files without one."""

    path: Path
    place: str
    ending: str

    def read(self) -> bytes:
        """Its bytes. Raises :class:`DataError` when it is empty or cannot be read."""
        try:
            raw = self.path.read_bytes()
        except OSError as e:
            raise DataError(f"{self.place} cannot be read: {e.strerror or 'the system refused'}.") from e
        if not raw:
            raise DataError(f"{self.place} is empty (0 bytes).")
        return raw


def ending_of(path: Path) -> str:
    """The ending by which a file's format is known: ``.nii.gz`` is one; "" when it is none of :data:`KNOWN`."""
    name = path.name.lower()
    return next((e for e in sorted(KNOWN, key=len, reverse=True) if name.endswith(e)), "")


def stem_of(path: Path) -> str:
    """The file's name without the ending of its format: an id."""
    end = ending_of(path)
    return path.name[: -len(end)] if end else path.name


def is_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM files, whatever it is called; the table of contents of a disc is none."""
    if path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as f:
            return f.read(132)[128:] == b"DICM"
    except OSError:
        return False


def inside(path: Path, folder: Path, place: str) -> None:
    """Raise :class:`DataError` for a path that leads out of the folder, through a link or otherwise."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{place} leads out of the folder, through a link or '..'. Copy the file into the folder; links out of it are "
            "not followed."
        )


def walk(folder: Path) -> Iterator[Path]:
    """Files under a folder by name, those in sub-folders too; hidden ones and folders behind links are passed over."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        links = [Path(here) / f for f in folders if (Path(here) / f).is_symlink()]
        yield from links  # never entered, but looked at by whoever asks where links lead
        yield from (Path(here) / f for f in sorted(files) if not f.startswith("."))


def of_path(path: Path, place: str) -> list[File]:
    """The images at a path: a file itself, or those in a folder.

    Raises :class:`DataError` for what is neither, and for a link that leads out of the folder.
    """
    if path.is_dir():
        inner = list(walk(path))
        files = []
        for k, p in enumerate(inner):
            end = ending_of(p)
            where = f"{place}, file {k + 1} of {len(inner)} in it ({end or 'no known ending'})"
            inside(p, path, where)
            if p.is_file() and (end or is_dicom(p)):
                files.append(File(p, where, end))
        return files
    if not path.is_file():
        raise DataError(f"{place}: there is no such file. Correct the path, or leave the row out.")
    end = ending_of(path)
    if not end and not is_dicom(path):
        raise DataError(f"{place} is no image that is read: expected {', '.join(KNOWN)}, or DICOM without an ending.")
    return [File(path, place, end)]


def of_folder(folder: Path) -> tuple[list[tuple[str, list[File]]], int]:
    """[(id, files)] of a folder with a file or a sub-folder for each id, by name; and files that are no images.

    Raises :class:`DataError` for a folder that is missing, or a link that leads out of it.
    """
    if not folder.is_dir():
        what = "is a file; expected a folder" if folder.exists() else "does not exist"
        raise DataError(f"The folder '{folder.name}' of images {what}.")
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: p.name)
    out: list[tuple[str, list[File]]] = []
    others = 0
    for k, p in enumerate(entries):
        end = "" if p.is_dir() else ending_of(p)
        kind = "sub-folder" if p.is_dir() else end or "no known ending"
        place = f"folder '{folder.name}', entry {k + 1} of {len(entries)} by name ({kind})"
        inside(p, folder, place)
        if p.is_dir() or end or (p.is_file() and is_dicom(p)):
            out.append((stem_of(p) if not p.is_dir() else p.name, of_path(p, place)))
        else:
            others += 1
    return [(i, files) for i, files in out if files], others
