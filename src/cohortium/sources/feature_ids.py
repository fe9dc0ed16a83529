"""What names of features are: gene, protein, probe or compound ids, with or without a version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cohortium.errors import DataError

PATTERNS = {
    "ensembl": re.compile(r"^ENS[A-Z]{0,6}[EGPTR]\d{11}(\.\d+)?(_PAR_Y)?$"),
    # The regular expression that UniProt publishes for its accessions; -2 names an isoform.
    "uniprot": re.compile(r"^([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2})(-\d+)?$"),
    # Illumina's probes: cg00000029, cg00000029_TC21 (EPIC v2), ch.13.39564907R.
    "cpg": re.compile(r"^(cg\d{8}(_[A-Z]{2}\d+)?|ch\.[0-9XY]+\.\d+[FR])$"),
    "chebi": re.compile(r"^CHEBI:\d+$"),
}
"""Id space -> the form of its ids, where that is told by nothing else."""

_DIGITS = re.compile(r"^\d+$")
_VERSION = re.compile(r"\.\d+(?=$|_PAR_Y$)")
_SOME, _PLAIN, _HALF = 10, 0.9, 0.5


def without_version(name: str) -> str:
    """``ENSG00000141510.17`` -> ``ENSG00000141510``; ``ENSG00000182378.14_PAR_Y`` keeps its copy's mark."""
    return _VERSION.sub("", name)


def versioned(names: Iterable[str]) -> bool:
    """Whether names are Ensembl ids of which most carry a version."""
    some = [n for n in names if PATTERNS["ensembl"].match(n)]
    return bool(some) and sum("." in n for n in some) > _PLAIN * len(some)


def space_of(names: Sequence[str]) -> str:
    """The id space that nearly all of the names are of by their form; "" where there are few names, or none fits."""
    if len(names) < _SOME:
        return ""
    for space, form in PATTERNS.items():
        if sum(form.match(n) is not None for n in names) > _PLAIN * len(names):
            return space
    return ""


def check_space(names: Sequence[str], declared: str, file: str, modality: str) -> None:
    """Raise :class:`DataError` when the names are plainly not of the declared id space."""
    if not declared:
        return
    form = _DIGITS if declared == "entrez" else PATTERNS.get(declared)
    found = space_of(names)
    if form is not None and names:
        fit = sum(form.match(n) is not None for n in names)
        wrong = fit < _HALF * len(names)
        told = f"{fit:,} of its {len(names):,} features are called so"
    else:
        wrong, told = declared == "symbol" and found != "", "its features are not"
    if wrong:
        other = next((n for n in names if form is None or not form.match(n)), "")
        said = f" They look like {found}." if found else ""
        raise DataError(
            f"{file}: modality '{modality}' says id_space: {declared}, and {told}; '{other}' is one that is not.{said} "
            "Correct id_space, or leave it out."
        )


def stripped(names: Sequence[str], fixed: set[str], file: str) -> list[str]:
    """Names without their versions; those in ``fixed`` stay. Raises :class:`DataError` when two become the same."""
    out = [n if n in fixed else without_version(n) for n in names]
    first: dict[str, int] = {}
    twice = [(first[n], k) for k, n in enumerate(out) if first.setdefault(n, k) != k]
    if twice:
        a, b = twice[0]
        raise DataError(
            f"{file}: '{names[a]}' and '{names[b]}' are both '{out[a]}' without their versions ({len(twice):,} such "
            "feature(s)). List those that are not to be used under exclude, with their versions, or leave out strip_version."
        )
    return out
