"""Speed of embedding: DICOM series of 512 × 512 slices by the default encoder, and the share of the time its network takes.

usage: python benchmarks/images.py [--series 100] [--slices 50]
Prints images per second, the seconds inside the network's forward pass, and what is left for reading, resizing and keeping.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

SIDE = 512


def write(folder: Path, series: int, slices: int) -> None:
    """CT-like series, 16-bit with 12 in use, in files whose names are not in the order of their places."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    for i in range(series):
        at = folder / "ct" / f"P{i:04d}"
        at.mkdir(parents=True)
        uid, centre = generate_uid(), rng.normal(0, 0.1, 2)
        for k in range(slices):
            body = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 * 1.6 < 0.6 + 0.2 * np.sin(k / 9)
            pixels = 1064 * body + rng.integers(0, 60, (SIDE, SIDE))
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
            meta.MediaStorageSOPInstanceUID = generate_uid()
            path = at / f"{(7 * k) % slices if slices % 7 else k:04d}.dcm"
            d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
            d.SOPClassUID, d.SOPInstanceUID, d.SeriesInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID, uid
            d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0, 3.0 * k], [1, 0, 0, 0, 1, 0]
            d.Rows = d.Columns = SIDE
            d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
            d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
            d.RescaleSlope, d.RescaleIntercept = 1, -1024
            d.PixelData = pixels.astype(np.uint16).tobytes()
            d.save_as(path, enforce_file_format=True)
    pd.DataFrame({"id": [f"P{i:04d}" for i in range(series)]}).to_csv(folder / "units.csv", index=False)


def read(folder: Path, slices: int) -> None:
    """In a process of its own: embed all slices, and say what it took."""
    from cohortium.schema.declare import UnitsSource
    from cohortium.schema.images import ImagesSource
    from cohortium.sources import read_cohort
    from cohortium.sources.images.embed import TorchEncoder

    inside = 0.0
    load, run = 0.0, TorchEncoder._run

    def timed(self: TorchEncoder, network: object, x: object) -> object:
        nonlocal inside
        begin = time.perf_counter()
        out = run(self, network, x)
        inside += time.perf_counter() - begin
        return out

    TorchEncoder._run = timed  # type: ignore[method-assign, assignment]
    source = ImagesSource(shape="images", folder="ct", slices=slices)
    begin = time.perf_counter()
    encoder = TorchEncoder(source, folder)
    assert encoder.network is not None
    load = time.perf_counter() - begin
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    found = read_cohort(UnitsSource(file="units.csv", id="id"), {"ct": source}, folder).cohort.modalities["ct"]
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = {"images": len(found.values), "wall": wall, "inside": inside, "cpu": cpu, "load": load}  # type: ignore[union-attr]
    print(json.dumps(told | {"peak_mb": after.ru_maxrss / 1024, "sum": float(np.abs(found.values).sum())}))  # type: ignore[union-attr]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument(
        "--keep", type=Path, help="write into this folder and leave it there (embeddings are made anew)"
    )
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        read(given.read, given.slices)
        return
    with tempfile.TemporaryDirectory(prefix="images") as temporary:
        folder = given.keep or Path(temporary)
        if not (folder / "units.csv").exists():
            write(folder, given.series, given.slices)
        for cached in folder.glob(".cohortium_cache/images/*/*"):
            cached.unlink()
        call = [sys.executable, __file__, "--read", str(folder), "--slices", str(given.slices)]
        told = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    rate, share = told["images"] / told["wall"], told["inside"] / told["wall"]
    print(f"{told['images']:,} images of {SIDE} × {SIDE} in {told['wall']:.1f} s: {rate:.1f} images per second")
    print(f"{told['inside']:.1f} s in the network's forward pass: {share:.1%} of the time (bar: 80%)")
    print(
        f"processor time {told['cpu']:.1f} s; peak {told['peak_mb']:,.0f} MB; loading the network {told['load']:.1f} s"
    )
    print(f"sum of absolute values {told['sum']:.6f}")


if __name__ == "__main__":
    main()
