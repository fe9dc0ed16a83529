"""Real cohorts: what is known to leak is called serious, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohortium.study import check, load_study

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
STUDIES = ROOT / "benchmarks" / "studies"


def serious(study: Path) -> list[str]:
    if not study.exists() or not DATA.is_dir():
        pytest.skip("the benchmark data are not here")
    return [f.name for f in check(load_study(study)) if f.grade == "serious"]


def written(folder: Path, text: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(text.replace("DATA", str(DATA)))
    return file


def test_support2_in_a_hurry_and_with_care():
    leaky = serious(STUDIES / "support2_leaky.yaml")
    # Death in hospital; and a functional status that has a level for having died within two months.
    assert leaky == ["outcome_in_disguise:diagnosis.hospdead", "outcome_in_disguise:diagnosis.sfdm2"]
    assert serious(STUDIES / "support2.yaml") == []


def test_support2_what_only_a_name_tells():
    if not DATA.is_dir():
        pytest.skip("the benchmark data are not here")
    found = {f.name: f for f in check(load_study(STUDIES / "support2_leaky.yaml"))}
    named = {"surv2m", "surv6m", "dnr", "dnrday", "slos", "charges", "totcst", "totmcst"}
    assert set(found["recorded_afterwards:diagnosis"].columns) == named
    # prg2m, prg6m (a physician's guess) and avtisst (a score of days 3 to 25) look like any other variable.
    assert not {"prg2m", "prg6m", "avtisst"} & {c for f in found.values() for c in f.columns}


@pytest.mark.slow
def test_hancock_is_not_accused():
    assert serious(STUDIES / "hancock_os.yaml") == []


def test_single_genes_that_tell_a_subtype_are_biology(tmp_path):
    if not (DATA / "breast_tcga_mixomics").is_dir():
        pytest.skip("the benchmark data are not here")
    study = """\
name: breast
cohort:
  units: {file: DATA/breast_tcga_mixomics/labels_train.csv, id: sample_id}
  modalities:
    mrna: {file: DATA/breast_tcga_mixomics/mrna_train.csv.gz}
    mirna: {file: DATA/breast_tcga_mixomics/mirna_train.csv.gz}
    protein: {file: DATA/breast_tcga_mixomics/protein_train.csv.gz}
endpoints:
  subtype: {kind: multiclass, column: subtype}
"""
    found = check(load_study(written(tmp_path, study)))
    assert [f.name for f in found if f.grade == "serious"] == []
    assert any(f.name.startswith("strong_single_feature:mrna") for f in found)


@pytest.mark.slow
@pytest.mark.parametrize("tumour", ["gbmlgg", "paad", "kirc"])
def test_tumours_are_not_accused(tumour, tmp_path):
    """In glioma one mutation all but decides survival: that is what the study is for."""
    folder = DATA / "tcga_porpoise" / tumour
    if not folder.is_dir():
        pytest.skip("the benchmark data are not here")
    study = """\
name: tumour
cohort:
  units: {file: FOLDER/clinical.csv, id: case_id}
  modalities:
    clinical: {file: FOLDER/clinical.csv, columns: [age, is_female]}
    rnaseq: {file: FOLDER/rnaseq.csv.gz}
    cnv: {file: FOLDER/cnv.csv.gz}
    mut: {file: FOLDER/mut.csv.gz}
endpoints:
  os: {kind: survival, time: survival_months, event: event, time_unit: months, zero_times: exclude}
"""
    assert serious(written(tmp_path, study.replace("FOLDER", str(folder)))) == []
