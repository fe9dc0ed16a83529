"""Images that are broken, too large, twice, or elsewhere: one clear DataError each, without ids and header texts."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError, MissingExtra
from tests.sources.image_files import SECRET, UNITS, dicom, need, nifti, picture, plane, reader, series

SECRETS = (SECRET, "Q-4711", "19600101", "1.2.3", "77001", "77002", "77003")
IDS = ["77001", "77002", "77003"]


@pytest.fixture(autouse=True)
def _packages() -> None:
    need("skimage", "PIL")


def refused(tmp_path: Path, message: str, named: str = "scans", **source: Any) -> None:
    """Reading raises one DataError that fits; it names the file or its folder and no id; nothing is kept of it."""
    r = reader(tmp_path, IDS, **(source or {"folder": "scans"}))
    with pytest.raises(DataError, match=message) as caught:
        r.read()
    text = str(caught.value)
    assert named in text, text
    for secret in SECRETS:
        assert secret not in text, text
    assert len(list((tmp_path / ".cohortium_cache").rglob("*"))) == 0


def cut(path: Path, share: float = 0.6) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says that it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


MAKERS: dict[str, Callable[[Path], Path]] = {
    ".png": lambda p: picture(p, plane(1, (64, 64))),
    ".jpg": lambda p: picture(p, plane(1, (64, 64))),
    ".tif": lambda p: picture(p, plane(1, (64, 64))),
    ".dcm": lambda p: dicom(p, plane(1, (64, 64), 4095, np.int16)),
    ".nii": lambda p: nifti(p, plane(1, (16, 16, 16), 4000, np.int16)),
    ".nii.gz": lambda p: nifti(p, plane(1, (16, 16, 16), 4000, np.int16)),
}
NEEDS = {".tif": "tifffile", ".dcm": "pydicom", ".nii": "nibabel", ".nii.gz": "nibabel"}


@pytest.mark.parametrize("ending", list(MAKERS))
@pytest.mark.parametrize("share", [0.6, 0.1])
def test_truncated(tmp_path: Path, ending: str, share: float) -> None:
    need(NEEDS.get(ending, "PIL"))
    cut(MAKERS[ending](tmp_path / "scans" / f"77002{ending}"), share)
    refused(tmp_path, rf"folder 'scans', entry 1 of 1 by name \({ending}\).*(truncated|cut off)")


@pytest.mark.parametrize("ending", list(MAKERS))
def test_empty_file_and_text_of_another_name(tmp_path: Path, ending: str) -> None:
    need(NEEDS.get(ending, "PIL"))
    file = tmp_path / "scans" / f"77002{ending}"
    file.parent.mkdir()
    file.write_bytes(b"")
    refused(tmp_path, r"entry 1 of 1 by name .*(is empty|truncated or no valid)")
    file.write_text(f"{SECRET}, born 19600101, has no image\n" * 40)
    refused(tmp_path, r"entry 1 of 1 by name .*(it is no image|truncated or no valid)")


def test_format_of_another_ending(tmp_path: Path) -> None:
    need("nibabel")
    nifti(tmp_path / "scans" / "77001.nii", plane(1, (8, 8, 8)))
    (tmp_path / "scans" / "77001.nii").rename(tmp_path / "scans" / "77001.png")
    refused(tmp_path, "not what its ending says: it looks like a NIfTI file")


def test_slices_in_several_directions(tmp_path: Path) -> None:
    need("pydicom")
    series(tmp_path / "scans" / "77001")
    dicom(tmp_path / "scans" / "77001" / "scout.dcm", plane(1), orientation=[1, 0, 0, 0, 0, -1], position=(0, 0, 50))
    refused(tmp_path, r"entry 1 of 1 by name \(sub-folder\), file 1 of 6 .*different directions .*file 6 of 6")


def test_slice_missing(tmp_path: Path) -> None:
    need("pydicom")
    paths = series(tmp_path / "scans" / "77001", 9)
    paths[4].unlink()
    refused(tmp_path, r"slices are missing.* between slice 4 and 5 of 8 there are 6.00 mm, between others 3.00 mm")


def test_slices_of_several_sizes(tmp_path: Path) -> None:
    need("pydicom")
    series(tmp_path / "scans" / "77001")
    dicom(tmp_path / "scans" / "77001" / "x.dcm", plane(1, (8, 9)), position=(0, 0, 15))
    refused(tmp_path, "slices of one series differ in size")


def test_two_slices_at_one_place(tmp_path: Path) -> None:
    need("pydicom")
    series(tmp_path / "scans" / "77001")
    dicom(tmp_path / "scans" / "77001" / "x.dcm", plane(1), position=(0, 0, 3))
    refused(tmp_path, "two slices lie at one place")


def test_slice_without_a_place(tmp_path: Path) -> None:
    need("pydicom")
    series(tmp_path / "scans" / "77001")
    dicom(tmp_path / "scans" / "77001" / "x.dcm", plane(1), position=None)
    refused(tmp_path, "does not say where its slice lies")


@pytest.mark.parametrize("whose", ["77001", "77002"])
def test_instance_twice(tmp_path: Path, whose: str) -> None:
    need("pydicom")
    first = series(tmp_path / "scans" / "77001")[0]
    copy = tmp_path / "scans" / whose / "copy.dcm"
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(first.read_bytes())
    refused(tmp_path, r"same DICOM instance as an earlier file \(SOPInstanceUID\). Remove the copy")


def test_dicom_without_an_image_and_of_the_enhanced_kind(tmp_path: Path) -> None:
    need("pydicom")
    import pydicom

    path = dicom(tmp_path / "scans" / "77001.dcm", plane(1))
    d = pydicom.dcmread(path)
    d.PerFrameFunctionalGroupsSequence = [pydicom.Dataset()]
    d.save_as(path)
    refused(tmp_path, "of the enhanced kind")
    d = pydicom.dcmread(path)
    del d.PerFrameFunctionalGroupsSequence, d.Rows, d.Columns, d.PixelData
    d.save_as(path)
    refused(tmp_path, "without an image")


@pytest.mark.parametrize("syntax", ["JPEGLosslessSV1", "JPEG2000Lossless", "RLELossless"])
def test_compressed_dicom_that_is_damaged(tmp_path: Path, syntax: str) -> None:
    need("pydicom", "pylibjpeg")
    import pydicom

    path = dicom(tmp_path / "scans" / "77001.dcm", plane(1))
    d = pydicom.dcmread(path)
    d.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    d.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + SECRET.encode() * 9 + b"\xff\xd9"])
    d["PixelData"].VR = "OB"
    d.save_as(path)
    refused(tmp_path, "entry 1 of 1 by name .*(cannot be decoded here.*may also be truncated|damaged)")


def test_dicom_whose_numbers_are_texts(tmp_path: Path) -> None:
    need("pydicom")
    path = dicom(tmp_path / "scans" / "77001.dcm", plane(1), position=(0, 0, 1.25))
    raw = path.read_bytes()
    assert b"1.25" in raw
    path.write_bytes(raw.replace(b"1.25", b"Doe?"))
    refused(tmp_path, "truncated or no valid DICOM file")


def test_nifti_with_time(tmp_path: Path) -> None:
    need("nibabel")
    nifti(tmp_path / "scans" / "77001.nii", plane(1, (5, 6, 7, 3)))
    refused(tmp_path, "has 4 axes; expected a volume of 3")


def test_pictures_that_claim_to_be_enormous(tmp_path: Path) -> None:
    need("tifffile", "nibabel", "pydicom")
    folder = tmp_path / "scans"
    folder.mkdir()
    for side in (12_000, 60_000):  # beyond what Pillow warns of, and beyond what it refuses
        (folder / "77001.png").write_bytes(png_claiming(side, side))
        refused(tmp_path, "claims more pixels than are read")
    (folder / "77001.png").unlink()
    head = bytearray(nifti(folder / "77001.nii", plane(1, (4, 4, 4), 9, np.int16)).read_bytes())
    head[42:48] = np.array([30_000] * 3, "<i2").tobytes()
    (folder / "77001.nii").write_bytes(bytes(head))
    refused(tmp_path, "30000 × 30000 × 30000 pixels is larger than")
    (folder / "77001.nii").unlink()
    dicom(folder / "77001.dcm", plane(1), NumberOfFrames=10_000, Rows=60_000, Columns=60_000)
    refused(tmp_path, "10000 × 60000 × 60000 pixels is larger than")


def test_archive_that_claims_to_be_enormous(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 2000, 2000)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("images.npy", head.getvalue() + b"\0" * 10**6)
    refused(tmp_path, "'images' claims 3,725 GiB.*decompression bomb", "x.npz", npz="x.npz")


def test_archives_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04nonsense")
    refused(tmp_path, "truncated or no valid .npz file", "x.npz", npz="x.npz")
    np.savez(
        tmp_path / "x.npz",
        images=plane(1, (3, 8, 8)),
        flat=np.zeros((3, 4)),
        texts=np.array(UNITS),
        ids=np.array(UNITS[:2]),
    )
    refused(tmp_path, "no array 'image'. Did you mean 'images'", "x.npz", npz="x.npz", arrays=["image"])
    refused(tmp_path, "has 2 axes", "x.npz", npz="x.npz", arrays=["flat"])
    refused(tmp_path, "'images' has 3 images and 'ids' 2 ids", "x.npz", npz="x.npz", ids=["ids"])
    np.savez(tmp_path / "x.npz", images=np.array([[["a"]]]))
    refused(tmp_path, "expected numbers", "x.npz", npz="x.npz")
    np.savez(tmp_path / "x.npz", images=np.array([{"a": 1}], dtype=object))
    refused(tmp_path, "Python objects", "x.npz", npz="x.npz")


@pytest.mark.parametrize("inner", ["77001.png", "77001/a.png", "77001/deep"])
def test_links_out_of_the_folder(tmp_path: Path, inner: str) -> None:
    picture(tmp_path / "elsewhere" / "secret.png", plane(1))
    link = tmp_path / "scans" / inner
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere" if inner.endswith("deep") else tmp_path / "elsewhere" / "secret.png")
    picture(tmp_path / "scans" / "77002.png", plane(2))
    refused(tmp_path, "leads out of the folder")


def test_an_archive_that_is_a_link_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "x.npz", images=plane(1, (3, 8, 8)))
    (tmp_path / "data" / "x.npz").symlink_to(tmp_path / "x.npz")
    refused(tmp_path, "leads out of its folder, through a link", "x.npz", npz="data/x.npz")


@pytest.mark.parametrize("path", ["../secret.png", "link.png"])
def test_an_index_that_leads_out_of_its_folder(tmp_path: Path, path: str) -> None:
    secret = picture(tmp_path / "secret.png", plane(1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.png").symlink_to(secret)
    for target in (path, str(secret)):
        pd.DataFrame({"id": IDS[:1], "path": [target]}).to_csv(tmp_path / "data" / "index.csv", index=False)
        refused(tmp_path, "index.csv, row 2 leads out of the folder", "index.csv", file="data/index.csv")


def test_indices_that_are_wrong(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", plane(1))
    for rows, message in (
        ({"id": IDS[:2], "path": ["a.png", "b.png"]}, "index.csv, row 3: there is no such file"),
        ({"id": [None, *IDS[:1]], "path": ["a.png"] * 2}, "index.csv, row 2: the cell of 'id' is empty"),
        ({"id": IDS[:2], "path": ["a.png", None]}, "index.csv, row 3: the cell of 'path' is empty"),
        ({"id": IDS[:1], "paths": ["a.png"]}, "index.csv has no column 'path'. Did you mean 'paths'"),
        ({"id": IDS[:1], "path": ["index.csv"]}, "index.csv, row 2 is no image that is read"),
    ):
        pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
        refused(tmp_path, message, "index.csv", file="index.csv")


def test_nothing_there(tmp_path: Path) -> None:
    refused(tmp_path, "does not exist")
    (tmp_path / "scans").mkdir()
    refused(tmp_path, "holds no image that is read")
    (tmp_path / "scans" / "77001").mkdir()
    refused(tmp_path, "holds no image that is read")
    (tmp_path / "other").write_text("x")
    refused(tmp_path, "is a file; expected a folder", "other", folder="other")


def test_nobody_there(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / "scans" / f"XX-{IDS[k]}.png", plane(k))
    refused(tmp_path, r"no image of modality 'scan' belongs to the cohort.*Try id_rule: \{split: '-', part: 1\}")


def test_a_broken_file_of_nobody_is_not_looked_at(tmp_path: Path) -> None:
    picture(tmp_path / "scans" / "77001.png", plane(1))
    (tmp_path / "scans" / "stranger.png").write_text("no image")
    assert list(reader(tmp_path, IDS, folder="scans").read().units) == ["77001"]


def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "scans" / "77001.png", plane(1))
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(MissingExtra, match=r"cohortium\[imaging\]"):
        reader(tmp_path, IDS, folder="scans").read()
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"cohortium\[deep\]"):
        reader(tmp_path, IDS, folder="scans", encoder="efficientnet_lite0").read()
