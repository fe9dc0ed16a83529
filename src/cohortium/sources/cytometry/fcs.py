"""One FCS file (2.0, 3.0, 3.1): what it holds by its header, and the values of chosen events.

FlowIO reads header and keywords. Values are mapped, not loaded: of a file of a million events only the pages of the chosen
ones are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.errors import DataError

VERSIONS = (b"FCS2.0", b"FCS3.0", b"FCS3.1")
HEADER = 58
MOST_TEXT, MOST_CHANNELS = 50_000_000, 5000
"""Bytes of keywords, and channels; a file that claims more is broken."""

ORDERS = {
    "1,2,3,4": "<",
    "1,2": "<",
    "1": "<",
    "4,3,2,1": ">",
    "2,1": ">",
    "1,2,3,4,5,6,7,8": "<",
    "8,7,6,5,4,3,2,1": ">",
}
WIDTHS = {8: "u1", 16: "u2", 32: "u4", 64: "u8"}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FcsFile:
    """An FCS file whose values have not been read yet.

    place: what complaints call it. n_events: N. detectors, markers: (p,) $PnN, and $PnS or "". spillover: the text of
    the matrix, "" for none. row: type of the p values of an event. mask: (p,) bits that count, of whole numbers.
    decades, at_zero, scale: (p,) logarithmic amplification ($PnE, none where decades is 0) and range ($PnR).
    gain: (p,) $PnG.
    """

    path: Path
    place: str
    n_events: int
    detectors: tuple[str, ...]
    markers: tuple[str, ...]
    spillover: str
    offset: int
    row: np.dtype[Any]
    mask: NDArray[np.uint64] | None
    decades: Floats
    at_zero: Floats
    scale: Floats
    gain: Floats

    def values(self, at: Ints) -> Floats:
        """(k, p) linear values of the events at the given positions: amplification and gain are taken out."""
        if not len(at):
            return np.zeros((0, len(self.detectors)))
        try:
            stored = np.memmap(self.path, dtype=self.row, mode="r", offset=self.offset, shape=(self.n_events,))
            some = np.asarray(stored[at])
        except (OSError, ValueError) as e:
            raise DataError(f"{self.place} cannot be read. Copy it again from its source.") from e
        columns = [some[name] for name in self.row.names or ()]
        if self.mask is not None:
            columns = [c & m.astype(c.dtype) for c, m in zip(columns, self.mask, strict=True)]
        x = np.stack(columns, axis=1).astype(np.float64)
        with np.errstate(all="ignore"):  # what is not finite is told by the reader
            for j in np.flatnonzero(self.decades > 0):
                x[:, j] = self.at_zero[j] * 10 ** (self.decades[j] * x[:, j] / self.scale[j])
            return x / self.gain


def read_header(path: Path, place: str) -> FcsFile:
    """The file at a path, its values not yet read. Raises :class:`DataError`, :class:`MissingExtra`."""
    size = _looked_at(path, place)
    text, header = _keywords(path, place)
    try:
        return _described(path, place, size, text, header)
    except (KeyError, ValueError, OverflowError, ZeroDivisionError, TypeError) as e:
        raise DataError(
            f"{place}: a keyword that FCS files must have is missing or no number. Export it again from the cytometer's software."
        ) from e


def _looked_at(path: Path, place: str) -> int:
    """Size of the file; its first bytes are those of an FCS file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as f:
            first = f.read(HEADER)
    except OSError as e:
        raise DataError(f"{place} cannot be read: {e.strerror or 'the system refused'}.") from e
    if not size:
        raise DataError(f"{place} is empty (0 bytes).")
    if not first.startswith(b"FCS"):
        raise DataError(f"{place} is no FCS file, whatever its ending says: it does not begin with 'FCS'.")
    if first[:6] not in VERSIONS:
        raise DataError(
            f"{place} is FCS of another version than 2.0, 3.0 and 3.1, which are read. Export it as one of these."
        )
    if size < HEADER:
        raise DataError(f"{place} is truncated: it ends within its header. Copy it again from its source.")
    try:
        begin, end = int(first[10:18]), int(first[18:26])
    except ValueError as e:
        raise DataError(f"{place} has a broken header. Copy it again from its source.") from e
    if not HEADER <= begin < end or end - begin > MOST_TEXT:
        raise DataError(f"{place} has a broken header. Copy it again from its source.")
    if end >= size:
        raise DataError(f"{place} is truncated: it ends within its keywords. Copy it again from its source.")
    return size


def _keywords(path: Path, place: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Keywords without their ``$``, in small letters; the header's numbers."""
    flowio = require("flowio", extra="cytometry", purpose="reading FCS files")
    errors = require("flowio.exceptions", extra="cytometry", purpose="reading FCS files")
    try:
        with path.open("rb") as f:
            found = flowio.FlowData(f, only_text=True, ignore_offset_discrepancy=True)
    except errors.MultipleDataSetsError as e:
        raise DataError(f"{place} holds several data sets. Export each into a file of its own.") from e
    except errors.FCSParsingError as e:
        raise DataError(
            f"{place} is truncated: values are said to lie beyond its end. Copy it again from its source."
        ) from e
    except (
        Exception
    ) as e:  # flowio raises what int(), float() and dictionaries do; all mean a file that is not readable
        raise DataError(f"{place} is no readable FCS file. Export it again from the cytometer's software.") from e
    return dict(found.text), dict(found.header)


def _described(path: Path, place: str, size: int, text: dict[str, str], header: dict[str, Any]) -> FcsFile:
    p, n = int(text["par"]), int(text["tot"])
    if not 0 < p <= MOST_CHANNELS or n < 0:
        raise DataError(f"{place} says that it has {p:,} channels and {n:,} events.")
    if text.get("mode", "L").strip().upper() != "L":
        raise DataError(f"{place} holds histograms, not events ($MODE). Export it in list mode.")
    keys = [f"p{j}" for j in range(1, p + 1)]
    row, widths = _row(text, keys, place)
    offset, end = _segment(place, text, header)
    room = (min(end + 1, size) if end else size) - offset
    if offset < HEADER or n * row.itemsize > room:
        raise DataError(
            f"{place} is truncated: of {n:,} events {max(room, 0) // row.itemsize:,} fit into it. Copy it again from its source."
        )
    ranges = np.array([float(text[f"{k}r"]) for k in keys])
    whole = row[0].kind == "u"
    amplified = [tuple(float(v) for v in text.get(f"{k}e", "0,0").split(",")) for k in keys]
    # Floating point values are linear by the standard; some writers leave the keyword of the detector's days as integers.
    decades = np.array([a if whole else 0.0 for a, _ in amplified])
    gain = np.array([float(text.get(f"{k}g", "") or 1) for k in keys])
    names = tuple(" ".join(text[f"{k}n"].split()) for k in keys)
    gain[[name.lower() == "time" for name in names]] = 1.0
    return FcsFile(
        path, place, n, names, tuple(" ".join(text.get(f"{k}s", "").split()) for k in keys),
        text.get("spillover", text.get("spill", "")), offset, row, _mask(ranges, widths) if whole else None,
        decades, np.array([b or 1.0 for _, b in amplified]), ranges, np.where(gain > 0, gain, 1.0),
    )  # fmt: skip


def _row(text: dict[str, str], keys: list[str], place: str) -> tuple[np.dtype[Any], list[int]]:
    """Type of the values of one event, and the bits of each."""
    kind, said = text["datatype"].strip().upper(), text["byteord"].strip()
    order, widths = ORDERS.get(said), [int(text[f"{k}b"]) for k in keys]
    if order is None:
        raise DataError(f"{place}: bytes are in the order {said[:20]} ($BYTEORD), which is not read.")
    if kind not in ("I", "F", "D"):
        raise DataError(
            f"{place}: values are of type {kind[:5]} ($DATATYPE); I, F and D are read. Export it as one of these."
        )
    types = {"F": {32: "f4"}, "D": {64: "f8"}, "I": WIDTHS}[kind]
    odd = next((w for w in widths if w not in types), None)
    if odd is not None:
        raise DataError(f"{place}: a channel has values of {odd} bits ($PnB), which is not read. Export it as FCS 3.1.")
    return np.dtype([(f"{k}", order + types[w]) for k, w in zip(keys, widths, strict=True)]), widths


def _segment(place: str, text: dict[str, str], header: dict[str, Any]) -> tuple[int, int]:
    """First and last byte of the values: by the header in FCS 2.0, by keywords since, whose numbers may be larger."""
    head = int(header["data_start"]), int(header["data_stop"])
    if header["version"] == "2.0" or not int(text.get("begindata", "0")):
        return head
    begin = int(text["begindata"])
    if head[0] not in (0, begin):
        raise DataError(
            f"{place}: header and keywords differ in where values begin. Export it again from the cytometer's software."
        )
    return begin, int(text.get("enddata", "0"))


def _mask(ranges: Floats, widths: list[int]) -> NDArray[np.uint64]:
    """Bits of each whole number that count: those below the range, rounded up to a power of two."""
    out = []
    for most, width in zip(ranges, widths, strict=True):
        bits = max(int(most) - 1, 1).bit_length()
        out.append((1 << min(bits, width)) - 1)
    return np.array(out, dtype=np.uint64)
