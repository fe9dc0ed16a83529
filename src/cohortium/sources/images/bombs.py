"""Compressed pixels that say, or turn out, to be more than their header allows: refused before they fill the memory."""

from __future__ import annotations

import lzma
import zlib
from typing import Any

from cohortium.errors import DataError
from cohortium.sources.images.listing import File
from cohortium.sources.packed import check_size

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""The transfer syntax of DICOM files that are packed as a whole."""

HARMLESS = 1 << 26
"""Bytes that one strip of a TIFF may unpack to, whatever it says."""

_MOST_RATIO = {8: 1100, 32946: 1100, 34925: 7100}
"""Compression of TIFF that is unpacked in one go (deflate, its older number, LZMA) -> how much it can pack at best."""

_STEP = 1 << 24


def check_deflated(file: File) -> None:
    """Raise :class:`DataError` for a DICOM file that is packed as a whole and unpacks to more than it can honestly hold."""
    with file.path.open("rb") as f:
        head = f.read(4096)
        if DEFLATED not in head:
            return
        if head[132:138] != b"\x02\x00\x00\x00UL":
            raise DataError(f"{file.place} is truncated or no valid DICOM file. Copy it again from its source.")
        f.seek(144 + int.from_bytes(head[140:144], "little"))
        unpack, given = zlib.decompressobj(-zlib.MAX_WBITS), 0
        try:
            while rest := f.read(1 << 20):
                while rest:
                    given += len(unpack.decompress(rest, _STEP))
                    check_size(file.place, file.path.stat().st_size, given)
                    rest = unpack.unconsumed_tail
        except zlib.error as e:
            raise DataError(f"{file.place} is truncated or no valid DICOM file. Copy it again from its source.") from e


def check_frames(d: Any, pydicom: Any, place: str) -> None:
    """Raise :class:`DataError` for a compressed image that is of another size than the header of its DICOM file says."""
    for frame in pydicom.encaps.generate_frames(d.PixelData, number_of_frames=int(d.get("NumberOfFrames") or 1)):
        found = _size(frame)
        if found is not None and found != (int(d.Rows), int(d.Columns)):
            raise DataError(
                f"{place}: the image is {found[0]} × {found[1]} pixels, and the header says {d.Rows} × {d.Columns}. Is the file "
                "damaged?"
            )


def _size(raw: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG or JPEG 2000 stream says it has; None when it cannot be told."""
    at = raw.find(b"\xff\x4f\xff\x51", 0, 200)
    if at >= 0 and len(raw) >= at + 24:
        right, lower, left, upper = (int.from_bytes(raw[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
        return lower - upper, right - left
    if raw[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 < len(raw) and raw[at] == 0xFF:
        mark, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        if (0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC)) or mark == 0xF7:  # of a frame; JPEG-LS
            return int.from_bytes(raw[at + 5 : at + 7], "big"), int.from_bytes(raw[at + 7 : at + 9], "big")
        at += 2 + length
    return None


def check_strips(page: Any, raw: bytes, place: str) -> None:
    """Raise :class:`DataError` for a page of a TIFF of which a strip or tile unpacks to more than the page has there."""
    ratio = _MOST_RATIO.get(int(page.compression))
    if ratio is None:
        return
    most = max(HARMLESS, 2 * page.dtype.itemsize * int(_product(page.chunks)))
    for begin, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count * ratio > most and _unpacks_to_more(raw[begin : begin + count], most, lzma_=ratio > 5000):
            raise DataError(f"{place}: a part of the TIFF unpacks to more pixels than it has (a decompression bomb?).")


def _unpacks_to_more(raw: bytes, most: int, *, lzma_: bool) -> bool:
    try:
        if lzma_:
            reader = lzma.LZMADecompressor()
            return len(reader.decompress(raw, most)) >= most and not reader.eof
        unpack = zlib.decompressobj()
        unpack.decompress(raw, most)
        return bool(unpack.unconsumed_tail)
    except (zlib.error, lzma.LZMAError):
        return False  # damaged: the reader says so


def _product(shape: Any) -> int:
    out = 1
    for n in shape:
        out *= max(1, int(n))
    return out
