"""Whole-slide images: where the tissue is, at which size it is cut, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohortium.cohort import Bag
from cohortium.errors import DataError
from cohortium.schema.images import Tiles
from cohortium.sources.images.listing import File
from cohortium.sources.images.slides import read_slide
from tests.sources.image_files import need, reader


@pytest.fixture(autouse=True)
def _packages() -> None:
    need("openslide", "tifffile", "skimage")


def slide(path: Path, *, mpp: float | None = 0.5, tissue: bool = True) -> Path:
    """2,000 × 1,500 pixels of glass, tissue in a known rectangle; a second level four times smaller."""
    import tifffile

    x = np.full((1500, 2000, 3), 240, np.uint8)
    x += np.random.default_rng(0).integers(0, 9, x.shape[:2], dtype=np.uint8)[..., None]
    if tissue:
        x[250:950, 400:1350] = [150, 80, 140]
        x[250:950, 400:900, 1] = 60
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as w:
        for step, more in ((1, {}), (4, {"subfiletype": 1})):
            place: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib", **more}
            if mpp is not None:
                place |= {"resolution": (10_000 / mpp / step,) * 2, "resolutionunit": "CENTIMETER"}
            w.write(x[::step, ::step], **place)
    return path


def tiles_of(path: Path, **tiles: Any) -> np.ndarray:
    return read_slide(File(path, "here", ".tif"), Tiles(**tiles)).planes


def test_tiles_are_of_the_tissue_and_of_the_asked_size(tmp_path: Path) -> None:
    path = slide(tmp_path / "a.tif")
    at10 = tiles_of(path, magnification=10, size=50, tissue=0.99)  # 100 pixels of the slide
    assert at10.shape[1:] == (50, 50, 3)
    # Whole cells of a grid of 100 in rows 300 to 900 and columns 400 to 1,300: 6 × 9.
    assert len(at10) == 54
    np.testing.assert_allclose(at10[..., 0], 150, atol=2)
    at20 = tiles_of(path, magnification=20, size=50, most=10_000, tissue=0.9)  # one to one
    assert len(at20) == 14 * 19
    assert set(np.unique(at20[..., 1])) == {60, 80}
    coarse = tiles_of(path, magnification=2.5, size=32, most=10_000, tissue=0.9)
    assert coarse.shape[1:] == (32, 32, 3)
    np.testing.assert_allclose(coarse[:, 8:24, 8:24, 0], 150, atol=3)


def test_fewer_tiles_are_spread(tmp_path: Path) -> None:
    path = slide(tmp_path / "a.tif")
    every = tiles_of(path, size=50, most=10_000)
    some = tiles_of(path, size=50, most=5)
    np.testing.assert_array_equal(some, every[((np.arange(5) + 0.5) * len(every) / 5).astype(int)])


def test_slides_make_a_bag(tmp_path: Path) -> None:
    slide(tmp_path / "slides" / "001.tif")
    slide(tmp_path / "slides" / "002.tif", mpp=1.0)
    source: dict[str, Any] = {"folder": "slides", "tiles": {"size": 50, "most": 9}}
    found = reader(tmp_path, **source).read()
    assert isinstance(found, Bag)
    assert list(found.offsets) == [0, 9, 18]
    np.testing.assert_array_equal(reader(tmp_path, **source).read().values, found.values)
    other = reader(tmp_path, folder="slides", tiles={"size": 50, "most": 4}).read()
    assert list(other.offsets) == [0, 4, 8]


def test_slides_that_are_refused(tmp_path: Path) -> None:
    path = slide(tmp_path / "slides" / "001.tif")
    source: dict[str, Any] = {"folder": "slides", "tiles": {}}
    with pytest.raises(DataError, match="scanned at 20x, and tiles ask for 40x"):
        reader(tmp_path, folder="slides", tiles={"magnification": 40}).read()
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(
        DataError, match=r"folder 'slides', entry 1 of 1 by name \(.tif\) is truncated or no whole-slide"
    ):
        reader(tmp_path, **source).read()
    path.write_text("no slide")
    with pytest.raises(DataError, match="truncated or no whole-slide"):
        reader(tmp_path, **source).read()
    slide(path, tissue=False)
    with pytest.raises(DataError, match="no tile of 448 pixels holds enough tissue"):
        reader(tmp_path, **source).read()
    slide(path, mpp=None)
    with pytest.raises(DataError, match="does not say how large its pixels are"):
        reader(tmp_path, **source).read()
    path.rename(path.with_suffix(".svs"))
    with pytest.raises(DataError, match=r"is a whole-slide image. Say how it is cut: tiles: \{magnification: 10\}"):
        reader(tmp_path, folder="slides").read()


def test_the_overview_shows_where_each_tile_was_cut(tmp_path: Path) -> None:
    slide(tmp_path / "slides" / "001.tif")
    (seen,) = reader(tmp_path, folder="slides", tiles={"size": 50, "most": 20, "tissue": 0.99}).show()
    assert seen.overview is not None and seen.boxes is not None and len(seen.boxes) == len(seen.planes) == 20
    h, w = seen.overview.shape[:2]
    assert max(h, w) == 900 and (seen.boxes >= 0).all() and (seen.boxes[:, :2] + seen.boxes[:, 2:] <= 1).all()
    for plane, (x, y, wide, high) in zip(seen.planes, seen.boxes, strict=True):
        there = seen.overview[
            round(y * h) + 2 : round((y + high) * h) - 2, round(x * w) + 2 : round((x + wide) * w) - 2
        ]
        np.testing.assert_allclose(there.mean(axis=(0, 1)), plane.mean(axis=(0, 1)), atol=3)
