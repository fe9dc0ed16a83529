"""What channels are called, which are used, and spillover between them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from cohortium.errors import DataError
from cohortium.sources.cytometry.fcs import FcsFile, Floats

TECHNICAL = re.compile(
    r"^(time|hdr-.*|event[ _]?(length|#|number)|width|cent(er|re)|offset|residual|bead_?dist|bc_?sep.*|file[ _]?(number|no)?"
    r"|(fsc|ssc|fs|ss)([ _-].*)?)$", re.I,
)  # fmt: skip
"""Time, light scatter, and what instruments and their software write about events beside markers."""

METAL = re.compile(r"^\(?[A-Z][a-z]?\d{2,3}\)?D[di]$")
"""Detectors of mass cytometers: isotopes, such as Nd142Di."""

FLUORESCENCE, MASS = 150.0, 5.0
"""Cofactors of arcsinh (Bendall 2011, Science 332:687 for mass)."""

COMPENSATED = "Comp-"
"""What FlowJo puts before the detectors that it has compensated."""


def key_of(name: str) -> str:
    """What two names have in common that differ in capitals only."""
    return name.casefold()


def usual(file: FcsFile, exclude: Iterable[str]) -> dict[str, int]:
    """Name -> position of the channels that are used unless the study says which.

    A channel is called by its marker, or its detector where it has none. Of area, height and width of one detector the
    area is used. Raises :class:`DataError` when two are called the same.
    """
    unwanted, detectors = {key_of(e) for e in exclude}, set(file.detectors)
    out: dict[str, int] = {}
    for j, (detector, marker) in enumerate(zip(file.detectors, file.markers, strict=True)):
        if TECHNICAL.match(detector) or TECHNICAL.match(marker) or unwanted & {key_of(detector), key_of(marker)}:
            continue
        if detector[-2:] in ("-H", "-W") and f"{detector[:-2]}-A" in detectors:
            continue
        name = marker or detector
        if key_of(name) in map(key_of, out):
            first = next(file.detectors[i] for n, i in out.items() if key_of(n) == key_of(name))
            raise DataError(
                f"{file.place}: the detectors '{first}' and '{detector}' are both called '{name}'. Say which under channels, by "
                "detector, or leave one out under exclude."
            )
        out[name] = j
    return out


def named(file: FcsFile, wanted: Iterable[str]) -> dict[str, int]:
    """Name -> position of the wanted channels that the file has, by marker or else by detector."""
    markers, detectors = list(map(key_of, file.markers)), list(map(key_of, file.detectors))
    out: dict[str, int] = {}
    for name in wanted:
        at = [j for j, m in enumerate(markers) if m == key_of(name)]
        if len(at) > 1:
            areas = [j for j in at if file.detectors[j].endswith("-A")]
            if len(areas) != 1:
                several = " and ".join(f"'{file.detectors[j]}'" for j in at[:2])
                raise DataError(
                    f"{file.place}: '{name}' is the marker of {several}. Name one of these detectors instead."
                )
            at = areas
        at = at or [j for j, d in enumerate(detectors) if d == key_of(name)]
        if len(at) > 1:
            raise DataError(f"{file.place}: {len(at)} detectors are called '{name}'. Name markers ($PnS) instead.")
        if at:
            out[name] = at[0]
    return out


def is_mass(file: FcsFile, at: Iterable[int]) -> bool:
    """Whether most of the channels at the given positions are of a mass cytometer."""
    some = [METAL.match(file.detectors[j]) is not None for j in at]
    return sum(some) > 0.5 * len(some)


def compensation(file: FcsFile) -> tuple[list[int], Floats] | None:
    """Positions of the detectors in the file's spillover matrix (k,), and its inverse (k, k).

    The matrix has a row for each dye: what of it each detector sees. None when the file has no matrix, or one without
    spillover, or values that are compensated already. Raises :class:`DataError`.
    """
    text = file.spillover.strip()
    if not text or text == "0":
        return None
    advice = "Export it again with its matrix, or say compensate: false."
    parts = [part.strip() for part in text.split(",")]
    try:
        k = int(parts[0])
        if len(parts) == k + 1:
            return None  # names of detectors alone: what was set on the instrument is not there
        names, matrix = parts[1 : k + 1], np.array([float(v) for v in parts[k + 1 :]]).reshape(k, k)
    except ValueError as e:
        raise DataError(f"{file.place}: the spillover matrix ($SPILLOVER) cannot be read. {advice}") from e
    names = [" ".join(n.split()) for n in names]
    unknown = [n for n in names if n not in file.detectors]
    if unknown and all(COMPENSATED + n in file.detectors for n in unknown):
        return None
    if unknown:
        raise DataError(
            f"{file.place}: the spillover matrix names '{unknown[0]}', which is no detector of the file. {advice}"
        )
    if len(set(names)) < k or not np.isfinite(matrix).all() or np.linalg.cond(matrix) > 1e8:
        raise DataError(f"{file.place}: the spillover matrix has no inverse. {advice}")
    if np.array_equal(matrix, np.eye(k)):
        return None
    return [file.detectors.index(n) for n in names], np.linalg.inv(matrix)
