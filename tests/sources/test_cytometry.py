"""FCS files: values against FlowIO and by hand, channels, compensation, which events are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flowio
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from cohortium.cohort import Bag, read_stored_cohort, write_cohort
from cohortium.errors import DataError
from cohortium.schema.cytometry import CytometrySource
from cohortium.sources.cytometry import channels, fcs
from tests.sources import fcs_files as files


def bag_of(folder: Path, **source: Any) -> Bag:
    found = files.read(folder, **source).cohort.modalities["flow"]
    assert isinstance(found, Bag)
    return found


STORED: dict[str, dict[str, Any]] = {
    "3.1": {},
    "3.0, big-endian": {"version": "3.0", "order": ">"},
    "2.0": {"version": "2.0"},
    "as large files are": {"large": True},
    "double": {"kind": "D", "bits": 64},
    "16 bits": {"kind": "I", "bits": 16, "ranges": 65536},
    "10 of 16 bits": {"kind": "I", "bits": 16, "ranges": 1024, "version": "2.0", "order": ">"},
    "32 bits": {"kind": "I", "bits": 32, "ranges": 262144, "order": ">"},
    "mixed widths": {"kind": "I", "bits": [32, 16, 16, 8, 8, 32, 16, 32], "ranges": [65536] * 3 + [256] * 2 + [65536] * 3},
    "logarithmic": {
        "kind": "I", "bits": 16, "ranges": 1024,
        "keywords": {"$P4E": "4,0", "$P6E": "4.5,0.1", "$P6G": "2", "$P7G": "8", "$P8G": "0.01"},
    },
    "time steps": {"keywords": {"$TIMESTEP": "0.01"}},
    "delimiter |": {"delimiter": "|", "markers": ("", "", "", "CD3/TCR", "CD3/TCR", "CD4", "CD8", "")},
    "delimiter form feed": {"delimiter": "\x0c"},
    "delimiter \\": {"delimiter": "\\"},
}  # fmt: skip


@pytest.mark.parametrize("how", STORED)
def test_values_are_those_that_flowio_reads(tmp_path: Path, how: str) -> None:
    given = STORED[how]
    whole = given.get("kind") == "I"
    rng = np.random.default_rng(1)
    bits = given.get("bits", 32)
    widths = np.array([bits] * 8 if isinstance(bits, int) else bits)
    # Bits above the range are noise that readers must take off.
    x = (rng.random((300, 8)) * 2.0**widths).astype(np.uint64) if whole else files.sample(rng, 300)
    path = tmp_path / "a.fcs"
    files.write_fcs(path, x, **given)
    file = fcs.read_header(path, "a.fcs")
    other = flowio.FlowData(path, ignore_offset_discrepancy=True)
    np.testing.assert_allclose(file.values(np.arange(300)), other.as_array(preprocess=True), rtol=1e-12)
    at = np.array([299, 7, 7, 120])
    np.testing.assert_array_equal(file.values(at), file.values(np.arange(300))[at])
    assert list(file.detectors) == other.pnn_labels and list(file.markers) == other.pns_labels
    if not whole:
        stored = x.astype(np.float32 if bits == 32 else float)[:, :7]
        np.testing.assert_allclose(file.values(np.arange(300))[:, :7], stored, rtol=1e-12)


@pytest.mark.parametrize("order", ["<", ">"])
def test_whole_numbers_of_three_bytes(tmp_path: Path, order: str) -> None:
    """Cytek's older instruments store them; FlowIO does not read them."""
    x = np.array([[1, 1024, 70_000, 2**24 - 1] * 2, [2**20 + 7, 5, 2**16, 300] * 2])
    files.write_fcs(tmp_path / "wide.fcs", x, kind="I", bits=32, ranges=2**24, order=order)
    raw = (tmp_path / "wide.fcs").read_bytes()
    text = raw[: -x.size * 4].replace(b"B/32/", b"B/24/").replace(b"$ENDDATA/", b"$ENDDATB/")
    stored = raw[-x.size * 4 :]
    keep = [k for k in range(len(stored)) if k % 4 != (3 if order == "<" else 0)]
    (tmp_path / "a.fcs").write_bytes(text[:34] + b"       0" + text[42:] + bytes(stored[k] for k in keep))
    np.testing.assert_array_equal(fcs.read_header(tmp_path / "a.fcs", "a").values(np.arange(2)), x)


def test_amplification_by_hand(tmp_path: Path) -> None:
    """Four decades over 1,024 channels: channel 512 is a hundred times channel 0 (FCS 3.1, 3.2.20)."""
    x = np.tile(np.array([[0], [512], [1023]]), (1, 8))
    files.write_fcs(tmp_path / "a.fcs", x, kind="I", bits=16, ranges=1024, keywords={"$P4E": "4,1", "$P5G": "4"})
    got = fcs.read_header(tmp_path / "a.fcs", "a").values(np.arange(3))
    np.testing.assert_allclose(got[:, 3], [1, 100, 10 ** (4 * 1023 / 1024)])
    np.testing.assert_allclose(got[:, 4], [0, 128, 1023 / 4])


def test_markers_become_features_and_all_events_are_used(tmp_path: Path) -> None:
    written = files.write_folder(tmp_path)
    result = files.read(tmp_path)
    bag = result.cohort.modalities["flow"]
    assert isinstance(bag, Bag)
    assert list(bag.features.index) == ["CD3", "CD4", "CD8"], "no time, no scatter, no height beside the area"
    assert set(bag.features["unit"]) == {"arcsinh(x / 150)"}
    for i, x in enumerate(written):
        mine = bag.values[bag.offsets[i] : bag.offsets[i + 1]]
        np.testing.assert_allclose(mine, np.arcsinh(x[:, [3, 5, 6]] / 150), rtol=1e-5)
    assert list(bag.counts) == [400] * 6  # type: ignore[call-overload]
    assert result.transforms == {"flow": "arcsinh(x / 150)"}
    assert any(n.startswith("2,400 events of 6 unit(s), 3 channels") for n in result.notes["flow"])
    table = bag.as_table()
    assert list(table.features.index[:3]) == ["instances (log)", "CD3 mean", "CD4 mean"]
    np.testing.assert_allclose(table.values[:, 0], np.log1p(400))


def test_of_many_events_some_are_used_and_all_are_counted(tmp_path: Path) -> None:
    written = files.write_folder(tmp_path, events=1001)
    bag = bag_of(tmp_path, events=100)
    assert list(bag.sizes) == [100] * 6 and list(bag.counts) == [1001] * 6  # type: ignore[call-overload]
    at = ((np.arange(100) + 0.5) * 10.01).astype(int)
    np.testing.assert_allclose(bag.values[:100], np.arcsinh(written[0][at][:, [3, 5, 6]] / 150), rtol=1e-5)
    np.testing.assert_allclose(bag.as_table().values[:, 0], np.log1p(1001))
    whole = bag_of(tmp_path, events=5000).as_table()
    part = bag_of(tmp_path, events=500).as_table()
    spread = whole.values[:, 4:7]
    assert (np.abs(whole.values[:, 1:4] - part.values[:, 1:4]) < 4 * spread / np.sqrt(500)).all()


def test_several_files_of_a_patient(tmp_path: Path) -> None:
    """Tubes with other markers: what was not stained in a tube is unknown there and known from the other."""
    files.write_folder(tmp_path, n=3)
    rng = np.random.default_rng(5)
    for i in (0, 1):
        (tmp_path / "fcs" / f"p{i:02d}").mkdir()
        (tmp_path / "fcs" / f"p{i:02d}.fcs").rename(tmp_path / "fcs" / f"p{i:02d}" / "one.fcs")
        second = files.sample(rng, 600)
        names = ("", "", "", "CD3", "CD3", "CD19", "cd8", "")
        files.write_fcs(tmp_path / "fcs" / f"p{i:02d}" / "two.FCS", second, markers=names)
    (tmp_path / "fcs" / "panel.txt").write_text("CD3, CD4")
    result = files.read(tmp_path, events=500)
    bag = result.cohort.modalities["flow"]
    assert isinstance(bag, Bag)
    assert list(bag.features.index) == ["CD3", "CD4", "CD8", "CD19"]
    assert list(bag.counts) == [1000, 1000, 400] and list(bag.sizes) == [500, 500, 400]  # type: ignore[call-overload]
    first = bag.values[: bag.offsets[1]]
    assert list(np.isnan(first).sum(axis=0)) == [0, 300, 0, 200], "in proportion to the events of the files"
    table = bag.as_table()
    assert np.isfinite(table.values[:2]).all()
    columns = list(table.features.index)
    assert np.isnan(table.values[2, [k for k, c in enumerate(columns) if c.startswith("CD19 ")]]).all()
    notes = result.notes["flow"]
    assert any("not all of 5 files have are unknown in the others: CD4 (3), CD19 (2)" in n for n in notes)
    assert "1 entries of the folder are no FCS files, and were passed over" in notes


def test_an_index_of_files(tmp_path: Path) -> None:
    files.write_folder(tmp_path, n=4)
    expected = bag_of(tmp_path)
    rows = [{"who": f"X-p{i:02d}", "fcs": f"fcs/p{i:02d}.fcs", "age": 3} for i in (2, 0, 3, 1)]
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    source = {"file": "index.csv", "id": "who", "path": "fcs", "id_rule": {"split": "-", "part": 1}}
    got = bag_of(tmp_path, **source)
    np.testing.assert_array_equal(got.values, expected.values)
    (tmp_path / "more").mkdir()
    for i in (0, 1):
        (tmp_path / "fcs" / f"p{i:02d}.fcs").rename(tmp_path / "more" / f"{i}.fcs")
    pd.DataFrame([{"who": "p05", "fcs": "fcs"}, {"who": "p00", "fcs": "more"}]).to_csv(
        tmp_path / "index.csv", index=False
    )
    few = files.read(tmp_path, file="index.csv", id="who", path="fcs")
    assert list(few.cohort.modalities["flow"].units) == ["p00"] and few.unmatched["flow"] == 2


def test_files_of_patients_go_to_all_their_units(tmp_path: Path) -> None:
    files.write_folder(tmp_path, n=3)
    frame = pd.DataFrame({"id": ["a", "b", "c", "d"], "who": ["p02", "p00", "p02", "p09"]})
    frame.to_csv(tmp_path / "units.csv", index=False)
    found = files.read(tmp_path, patient="who")
    bag = found.cohort.modalities["flow"]
    assert isinstance(bag, Bag) and list(bag.units) == ["a", "b", "c"]
    np.testing.assert_array_equal(bag.values[bag.offsets[0] : bag.offsets[1]], bag.values[bag.offsets[2] :])
    assert found.cohort.absent["flow"]["d"] == "not_measured" and found.unmatched["flow"] == 1
    with pytest.raises(DataError, match=r"'fcs': no file of modality 'flow' belongs to the cohort. Ids have 3 charac"):
        files.read(tmp_path, patient="who", of="unit")


def test_channels_by_marker_or_detector(tmp_path: Path) -> None:
    written = files.write_folder(tmp_path)
    bag = bag_of(tmp_path, channels=["cd8", "FSC-A", "FITC-H", "CD3", "Time"])
    assert list(bag.features.index) == ["cd8", "FSC-A", "FITC-H", "CD3", "Time"]
    np.testing.assert_allclose(bag.values[:400], np.arcsinh(written[0][:, [6, 0, 4, 3, 7]] / 150), rtol=1e-5)
    assert list(bag_of(tmp_path, exclude=["PE-A", "cd3"]).features.index) == ["CD8"]


def test_mass_cytometers_are_known_by_their_isotopes(tmp_path: Path) -> None:
    detectors = ("Time", "Event_length", "Y89Di", "Nd142Di", "Sm147Di", "Ir191Di", "Center", "Offset")
    markers = ("", "", "89Y_CD45", "142Nd_CD19", "147Sm_CD20", "", "", "")
    written = files.write_folder(tmp_path, detectors=detectors, markers=markers)
    bag = bag_of(tmp_path)
    assert list(bag.features.index) == ["89Y_CD45", "142Nd_CD19", "147Sm_CD20", "Ir191Di"]
    np.testing.assert_allclose(bag.values[:400], np.arcsinh(written[0][:, 2:6] / 5), rtol=1e-5)
    assert set(bag_of(tmp_path, cofactor=7.5).features["unit"]) == {"arcsinh(x / 7.5)"}
    files.write_fcs(tmp_path / "fcs" / "p00.fcs", written[0])
    with pytest.raises(DataError, match=r"'fcs': 5 of 6 files are of a mass cytometer .* the others are not"):
        files.read(tmp_path)


SPILL = np.array([[1, 0.12, 0.01], [0.3, 1, 0.05], [0.002, 0.08, 1]])


@pytest.mark.parametrize("keyword", ["$SPILLOVER", "$SPILL", "SPILL"])
def test_spillover_is_taken_out(tmp_path: Path, keyword: str) -> None:
    rng = np.random.default_rng(3)
    true = files.sample(rng, 400)
    seen = true.copy()
    order = [6, 3, 5]  # the matrix has an order of its own
    seen[:, order] = true[:, order] @ SPILL
    text = {keyword: files.spillover(["APC-A", "FITC-A", "PE-A"], SPILL)}
    files.write_folder(tmp_path, keywords=text)
    files.write_fcs(tmp_path / "fcs" / "p00.fcs", seen, kind="D", bits=64, keywords=text)
    result = files.read(tmp_path)
    bag = result.cohort.modalities["flow"]
    assert isinstance(bag, Bag)
    np.testing.assert_allclose(bag.values[:400], np.arcsinh(true[:, [3, 5, 6]] / 150), atol=2e-5)
    assert "6 of 6 files are compensated by their own spillover matrices" in result.notes["flow"]
    assert result.transforms["flow"] == "arcsinh(x / 150) of compensated values"
    plain = bag_of(tmp_path, compensate=False)
    np.testing.assert_allclose(plain.values[:400], np.arcsinh(seen[:, [3, 5, 6]] / 150), atol=2e-5)


def test_what_is_compensated_already_is_left_alone(tmp_path: Path) -> None:
    names = [n if n in ("FSC-A", "FSC-H", "SSC-A", "Time") else f"Comp-{n}" for n in files.DETECTORS]
    text = {"$SPILLOVER": files.spillover(["FITC-A", "PE-A"], SPILL[:2, :2])}
    files.write_folder(tmp_path, detectors=names, keywords=text)
    other = tmp_path / "other"
    files.write_folder(other, keywords={"$SPILLOVER": files.spillover(["FITC-A", "PE-A"], np.eye(2))})
    for folder in (tmp_path, other):
        assert channels.compensation(fcs.read_header(folder / "fcs" / "p00.fcs", "")) is None
        assert any("no file has a spillover matrix" in n for n in files.read(folder).notes["flow"])


def test_too_few_events_and_none_at_all(tmp_path: Path) -> None:
    files.write_folder(tmp_path, n=4)
    files.write_fcs(tmp_path / "fcs" / "p01.fcs", np.zeros((0, 8)))
    files.write_fcs(tmp_path / "fcs" / "p02.fcs", np.ones((99, 8)))
    found = files.read(tmp_path)
    assert list(found.cohort.absent["flow"]) == ["present", "failed_qc", "failed_qc", "present"]
    assert "2 unit(s) with fewer than 100 events lack the modality" in found.notes["flow"]
    assert list(bag_of(tmp_path, min_events=99).sizes) == [400, 99, 400]
    with pytest.raises(DataError, match=r"'fcs': nobody of modality 'flow' has 500 events; the most is 400"):
        files.read(tmp_path, min_events=500)


def test_values_that_are_no_numbers_are_unknown(tmp_path: Path) -> None:
    (x, *_) = files.write_folder(tmp_path)
    x[3, 5], x[8, 6], x[9, 6] = np.nan, np.inf, 3e38
    files.write_fcs(tmp_path / "fcs" / "p00.fcs", x)
    found = files.read(tmp_path)
    bag = found.cohort.modalities["flow"]
    assert isinstance(bag, Bag)
    assert int(np.isnan(bag.values).sum()) == 2 and np.isfinite(bag.as_table().values).all()
    assert "2 values are no finite numbers, and stand as unknown" in found.notes["flow"]


def test_new_files_are_brought_to_the_channels_of_the_model(tmp_path: Path) -> None:
    files.write_folder(tmp_path)
    fitted = bag_of(tmp_path)
    other = ("", "", "", "CD8", "", "CD3 ", "CD45", "")
    written = files.write_folder(tmp_path / "new", markers=other)
    new = files.read(tmp_path / "new", expected=fitted.features).cohort.modalities["flow"]
    assert isinstance(new, Bag) and list(new.features.index) == ["CD3", "CD4", "CD8"]
    np.testing.assert_allclose(new.values[:400, [0, 2]], np.arcsinh(written[0][:, [5, 3]] / 150), rtol=1e-5)
    assert np.isnan(new.values[:, 1]).all() and np.isnan(new.as_table().values[:, 2]).all()
    files.write_folder(tmp_path / "new", markers=("", "", "", "a", "b", "c", "d", ""))
    with pytest.raises(DataError, match=r"'fcs': no file of modality 'flow' has the channel 'CD3'"):
        files.read(tmp_path / "new", expected=fitted.features)
    files.write_folder(tmp_path / "new", events=50)
    few = files.read(tmp_path / "new", expected=fitted.features).cohort
    assert len(few.modalities["flow"].units) == 0 and set(few.absent["flow"]) == {"failed_qc"}
    mass = ("FSC-A", "FSC-H", "SSC-A", "Nd142Di", "x", "Sm147Di", "Sm148Di", "Time")
    files.write_folder(tmp_path / "new", detectors=mass, markers=("", "", "", "CD3", "", "CD4", "CD8", ""))
    with pytest.raises(DataError, match=r"read as arcsinh\(x / 5\), and the model was fitted to arcsinh\(x / 150\)"):
        files.read(tmp_path / "new", expected=fitted.features)


def test_taken_and_stored_events_are_the_same(tmp_path: Path) -> None:
    files.write_folder(tmp_path, events=900)
    cohort = files.read(tmp_path, events=300).cohort
    bag = cohort.modalities["flow"]
    part = bag.take(np.array([4, 1]))
    assert isinstance(bag, Bag) and isinstance(part, Bag)
    np.testing.assert_array_equal(part.as_table().values, bag.as_table().values[[4, 1]])
    assert part.values.base is None, "no other unit's events are reachable"
    write_cohort(cohort, tmp_path / "stored")
    again = read_stored_cohort(tmp_path / "stored").modalities["flow"]
    for (name, x), (_, y) in zip(bag.arrays(), again.arrays(), strict=True):
        np.testing.assert_array_equal(x, y, err_msg=name)
    with pytest.raises(ValueError, match="smaller than the sample"):
        Bag(bag.units, bag.values, bag.offsets, bag.features, np.full(6, 299))


def test_a_million_events_are_mapped_and_not_loaded(tmp_path: Path) -> None:
    import tracemalloc

    n = 300_000
    files.write_folder(tmp_path, n=1)
    files.write_fcs(tmp_path / "fcs" / "p00.fcs", np.tile(np.arange(8.0), (n, 1)))
    tracemalloc.start()
    bag = bag_of(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * 8 * 4 / 3 and list(bag.counts) == [n] and bag.sizes[0] == 2000  # type: ignore[call-overload]


def test_declarations_that_do_not_fit() -> None:
    for wrong, message in (
        ({}, "either folder"),
        ({"folder": "fcs", "file": "index.csv"}, "either folder"),
        ({"folder": "fcs", "id": "who"}, "columns of file"),
        ({"folder": "fcs", "channels": []}, "channels to use"),
        ({"folder": "fcs", "channels": ["CD3"], "exclude": ["CD4"]}, "channels to use"),
        ({"folder": "fcs", "cofactor": 0}, "greater than 0"),
    ):
        with pytest.raises(ValidationError, match=message):
            CytometrySource(shape="cytometry", **wrong)  # type: ignore[arg-type]
    assert CytometrySource(shape="cytometry", folder="fcs").paths == ["fcs"]
