"""NIfTI volumes, turned so that axes run to the right, to the front and upwards."""

from __future__ import annotations

import gzip
import io
import warnings

import numpy as np

from cohortium._optional import require
from cohortium.errors import DataError
from cohortium.sources.images.pixels import Pixels, check_size, spread


def read_nifti(raw: bytes, place: str, slices: int) -> Pixels:
    """(k, y, x) evenly spaced axial slices, lowest first, scaled as the header says. Raises :class:`DataError`."""
    nibabel = require("nibabel", extra="imaging", purpose="reading NIfTI files")
    try:
        with warnings.catch_warnings(), nibabel.imageglobals.LoggingOutputSuppressor():
            warnings.simplefilter("ignore")
            # Plain gzip streams are read as far as the header says and no further: a bomb stays packed.
            stream = gzip.GzipFile(fileobj=io.BytesIO(raw)) if raw[:2] == b"\x1f\x8b" else io.BytesIO(raw)
            holder = {"image": nibabel.FileHolder(fileobj=stream), "header": nibabel.FileHolder(fileobj=stream)}
            two = len(raw) >= 4 and int.from_bytes(_start(raw)[:4], "little") == 540
            image = (nibabel.Nifti2Image if two else nibabel.Nifti1Image).from_file_map(holder)
            shape = tuple(int(n) for n in image.shape)
            while len(shape) > 3 and shape[-1] == 1:
                shape = shape[:-1]
            if len(shape) != 3:
                raise DataError(f"{place} has {len(shape)} axes; expected a volume of 3 (no time, no directions).")
            check_size(shape, place)
            image = nibabel.as_closest_canonical(image)
            at = spread(shape_of(image)[2], slices)
            x = np.asanyarray(image.dataobj).reshape(shape_of(image))[:, :, at]
    except DataError:
        raise
    except Exception as e:  # nibabel, gzip and zlib raise many kinds; all mean that the file is not readable
        raise DataError(f"{place} is truncated or no valid NIfTI file. Copy it again from its source.") from e
    return Pixels(np.ascontiguousarray(np.moveaxis(x, 2, 0).swapaxes(1, 2)))


def shape_of(image: object) -> tuple[int, int, int]:
    """The first three axes."""
    a, b, c = (int(n) for n in image.shape[:3])  # type: ignore[attr-defined]
    return a, b, c


def _start(raw: bytes) -> bytes:
    if raw[:2] != b"\x1f\x8b":
        return raw[:8]
    return gzip.GzipFile(fileobj=io.BytesIO(raw)).read(8)
