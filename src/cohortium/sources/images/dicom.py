"""DICOM: files of one series put in order and checked to be one volume; of the header only numbers are used.

Texts of a header (names, dates, comments) are never kept and never in a message.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.errors import DataError
from cohortium.sources.images.bombs import check_deflated, check_frames
from cohortium.sources.images.listing import File
from cohortium.sources.images.pixels import Pixels, check_size, spread

TAGS = [
    "SOPInstanceUID", "SeriesInstanceUID", "ImageOrientationPatient", "ImagePositionPatient", "Rows", "Columns",
    "NumberOfFrames", "PerFrameFunctionalGroupsSequence", "BurnedInAnnotation",
]  # fmt: skip

SAME_DIRECTION = 1e-3
"""Slices whose direction cosines differ by more are not parallel."""

UNEVEN = 0.4
"""A gap between slices that differs by this share from the usual one: a slice is missing, or there twice."""


@dataclass(frozen=True, eq=False)
class Header:
    """What one file says of its place. instance, series: UIDs, used for grouping and then forgotten."""

    file: File
    instance: str
    series: str
    orientation: NDArray[np.float64] | None
    position: NDArray[np.float64] | None
    shape: tuple[int, int]
    frames: int
    burned_in: bool


@dataclass(frozen=True, eq=False)
class Series:
    """Files in the order of their slices (or one file without a place). place: for complaints."""

    files: tuple[File, ...]
    place: str
    frames: int
    burned_in: bool

    def decode(self, slices: int) -> Pixels:
        """Evenly spaced slices (or frames) of the series. Raises :class:`DataError`."""
        if self.frames > 1:
            planes, picture = decode(self.files[0])
            return Pixels(planes[spread(len(planes), slices)], picture)
        parts = [decode(self.files[i]) for i in spread(len(self.files), slices)]
        if len({p.shape for p, _ in parts}) > 1:
            raise DataError(f"{self.place}: slices of one series differ in colours.")
        return Pixels(np.concatenate([p for p, _ in parts]), all(picture for _, picture in parts))


def read_header(file: File) -> Header:
    """The place of one file. Raises :class:`DataError` when it is no DICOM file or has no image."""
    pydicom = require("pydicom", extra="imaging", purpose="reading DICOM files")
    try:
        check_deflated(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they hold texts of the header
            d = pydicom.dcmread(file.path, stop_before_pixels=True, specific_tags=TAGS)
            many = "PerFrameFunctionalGroupsSequence" in d
            shape = (int(d.get("Rows") or 0), int(d.get("Columns") or 0))
            frames = int(d.get("NumberOfFrames") or 1)
            axes, at = _numbers(d.get("ImageOrientationPatient"), 6), _numbers(d.get("ImagePositionPatient"), 3)
            burned = str(d.get("BurnedInAnnotation", "")).strip().upper() == "YES"
            instance, series = str(d.get("SOPInstanceUID") or ""), str(d.get("SeriesInstanceUID") or "")
    except DataError:
        raise
    except Exception as e:  # pydicom raises many kinds; all mean that the file is not readable
        raise DataError(f"{file.place} is truncated or no valid DICOM file. Copy it again from its source.") from e
    if many:
        raise DataError(
            f"{file.place} is a DICOM file of the enhanced kind (many frames, each with its own place), which is not "
            "read. Convert it to NIfTI, or to one file a slice."
        )
    if 0 in shape:
        raise DataError(f"{file.place} is a DICOM file without an image (a report, a plan?). Leave it out.")
    check_size((frames, *shape), file.place)
    return Header(file, instance, series, axes, at, shape, frames, burned)


def _numbers(value: Any, n: int) -> NDArray[np.float64] | None:
    if value is None or value == "":
        return None
    x = np.array([float(v) for v in value])
    if x.shape != (n,) or not np.isfinite(x).all():
        raise ValueError("not so many numbers")
    return x


def group(files: Sequence[File], seen: set[str]) -> list[Series]:
    """Files of one id -> its series, and single images where files say no place.

    seen: instances met before, added to. Raises :class:`DataError` for an instance that is there twice, slices that
    are not parallel, differ in size, lie unevenly or at one place.
    """
    by_series: dict[str, list[Header]] = {}
    for f in files:
        h = read_header(f)
        if h.instance and h.instance in seen:
            raise DataError(
                f"{f.place} is the same DICOM instance as an earlier file (SOPInstanceUID). Remove the copy."
            )
        seen.add(h.instance)
        by_series.setdefault(h.series, []).append(h)
    out: list[Series] = []
    for headers in by_series.values():
        placed = [h.position is not None and h.orientation is not None for h in headers]
        if len(headers) > 1 and all(placed) and all(h.frames == 1 for h in headers):
            out.append(_volume(headers))
        elif len(headers) > 1 and any(placed) and not all(placed):
            raise DataError(
                f"{headers[placed.index(False)].file.place} does not say where its slice lies, and others of its series "
                "do. Leave it out."
            )
        else:
            out += [Series((h.file,), h.file.place, h.frames, h.burned_in) for h in headers]
    return out


def _volume(headers: list[Header]) -> Series:
    """Slices in order along the normal of their planes."""
    first = headers[0]
    place = f"{first.file.place} and {len(headers) - 1} more of its series"
    axes = first.orientation
    assert axes is not None
    for h in headers[1:]:
        if np.abs(h.orientation - axes).max() > SAME_DIRECTION:
            raise DataError(
                f"{place}: slices of one series lie in different directions ({h.file.place} is the first that differs). "
                "Leave the overview images out, or split the series."
            )
        if h.shape != first.shape:
            raise DataError(f"{place}: slices of one series differ in size ({h.file.place} is the first that differs).")
    normal = np.cross(axes[:3], axes[3:])
    along = np.array([h.position @ normal for h in headers])
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    usual = float(np.median(gaps))
    if usual <= 0 or (gaps < (1 - UNEVEN) * usual).any():
        raise DataError(f"{place}: two slices lie at one place (two acquisitions in one series?). Keep one of them.")
    if (gaps > (1 + UNEVEN) * usual).any():
        k = int(np.argmax(gaps))
        raise DataError(
            f"{place}: slices are missing, or lie unevenly: between slice {k + 1} and {k + 2} of {len(headers)} there are "
            f"{gaps[k]:.2f} mm, between others {usual:.2f} mm. Complete the series, or leave it out."
        )
    return Series(tuple(headers[i].file for i in order), place, 1, any(h.burned_in for h in headers))


def decode(file: File) -> tuple[NDArray[Any], bool]:
    """(frames, height, width[, 3]) numbers of one file, and whether they are an 8-bit picture.

    Stored numbers, turned around where white is zero (MONOCHROME1), then times slope plus intercept.
    Raises :class:`DataError`.
    """
    pydicom = require("pydicom", extra="imaging", purpose="reading DICOM files")
    syntax: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            d = pydicom.dcmread(file.path)
            syntax = d.file_meta.TransferSyntaxUID
            if syntax.is_encapsulated:
                check_frames(d, pydicom, file.place)
            x = pydicom.pixels.pixel_array(d)  # colours come as red, green, blue
            planes, picture = _values(d, x, pydicom)
    except DataError:
        raise
    except BaseException as e:  # pydicom and its decoders raise many kinds
        if not isinstance(e, Exception) and type(e).__name__ != "PanicException":  # of a decoder in Rust: no Exception
            raise
        if isinstance(e, RuntimeError | NotImplementedError) and syntax is not None and syntax.is_compressed:
            require("pylibjpeg", extra="imaging", purpose="reading compressed DICOM files")
            raise DataError(
                f"{file.place}: its compression ({syntax.name}) cannot be decoded here. Install "
                "'cohortium[imaging]' whole, or save the file uncompressed; it may also be truncated."
            ) from e
        raise DataError(f"{file.place} is truncated or its image is damaged. Copy it again from its source.") from e
    if len(planes) != int(d.get("NumberOfFrames") or 1):
        raise DataError(
            f"{file.place} holds {len(planes):,} frames, and its header says otherwise. Is the file damaged?"
        )
    return planes, picture


def _values(d: Any, x: NDArray[Any], pydicom: Any) -> tuple[NDArray[Any], bool]:
    kind = str(d.PhotometricInterpretation).strip().upper()
    if kind == "PALETTE COLOR":
        x = pydicom.pixels.apply_color_lut(x, d)
        x = x if x.dtype == np.uint8 else (x >> 8).astype(np.uint8)
    colours = x.ndim > 2 and x.shape[-1] == 3 and not kind.startswith("MONOCHROME")
    planes = x if x.ndim == (4 if colours else 3) else x[None]
    if colours:
        return planes, planes.dtype == np.uint8
    bits, signed = int(d.BitsStored), bool(int(d.PixelRepresentation))
    number: NDArray[Any] = planes
    if kind == "MONOCHROME1":
        number = (-1 if signed else 2**bits - 1) - planes.astype(np.int32)
    slope, intercept = float(d.get("RescaleSlope", 1)), float(d.get("RescaleIntercept", 0))
    plain = (slope, intercept) == (1.0, 0.0)
    if not plain:
        whole = slope.is_integer() and intercept.is_integer() and abs(slope) * 2**bits + abs(intercept) < 2**24
        if whole:  # stays whole numbers, of which percentiles are found by counting; the same numbers
            number = number.astype(np.int32) * int(slope) + int(intercept)
        else:
            number = number.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    return number, plain and bits == 8 and not signed
