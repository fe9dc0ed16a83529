"""Proposed study files: they load, they read, and their guesses are the ones a person would make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts import SurvivalOutcome
from cohortium.errors import StudyError
from cohortium.sources import propose, read_cohort, read_outcome
from cohortium.study import parse_study

N = 60


def _read(folder: Path, endpoint: str | None = None):
    """Proposal -> (spec, what was read, outcome of the primary endpoint)."""
    text = propose(folder, endpoint)
    spec = parse_study(text, "study.yaml")
    spec = getattr(spec, "spec", spec)
    d = spec.design
    design = {"site": d.site, "batch": d.batch}
    got = read_cohort(spec.cohort.units, spec.cohort.modalities, folder, design=design, endpoints=spec.endpoints)
    name = spec.primary_name
    outcome, _ = read_outcome(name, spec.endpoints[name], got.raw_units, folder, spec.cohort.units.id)
    return spec, got, outcome, text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    ids = [f"{i:03d}" for i in range(N)]
    days = rng.integers(1, 2000, N)
    pd.DataFrame(
        {
            "patient_id": ids,
            "age": rng.integers(40, 90, N),
            "hospital": rng.choice(["A", "B"], N),
            "train": rng.integers(0, 2, N),
            "vital_status": rng.choice(["alive", "dead"], N),
            "days_to_last_contact": days,
            "pfs_event": rng.integers(0, 2, N),
            "pfs_days": days - 5,
            "recurrence": rng.choice(["yes", "no"], N),
            "ca199_after_discharge": rng.normal(size=N),
            "grade": rng.integers(1, 4, N),
        }
    ).to_csv(tmp_path / "clinical.csv", index=False)
    pd.DataFrame(rng.normal(size=(30, N)), columns=ids, index=[f"g{j}" for j in range(30)]).to_csv(
        tmp_path / "rna.tsv.gz", sep="\t"
    )
    visits = pd.DataFrame({"visit": range(2 * N), "case": [*ids, *ids], "crp": rng.normal(size=2 * N)})
    visits.to_csv(tmp_path / "rna.csv", index=False)
    pd.DataFrame({"fold": [0, 1] * 30, "patient_id": ids}).to_csv(tmp_path / "splits.csv", index=False)
    pd.DataFrame({"pathway": ["a", "b"], "gene": ["g1", "g2"]}).to_csv(tmp_path / "pathways.csv", index=False)
    (tmp_path / "broken.csv").write_text("")
    (tmp_path / "README.txt").write_text("these are the data\n")
    return tmp_path


def test_a_mixed_folder(folder: Path) -> None:
    spec, got, outcome, text = _read(folder)
    assert isinstance(outcome, SurvivalOutcome)
    assert spec.endpoints["vital_status"].time == "days_to_last_contact"
    assert set(spec.cohort.modalities) == {"clinical", "rna", "rna_2"}
    assert spec.reference == ["clinical"]
    assert spec.design.site == "hospital"
    clinical = spec.cohort.modalities["clinical"]
    assert clinical.recorded_after_index == ["pfs_event", "pfs_days", "recurrence", "ca199_after_discharge"]
    assert clinical.exclude == ["train"]
    assert list(got.cohort.modalities["clinical"].features.index) == ["age", "grade"]
    by_file = {s.file: n for n, s in spec.cohort.modalities.items()}
    turned, visits = by_file["rna.tsv.gz"], by_file["rna.csv"]
    assert spec.cohort.modalities[turned].orientation == "units_in_columns"
    assert got.cohort.modalities[turned].values.shape == (N, 30)
    assert spec.cohort.modalities[visits].id == "case"
    assert spec.cohort.modalities[visits].duplicates == "mean"
    assert got.cohort.modalities[visits].values.shape == (N, 2)
    for remark in (
        "# not used, shares no id with the unit table: pathways.csv",
        "# not used, looks like folds: splits.csv",
        "# could not be read: broken.csv is empty (0 bytes).",
        "clinical: whole numbers with few values; codes? then kinds: {column: nominal}: grade",
    ):
        assert remark in text
    assert "README" not in text


def test_an_event_gets_its_own_time(folder: Path) -> None:
    """The time of another event would give a wrong answer without an error."""
    spec, _, outcome, text = _read(folder, "pfs_event")
    assert spec.endpoints["pfs_event"].time == "pfs_days"
    assert (outcome.time > 0).all()
    frame = pd.read_csv(folder / "clinical.csv", dtype={"patient_id": str})
    frame.loc[:1, "pfs_days"] = [-3, 0]
    frame.to_csv(folder / "clinical.csv", index=False)
    spec, _, outcome, text = _read(folder, "pfs_event")
    assert len(outcome) == N - int((frame["pfs_days"] <= 0).sum())
    assert "exclude_where: [{column: pfs_days, below: 0}]" in text
    assert "zero_times: exclude" in text


@pytest.mark.parametrize(
    ("column", "kind"),
    [("recurrence", "binary"), ("grade", "multiclass"), ("age", "continuous"), ("hospital", "binary")],
)
def test_other_endpoints(folder: Path, column: str, kind: str) -> None:
    spec, got, outcome, _ = _read(folder, column)
    assert spec.endpoints[column].kind == kind
    assert len(outcome) == N
    assert column not in got.cohort.modalities["clinical"].features.index
    if column == "recurrence":
        assert outcome.endpoint.classes == ("no", "yes")


def test_an_id_column_that_is_not_the_first(folder: Path) -> None:
    frame = pd.read_csv(folder / "clinical.csv", dtype={"patient_id": str})
    frame.insert(0, "row", [f"r{i}" for i in range(N)])
    frame.to_csv(folder / "clinical.csv", index=False)
    spec, got, _, _ = _read(folder)
    assert spec.cohort.units.id == "patient_id"
    assert got.cohort.ids[1] == "001"
    assert got.cohort.presence().all(axis=None)


def test_unknown_and_unguessable_endpoints(folder: Path) -> None:
    with pytest.raises(StudyError, match=r"No file has a column 'vital_statu'. Did you mean 'vital_status'"):
        propose(folder, "vital_statu")
    for file in folder.iterdir():
        file.unlink()
    pd.DataFrame({"id": ["a", "b", "c"], "diet": ["u", "v", "u"], "x": [1.0, 2, 3]}).to_csv(
        folder / "t.csv", index=False
    )
    with pytest.raises(StudyError, match=r"--endpoint COLUMN. Perhaps: diet \(t.csv\)"):
        propose(folder)
    pd.DataFrame({"id": ["a", "b", "c"], "diet": ["u", "v", "u"]}).to_csv(folder / "t.csv", index=False)
    with pytest.raises(StudyError, match=r"Beside the endpoint no feature was found"):
        propose(folder, "diet")


def test_odd_names_are_quoted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = ["no", "a: b", "it's", "#x", "12", "null", "~"]
    frame = pd.DataFrame(rng.normal(size=(N, 7)), columns=[f"days_to {c}" for c in columns]).assign(x=1.5)
    frame.insert(0, "yes", [f"p{i}" for i in range(N)])
    frame["response: ok?"] = ["on", "off"] * 30
    frame.to_csv(tmp_path / "my, table's.csv", index=False)
    spec, got, outcome, _ = _read(tmp_path, "response: ok?")
    assert spec.cohort.units.id == "yes"
    (modality,) = spec.cohort.modalities.values()
    assert modality.recorded_after_index == [f"days_to {c}" for c in columns]
    assert len(outcome) == N
    assert [t.n_features for t in got.cohort.modalities.values()] == [1]
