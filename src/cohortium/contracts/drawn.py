"""One patient's notes and images with what they did to a prediction: for a page that only the patient's physicians should see."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Piece:
    """A stretch of a text. value: the prediction with it less that without it; None of blanks, and where texts are not cut."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class NoteDrawn:
    """A note, in its order. cut: whether its sentences were left out one by one."""

    modality: str
    pieces: list[Piece]
    cut: bool


@dataclass(frozen=True)
class Box:
    """A part of a picture that was left out. x, y, width, height: shares of the picture's. value: as of a :class:`Piece`."""

    x: float
    y: float
    width: float
    height: float
    value: float


@dataclass(frozen=True, eq=False)
class PictureDrawn:
    """An image. pixels: (h, w) or (h, w, 3) uint8. value: as of a :class:`Piece`, None where it was not left out by itself; boxes: its parts
    that were."""

    label: str
    pixels: NDArray[np.uint8]
    value: float | None = None
    boxes: list[Box] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class ImagesDrawn:
    """The images of a modality. n: instances of it, of which ``pictures`` show those that did most, or an overview."""

    modality: str
    n: int
    pictures: list[PictureDrawn]


@dataclass(frozen=True, eq=False)
class PatientDrawn:
    """notes, images: of the modalities that have them. why: modality -> why its images are not shown."""

    notes: list[NoteDrawn] = field(default_factory=list)
    images: list[ImagesDrawn] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
