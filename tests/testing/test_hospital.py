"""The simulated hospital: its files are what they claim to be, and its truth is what it says."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from cohortium.schema.declare import UnitsSource
from cohortium.schema.shapes import EventsSource
from cohortium.sources import IndexTime, read_cohort
from cohortium.testing.hospital import EFFECTS, draw_people, write_hospital
from cohortium.testing.hospital.folder import auc
from cohortium.testing.hospital.people import FAMILIES
from cohortium.testing.hospital.records import DEATHBED

PLAIN = ("rna", "protein", "variants", "cells", "tiles", "records", "notes")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    return write_hospital(tmp_path_factory.mktemp("h") / "hospital", 60, 3, only=PLAIN)


def test_effects_are_as_large_as_they_should_be():
    people = draw_people(200_000, np.random.default_rng(0))
    relapse = (people.table["relapse"] == "yes").to_numpy()
    assert 0.78 < auc(relapse, people.logit) <= 0.85
    for family, members in FAMILIES.items():
        own = sum(EFFECTS[m] * people.driver[m] for m in members if m in EFFECTS)
        assert 0.60 <= auc(relapse, own) <= 0.68, family
    assert abs(auc(relapse, people.driver["protein"]) - 0.5) < 0.01
    sick = people.logit > 1
    assert people.present["cells"][sick].mean() < people.present["cells"][~sick].mean() - 0.05
    assert not people.present["ct"][(people.table["site"] == "west").to_numpy()].any()


@pytest.mark.parametrize(("kind", "folder"), [("meds", "meds"), ("omop", "omop"), ("fhir", "fhir")])
def test_records_are_the_same_in_every_format_and_end_at_the_index_time(hospital, kind, folder):
    frames = {}
    for k in ("meds", kind):
        source = EventsSource(shape="events", format=k, folder=k)
        read = read_cohort(
            UnitsSource(file="patients.csv", id="patient_id"),
            {"records": source},
            hospital,
            index=IndexTime("index_time"),
        )
        frames[k] = read.cohort.modalities["records"].frame()
    pd.testing.assert_frame_equal(
        frames["meds"].assign(numeric_value=frames["meds"]["numeric_value"].round(2)),
        frames[kind].assign(numeric_value=frames[kind]["numeric_value"].round(2)),
    )
    assert not frames[kind]["code"].str.contains(DEATHBED).any(), "this code stands after the index time only"
    stored = pd.read_parquet(hospital / "meds" / "data" / "0.parquet")
    assert stored["code"].str.contains(DEATHBED).any()


def test_files_are_what_other_tools_expect(hospital):
    import anndata
    from PIL import Image

    cells = anndata.read_h5ad(hospital / "cells.h5ad")
    assert {"patient_id", "cell_type"} <= set(cells.obs.columns)
    assert (cells.X.data >= 0).all()
    lines = gzip.decompress((hospital / "variants.vcf.gz").read_bytes()).decode().splitlines()
    header = next(line for line in lines if line.startswith("#CHROM")).split("\t")
    body = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == len(header) for row in body)
    places = [(int(r[0]), int(r[1])) for r in body]
    assert places == sorted(places)
    picture = next((hospital / "tiles").rglob("*.png"))
    assert Image.open(picture).size == (64, 64)
    truth = json.loads((hospital / "truth.json").read_text())
    assert truth["best_auc"] <= 1
    assert set(truth["modalities"]) == set(PLAIN)


def test_ct_series_are_read_by_pydicom(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    folder = write_hospital(tmp_path / "h", 40, 1, only=("ct",))
    sets = [pydicom.dcmread(f) for f in sorted(folder.rglob("*.dcm"))]
    assert {d.BitsStored for d in sets} == {12, 16}
    assert len({tuple(d.ImageOrientationPatient) for d in sets}) == 2
    assert any(d.file_meta.TransferSyntaxUID.is_compressed for d in sets)
    for d in sets[:8]:
        units = d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)
        assert -1024 <= units.min() < -500 < 0 < units.max() < 3000


def test_the_same_seed_gives_the_same_hospital(tmp_path):
    a, b = (write_hospital(tmp_path / n, 40, 5, only=("rna", "notes", "tiles")) for n in "ab")
    names = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(b) for p in b.rglob("*") if p.is_file())
    assert all((a / n).read_bytes() == (b / n).read_bytes() for n in names)
    other = write_hospital(tmp_path / "c", 40, 5, only=("notes",))
    assert (other / "notes.csv").read_bytes() == (a / "notes.csv").read_bytes(), "one modality does not change another"


def test_nothing_is_overwritten_and_nothing_left_half_written(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_hospital(tmp_path / "full", 40)
    from cohortium.testing.hospital import folder as module

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setitem(module.WRITERS, "notes", broken)
    with pytest.raises(OSError, match="disk full"):
        write_hospital(tmp_path / "new", 40, only=("rna", "notes"))
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_a_place_that_cannot_be_written_is_the_users_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_hospital(tmp_path / "file" / "new", 40, only=("rna",))
