"""Which FCS files belong to which id: a folder, or an index of paths.

Names of files hold ids, so complaints count files instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohortium.errors import DataError
from cohortium.sources.images.listing import inside, walk

ENDING = ".fcs"


@dataclass(frozen=True)
class Listed:
    """An FCS file. label: whose, before any id rule. place: what complaints call it."""

    label: str
    path: Path
    place: str


def is_fcs(path: Path) -> bool:
    """By its ending; hidden files are none."""
    return path.suffix.lower() == ENDING and not path.name.startswith(".") and path.is_file()


def of_folder(folder: Path) -> tuple[list[Listed], int]:
    """Files of a folder with a file or a sub-folder for each id, by name; and how many entries are no FCS files.

    Raises :class:`DataError` for a folder that is missing or empty, or a link that leads out of it.
    """
    if not folder.is_dir():
        what = "is a file; expected a folder" if folder.exists() else "does not exist"
        raise DataError(f"The folder '{folder.name}' of FCS files {what}.")
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: p.name)
    out: list[Listed] = []
    others = 0
    for k, p in enumerate(entries):
        place = f"folder '{folder.name}', entry {k + 1} of {len(entries)} by name"
        inside(p, folder, place)
        found = _at(p, p.name if p.is_dir() else p.stem, place)
        others += not found
        out += found
    if not out:
        raise DataError(f"The folder '{folder.name}' holds no FCS file ({ENDING}).")
    return out, others


def of_index(index: Path, id_column: str, path_column: str) -> list[Listed]:
    """Files that an index lists, a row each. Raises :class:`DataError`."""
    from cohortium.sources.named_columns import read_columns

    frame = read_columns(index, [id_column, path_column])
    out, seen = list[Listed](), dict[tuple[str, Path], int]()
    for k, (owner, path) in enumerate(zip(frame[id_column], frame[path_column], strict=True)):
        place = f"{index.name}, row {k + 2}"
        if pd.isna(owner) or pd.isna(path):
            raise DataError(f"{place}: the cell of '{id_column if pd.isna(owner) else path_column}' is empty.")
        label = str(int(owner)) if isinstance(owner, float) and owner.is_integer() else str(owner).strip()
        target = index.parent / str(path)
        inside(target, index.parent, place)
        found = _at(target, label, place)
        if not found:
            what = (
                "holds no FCS file" if target.is_dir() else "is no FCS file (.fcs)" if target.exists() else "is missing"
            )
            raise DataError(f"{place}: what 'path' names {what}. Correct the path, or leave the row out.")
        for f in found:
            first = seen.setdefault((label, f.path.resolve()), k + 2)
            if first != k + 2:
                raise DataError(f"{place}: this file is listed in row {first} already. Leave one of the rows out.")
        out += found
    return out


def _at(path: Path, label: str, place: str) -> list[Listed]:
    """The FCS file at a path, or those in the folder that it is."""
    if not path.is_dir():
        return [Listed(label, path, place)] if is_fcs(path) else []
    files = list(walk(path))
    out = []
    for k, p in enumerate(files):
        here = f"{place}, file {k + 1} of {len(files)} in it"
        inside(p, path, here)
        if is_fcs(p):
            out.append(Listed(label, p, here))
    return out
