"""Pictures of one unit's images as an encoder was shown them: small ones of each plane, and overviews of slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.schema.images import ImagesSource
from cohortium.sources.images.pixels import Floats, Image, scaled

SIDE = 224
"""Longest side of a small picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Seen:
    """planes: small pictures (h, w) or (h, w, 3) uint8, one for each row that the encoder makes of the image. overview: of a slide, with
    boxes (k, 4): x, y, width and height of each plane on it, as shares; None of other images."""

    planes: list[NDArray[np.uint8]]
    overview: NDArray[np.uint8] | None = None
    boxes: NDArray[np.float64] | None = None


def seen(image: Image, source: ImagesSource) -> Seen:
    """What the encoder was shown of an image, in the order of its rows. Raises :class:`DataError`."""
    shown = [_small(p) for p in scaled(image.decode(source.slices), source.window)]
    if image.overview is None:
        return Seen(shown)
    picture, boxes = image.overview()
    return Seen(shown, picture, boxes)


def _small(plane: Floats) -> NDArray[np.uint8]:
    """Shrunk by whole steps of block means to ``SIDE`` or a little more."""
    step = max(1, int(np.ceil(max(plane.shape[:2]) / SIDE)))
    h, w = (max(1, n // step) for n in plane.shape[:2])
    step_h, step_w = min(step, plane.shape[0]), min(step, plane.shape[1])
    x: Any = plane[: h * step_h, : w * step_w]
    rest = plane.shape[2:]
    x = x.reshape(h, step_h, w, step_w, *rest).mean(axis=(1, 3))
    return np.asarray(np.round(np.clip(x, 0, 1) * 255), dtype=np.uint8)
