"""Files of an id -> images that may be decoded, by the format of each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cohortium.errors import DataError
from cohortium.schema.images import Tiles
from cohortium.sources.images import dicom, slides
from cohortium.sources.images.listing import PICTURES, SLIDES, VOLUMES, File
from cohortium.sources.images.nifti import read_nifti
from cohortium.sources.images.pictures import read_picture, read_tiff
from cohortium.sources.images.pixels import Image, Pixels

MARKS = {
    "PNG file": (b"\x89PNG\r\n\x1a\n",),
    "JPEG file": (b"\xff\xd8\xff",),
    "TIFF file": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "gzip file": (b"\x1f\x8b",),
    "DICOM file": (),
}
"""How the files of a format begin."""


def what_is(raw: bytes) -> str:
    """The format that the first bytes show; "" for none that is read."""
    if raw[128:132] == b"DICM":
        return "DICOM file"
    if raw[344:348] in (b"n+1\0", b"ni1\0") or raw[4:8] in (b"n+2\0", b"ni2\0"):
        return "NIfTI file"
    return next((name for name, marks in MARKS.items() if raw.startswith(marks) and marks), "")


def decode_file(file: File, slices: int) -> Pixels:
    """Pixels of a picture or a NIfTI volume. Raises :class:`DataError` for a file that is not what its name says."""
    raw = file.read()
    found = what_is(raw)
    fits = {"NIfTI file", "gzip file"} if file.ending in VOLUMES else {"PNG file", "JPEG file", "TIFF file"}
    if found not in fits:
        is_it = f"it looks like a {found}" if found else "it is no image"
        raise DataError(f"{file.place} is not what its ending says: {is_it}. Was it renamed, or cut off?")
    if file.ending in VOLUMES:
        return read_nifti(raw, file.place, slices)
    return read_tiff(raw, file.place, slices) if found == "TIFF file" else read_picture(raw, file.place, found)


def content(files: Sequence[File]) -> bytes:
    """Hash of what is in the files, in their order; their names do not count."""
    h = hashlib.blake2b(digest_size=20)
    for f in files:
        h.update(hashlib.blake2b(f.read(), digest_size=20).digest())
    return h.digest()


def images_of(
    owner: str, files: Sequence[File], seen: set[str], tiles: Tiles | None = None
) -> tuple[list[Image], bool]:
    """Images of one id, and whether a DICOM file says that texts are burned into its image.

    seen: DICOM instances met before. tiles: the files are whole slides, to be cut. Headers of DICOM files are checked
    here, pixels only when decoded. Raises :class:`DataError`.
    """
    if tiles is not None:
        return [
            Image(
                owner,
                slides.content(f),
                f.place,
                lambda _, f=f: slides.read_slide(f, tiles),
                lambda f=f: slides.overview(f, tiles),
            )
            for f in files
        ], False
    out, series = [], []
    for f in files:
        if f.ending in SLIDES:
            raise DataError(f"{f.place} is a whole-slide image. Say how it is cut: tiles: {{magnification: 10}}.")
        if f.ending in (*PICTURES, *VOLUMES):
            out.append(Image(owner, content([f]), f.place, lambda slices, f=f: decode_file(f, slices)))
        else:
            series.append(f)
    burned = False
    for s in dicom.group(series, seen):
        burned |= s.burned_in
        out.append(Image(owner, content(s.files), s.place, s.decode))
    return out, burned
