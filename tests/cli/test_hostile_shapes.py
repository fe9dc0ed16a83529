"""A hostile file of each kind in a study: exit code 2, one sentence that names it, nothing half-read and nothing written."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Call
from tests.sources import cell_files, variant_files
from tests.sources.image_files import dicom, need, nifti, picture, plane, series

IDS = ["77001", "77002", "77003", "77004"]
SECRETS = (*IDS, "Zebra", "Q-4711", "19600101", "Jane Doe")

EVENTS = "records: {shape: events, "
TABLES = EVENTS + "tables: [{file: e.csv, id: id, time: time, code: [code]}]}"
NOTES = "notes: {shape: texts, file: n.csv, id: id, columns: [text]}"
LETTERS = "notes: {shape: texts, folder: letters}"
SCANS = "ct: {shape: images, folder: scans, encoder: descriptors}"
CELLS = "cells: {shape: cells, file: cells.h5ad, id: patient, cell_type: cell_type}"


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def cut_bundle(folder: Path) -> None:
    entry = {
        "resource": {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/77001"},
            "recordedDate": "2024-01-01",
        }
    }
    (folder / "b.json").write_text(json.dumps({"resourceType": "Bundle", "entry": [entry] * 9})[:-30])


def cut_meds(folder: Path) -> None:
    frame = pd.DataFrame({"subject_id": IDS, "time": pd.Timestamp("2024-01-01"), "code": "c", "numeric_value": 1.0})
    frame.to_parquet(folder / "m.parquet")
    raw = (folder / "m.parquet").read_bytes()
    text("m/0.parquet", raw[: len(raw) // 2])(folder)
    (folder / "m.parquet").unlink()


def missing_slice(folder: Path) -> None:
    series(folder / "scans" / "77001", 9)[4].unlink()


def mixed_orientation(folder: Path) -> None:
    series(folder / "scans" / "77001")
    dicom(folder / "scans" / "77001" / "x.dcm", plane(1), orientation=[1, 0, 0, 0, 0, -1], position=(0, 0, 50))


def instance_twice(folder: Path) -> None:
    first = series(folder / "scans" / "77001")[0]
    (folder / "scans" / "77001" / "copy.dcm").write_bytes(first.read_bytes())


def cut_volume(folder: Path) -> None:
    path = nifti(folder / "scans" / "77001.nii.gz", plane(1, (16, 16, 16), 4000, np.int16))
    path.write_bytes(path.read_bytes()[:400])


def link_out(folder: Path) -> None:
    picture(folder.parent / "elsewhere.png", plane(1))
    picture(folder / "scans" / "77002.png", plane(1))
    (folder / "scans" / "77001.png").symlink_to(folder.parent / "elsewhere.png")


def letter_out(folder: Path) -> None:
    (folder.parent / "elsewhere.txt").write_text("Jane Doe")
    (folder / "letters").mkdir()
    (folder / "letters" / "77001.txt").symlink_to(folder.parent / "elsewhere.txt")


def cut_cells(folder: Path) -> None:
    cell_files.write(folder, cell_files.simulated())
    raw = (folder / "cells.h5ad").read_bytes()
    (folder / "cells.h5ad").write_bytes(raw[: len(raw) // 2])


def array_bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as z:
        head = {"descr": "<f8", "fortran_order": False, "shape": (4, 10**12)}
        with z.open("X.npy", "w") as f:
            np.lib.format.write_array_header_1_0(f, head)


def cut_genotypes(folder: Path) -> None:
    variant_files.plink(folder, [[0, 1, 2, -1]] * 9, IDS, [("1", 10 * k + 5, "T", "C") for k in range(9)])
    (folder / "g.bed").write_bytes((folder / "g.bed").read_bytes()[:-2])


VCF = variant_files.vcf(IDS, ["1 10 . C T . . . GT 0/1 1/1 0/0 ./.", "1 11 . C T . . . GT 0/9 1/1 0/0 ./."])

CASES: dict[str, tuple[str, Callable[[Path], None], tuple[str, ...]]] = {
    "events: packed and cut off": (
        TABLES.replace("e.csv", "e.csv.gz"),
        text("e.csv.gz", gzip.compress(b"id,time,code\n" + b"77001,2024-01-01,c\n" * 5000)[:-30]),
        ("e.csv.gz", "truncated"),
    ),
    "events: an impossible date": (TABLES, text("e.csv", "id,time,code\n77001,2024-02-30,c\n"), ("e.csv, row 2", "column 'time'")),
    "events: no header": (TABLES, text("e.csv", "77001,2024-02-03,Jane Doe\n"), ("e.csv", "has the file a header")),
    "events: no file": (TABLES, lambda f: None, ("e.csv", "No file")),
    "FHIR: cut off": (EVENTS + "format: fhir, folder: b.json}", cut_bundle, ("b.json", "no JSON")),
    "FHIR: another type": (EVENTS + "format: fhir, folder: b.json}", text("b.json", b"\xff\xd8\xff"), ("b.json", "UTF-8")),
    "MEDS: cut off": (EVENTS + "format: meds, folder: m}", cut_meds, ("0.parquet", "cannot be read")),
    "OMOP: a column gone": (
        EVENTS + "format: omop, folder: o}",
        text("o/measurement.csv", "person_id,measurement_concept_id\n77001,3\n"),
        ("measurement.csv", "measurement_date"),
    ),
    "notes: NUL bytes": (NOTES, text("n.csv", b"id,text\n77001,a\n77002,Jane\0Doe\n"), ("n.csv, line 3", "NUL")),
    "notes: a link out of the folder": (LETTERS, letter_out, ("letters", "file 1 of 1", "link out of the folder")),
    "VCF: an unknown allele": ("dna: {shape: variants, file: v.vcf, level: variant}", text("v.vcf", VCF), ("v.vcf, line 8, column 10",)),
    "VCF: another type": ("dna: {shape: variants, file: v.vcf, level: variant}", text("v.vcf", "PK\x03\x04"), ("v.vcf", "no VCF")),
    "MAF: a column gone": ("dna: {shape: variants, file: m.maf}", text("m.maf", "a\tb\tc\td\te\tf\tg\n"), ("m.maf", "tumor_sample_barcode")),
    "PLINK: cut off": ("dna: {shape: variants, file: g.bed, level: variant}", cut_genotypes, ("g.bed", "truncated")),
    "cells: cut off": (CELLS, cut_cells, ("cells.h5ad", "truncated")),
    "DICOM: a slice is missing": (SCANS, missing_slice, ("scans", "slices are missing")),
    "DICOM: several directions": (SCANS, mixed_orientation, ("scans", "different directions")),
    "DICOM: an instance twice": (SCANS, instance_twice, ("scans", "SOPInstanceUID")),
    "NIfTI: cut off": (SCANS, cut_volume, ("scans", "truncated")),
    "images: a link out of the folder": (SCANS, link_out, ("scans", "leads out of the folder")),
    "images: another type": (SCANS, text("scans/77001.png", "Jane Doe\n" * 90), ("scans", "not what its ending says")),
    "a table: a bomb": ("lab: {file: x.npz}", array_bomb, ("x.npz", "claims 29,802 GiB")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file(call: Call, tmp_path: Path, case: str) -> None:
    modality, spoil, words = CASES[case]
    if "scans" in modality:
        need("PIL", "skimage", "pydicom", "nibabel")
    folder = tmp_path / "study"
    folder.mkdir()
    spoil(folder)
    rows = {"id": IDS, "seen": "2024-03-10T12:00:00", "age": [50, 60, 70, 80], "dead": [0, 1, 0, 1]}
    pd.DataFrame(rows).to_csv(folder / "units.csv", index=False)
    (folder / "study.yaml").write_text(
        "name: hostile\ncohort:\n  units: {file: units.csv, id: id}\n  modalities:\n    clinical: {file: units.csv, columns: [age]}\n"
        f"    {modality}\nendpoints: {{dead: {{kind: binary, column: dead}}}}\ndesign: {{index_time: seen}}\nreference: [clinical]\n"
    )
    before = sorted(p for p in folder.rglob("*") if p.is_file())
    found = call("run", folder / "study.yaml", "--out", tmp_path / "out", "--json")
    assert found.code == 2, found
    assert found.json["error"]["kind"] == "DataError"
    message = found.json["error"]["message"]
    assert all(w in message for w in words), message
    assert message.count("\n") < 4 and not any(s in found.out + found.err for s in SECRETS), found
    assert sorted(p for p in folder.rglob("*") if p.is_file()) == before and not (tmp_path / "out").exists()
