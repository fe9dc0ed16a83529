"""The page of one patient: notes and images with what they did to the prediction. It holds what it is about: private."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cohortium.contracts.drawn import Box, ImagesDrawn, NoteDrawn, PatientDrawn, PictureDrawn, Piece
from cohortium.errors import CohortiumError, DataError
from cohortium.study import runfolder

if TYPE_CHECKING:
    from cohortium.cohort import Cohort, Texts
    from cohortium.contracts.explanations import PatientExplanation
    from cohortium.explanation.instances import LeftOut
    from cohortium.schema.images import ImagesSource
    from cohortium.sources.images.showing import Seen
    from cohortium.study.load import Study

SHOWN = 12
"""Pictures of a modality: those that moved the prediction most."""

Cuts = Mapping[str, "LeftOut | None"]


def draw(study: Study, folder: Path, one: Cohort, cuts: Cuts, k: int) -> PatientDrawn:
    """Notes and images of the unit. folder: where the files of its modalities are. cuts: what leaving out parts did. k: column shown."""
    from cohortium.cohort import Texts
    from cohortium.schema.images import ImagesSource

    notes, images, why = list[NoteDrawn](), list[ImagesDrawn](), dict[str, str]()
    for name, data in one.modalities.items():
        if not len(data.units):
            continue
        source = study.spec.cohort.modalities[name]
        if isinstance(data, Texts):
            notes.append(_note(name, data, cuts.get(name), k))
        elif isinstance(source, ImagesSource):
            try:
                images.append(_images(name, source, folder, one, cuts.get(name), k))
            except CohortiumError as e:  # the explanation stands without pictures
                why[name] = str(e)
    return PatientDrawn(notes, images, why)


def _note(name: str, data: Texts, cut: LeftOut | None, k: int) -> NoteDrawn:
    from cohortium.explanation.instances import pieces

    text = str(data.texts[0])
    if cut is None:
        return NoteDrawn(name, [Piece(text)], False)
    value = {int(g[0]): float(v) for g, v in zip(cut.groups, cut.change[:, k], strict=True)}
    return NoteDrawn(name, [Piece(t, None if i is None else value.get(i)) for t, i in pieces(text)], True)


def _images(name: str, source: ImagesSource, folder: Path, one: Cohort, cut: LeftOut | None, k: int) -> ImagesDrawn:
    from cohortium.sources.images import ImagesReader

    found = ImagesReader(name, source, folder, one.units).show()
    n = sum(len(s.planes) for s in found)
    data = one.modalities[name]
    if n != (len(data.values) if data.shape == "bag" else 1):  # type: ignore[union-attr]
        raise DataError("the files hold other images now than those that were read")
    if cut is None:
        return ImagesDrawn(name, n, [PictureDrawn(_label(s, 0, i, found), p) for i, s in enumerate(found) for p in s.planes[:1]])  # fmt: skip
    value = np.zeros(n)
    for at, v in zip(cut.groups, cut.change[:, k], strict=True):
        value[at] = v
    return ImagesDrawn(name, n, _pictures(found, value))


def _pictures(found: list[Seen], value: np.ndarray) -> list[PictureDrawn]:
    """Overviews of slides with all their tiles, then the planes that did most."""
    out, planes, begin = list[PictureDrawn](), list[PictureDrawn](), 0
    for i, s in enumerate(found):
        own = value[begin : begin + len(s.planes)]
        begin += len(s.planes)
        if s.overview is not None and s.boxes is not None:
            boxes = [Box(*(float(x) for x in b), float(v)) for b, v in zip(s.boxes, own, strict=True)]
            out.append(PictureDrawn(f"slide {i + 1}" if len(found) > 1 else "the slide", s.overview, None, boxes))
        planes += [PictureDrawn(_label(s, j, i, found), p, float(v)) for j, (p, v) in enumerate(zip(s.planes, own, strict=True))]  # fmt: skip
    order = np.argsort([-abs(p.value or 0.0) for p in planes], kind="stable")[:SHOWN]
    return out + [planes[j] for j in order]


def _label(s: Seen, j: int, i: int, found: list[Seen]) -> str:
    """``slice 3 of 16``, ``image 2``, ``tile 7 of slide 1``."""
    image = "" if len(found) == 1 else f"image {i + 1}"
    if s.overview is not None:
        return f"tile {j + 1}" + ("" if len(found) == 1 else f" of slide {i + 1}")
    if len(s.planes) == 1:
        return image or "the image"
    return f"slice {j + 1} of {len(s.planes)}" + (f", {image}" if image else "")


def write_page(file: Path, found: PatientExplanation, drawn: PatientDrawn) -> None:
    """The page, readable by its owner alone. Raises :class:`DataError`."""
    from cohortium.report.patient import patient_page

    try:
        runfolder.write_private(file, patient_page(found, drawn))
    except OSError as e:
        raise DataError(f"{file} cannot be written: {e.strerror or e}. Give another file with --out.") from e
