"""Small files that unpack, or claim to unpack, to far too much: refused in time, whatever the reader."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from cohortium.schema.declare import UnitsSource
from cohortium.schema.notes import NotesSource
from cohortium.schema.shapes import EventsSource
from cohortium.sources import IndexTime, packed, read_cohort
from cohortium.sources.events import fhir
from cohortium.sources.images import bombs
from cohortium.sources.variants import lines
from tests.sources import cell_files, variant_files
from tests.sources.helpers import lab, read, write_units
from tests.sources.image_files import dicom, need, plane, reader

ZEROS = b"0" * (32 << 20)
BOMB = "taken for a decompression bomb"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused beyond a gigabyte is refused beyond a megabyte here."""
    monkeypatch.setattr(packed, "FREE", 1 << 20)


def refused(call: Callable[[], Any], message: str, file: str) -> None:
    """One error with the file's name, and never as much in memory as the file unpacks to (32 MB)."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message) as e:
            call()
        assert file in str(e.value)
        assert tracemalloc.get_traced_memory()[1] < 22 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("name", "pack"), [("lab.csv.gz", gzip.compress), ("lab.csv.xz", lzma.compress)])
@pytest.mark.parametrize("head", [b"id,crp\n001,", b"id,crp\n001,1\n", b""])
def test_packed_tables(tmp_path: Path, name: str, pack: Callable[[bytes], bytes], head: bytes) -> None:
    write_units(tmp_path)
    read_nothing_first(tmp_path)
    (tmp_path / name).write_bytes(pack(head + ZEROS))
    refused(lambda: read(tmp_path, name), BOMB, name)


def read_nothing_first(folder: Path) -> None:
    """What is imported on the way does not count as memory."""
    lab().to_csv(folder / "other.csv")
    read(folder, "other.csv")


def test_an_honest_file_that_packs_well_is_read(tmp_path: Path) -> None:
    ids = [f"{i:06d}" for i in range(30_000)]
    write_units(tmp_path, ids)
    raw = ("id," + ",".join(f"g{j}" for j in range(60)) + "\n" + "".join(f"{i}{',0' * 60}\n" for i in ids)).encode()
    assert len(raw) > packed.FREE
    (tmp_path / "lab.csv.gz").write_bytes(gzip.compress(raw))
    assert read(tmp_path, "lab.csv.gz").cohort.modalities["lab"].values.shape == (30_000, 60)


def test_packed_events_and_notes(tmp_path: Path) -> None:
    write_units(tmp_path, seen=["2024-03-10"] * 4)
    table = {"file": "e.csv.gz", "id": "id", "time": "time", "code": ["code"]}
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"id,time,code\n001,2024-01-01," + ZEROS))
    events = EventsSource(shape="events", tables=[table])  # type: ignore[list-item]
    notes = NotesSource(shape="texts", file="e.csv.gz", id="id", columns=["code"])
    for source in (events, notes):
        arguments = (UnitsSource(file="units.csv", id="id"), {"m": source}, tmp_path)
        refused(lambda a=arguments: read_cohort(*a, index=IndexTime("seen")), BOMB, "e.csv.gz")  # type: ignore[misc]


def workbook(folder: Path, sheet: bytes = b"", head: bytes = b"") -> None:
    """An Excel file with more in its sheet, and before it."""
    lab().to_excel(folder / "plain.xlsx")
    with (
        zipfile.ZipFile(folder / "plain.xlsx") as old,
        zipfile.ZipFile(folder / "lab.xlsx", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            raw = old.read(entry)
            if entry.filename == "xl/worksheets/sheet1.xml":
                raw = head + raw.replace(b"</sheetData>", sheet + b"</sheetData>")
            new.writestr(entry.filename, raw)


def test_workbooks(tmp_path: Path) -> None:
    write_units(tmp_path)
    workbook(tmp_path)
    assert len(read(tmp_path, "lab.xlsx").cohort.modalities["lab"].units) == 4
    workbook(tmp_path, b"<!--" + ZEROS + b"-->")
    refused(lambda: read(tmp_path, "lab.xlsx"), BOMB, "lab.xlsx")
    workbook(tmp_path, b'<row r="1048576"><c r="XFD1048576" t="n"><v>1</v></c></row>')
    refused(
        lambda: read(tmp_path, "lab.xlsx"), r"row 1,048,576 and column 16,384.*Delete the rows and columns", "lab.xlsx"
    )
    laughs = b"".join(b'<!ENTITY a%d "%s">' % (k + 1, b"&a%d;" % k * 10) for k in range(12))
    cell = b'<row r="9"><c r="A9" t="inlineStr"><is><t>&a12;</t></is></c></row>'
    workbook(tmp_path, cell, b'<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY a0 "ha">' + laughs + b"]>")
    refused(lambda: read(tmp_path, "lab.xlsx"), "no readable Excel file", "lab.xlsx")


def claiming(shape: tuple[int, ...], body: bytes = b"") -> bytes:
    """An .npy file that says it holds so many numbers."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return head.getvalue() + body


def test_arrays(tmp_path: Path) -> None:
    write_units(tmp_path)
    with zipfile.ZipFile(tmp_path / "lab.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("X.npy", claiming((4, 10**12), ZEROS))
    refused(lambda: read(tmp_path, "lab.npz"), "claims 29,802 GiB", "lab.npz")
    (tmp_path / "lab.npy").write_bytes(claiming((4, 10**12), b"0" * 100))
    (tmp_path / "lab.ids.txt").write_text("001\n002\n003\n004\n")
    refused(lambda: read(tmp_path, "lab.npy"), "truncated", "lab.npy")


def hdf5(path: Path, change: Callable[[h5py.File], None], obs: int = 4) -> None:
    names = pd.Index(["001", "002", "003", "004"][:obs])
    data = anndata.AnnData(
        np.ones((len(names), 3), dtype=np.float32), pd.DataFrame(index=names), pd.DataFrame(index=list("abc"))
    )
    data.write_h5ad(path)
    with h5py.File(path, "r+") as f:
        change(f)


def absurd(f: h5py.File) -> None:
    del f["X"]
    x = f.create_dataset("X", (4, 10**11), dtype="f4", chunks=(1, 1000))  # no chunk is ever written
    x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def elsewhere(f: h5py.File) -> None:
    del f["X"]
    f["X"] = h5py.ExternalLink("other.h5", "/X")


@pytest.mark.parametrize(("change", "message"), [(absurd, BOMB), (elsewhere, "points to another file")])
def test_annotated_tables_and_cells(tmp_path: Path, change: Callable[[h5py.File], None], message: str) -> None:
    write_units(tmp_path)
    hdf5(tmp_path / "lab.h5ad", change)
    refused(lambda: read(tmp_path, "lab.h5ad"), message, "lab.h5ad")
    data = cell_files.simulated()
    cell_files.write(tmp_path, data)
    cell_files.read(tmp_path)
    with h5py.File(tmp_path / "cells.h5ad", "r+") as f:
        if change is elsewhere:
            change(f)
        else:
            f["obs"].create_dataset("patient2", (10**12,), dtype="f8", chunks=(1000,))
    refused(lambda: cell_files.read(tmp_path), message, "cells.h5ad")


def test_a_sparse_matrix_that_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import sparse

    write_units(tmp_path)
    monkeypatch.setattr(packed, "MOST_BYTES", 1 << 20)
    data = anndata.AnnData(
        sparse.csr_matrix((4, 100_000), dtype=np.float32), pd.DataFrame(index=["001", "002", "003", "004"])
    )
    data.write_h5ad(tmp_path / "lab.h5ad")
    with pytest.raises(DataError, match=r"lab\.h5ad: X as a table claims"):
        read(tmp_path, "lab.h5ad")
    lab().to_parquet(tmp_path / "lab.parquet")
    monkeypatch.setattr(packed, "MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"lab\.parquet claims"):
        read(tmp_path, "lab.parquet")


def test_long_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 1 << 16)
    variant_files.write(tmp_path, variant_files.META.encode() + ZEROS, "v.vcf.gz")
    refused(lambda: variant_files.read(tmp_path, "v.vcf.gz", level="variant"), "line 6 is longer than", "v.vcf.gz")
    monkeypatch.setattr(fhir, "_LONGEST", 1 << 16)
    monkeypatch.setattr(fhir, "_MOST_BYTES", 1 << 16)
    write_units(tmp_path, seen=["2024-03-10"] * 4)
    text = json.dumps({"resourceType": "Condition", "text": "0" * 100_000})
    for name, message in (("b.ndjson", "line 1 is longer than"), ("b.json", "Export it as NDJSON")):
        (tmp_path / name).write_text(text)
        source = EventsSource(shape="events", format="fhir", folder=name)
        arguments = (UnitsSource(file="units.csv", id="id"), {"m": source}, tmp_path)
        with pytest.raises(DataError, match=f"{name}.*{message}"):
            read_cohort(*arguments, index=IndexTime("seen"))


def images(tmp_path: Path, message: str) -> None:
    with pytest.raises(DataError, match=f"entry 1 of 1 by name .*{message}"):
        reader(tmp_path, folder="scans").read()


def test_dicom_that_is_packed_as_a_whole(tmp_path: Path) -> None:
    need("pydicom", "skimage")
    import pydicom

    path = dicom(tmp_path / "scans" / "001.dcm", plane(1))
    d = pydicom.dcmread(path)
    d.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    d.save_as(path)
    assert list(reader(tmp_path, folder="scans").read().units) == ["001"]
    raw = path.read_bytes()
    path.write_bytes(raw[:-9])
    images(tmp_path, "truncated")
    d.PixelData = ZEROS
    d.save_as(path)
    images(tmp_path, BOMB)


def test_dicom_with_more_frames_than_it_says(tmp_path: Path) -> None:
    need("pydicom", "skimage")
    import pydicom

    path = dicom(tmp_path / "scans" / "001.dcm", plane(1))
    d = pydicom.dcmread(path)
    d.PixelData = d.PixelData * 7
    d.save_as(path)
    images(tmp_path, "holds 7 frames, and its header says otherwise")


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGBaseline8Bit"])
def test_compressed_images_of_another_size(tmp_path: Path, syntax: str) -> None:
    need("pydicom", "skimage", "pylibjpeg")
    import pydicom
    from PIL import Image

    path = dicom(tmp_path / "scans" / "001.dcm", plane(1, (64, 64)))
    d = pydicom.dcmread(path)
    if syntax == "JPEG2000Lossless":
        d.compress(pydicom.uid.JPEG2000Lossless, generate_instance_uid=False)
        mark, skip, form, sides = b"\xff\x4f\xff\x51", 8, ">II", (50_000, 50_000)
    else:
        stream = io.BytesIO()
        Image.fromarray(plane(1, (64, 64))).save(stream, "JPEG")
        d.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
        d.PixelData = pydicom.encaps.encapsulate([stream.getvalue()])
        d["PixelData"].VR = "OB"
        mark, skip, form, sides = b"\xff\xc0", 5, ">HH", (50_000, 50_000)
    d.save_as(path)
    assert list(reader(tmp_path, folder="scans").read().units) == ["001"]
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, raw.index(mark) + skip, *sides)
    path.write_bytes(raw)
    images(tmp_path, "the image is 50000 × 50000 pixels, and the header says 64 × 64")


def test_a_decoder_that_panics_is_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pydicom", "skimage")
    import pydicom

    class PanicException(BaseException):
        """As decoders in Rust raise it: no Exception."""

    def panic(*_: Any, **__: Any) -> Any:
        raise PanicException("index out of bounds")

    dicom(tmp_path / "scans" / "001.dcm", plane(1))
    monkeypatch.setattr(pydicom.pixels, "pixel_array", panic)
    images(tmp_path, "truncated or its image is damaged")

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pydicom.pixels, "pixel_array", stop)
    with pytest.raises(KeyboardInterrupt):
        reader(tmp_path, folder="scans").read()


@pytest.mark.parametrize("pack", ["zlib", "lzma"])
def test_a_strip_of_a_tiff(tmp_path: Path, pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need("tifffile", "skimage")
    import tifffile

    monkeypatch.setattr(bombs, "HARMLESS", 1 << 16)
    path = tmp_path / "scans" / "001.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, plane(1, (64, 64)), compression=pack, rowsperstrip=64)
    assert list(reader(tmp_path, folder="scans").read().units) == ["001"]
    with tifffile.TiffFile(path) as f:
        where, size = (f.pages[0].tags[t].valueoffset for t in (273, 279))
    raw, packed_ = bytearray(path.read_bytes()), (zlib.compress if pack == "zlib" else lzma.compress)(ZEROS)
    struct.pack_into("<I", raw, where, len(raw))
    struct.pack_into("<I", raw, size, len(packed_))
    path.write_bytes(bytes(raw) + packed_)
    images(tmp_path, "a part of the TIFF unpacks to more pixels than it has")
