"""CT as DICOM series and pathology tiles as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.testing.hospital.people import People

SIDE, SLICES, TILE, TILES = 48, 4, 64, 3
_ROOT = "1.2.826.0.1.3680043.10.1338"
"""A root for unique identifiers of made-up images."""


def write_ct(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``ct/<patient>/slice_*.dcm``: a lesion whose brightness follows the cause.

    Two orientations (axial, coronal), 12 and 16 bits, one of three series compressed (RLE lossless), files not in the
    order of their position; headers carry a made-up name and birth date, which nobody should keep.
    """
    for i in np.flatnonzero(people.present["ct"].to_numpy()):
        who = folder / "ct" / str(people.table.index[i])
        who.mkdir(parents=True)
        volume = _volume(people.driver["ct"][i], rng)
        order = rng.permutation(SLICES)
        for k in range(SLICES):
            data = _dicom(volume[k], k, int(i), str(people.table.index[i]))
            data.save_as(who / f"slice_{order[k]:02d}.dcm", enforce_file_format=True)
    return {"causal": ["brightness of the lesion"]}


def _volume(cause: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """(SLICES, SIDE, SIDE) Hounsfield units: a body, and a lesion in it."""
    y, x = np.mgrid[:SIDE, :SIDE]
    centre = rng.uniform(18, 30, 2)
    body = np.hypot(x - SIDE / 2, y - SIDE / 2) < 0.45 * SIDE
    lesion = np.hypot(x - centre[0], y - centre[1]) < rng.uniform(5.5, 7.5)
    out = np.where(body, 40.0, -900.0) + rng.normal(0, 12, (SLICES, SIDE, SIDE))
    out[1:3, lesion & body] += 45 + 38 * cause + rng.normal(0, 9)
    return np.clip(out, -1000, 3000).astype(np.int16)


def _dicom(pixels: NDArray[np.int16], k: int, i: int, patient: str) -> Any:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{_ROOT}.{i + 1}.{k + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    d.StudyInstanceUID, d.SeriesInstanceUID = f"{_ROOT}.{i + 1}", f"{_ROOT}.{i + 1}.0"
    d.Modality, d.PatientID, d.PatientName, d.PatientBirthDate = "CT", patient, "Doe^Made Up", "19600101"
    d.InstanceNumber = k + 1
    coronal = i % 2 == 1
    d.ImageOrientationPatient = [1, 0, 0, 0, 0, -1] if coronal else [1, 0, 0, 0, 1, 0]
    d.ImagePositionPatient = [0, 5.0 * k, 0] if coronal else [0, 0, 5.0 * k]
    d.PixelSpacing, d.SliceThickness = [0.8, 0.8], 5.0
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = SIDE, SIDE, 1, "MONOCHROME2"
    bits = 12 if i % 4 < 2 else 16
    d.BitsAllocated, d.BitsStored, d.HighBit = 16, bits, bits - 1
    d.RescaleSlope, d.RescaleIntercept = 1, -1024 if bits == 12 else 0
    stored = (pixels + 1024).clip(0, 4095).astype(np.uint16) if bits == 12 else pixels
    d.PixelRepresentation = int(bits == 16)
    d.PixelData = stored.tobytes()
    if i % 3 == 0:
        d.compress(RLELossless)
        d.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    return d


def write_tiles(people: People, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """``tiles/<patient>/tile_*.png``: the number of dark nuclei follows the cause."""
    from PIL import Image  # comes with matplotlib

    y, x = np.mgrid[:TILE, :TILE]
    for i in np.flatnonzero(people.present["tiles"].to_numpy()):
        who = folder / "tiles" / str(people.table.index[i])
        who.mkdir(parents=True)
        for k in range(TILES):
            rgb = np.array([232.0, 190.0, 214.0]) + rng.normal(0, 7, (TILE, TILE, 3))
            for _ in range(rng.poisson(np.exp(2.6 + 0.42 * people.driver["tiles"][i]))):
                c = rng.uniform(2, TILE - 2, 2)
                nucleus = np.hypot(x - c[0], y - c[1]) < rng.uniform(2.0, 3.4)
                rgb[nucleus] = np.array([92.0, 62.0, 140.0]) + rng.normal(0, 8, 3)
            Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(who / f"tile_{k}.png")
    return {"causal": ["number of nuclei"]}
