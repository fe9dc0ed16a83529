"""What is packed may not unpack into more than data of that size could be: a bomb is refused before it fills the memory."""

from __future__ import annotations

import gzip
import io
import lzma
import math
import re
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from cohortium.errors import DataError

FREE = 1 << 30
"""Bytes. What unpacks to less is never refused."""

RATIO = 600
"""Times its own size that a file may unpack to beyond that: gzip packs a billion zeros a thousandfold, tables 3 to 50."""

MOST_BYTES = 1 << 33
"""Of an array in memory (8 GiB)."""

MOST_CELLS = 1 << 27
"""Of a sheet, from the first to the last one that has something in it, with all between them."""

_ROW, _CELL = re.compile(rb'<row\b[^>]{0,100}?\br="(\d{1,9})"'), re.compile(rb'<c\b[^>]{0,100}?\br="([A-Z]{1,3})\d')

PACKED = {".gz": gzip.open, ".xz": lzma.open}
"""Ending -> how to open it."""


def check_size(name: str, packed: int, unpacked: int) -> None:
    """Raise :class:`DataError` when so many bytes cannot come from an honest file of ``packed`` bytes."""
    if unpacked > FREE and unpacked > RATIO * packed:
        raise DataError(
            f"{name} has {packed:,} bytes and unpacks to more than {unpacked >> 20:,} MiB: it is taken for a decompression "
            "bomb. If it is not, unpack it, and name the unpacked file."
        )


def check_bytes(what: str, size: int) -> None:
    """Raise :class:`DataError` when an array, as its header describes it, does not fit a usual memory."""
    if size > MOST_BYTES:
        raise DataError(
            f"{what} claims {size / 2**30:,.0f} GiB, more than the {MOST_BYTES / 2**30:.0f} that are read (a decompression bomb?)."
        )


def npz_arrays(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Array of an .npz archive -> shape and type as its header says, before anything is unpacked. Raises :class:`DataError`."""
    out: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    try:
        with zipfile.ZipFile(path) as z:
            for entry in z.infolist():
                with z.open(entry) as f:
                    out[entry.filename.removesuffix(".npy")] = npy_header(f)
    except Exception as e:  # zipfile, zlib and numpy raise many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is truncated or no valid .npz file. Copy it again from its source.") from e
    return out


def npy_header(f: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array in an open .npy file."""
    read = (
        np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(f)[0] == 1
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(f)
    return shape, dtype


def nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of an array (as a number of Python, which does not overflow)."""
    return math.prod((int(n) for n in shape), start=int(dtype.itemsize))


def check_workbook(path: Path) -> None:
    """Raise :class:`DataError` for an .xlsx file that unpacks to too much, or has a cell far beyond its data.

    A reader fills everything between the first cell and the last one: a blank typed into XFD1048576 is 17 thousand million.
    """
    with zipfile.ZipFile(path) as z:
        check_size(path.name, path.stat().st_size, sum(e.file_size for e in z.infolist()))
        for entry in z.infolist():
            with z.open(entry) as f:
                if b"<!DOCTYPE" in f.read(1 << 16):
                    raise DataError(
                        f"{path.name} is no readable Excel file: a part of it defines entities, as none of Excel does."
                    )
            if entry.filename.startswith("xl/worksheets/") and entry.filename.endswith(".xml"):
                with z.open(entry) as f:
                    rows, columns = _extent(f)
                if rows * columns > MOST_CELLS:
                    raise DataError(
                        f"{path.name}: a sheet reaches to row {rows:,} and column {columns:,}, which is more than is read. Delete the "
                        "rows and columns after the data (a stray cell, or formats), or save the sheet as CSV."
                    )


def _extent(f: IO[bytes]) -> tuple[int, int]:
    """The last row and the last column in which the XML of a sheet has a cell."""
    rows, columns, rest = 0, 0, b""
    while chunk := f.read(1 << 20):
        text = rest + chunk
        rest = text[-200:]
        rows = max(rows, max((int(r) for r in _ROW.findall(text)), default=0))
        for letters in set(_CELL.findall(text)):
            number = 0
            for letter in letters:
                number = 26 * number + letter - 64
            columns = max(columns, number)
    return rows, columns


def check_h5(file: Any, name: str, packed: int) -> None:
    """Raise :class:`DataError` for an open HDF5 file whose parts are kept in other files (HDF5 would open whatever they
    point to), or that describes more than it can hold. packed: bytes of the file."""
    import h5py

    seen: set[Any] = set()
    todo, total = [file], 0
    while todo:
        group = todo.pop()
        for key in group:
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.SoftLink):
                continue
            if isinstance(link, h5py.ExternalLink):
                raise DataError(f"{name} points to another file. Copy its parts into one file; links are not followed.")
            found = group[key]
            if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
                raise DataError(f"{name} keeps values in another file. Copy its parts into one file.")
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(found, h5py.Group):
                todo.append(found)
            elif isinstance(found, h5py.Dataset) and found.shape is not None:
                # Parts that were never written take no room: a shape costs nothing.
                total += nbytes(found.shape, found.dtype)
                check_size(name, packed, total)


class _Counted(io.RawIOBase):
    """An unpacking stream that stops when it has given more than its file can honestly hold."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._name, self._packed, self._given = stream, path.name, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = int(self._stream.readinto(buffer))
        self._given += n
        check_size(self._name, self._packed, self._given)
        return n

    def close(self) -> None:
        self._stream.close()
        super().close()


def opened(path: Path) -> io.BufferedReader:
    """The bytes of a file, unpacked where its name ends with .gz or .xz; a bomb raises :class:`DataError` while read."""
    how = PACKED.get(path.suffix.lower())
    if how is None:
        return path.open("rb")
    return io.BufferedReader(_Counted(how(path, "rb"), path), 1 << 18)
