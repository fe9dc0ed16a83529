"""Lines of plain and compressed text files, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cohortium.errors import DataError

LONGEST = 1 << 28
"""Bytes of a line beyond which a file is taken for something else (half a million samples need a tenth of it)."""

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line without its end) of a text file, plain or compressed by gzip or bgzip.

    Raises :class:`DataError` when it cannot be read, is truncated, or has a line of more than :data:`LONGEST` bytes.
    """
    import gzip
    import zlib

    try:
        with path.open("rb") as plain:
            head = plain.read(18)
            packed = head[:2] == b"\x1f\x8b"
            if head[12:16] == b"BC\x02\x00":
                # bgzip ends with an empty block: a copy that broke off between two blocks is valid gzip.
                plain.seek(0, 2)
                plain.seek(max(0, plain.tell() - len(_BGZF_END)))
                if plain.read() != _BGZF_END:
                    raise DataError(
                        f"{path.name} is truncated: its last block is missing. Copy it again from its source."
                    )
            plain.seek(0)
            file = gzip.GzipFile(fileobj=plain) if packed else plain
            number = 0
            while line := file.readline(LONGEST):
                number += 1
                if len(line) >= LONGEST:
                    raise DataError(
                        f"{path.name}, line {number} is longer than {LONGEST:,} bytes; expected a text file."
                    )
                yield number, line.rstrip(b"\r\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise DataError(f"{path.name} is truncated or no valid compressed file. Copy it again from its source.") from e
    except OSError as e:
        raise DataError(f"{path.name} cannot be read: {e.strerror or 'the system refused'}.") from e


def text_of(line: bytes, place: str) -> str:
    """A line, or a part of one, as text. Raises :class:`DataError` when it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as e:
        raise DataError(f"{place} is not UTF-8 text (byte {e.start}). Is the file damaged?") from e
