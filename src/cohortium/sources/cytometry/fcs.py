"""One FCS file (2.0 to 3.2): what it holds, and the values of chosen events.

Values are mapped, not loaded: of a file of a million events only the pages of the chosen ones are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.sources.cytometry.keywords import LENGTH, Header, read_keywords

MOST_CHANNELS = 5000
"""A file that claims more is broken."""

ORDERS = {
    "1,2,3,4": "<",
    "1,2": "<",
    "1": "<",
    "4,3,2,1": ">",
    "2,1": ">",
    "1,2,3,4,5,6,7,8": "<",
    "8,7,6,5,4,3,2,1": ">",
}
SPILLOVER = ("$SPILLOVER", "SPILLOVER", "$SPILL", "SPILL")
AGAIN = "Export it again from the cytometer's software."

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FcsFile:
    """An FCS file whose values have not been read yet.

    place: what complaints call it. n_events: N. detectors, markers: (p,) $PnN, and $PnS or "". spillover: the text of
    the matrix, "" for none. row: the p values of an event as stored, whole numbers of an unusual width as bytes. order:
    ``<`` or ``>``. mask: (p,) bits that count, of whole numbers. decades, at_zero, scale: (p,) logarithmic amplification
    ($PnE, none where decades is 0) and range ($PnR). gain: (p,) $PnG.
    """

    path: Path
    place: str
    n_events: int
    detectors: tuple[str, ...]
    markers: tuple[str, ...]
    spillover: str
    offset: int
    row: np.dtype[Any]
    order: str
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
            x = self._numbers(np.asarray(stored[at]))
        except (OSError, ValueError) as e:
            raise DataError(f"{self.place} cannot be read. Copy it again from its source.") from e
        with np.errstate(all="ignore"):  # what is not finite is told by the reader
            for j in np.flatnonzero(self.decades > 0):
                x[:, j] = self.at_zero[j] * 10 ** (self.decades[j] * x[:, j] / self.scale[j])
            x /= self.gain
        return x

    def _numbers(self, stored: NDArray[Any]) -> Floats:
        """(k, p) of events as stored; bits that do not count are taken off."""
        first = self.row[0]
        if self.mask is None and all(self.row[j] == first for j in range(len(self.row))):
            return stored.view(first).reshape(len(stored), len(self.row)).astype(np.float64)
        x = np.empty((len(stored), len(self.row)))
        for j, name in enumerate(self.row.names or ()):
            column = stored[name] if stored[name].ndim == 1 else _whole(stored[name], self.order)
            x[:, j] = column if self.mask is None else column & self.mask[j].astype(column.dtype)
        return x


def read_header(path: Path, place: str) -> FcsFile:
    """The file at a path, its values not yet read. Raises :class:`DataError`."""
    header = read_keywords(path, place)
    try:
        return _described(path, place, header)
    except KeyError as e:
        raise DataError(f"{place}: the keyword {e.args[0]} is missing. {AGAIN}") from e
    except (ValueError, OverflowError, ZeroDivisionError) as e:
        raise DataError(f"{place}: a keyword that tells how values are stored is no number. {AGAIN}") from e


def _described(path: Path, place: str, header: Header) -> FcsFile:
    text, p = header.text, header.number("$PAR")
    if not 0 < p <= MOST_CHANNELS:
        raise DataError(f"{place} says that it has {p:,} channels.")
    if header.number("$NEXTDATA", 0):
        raise DataError(f"{place} holds several data sets. Export each into a file of its own.")
    if text.get("$MODE", "L").strip().upper() not in ("L", ""):
        raise DataError(f"{place} holds histograms, not events ($MODE). Export it in list mode.")
    keys = [f"$P{j}" for j in range(1, p + 1)]
    row, order, widths = _row(text, keys, place)
    offset, n = _events(place, header, row.itemsize)
    ranges = np.array([float(text[f"{k}R"]) for k in keys])
    whole = text["$DATATYPE"].strip().upper() == "I"
    amplified = [_amplification(text.get(f"{k}E", "")) for k in keys]
    # Floating point values are linear by the standard; some writers leave the keyword of the detector's days as integers.
    decades = np.array([a if whole else 0.0 for a, _ in amplified])
    gain = np.array([float(text.get(f"{k}G", "").strip() or 1) for k in keys])
    names = tuple(" ".join(text.get(f"{k}N", "").split()) or k[1:] for k in keys)
    # A gain of time is none; it counts steps of so many seconds.
    gain[[name.lower() == "time" for name in names]] = 1 / float(text.get("$TIMESTEP", "").strip() or 1)
    return FcsFile(
        path, place, n, names, tuple(" ".join(text.get(f"{k}S", "").split()) for k in keys),
        next((text[k] for k in SPILLOVER if text.get(k, "").strip()), ""), offset, row, order,
        _mask(ranges, widths) if whole else None, decades, np.array([b for _, b in amplified]), ranges,
        np.where(gain > 0, gain, 1.0),
    )  # fmt: skip


def _amplification(text: str) -> tuple[float, float]:
    """Decades, and the value that stands for channel 0 (0 is read as 1, as the standard advises)."""
    if not text.strip():
        return 0.0, 1.0
    decades, at_zero = (float(v) for v in text.split(","))
    return decades, at_zero or 1.0


def _row(text: dict[str, str], keys: list[str], place: str) -> tuple[np.dtype[Any], str, list[int]]:
    """Type of the values of one event, order of bytes, and the bits of each value."""
    kind, said = text["$DATATYPE"].strip().upper(), text["$BYTEORD"].strip()
    order, widths = ORDERS.get(said), [int(text[f"{k}B"]) for k in keys]
    if order is None:
        raise DataError(f"{place}: bytes are in the order {said[:20]} ($BYTEORD), which is not read.")
    if kind not in ("I", "F", "D") or any(text.get(f"{k}DATATYPE", kind).strip().upper() != kind for k in keys):
        raise DataError(
            f"{place}: values are of type {kind[:5]} ($DATATYPE), or of several; one of I, F and D is read. Export it so."
        )
    right = {"F": (32,), "D": (64,), "I": range(8, 65, 8)}[kind]
    odd = next((w for w in widths if w not in right), None)
    if odd is not None:
        raise DataError(f"{place}: a channel has values of {odd} bits ($PnB), which is not read. Export it as FCS 3.1.")
    return np.dtype([(k, *_stored(kind, order, w)) for k, w in zip(keys, widths, strict=True)]), order, widths


def _stored(kind: str, order: str, width: int) -> tuple[Any, ...]:
    if kind != "I":
        return (f"{order}f{width // 8}",)
    return (f"{order}u{width // 8}",) if width in (8, 16, 32, 64) else ("u1", (width // 8,))


def _whole(column: NDArray[np.uint8], order: str) -> NDArray[np.uint64]:
    """(k,) whole numbers of (k, bytes) in the given order."""
    out = np.zeros(len(column), dtype=np.uint64)
    for part in column.T if order == ">" else column.T[::-1]:
        out = (out << np.uint64(8)) | part.astype(np.uint64)
    return out


def _events(place: str, header: Header, size: int) -> tuple[int, int]:
    """Where values begin, and how many events there are. size: bytes of one."""
    begin, end = header.data
    if header.version != "2.0" and header.number("$BEGINDATA", 0):
        if begin not in (0, header.number("$BEGINDATA")):
            raise DataError(f"{place}: header and keywords differ in where values begin. {AGAIN}")
        begin, end = header.number("$BEGINDATA"), header.number("$ENDDATA", 0)
    room = (min(end + 1, header.size) if end else header.size) - begin
    n = header.number("$TOT", max(room, 0) // size)
    if n < 0:
        raise DataError(f"{place} says that it has {n:,} events.")
    if n and (begin < LENGTH or n * size > room or end >= header.size + 1):
        fit = max(room, 0) // size if begin >= LENGTH else 0
        raise DataError(f"{place} is truncated: of {n:,} events {fit:,} are there. Copy it again from its source.")
    return begin, n


def _mask(ranges: Floats, widths: list[int]) -> NDArray[np.uint64]:
    """Bits of each whole number that count: those below the range, rounded up to a power of two."""
    out = []
    for most, width in zip(ranges, widths, strict=True):
        bits = max(int(most) - 1, 1).bit_length()
        out.append((1 << min(bits, width)) - 1)
    return np.array(out, dtype=np.uint64)
