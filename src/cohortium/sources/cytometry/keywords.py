"""Header and keywords of an FCS file.

Read here and not by FlowIO, which tests compare with: it loads whole files, and refuses headers with blanks, keywords with
unusual separators and files of 2.0 that do not say how many events they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cohortium.errors import DataError

VERSIONS = (b"FCS2.0", b"FCS3.0", b"FCS3.1", b"FCS3.2")
LENGTH = 58
"""Bytes of a header."""

MOST_TEXT = 50_000_000
"""Bytes of keywords; a file that claims more is broken."""

NEEDED = ("$PAR", "$DATATYPE", "$BYTEORD")

_HIDDEN = "\ue000"
"""Stands for a doubled separator while keywords are parted; no file has this character."""


@dataclass(frozen=True)
class Header:
    """size: bytes of the file. version: such as 3.1. data: first and last byte of the values by the header, 0 where
    keywords say it. text: keyword, in capitals -> value."""

    size: int
    version: str
    data: tuple[int, int]
    text: dict[str, str]

    def number(self, key: str, default: int | None = None) -> int:
        """A keyword that is a whole number. Raises ValueError and KeyError."""
        value = self.text.get(key, "").strip()
        if not value and default is not None:
            return default
        return int(value) if value else int(self.text[key])


def read_keywords(path: Path, place: str) -> Header:
    """What stands before the values. Raises :class:`DataError`."""
    try:
        with path.open("rb") as f:
            size = f.seek(0, 2)
            f.seek(0)
            first = f.read(LENGTH)
            begin, end, data = _segments(first, size, place)
            f.seek(begin)
            text = _pairs(f.read(end - begin + 1))
            more = _supplement(text, size, begin)
            if more is not None:
                f.seek(more[0])
                text = _pairs(f.read(more[1] - more[0] + 1)) | text
    except OSError as e:
        raise DataError(f"{place} cannot be read: {e.strerror or 'the system refused'}.") from e
    gone = next((k for k in NEEDED if not text.get(k, "").strip()), None)
    if gone is not None:
        raise DataError(f"{place}: the keyword {gone} is missing. Export it again from the cytometer's software.")
    return Header(size, first[3:6].decode(), data, text)


def _segments(first: bytes, size: int, place: str) -> tuple[int, int, tuple[int, int]]:
    """First and last byte of the keywords, and of the values, by the header."""
    again = "Copy it again from its source."
    if not size:
        raise DataError(f"{place} is empty (0 bytes).")
    if not first.startswith(b"FCS"):
        raise DataError(f"{place} is no FCS file, whatever its ending says: it does not begin with 'FCS'.")
    if first[:6] not in VERSIONS:
        raise DataError(
            f"{place} is FCS of another version than 2.0 to 3.2, which are read. Export it as one of these."
        )
    if size < LENGTH:
        raise DataError(f"{place} is truncated: it ends within its header. {again}")
    try:
        # Blanks stand for 0: keywords say where the values of large files are.
        begin, end, a, b = (int(first[k : k + 8].strip() or 0) for k in (10, 18, 26, 34))
    except ValueError as e:
        raise DataError(f"{place} has a broken header. {again}") from e
    if not LENGTH <= begin < end or end - begin > MOST_TEXT or min(a, b) < 0:
        raise DataError(f"{place} has a broken header. {again}")
    if end >= size:
        raise DataError(f"{place} is truncated: it ends within its keywords. {again}")
    return begin, end, (a, b)


def _supplement(text: dict[str, str], size: int, primary: int) -> tuple[int, int] | None:
    """First and last byte of further keywords, where a file has them."""
    try:
        begin, end = int(text.get("$BEGINSTEXT", "0")), int(text.get("$ENDSTEXT", "0"))
    except ValueError:
        return None
    inside = LENGTH <= begin < end < size and end - begin <= MOST_TEXT
    return (begin, end) if inside and begin != primary else None


def _pairs(raw: bytes) -> dict[str, str]:
    """Keyword, in capitals -> value. The first byte parts them; doubled, it is itself."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    separator, body = text[:1], text[1:]
    parts = [p.replace(_HIDDEN, separator) for p in body.replace(2 * separator, _HIDDEN).split(separator)]
    found = _paired(parts)
    if all(found.get(k) for k in NEEDED) and f"$P{found['$PAR'].strip()}B" in found:
        return found
    # Some writers leave values empty, which the standard forbids: then nothing is doubled.
    plain = _paired(body.split(separator))
    return plain if sum(k in plain for k in NEEDED) >= sum(k in found for k in NEEDED) else found


def _paired(parts: list[str]) -> dict[str, str]:
    return {k.strip().upper(): v for k, v in zip(parts[::2], parts[1::2], strict=False)}
