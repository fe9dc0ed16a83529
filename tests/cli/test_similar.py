"""``cohortium similar``: the right neighbours, of the study's units and of new ones, outliers, and wrong input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.cli.conftest import Call
from tests.cli.test_hostile import refused
from tests.study import cohort_files, factor_files

N = 140


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patient 0011 is 0010 once more, but for a little noise, and without notes."""
    file = factor_files.write(tmp_path_factory.mktemp("similar") / "cohort", N)
    rng = np.random.default_rng(1)
    for name in ("labs", "rna", "protein", "notes"):
        frame = pd.read_csv(file.parent / f"{name}.csv", dtype={"patient_id": str})
        twin = frame[frame["patient_id"] == "0010"].assign(patient_id="0011")
        for c in twin.select_dtypes("number").columns.drop("fixed", errors="ignore"):
            twin[c] += 0.05 * rng.normal()
        rest = frame[frame["patient_id"] != "0011"]
        frame = pd.concat([rest, twin] if name != "notes" else [rest]).sort_values("patient_id", kind="stable")
        frame.to_csv(file.parent / f"{name}.csv", index=False)
    return file


def new_folder(study: Path, folder: Path, change=None) -> Path:
    """Patient 0010 as one of another hospital, called x1; change: of its frames by name."""
    folder.mkdir()
    (folder / "units.csv").write_text("patient_id,hospital\nx1,east\nx2,east\n")
    for name in ("labs", "rna", "protein", "notes"):
        frame = pd.read_csv(study.parent / f"{name}.csv", dtype={"patient_id": str})
        one = frame[frame["patient_id"].isin(["0010", "0050"])].replace({"patient_id": {"0010": "x1", "0050": "x2"}})
        (one if change is None else change(name, one)).to_csv(folder / f"{name}.csv", index=False)
    return folder


def test_a_twin_is_the_nearest_by_every_modality_and_together(call: Call, study: Path) -> None:
    found = call("similar", study, "0010", "-k", 3)
    assert found.code == 0 and "0011" in found.out and "How unusual" in found.out and "Unlike" not in found.out
    machine = call("similar", study, "0010", "--json").json
    assert set(machine["modalities"]) >= {"labs", "rna"} and machine["unit"] == "0010"
    table = pd.DataFrame(machine["neighbours"])
    first = table[table["rank"] == 1].set_index("by")
    for by in ["together", *machine["modalities"]]:
        if by != "notes":
            assert first.loc[by, "unit"] == "0011", by
    assert (table.groupby("by").size() == 10).all() and not (table["unit"] == "0010").any()
    assert first.loc["together", "shared"].split() == [m for m in machine["modalities"] if m != "notes"]
    together = table[table["by"] == "together"]
    assert (np.diff(together["similarity"]) <= 0).all() and together["distance"].isna().all()
    for by, rows in table.groupby("by"):
        if by != "together":
            assert (np.diff(rows["similarity"]) <= 0).all() and (np.diff(rows["distance"]) >= 0).all()
    unusual = pd.DataFrame(machine["unusual"])
    assert unusual["share"].between(0, 1).all()
    assert machine == call("similar", study, "0010", "--json").json


def test_a_new_unit_is_compared_with_those_of_the_study(call: Call, study: Path, tmp_path: Path) -> None:
    folder = new_folder(study, tmp_path / "new")
    machine = call("similar", study, "x1", "--data", folder, "--json").json
    first = pd.DataFrame(machine["neighbours"]).query("rank == 1").set_index("by")
    assert first.loc["together", "unit"] == "0010" and first.loc["rna", "unit"] == "0010"
    assert first.loc["rna", "distance"] == pytest.approx(0, abs=1e-6)
    refused(call("similar", study, "0010", "--data", folder), "No unit '0010' among the 2")
    refused(call("similar", study, "x1", "--data", tmp_path / "nowhere"), "No folder")
    (folder / "rna.csv").write_text("patient_id,other\nx1,3\n")
    refused(call("similar", study, "x1", "--data", folder), "rna.csv")


def test_a_far_outlier_is_seen_and_who_has_one_modality_only_is_compared_by_it(
    call: Call, study: Path, tmp_path: Path
) -> None:
    def change(name: str, frame: pd.DataFrame) -> pd.DataFrame:
        if name == "rna":
            frame = frame.copy()
            numbers = frame.columns[1:]
            frame[numbers] = frame[numbers].astype(float)
            frame.loc[frame["patient_id"] == "x1", numbers] = np.where(np.arange(len(numbers)) % 2, 40.0, -40.0)
            return frame
        return frame[frame["patient_id"] != "x1"]

    folder = new_folder(study, tmp_path / "new", change)
    found = call("similar", study, "x1", "--data", folder)
    assert found.code == 0 and "Unlike the study's units by together, rna" in found.out and "lacks labs" in found.out
    machine = call("similar", study, "x1", "--data", folder, "--json").json
    assert machine["modalities"] == ["rna"] and [u["share"] for u in machine["unusual"]] == [1, 1]


def test_together_finds_those_with_the_same_factors_better_than_any_modality(study: Path) -> None:
    from cohortium.joint.similar import fit_peers

    cohort, z = cohortium.load_cohort(study), factor_files.factors(N)
    peers, far = fit_peers(cohort, 0), dict[str, list[float]]()
    truth = z[cohort.ids.astype(int)]
    whole = np.flatnonzero(cohort.presence().all(axis=1))
    for i in whole[whole > 11][:40]:
        for name, found in peers.like(cohort.take(np.array([i]))).items():
            near = np.argsort(-np.nan_to_num(found.similarity, nan=-np.inf))[:10]
            far.setdefault(name, []).append(np.linalg.norm(truth[near] - truth[i], axis=1).mean())
    mean = {name: np.mean(v) for name, v in far.items()}
    assert (
        mean[""] < min(v for k, v in mean.items() if k)
        and mean[""] < 0.8 * np.linalg.norm(truth[:, None] - truth, axis=2).mean()
    )


def test_very_many_units_are_compared_with_all_and_their_distances_found_in_parts(
    monkeypatch: pytest.MonkeyPatch, study: Path
) -> None:
    from cohortium.joint import similar

    cohort = cohortium.load_cohort(study)
    one, whole = cohort.take(np.array([20])), similar.fit_peers(cohort, 0)
    monkeypatch.setattr(similar, "AT_ONCE", 7)
    parts = similar.fit_peers(cohort, 0)
    for name, side in whole.sides.items():
        np.testing.assert_allclose(parts.sides[name].reaches, side.reaches, rtol=1e-12)
    monkeypatch.setattr(similar, "REFERENCES", 60)
    some = similar.fit_peers(cohort, 0)
    assert len(some.sides["rna"].references) == 60
    np.testing.assert_array_equal(some.like(one)["rna"].distance, whole.like(one)["rna"].distance)
    assert abs(some.like(one)["rna"].unusual - whole.like(one)["rna"].unusual) < 0.3


def test_outcomes_are_not_looked_at(study: Path, tmp_path: Path) -> None:
    one = cohortium.similar(study, "0020")
    shutil.copytree(study.parent, tmp_path / "c")
    units = pd.read_csv(tmp_path / "c" / "units.csv", dtype={"patient_id": str})
    units["response"] = np.where(np.arange(N) % 2, "yes", "no")
    units.to_csv(tmp_path / "c" / "units.csv", index=False)
    pd.testing.assert_frame_equal(one.neighbours, cohortium.similar(tmp_path / "c" / "study.yaml", "0020").neighbours)


def test_units_of_the_same_patient_are_left_out_and_told(tmp_path: Path) -> None:
    text = cohort_files.STUDY.replace("id: patient_id}", "id: patient_id, patient: family}", 1)
    found = cohortium.similar(cohort_files.write(tmp_path / "c", study=text), "0010")
    assert "0011" not in set(found.neighbours["unit"])
    assert found.notes == ("1 further unit of the same patient left out",)


def test_a_new_unit_of_a_patient_of_the_study_is_not_compared_with_himself(study: Path, tmp_path: Path) -> None:
    folder = new_folder(study, tmp_path / "new")
    for file in folder.glob("*.csv"):
        file.write_text(file.read_text().replace("x1", "0010"))
    found = cohortium.similar(study, "0010", data=folder)
    assert "0010" not in set(found.neighbours["unit"]) and found.notes == ("1 unit of the same patient left out",)


def test_wrong_input_is_refused(call: Call, study: Path, tmp_path: Path) -> None:
    refused(call("similar", study, "00100"), "No unit '00100' among the 140", "Did you mean '0100'?")
    refused(call("similar", study, "zzz"), "No unit 'zzz'")
    refused(call("similar", study, ""), "No unit ''")
    refused(call("similar", study, f"{N - 1:04d}"), "has no modality")
    refused(call("similar", tmp_path / "none.yaml", "0010"), "none.yaml")
    assert call("similar", study, "0010", "-k", 0).code == 2 and call("similar", study).code == 2
    error = call("similar", study, "zzz", "--json")
    assert error.json["exit_code"] == 2
    with pytest.raises(cohortium.errors.StudyError, match="0 neighbours"):
        cohortium.similar(study, "0010", neighbours=0)


def test_more_neighbours_than_there_are_and_too_few_units(call: Call, study: Path, tmp_path: Path) -> None:
    found = cohortium.similar(study, "0010", neighbours=10_000)
    assert any("only 138 units" in n for n in found.notes) and len(found.neighbours.query("by == 'together'")) == 138
    few = factor_files.write(tmp_path / "few", 12)
    for name in ("rna", "protein", "notes"):
        file = few.parent / f"{name}.csv"
        file.write_text("\n".join(file.read_text().splitlines()[:5]) + "\n")
    found = cohortium.similar(few, "0001")
    assert (
        found.modalities == ("labs",) and found.lacks == ("protein",) and any("too few units" in n for n in found.notes)
    )
    rna = pd.read_csv(few.parent / "rna.csv", dtype={"patient_id": str})
    rest = pd.read_csv(few.parent / "labs.csv", dtype={"patient_id": str})
    rest[rest["patient_id"] != rna["patient_id"][0]].to_csv(few.parent / "labs.csv", index=False)
    for name in ("protein", "notes"):
        frame = pd.read_csv(few.parent / f"{name}.csv", dtype={"patient_id": str})
        frame[frame["patient_id"] != rna["patient_id"][0]].to_csv(few.parent / f"{name}.csv", index=False)
    refused(call("similar", few, rna["patient_id"][0]), "has rna only, which fewer than 10")
    labs = few.parent / "labs.csv"
    labs.write_text("\n".join(labs.read_text().splitlines()[:5]) + "\n")
    refused(call("similar", few, "0001"), "no modality has 10 units")
