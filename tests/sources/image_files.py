"""Small image files of every kind, and a reader of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.schema.images import ImagesSource
from cohortium.sources.images import ImagesReader

UNITS = ["001", "002", "003"]
SECRET = "Zebra^Quagga"
"""A name in headers, which no message may hold."""


def need(*packages: str) -> None:
    """Skip a test where an optional package is missing."""
    for p in packages:
        pytest.importorskip(p, reason=f"the optional package {p} (extras imaging, deep) is not installed")


def reader(root: Path, units: list[str] | pd.DataFrame = UNITS, **source: Any) -> ImagesReader:
    """A reader of a modality ``scan``; keywords of :class:`ImagesSource`, descriptors unless said otherwise."""
    table = units
    if not isinstance(table, pd.DataFrame):
        table = pd.DataFrame({"patient": units}, index=pd.Index(units, dtype=object, name="unit"))
    own = {} if "torchscript" in source else {"encoder": "descriptors"}
    return ImagesReader("scan", ImagesSource(shape="images", **(own | source)), root, table)


def plane(seed: int, shape: tuple[int, ...] = (24, 20), top: int = 255, dtype: Any = np.uint8) -> np.ndarray:
    """Random numbers from 0 to ``top``."""
    return np.random.default_rng(seed).integers(0, top, shape, endpoint=True).astype(dtype)


def picture(path: Path, values: np.ndarray) -> Path:
    """A file by Pillow; the format is that of the ending."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def dicom(path: Path, values: np.ndarray, **tags: Any) -> Path:
    """A CT slice (or an image without a place, with ``position=None``). tags: ``position``, ``orientation``, ``series``,
    ``instance``, ``bits``, ``compress`` (a transfer syntax), and tags of DICOM by keyword."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = tags.pop("instance", None) or generate_uid()
    d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    d.PatientName, d.PatientID, d.PatientBirthDate = SECRET, "Q-4711", "19600101"
    d.SeriesInstanceUID = tags.pop("series", "1.2.3.4")
    position = tags.pop("position", [0, 0, 0])
    if position is not None:
        d.ImagePositionPatient = list(position)
        d.ImageOrientationPatient = list(tags.pop("orientation", [1, 0, 0, 0, 1, 0]))
    d.Rows, d.Columns = values.shape[:2]
    d.SamplesPerPixel = 3 if values.ndim == 3 else 1
    d.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    if values.ndim == 3:
        d.PlanarConfiguration = 0
    d.BitsAllocated = values.dtype.itemsize * 8
    d.BitsStored = tags.pop("bits", d.BitsAllocated)
    d.HighBit = d.BitsStored - 1
    d.PixelRepresentation = int(values.dtype.kind == "i")
    compress = tags.pop("compress", None)
    for keyword, value in tags.items():
        setattr(d, keyword, value)
    d.PixelData = np.ascontiguousarray(values).tobytes()
    if compress is not None:
        d.compress(compress, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    d.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, n: int = 5, **tags: Any) -> list[Path]:
    """A series of n CT slices, 3 mm apart, whose names are not in the order of their places."""
    return [
        dicom(folder / f"{(7 * k) % n}.dcm", plane(k, top=4095, dtype=np.int16), position=(0, 0, 3.0 * k),
              bits=12, RescaleSlope=1, RescaleIntercept=-1024, **tags)
        for k in range(n)
    ]  # fmt: skip


def nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A NIfTI file (compressed when it ends with .gz)."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path
