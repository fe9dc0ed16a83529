"""Whole-slide images: tissue found, tiles cut at a declared magnification."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.errors import DataError
from cohortium.schema.images import Tiles
from cohortium.sources.images.listing import File
from cohortium.sources.images.pixels import Pixels, spread

LONGEST = 2048
"""Pixels of the overview in which tissue is looked for."""

SHOWN = 900
"""Longest side, in pixels, of a slide that a person looks at."""

PALEST = 0.06
"""Tissue is more colourful than this (saturation), whatever Otsu's threshold says of a slide without any."""


@contextmanager
def opened(file: File) -> Iterator[Any]:
    """The slide. Raises :class:`DataError` for what is none, or breaks off while it is read."""
    openslide = require("openslide", extra="imaging", purpose="reading whole-slide images")
    try:
        with openslide.OpenSlide(str(file.path)) as slide:
            yield slide
    except (openslide.OpenSlideError, OSError, ValueError) as e:
        raise DataError(f"{file.place} is truncated or no whole-slide image that is read. Copy it again.") from e


def content(file: File) -> bytes:
    """Hash of the slide's smallest picture and metadata, as the library makes it, with its size: slides hold gigabytes."""
    with opened(file) as slide:
        quick = slide.properties.get("openslide.quickhash-1", "")
    start = "" if quick else hashlib.blake2b(file.read()).hexdigest()
    text = f"slide {quick} {start} {file.path.stat().st_size}"
    return hashlib.blake2b(text.encode(), digest_size=20).digest()


def read_slide(file: File, tiles: Tiles) -> Pixels:
    """(k, size, size, 3) tiles of tissue, row by row. Raises :class:`DataError` for a slide that does not say how large its
    pixels are, is coarser than asked for, or shows no tissue."""
    with opened(file) as slide:
        step = _step(slide, file, tiles)
        side = tiles.size * step
        level = slide.get_best_level_for_downsample(step * 1.001)
        wide = max(1, round(side / slide.level_downsamples[level]))
        chosen = _chosen(slide, side, file, tiles)
        return Pixels(np.stack([_tile(slide, c, level, wide, tiles.size) for c in chosen]), picture=True)


def overview(file: File, tiles: Tiles) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """(h, w, 3) a small picture of the slide, and (k, 4) x, y, width and height of the tiles that :func:`read_slide` cuts, in their
    order, as shares of the slide's width and height. Raises :class:`DataError` as it does."""
    with opened(file) as slide:
        side = tiles.size * _step(slide, file, tiles)
        chosen = _chosen(slide, side, file, tiles)
        small = np.asarray(slide.get_thumbnail((SHOWN, SHOWN)).convert("RGB"), dtype=np.uint8)
        size = np.array(slide.dimensions, dtype=np.float64)
        boxes = np.hstack([chosen / size, np.tile(side / size, (len(chosen), 1))])
        return small, boxes


def _chosen(slide: Any, side: float, file: File, tiles: Tiles) -> NDArray[np.int64]:
    """(k, 2) corners of the tiles that are used."""
    corners = _corners(slide, side, tiles.tissue)
    if not len(corners):
        raise DataError(
            f"{file.place}: no tile of {side:,.0f} pixels holds enough tissue. Leave a blank slide out, or lower "
            "tiles: {tissue: ...}."
        )
    return corners[spread(len(corners), tiles.most)]


def _step(slide: Any, file: File, tiles: Tiles) -> float:
    """Pixels of the finest level for one pixel of a tile."""
    mpp, power = slide.properties.get("openslide.mpp-x"), slide.properties.get("openslide.objective-power")
    micrometres = float(mpp) if mpp else 10 / float(power) if power else 0.0
    if not 0.01 < micrometres < 100:
        raise DataError(
            f"{file.place} does not say how large its pixels are (no micrometres a pixel, no magnification). Convert it with "
            "a resolution."
        )
    step = 10 / tiles.magnification / micrometres
    if step < 0.9:  # scanners of one magnification differ by a few percent
        raise DataError(
            f"{file.place} was scanned at {10 / micrometres:.3g}x, and tiles ask for {tiles.magnification:g}x. Ask for no "
            "more than the slides have."
        )
    return max(step, 1.0)


def _corners(slide: Any, side: float, share: float) -> NDArray[np.int64]:
    """(k, 2) x and y, finest level, of the tiles of a grid that hold enough tissue."""
    width, height = slide.dimensions
    overview = np.asarray(slide.get_thumbnail((LONGEST, LONGEST)).convert("RGB"), dtype=np.float32)
    mask = tissue(overview)
    # Sums over rectangles by differences of a running sum.
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    total[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    scale = overview.shape[1] / width
    out = []
    for y in np.arange(0, height - side + 1, side):
        for x in np.arange(0, width - side + 1, side):
            a, b = int(y * scale), max(int(y * scale) + 1, int((y + side) * scale))
            c, d = int(x * scale), max(int(x * scale) + 1, int((x + side) * scale))
            b, d = min(b, mask.shape[0]), min(d, mask.shape[1])
            area = (b - a) * (d - c)
            if area > 0 and total[b, d] - total[a, d] - total[b, c] + total[a, c] >= share * area:
                out.append((round(x), round(y)))
    return np.array(out, dtype=np.int64).reshape(-1, 2)


def tissue(rgb: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(h, w) what is more colourful than the glass (Otsu 1979 on saturation), and no black edge of the scan."""
    threshold_otsu = require("skimage.filters", extra="imaging", purpose="finding tissue").threshold_otsu
    top = rgb.max(axis=-1)
    saturation = np.where(top > 0, (top - rgb.min(axis=-1)) / np.maximum(top, 1), 0)
    limit = threshold_otsu(saturation) if np.ptp(saturation) > 1e-3 else 0.0
    found: NDArray[np.bool_] = (saturation > max(float(limit), PALEST)) & (top > 40)
    return found


def _tile(slide: Any, corner: NDArray[np.int64], level: int, wide: int, size: int) -> NDArray[np.uint8]:
    region = slide.read_region((int(corner[0]), int(corner[1])), level, (wide, wide))
    # What was not scanned is transparent, and glass is white.
    paper = require("PIL.Image", extra="imaging", purpose="reading whole-slide images").new("RGB", region.size, "white")
    paper.paste(region, mask=region.getchannel("A"))
    return np.asarray(
        paper if wide == size else paper.resize((size, size), resample=2, reducing_gap=3.0), dtype=np.uint8
    )
