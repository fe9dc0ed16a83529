"""Images: what is read is what pydicom, nibabel and Pillow read; whose they are; what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Bag, Table
from cohortium.errors import DataError
from cohortium.schema.images import ImagesSource, Window
from cohortium.sources.images import as_before
from cohortium.sources.images.formats import images_of
from cohortium.sources.images.listing import of_path
from cohortium.sources.images.pixels import Pixels, limits, scaled, spread
from tests.sources.image_files import SECRET, UNITS, dicom, need, nifti, picture, plane, reader, series


@pytest.fixture(autouse=True)
def _packages() -> None:
    need("skimage", "PIL")


def decoded(path: Path, slices: int = 99) -> list[Pixels]:
    """Pixels of what lies at a path."""
    images, _ = images_of("x", of_path(path, "here"), set())
    return [i.decode(slices) for i in images]


# Decoding


@pytest.mark.parametrize("syntax", [None, "RLELossless", "JPEG2000Lossless"])
@pytest.mark.parametrize(
    ("dtype", "bits"), [(np.uint16, 12), (np.int16, 12), (np.uint16, 16), (np.int16, 16), (np.uint8, 8)]
)
def test_dicom_numbers_are_those_of_pydicom(tmp_path: Path, syntax: str | None, dtype: Any, bits: int) -> None:
    need("pydicom")
    import pydicom

    tags: dict[str, Any] = {"RescaleSlope": 2, "RescaleIntercept": -1024, "bits": bits}
    if syntax is not None:
        need("pylibjpeg", "openjpeg" if syntax.startswith("JPEG") else "rle")
        tags["compress"] = getattr(pydicom.uid, syntax)
    values = plane(1, (72, 64), 2 ** (bits - 1) - 1, dtype)  # JPEG 2000 needs some size
    if np.dtype(dtype).kind == "i":
        values -= np.dtype(dtype).type(2 ** (bits - 2))
    path = dicom(tmp_path / "a.dcm", values, **tags)
    d = pydicom.dcmread(path)
    expected = pydicom.pixels.apply_modality_lut(d.pixel_array, d)
    [found] = decoded(path)
    np.testing.assert_array_equal(found.planes[0], expected)
    np.testing.assert_array_equal(expected, values.astype(float) * 2 - 1024)
    assert not found.picture


def test_white_at_zero_is_turned_around(tmp_path: Path) -> None:
    need("pydicom")
    values = plane(2, top=4095, dtype=np.uint16)
    [found] = decoded(
        dicom(tmp_path / "a.dcm", values, bits=12, PhotometricInterpretation="MONOCHROME1", position=None)
    )
    np.testing.assert_array_equal(found.planes[0], 4095 - values.astype(int))


def test_colours_and_frames_of_dicom(tmp_path: Path) -> None:
    need("pydicom")
    colours = plane(3, (24, 20, 3))
    [found] = decoded(dicom(tmp_path / "a.dcm", colours, position=None))
    np.testing.assert_array_equal(found.planes[0], colours)
    assert found.picture
    frames = plane(4, (6 * 24, 20))
    [cine] = decoded(dicom(tmp_path / "b.dcm", frames, position=None, NumberOfFrames=6, Rows=24), slices=3)
    np.testing.assert_array_equal(cine.planes, frames.reshape(6, 24, 20)[[1, 3, 5]])


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]])
def test_slices_are_in_the_order_of_their_places(tmp_path: Path, orientation: list[float]) -> None:
    need("pydicom")
    normal = np.cross(orientation[:3], orientation[3:])
    values = [plane(k, dtype=np.int16, top=900) for k in range(7)]
    for k, v in enumerate(values):
        where = [10, -3, 2] + 2.5 * k * normal
        dicom(tmp_path / "s" / f"{(3 * k) % 7}", v, position=where, orientation=orientation)  # no ending, other order
    [found] = decoded(tmp_path / "s")
    np.testing.assert_array_equal(found.planes, values)
    [some] = decoded(tmp_path / "s", slices=3)
    np.testing.assert_array_equal(some.planes, [values[k] for k in (1, 3, 5)])


def test_series_of_one_patient_are_apart(tmp_path: Path) -> None:
    need("pydicom")
    series(tmp_path / "a")
    series(tmp_path / "b", 3, series="1.2.9")
    dicom(tmp_path / "scout.dcm", plane(9), series="1.2.8", position=None)
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")  # a disc's table of contents is passed over
    assert sorted(len(p.planes) for p in decoded(tmp_path)) == [1, 3, 5]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "turn", [np.diag([1, 1, 1]), np.diag([-1, -1, 2]), np.array([[0, 0, -2], [1, 0, 0], [0, 3, 0]])]
)
def test_nifti_numbers_are_those_of_nibabel(tmp_path: Path, ending: str, turn: np.ndarray) -> None:
    need("nibabel")
    import nibabel

    affine = np.eye(4)
    affine[:3, :3] = turn
    path = nifti(tmp_path / f"v{ending}", plane(5, (7, 8, 9), 4000, np.int16), affine)
    expected = nibabel.as_closest_canonical(nibabel.load(path)).get_fdata()
    [found] = decoded(path)
    np.testing.assert_array_equal(found.planes, expected.transpose(2, 1, 0))
    [some] = decoded(path, slices=2)
    np.testing.assert_array_equal(some.planes, expected.transpose(2, 1, 0)[spread(expected.shape[2], 2)])


def test_nifti_slopes_are_applied(tmp_path: Path) -> None:
    need("nibabel")
    import nibabel

    values = np.random.default_rng(0).normal(size=(4, 5, 6))
    image = nibabel.Nifti2Image(values, np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "v.nii")
    [found] = decoded(tmp_path / "v.nii")
    expected = nibabel.load(tmp_path / "v.nii").get_fdata()
    np.testing.assert_allclose(found.planes, expected.transpose(2, 1, 0), rtol=1e-12)
    np.testing.assert_allclose(expected, values, atol=1e-3)


def test_pictures_keep_their_numbers(tmp_path: Path) -> None:
    need("tifffile")
    import tifffile

    for name, values, is_picture in (
        ("grey.png", plane(1), True),
        ("deep.png", plane(2, top=60000, dtype=np.uint16), False),
        ("colour.png", plane(3, (24, 20, 3)), True),
        ("packed.tif", plane(4), True),
    ):
        [found] = decoded(picture(tmp_path / name, values))
        np.testing.assert_array_equal(found.planes[0], values)
        assert found.picture is is_picture, name
    stack = plane(6, (5, 24, 20), 60000, np.uint16)
    tifffile.imwrite(tmp_path / "stack.tiff", stack, photometric="minisblack")
    [found] = decoded(tmp_path / "stack.tiff")
    np.testing.assert_array_equal(found.planes, stack)
    tifffile.imwrite(tmp_path / "colour.tiff", plane(3, (24, 20, 3)), photometric="rgb")
    assert decoded(tmp_path / "colour.tiff")[0].planes.shape == (1, 24, 20, 3)
    tifffile.imwrite(tmp_path / "white.tiff", plane(3), photometric="miniswhite")
    np.testing.assert_array_equal(decoded(tmp_path / "white.tiff")[0].planes[0], 255 - plane(3))


def test_jpeg_is_turned_as_the_camera_says(tmp_path: Path) -> None:
    from PIL import Image

    values = np.zeros((16, 32), dtype=np.uint8)
    values[:, 16:] = 250
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(values).save(tmp_path / "a.jpg", exif=exif)
    [found] = decoded(tmp_path / "a.jpg")
    np.testing.assert_allclose(found.planes[0], values[:, ::-1], atol=8)


def test_intensities_shown() -> None:
    x = np.array([[[-1000.0, 0, 40, 240, 3000]]])
    np.testing.assert_allclose(scaled(Pixels(x), Window(centre=40, width=400)), [[[0, 0.4, 0.5, 1, 1]]])
    np.testing.assert_allclose(scaled(Pixels(np.array([[[0, 51, 255]]], np.uint8), True), None), [[[0, 0.2, 1]]])
    wide = scaled(Pixels(np.arange(1000.0).reshape(1, 20, 50)), None)
    assert wide.min() == 0 and wide.max() == 1 and (wide == 0).sum() == 5
    assert (scaled(Pixels(np.full((1, 3, 3), 7.0)), None) == 0).all()
    assert np.isfinite(scaled(Pixels(np.array([[[np.nan, 1.0, 2.0]]])), None)).all()


# Whose they are


def test_one_picture_a_unit_is_a_table(tmp_path: Path) -> None:
    for k, i in enumerate(["003", "001", "stranger"]):
        picture(tmp_path / "scans" / f"{i}.png", plane(k))
    (tmp_path / "scans" / "notes.docx").write_text("x")
    r = reader(tmp_path, folder="scans", absent_reason="failed_qc")
    found = r.read()
    assert isinstance(found, Table)
    assert list(found.units) == ["001", "003"]
    assert found.values.dtype == np.float32
    assert list(r.why) == ["present", "failed_qc", "present"]
    assert r.unmatched == 1
    assert any("1 of 3 images are nobody's" in n for n in r.notes)
    assert any("1 file(s) of the folder are of no format" in n for n in r.notes)
    assert found.values[0, 0] == pytest.approx(plane(1).mean(), rel=1e-6)
    assert found.features.index[0] == "intensity mean"


def test_several_pictures_a_unit_are_a_bag(tmp_path: Path) -> None:
    for k, name in enumerate(["001_left", "001_right", "002_left"]):
        picture(tmp_path / "eyes" / f"{name}.png", plane(k))
    found = reader(tmp_path, folder="eyes", id_rule={"split": "_"}).read()
    assert isinstance(found, Bag)
    assert list(found.units) == ["001", "002"]
    assert list(found.offsets) == [0, 2, 3]
    np.testing.assert_allclose(found.values[:, 0], [plane(k).mean() for k in range(3)], rtol=1e-6)


def test_index_of_paths(tmp_path: Path) -> None:
    need("pydicom")
    series(tmp_path / "data" / "ct")
    picture(tmp_path / "data" / "a.png", plane(1))
    rows = pd.DataFrame({"eye": ["001", "002"], "where": ["ct", "a.png"]})
    rows.to_csv(tmp_path / "data" / "index.csv", index=False)
    found = reader(tmp_path, file="data/index.csv", id="eye", path="where", slices=4).read()
    assert list(np.diff(found.offsets)) == [4, 1]
    rows.to_parquet(tmp_path / "data" / "index.parquet")
    again = reader(tmp_path, file="data/index.parquet", id="eye", path="where", slices=4).read()
    np.testing.assert_array_equal(found.values, again.values)


def test_images_of_patients_go_to_all_their_units(tmp_path: Path) -> None:
    picture(tmp_path / "scans" / "p1.png", plane(1))
    units = pd.DataFrame({"patient": ["p1", "p2", "p1"]}, index=pd.Index(["a", "b", "c"], name="unit"))
    found = reader(tmp_path, units, folder="scans", of="patient").read()
    assert list(found.units) == ["a", "c"]
    np.testing.assert_array_equal(found.values[0], found.values[1])


def test_arrays(tmp_path: Path) -> None:
    x = plane(1, (4, 12, 12))
    np.savez(tmp_path / "x.npz", train=x[:3], test=x[3:], volumes=plane(2, (2, 5, 12, 12)), who=["001", "003"])
    ids = ["train/0", "train/2", "test/0"]
    found = reader(tmp_path, ids, npz="x.npz", arrays=["train", "test"]).read()
    assert isinstance(found, Table)
    np.testing.assert_allclose(found.values[:, 0], x[[0, 2, 3]].mean(axis=(1, 2)), rtol=1e-6)
    bag = reader(tmp_path, npz="x.npz", arrays=["volumes"], ids=["who"], slices=3).read()
    assert list(bag.units) == ["001", "003"]
    assert list(bag.offsets) == [0, 3, 6]


def test_new_units_come_in_the_shape_of_training(tmp_path: Path) -> None:
    for i in UNITS:
        picture(tmp_path / "scans" / f"{i}.png", plane(int(i)))
    table = reader(tmp_path, folder="scans").read()
    expected = table.features.copy()
    assert as_before(table, expected, "scan") is table
    expected.attrs["shape"] = "bag"
    bag = as_before(table, expected, "scan")
    assert isinstance(bag, Bag)
    assert list(bag.offsets) == [0, 1, 2, 3]
    expected.attrs["shape"] = "table"
    with pytest.raises(DataError, match="several images or slices"):
        as_before(bag, expected, "scan")
    with pytest.raises(DataError, match="gives 40 features, and the model was fitted to 39"):
        as_before(table, expected.iloc[1:], "scan")


def test_declaration() -> None:
    for wrong in ({}, {"folder": "a", "file": "b"}, {"folder": "a", "arrays": ["x"]}, {"npz": "a", "ids": ["x", "y"]}):
        with pytest.raises(ValueError, match=r"give exactly one|ids needs one|are for npz"):
            ImagesSource(shape="images", **wrong)


def test_a_burned_in_text_is_told_and_no_header_text_is_kept(tmp_path: Path) -> None:
    need("pydicom")
    dicom(tmp_path / "scans" / "001.dcm", plane(1), position=None, BurnedInAnnotation="YES")
    r = reader(tmp_path, folder="scans")
    found = r.read()
    assert any("burned into" in n for n in r.notes)
    kept = b"".join(p.read_bytes() for p in (tmp_path / ".cohortium_cache").rglob("*.npz"))
    for text in (SECRET, "Q-4711", "19600101", "1.2.3.4"):
        assert text.encode() not in kept
        assert text not in " ".join([*r.notes, *map(str, found.features.index)])


# Descriptors


def test_descriptors_tell_what_they_are_called() -> None:
    from cohortium.sources.images.descriptors import Descriptors

    d = Descriptors(None)
    y, x = np.mgrid[:64, :64]
    disc = np.where((y - 32) ** 2 + (x - 32) ** 2 < 15**2, 200, 20).astype(np.uint8)
    bar = np.where((abs(y - 32) < 3) & (abs(x - 20) < 18), 200, 20).astype(np.uint8)
    noise = plane(0, (64, 64))
    rows, names = d.encode([p for v in (disc, bar, noise, disc * 0) for p in d.shown(Pixels(v[None], True))])
    f = pd.DataFrame(rows, columns=names)
    assert f["shape largest area"][0] == pytest.approx(np.pi * 15**2 / 64**2, rel=0.02)
    assert f["shape eccentricity"][0] < 0.1 < 0.9 < f["shape eccentricity"][1]
    assert f["shape off centre"][0] < 0.02 < f["shape off centre"][1]
    assert f["texture contrast at 1"][2] > 10 * f["texture contrast at 1"][0]
    assert f["texture homogeneity at 1"][0] > f["texture homogeneity at 1"][2]
    assert f["intensity entropy"][2] > 4 > f["intensity entropy"][0]
    assert np.isnan(f["shape solidity"][3]) and f["intensity sd"][3] == 0
    assert f.iloc[:3].notna().all(axis=None)
    even = np.tile(np.array([150, 80, 140], np.uint8), (1, 50, 50, 1))  # whose luminance differs by rounding
    rows, _ = d.encode(d.shown(Pixels(even, picture=True)))
    assert np.isnan(rows[0][names.index("shape solidity")]) and rows[0][names.index("colour saturation mean")] > 0.4


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_whole_numbers_are_shown_as_their_percentiles_say(dtype: Any) -> None:
    """Counted where few values may be; against NumPy."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 4000):
        top = {np.uint8: 255, np.int16: 30_000, np.uint16: 65_000, np.int32: 10**6, np.uint32: 4 * 10**9}[dtype]
        x = rng.integers(0 if np.dtype(dtype).kind == "u" else -top, top, (1, 1, n)).astype(dtype)
        low, high = np.percentile(x, (0.5, 99.5))
        if low < high:
            np.testing.assert_allclose(limits(Pixels(x), None), (low, high), rtol=1e-12)
