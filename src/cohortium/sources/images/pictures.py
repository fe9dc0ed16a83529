"""PNG, JPEG and TIFF."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.errors import DataError
from cohortium.sources.images.bombs import check_strips
from cohortium.sources.images.pixels import Pixels, check_size, spread

DAMAGED = "is truncated or no valid {what}. Copy it again from its source."


def read_picture(raw: bytes, place: str, what: str) -> Pixels:
    """A PNG or JPEG: 8-bit grey or colours as a picture, 16-bit as numbers. what: the format, for complaints.

    Raises :class:`DataError` for what cannot be decoded or claims too many pixels.
    """
    pillow = require("PIL.Image", extra="imaging", purpose="reading pictures")
    turned = require("PIL.ImageOps", extra="imaging", purpose="reading pictures").exif_transpose
    with warnings.catch_warnings():
        # Pillow warns at its own limit and stops at twice that; here a warning is enough.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        try:
            with pillow.open(io.BytesIO(raw)) as image:
                check_size((image.height, image.width), place)
                image.load()
                return _of_pillow(turned(image))
        except (pillow.DecompressionBombWarning, pillow.DecompressionBombError) as e:
            raise DataError(
                f"{place}: the picture claims more pixels than are read (a decompression bomb?). Make it smaller."
            ) from e
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, KeyError, TypeError) as e:
            # Pillow's decoders raise many kinds; all mean that the file is not readable.
            raise DataError(f"{place} " + DAMAGED.format(what=what)) from e


def _of_pillow(image: Any) -> Pixels:
    if image.mode.startswith(("I", "F")):  # 16 and 32 bits, floats
        return Pixels(np.asarray(image)[None])
    grey = image.mode in ("1", "L", "LA")
    return Pixels(np.asarray(image.convert("L" if grey else "RGB"))[None], picture=True)


def read_tiff(raw: bytes, place: str, slices: int) -> Pixels:
    """A TIFF; pages of equal size are the slices of a volume. Raises :class:`DataError`."""
    tifffile = require("tifffile", extra="imaging", purpose="reading TIFF files")
    try:
        with tifffile.TiffFile(io.BytesIO(raw)) as file:
            pages = list(file.pages)
            if not pages:
                raise DataError(f"{place} is a TIFF without a page.")
            shapes = {p.shape for p in pages}
            if len(shapes) > 1:
                raise DataError(f"{place} is a TIFF with pages of {len(shapes)} sizes; expected one image, or slices.")
            check_size((len(pages), *pages[0].shape), place)
            chosen = [pages[i] for i in spread(len(pages), slices)]
            for page in chosen:
                check_strips(page, raw, place)
            try:
                planes = np.stack([p.asarray() for p in chosen])
            except ValueError:  # a compression that tifffile leaves to another package; Pillow knows some
                if len(pages) > 1:
                    raise
                return read_picture(raw, place, "TIFF file")
            inverted = int(getattr(pages[0], "photometric", 1) or 0) == 0
    except DataError:
        raise
    except Exception as e:  # tifffile raises many kinds; all mean that the file is not readable
        raise DataError(f"{place} " + DAMAGED.format(what="TIFF file")) from e
    return _of_planes(planes, inverted, place)


def _of_planes(planes: NDArray[Any], inverted: bool, place: str) -> Pixels:
    if planes.ndim == 4 and planes.shape[-1] in (3, 4):
        planes = planes[..., :3]
    elif planes.ndim != 3:
        raise DataError(f"{place} has pages of {planes.ndim - 1} axes; expected grey or red, green and blue.")
    if planes.dtype == bool:
        planes = planes.astype(np.uint8) * 255
    if inverted and planes.dtype.kind == "u":  # white is zero
        planes = np.iinfo(planes.dtype).max - planes
    return Pixels(planes, picture=planes.dtype == np.uint8)
