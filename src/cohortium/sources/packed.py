"""What is packed may not unpack into more than data of that size could be: a bomb is refused before it fills the memory."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

from cohortium.errors import DataError

FREE = 1 << 30
"""Bytes. What unpacks to less is never refused."""

RATIO = 600
"""Times its own size that a file may unpack to beyond that: gzip packs a billion zeros a thousandfold, tables 3 to 50."""

PACKED = {".gz": gzip.open, ".xz": lzma.open}
"""Ending -> how to open it."""


def check_size(name: str, packed: int, unpacked: int) -> None:
    """Raise :class:`DataError` when so many bytes cannot come from an honest file of ``packed`` bytes."""
    if unpacked > FREE and unpacked > RATIO * packed:
        raise DataError(
            f"{name} has {packed:,} bytes and unpacks to more than {unpacked >> 20:,} MiB: it is taken for a decompression "
            "bomb. If it is not, unpack it, and name the unpacked file."
        )


def check_zip(path: Path) -> None:
    """Raise :class:`DataError` when what a ZIP archive (.xlsx, .npz) says that it holds cannot come from it."""
    with zipfile.ZipFile(path) as z:
        check_size(path.name, path.stat().st_size, sum(e.file_size for e in z.infolist()))


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
