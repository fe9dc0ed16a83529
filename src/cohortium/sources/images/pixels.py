"""One image as numbers, and how its intensities become what an encoder is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.schema.images import Window

Floats = NDArray[np.float32]

MOST_PIXELS = 2**29
"""Pixels of an image or volume (half a thousand million). What claims more is taken for a bomb."""

MOST_LEVELS = 1 << 17
"""Different whole numbers that are counted one by one."""

TAILS = (0.5, 99.5)
"""Percentiles that become black and white where nothing else says what does."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """planes: (k, height, width) grey or (k, height, width, 3) red, green, blue; numbers as stored, Hounsfield units
    where the file says how to get them. picture: 8-bit, black is 0 and white 255."""

    planes: NDArray[Any]
    picture: bool = False


@dataclass(frozen=True, eq=False)
class Image:
    """An image that may be decoded. owner: id. key: hash of its content. place: what complaints call it, without an id.

    decode: how many slices of a volume at most -> :class:`Pixels`; raises :class:`DataError`. overview: of a whole slide, a small
    picture of it and (k, 4) where its planes lie, shares of its width and height.
    """

    owner: str
    key: bytes
    place: str
    decode: Callable[[int], Pixels]
    overview: Callable[[], tuple[NDArray[np.uint8], NDArray[np.float64]]] | None = None


def spread(n: int, wanted: int) -> NDArray[np.intp]:
    """Positions of ``wanted`` slices among n: the middles of equal parts; all when there are no more."""
    if n <= wanted:
        return np.arange(n)
    return ((np.arange(wanted) + 0.5) * n / wanted).astype(np.intp)


def check_size(shape: tuple[int, ...], place: str, *, least: int = 2) -> None:
    """Raise :class:`DataError` for an image that is nothing, or too large to be one (before it is decoded)."""
    if min(shape, default=0) < 1 or max(shape) < least:
        raise DataError(f"{place}: an image of {' × '.join(map(str, shape))} pixels is none.")
    number = 1
    for n in shape:
        number *= int(n)
    if number > MOST_PIXELS:
        raise DataError(
            f"{place}: an image of {' × '.join(map(str, shape))} pixels is larger than the {MOST_PIXELS:,} that are read. "
            "Make it smaller, or cut it into tiles."
        )


def scaled(pixels: Pixels, window: Window | None) -> Floats:
    """(k, height, width[, 3]) between 0 and 1; within the window, else 0 to 255 of pictures, else own percentiles.

    The percentiles are those of all planes of this image: nothing is learned from another one.
    """
    x = np.asarray(pixels.planes, dtype=np.float32)
    low, high = limits(pixels, window)
    return np.nan_to_num(np.clip((x - low) / (high - low), 0.0, 1.0)).astype(np.float32)


def limits(pixels: Pixels, window: Window | None) -> tuple[float, float]:
    """The intensities that become 0 and 1; the second is larger."""
    if window is not None:
        return window.centre - window.width / 2, window.centre + window.width / 2
    if pixels.picture:
        return 0.0, 255.0
    finite = pixels.planes[np.isfinite(pixels.planes)] if pixels.planes.dtype.kind == "f" else pixels.planes
    if finite.size == 0:
        return 0.0, 1.0
    low, high = _tails(finite)
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)


def _tails(x: NDArray[Any]) -> tuple[float, float]:
    """The percentiles :data:`TAILS`, as ``np.percentile`` has them; of whole numbers by counting, in a fifth of the time."""
    if x.dtype.kind not in "iu":
        low, high = (float(v) for v in np.percentile(x, TAILS))
        return low, high
    least, most = int(x.min()), int(x.max())
    if most - least > MOST_LEVELS:
        return _tails(x.astype(np.float64))
    counts = np.zeros(most - least + 1, dtype=np.int64)
    for plane in x.reshape(len(x), -1):
        counts += np.bincount(plane.astype(np.int64) - least, minlength=len(counts))
    upto = np.cumsum(counts)
    out = []
    for q in TAILS:
        place = q / 100 * (x.size - 1)
        below = int(place)
        a, b = (least + int(np.searchsorted(upto, k, side="right")) for k in (below, min(below + 1, x.size - 1)))
        out.append(a + (b - a) * (place - below))
    return out[0], out[1]


def grey(plane: Floats) -> Floats:
    """(height, width) luminance of a plane with or without colours."""
    if plane.ndim == 2:
        return plane
    weights = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    return (plane @ weights).astype(np.float32)
