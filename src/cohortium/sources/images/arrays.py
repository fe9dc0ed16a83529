"""Images in a NumPy archive (.npz)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError, did_you_mean
from cohortium.sources.images.pixels import Image, Pixels, check_size, spread
from cohortium.sources.packed import check_bytes, nbytes, npz_arrays


def read_arrays(path: Path, arrays: Sequence[str], ids: Sequence[str]) -> list[Image]:
    """An image for each of the arrays' first positions; ids as given, or ``<array>/<number from 0>``.

    Raises :class:`DataError` for a file that is no archive, arrays that are not in it, are no images, or too large.
    """
    sizes = npz_arrays(path)
    for name in (*arrays, *ids):
        if name not in sizes:
            raise DataError(f"{path.name} has no array '{name}'.{did_you_mean(name, sizes)}")
        check_bytes(f"{path.name}: the array '{name}'", nbytes(*sizes[name]))
    out: list[Image] = []
    for k, name in enumerate(arrays):
        x = _array(path, name)
        _fits(x, f"{path.name}, array '{name}'")
        owners = [f"{name}/{i}" for i in range(len(x))]
        if ids:
            given = _array(path, ids[k])
            owners = [str(v).strip() for v in given.ravel()]
            if len(owners) != len(x):
                raise DataError(f"{path.name}: '{name}' has {len(x)} images and '{ids[k]}' {len(owners)} ids.")
        out += [_image(x[i], owner, f"{path.name}, array '{name}', image {i + 1}") for i, owner in enumerate(owners)]
    return out


def _array(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as z:
            return np.asarray(z[name])
    except Exception as e:  # as above
        raise DataError(
            f"{path.name}: the array '{name}' is truncated, or holds Python objects, which are not read."
        ) from e


def _fits(x: NDArray[Any], place: str) -> None:
    if x.ndim not in (3, 4, 5) or (x.ndim == 5 and x.shape[-1] != 3):
        raise DataError(
            f"{place} has {x.ndim} axes; expected (n, height, width), colours last, or volumes (n, depth, height, width)."
        )
    if x.dtype.kind not in "uifb":
        raise DataError(f"{place} holds {x.dtype}, expected numbers.")
    if len(x):
        check_size(x.shape[1:], place)


def _image(x: NDArray[Any], owner: str, place: str) -> Image:
    planes = x if x.ndim == 4 or (x.ndim == 3 and x.shape[-1] != 3) else x[None]
    key = hashlib.blake2b(f"{x.shape}{x.dtype}".encode() + np.ascontiguousarray(x).tobytes(), digest_size=20).digest()

    def decode(slices: int) -> Pixels:
        return Pixels(planes[spread(len(planes), slices)], picture=planes.dtype == np.uint8)

    return Image(owner, key, place, decode)
