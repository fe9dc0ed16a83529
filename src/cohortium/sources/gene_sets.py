"""Gene sets from GMT files: a line for each, with name, description and members between tabs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cohortium.errors import DataError, did_you_mean
from cohortium.sources.feature_ids import PATTERNS, check_space, without_version

SPACES = ("symbol", "entrez", *PATTERNS)


@dataclass(frozen=True, eq=False)
class GeneSets:
    """file: its name. space: of the members' ids. sets: name -> members."""

    file: str
    space: str
    sets: dict[str, frozenset[str]]


def read_gene_sets(file: Path, space: str) -> GeneSets:
    """Raises :class:`DataError` for what is no GMT file, is empty, names a set twice, or is plainly of another id space."""
    if space not in SPACES:
        raise DataError(f"No id space called '{space}'.{did_you_mean(space, SPACES)}")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as e:
        raise DataError(f"{file}: cannot be read: {e.strerror or e}. Give a GMT file with --gene-sets.") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{file.name} is not UTF-8 text: a GMT file has a gene set a line, with tabs between.") from e
    sets = dict[str, frozenset[str]]()
    for i, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = [c.strip() for c in line.split("\t")]
        if len(cells) < 3 or not cells[0]:
            raise DataError(
                f"{file.name}, line {i}: {len(cells)} cell(s) between tabs; a GMT line has the set's name, a description "
                "(may be empty), and its members."
            )
        if cells[0] in sets:
            raise DataError(f"{file.name}, line {i}: names a set that an earlier line has. Give each its own name.")
        members = frozenset(without_version(c) if space == "ensembl" else c for c in cells[2:] if c)
        if members:
            sets[cells[0]] = members
    if not sets:
        raise DataError(f"{file.name} holds no gene set.")
    some = sorted(set().union(*sets.values()))
    try:
        check_space(some, space, file.name, "gene sets")
    except DataError as e:
        raise DataError(
            f"{file.name}: its members are not of id space '{space}'. Say which one they are of with --id-space."
        ) from e
    return GeneSets(file.name, space, sets)
