"""``cohortium drift`` as a person would type it."""

from __future__ import annotations

import json

import pandas as pd

import cohortium
from tests.study import cohort_files


def test_new_patients_from_elsewhere(tmp_path, capsys):
    from cohortium.cli import main

    study = cohort_files.write(tmp_path / "cohort", n=150)
    run = cohortium.run(study, tmp_path / "run", jobs=1)

    def call(*arguments):
        try:
            main(["drift", str(run.folder), *map(str, arguments)])
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr()
        raise AssertionError

    cohort_files.write(tmp_path / "same", n=80, seed=7, first=500)
    cohort_files.write(tmp_path / "other", n=80, seed=8, first=700)
    frame = pd.read_csv(tmp_path / "other" / "rna.csv", dtype={"patient_id": str})
    frame["g3"] += 8
    frame.head(15).to_csv(tmp_path / "other" / "rna.csv", index=False)
    clinical = pd.read_csv(tmp_path / "other" / "clinical.csv", dtype={"patient_id": str}).assign(age=9.0)
    clinical.to_csv(tmp_path / "other" / "clinical.csv", index=False)
    code, said = call("--data", tmp_path / "other", "--out", tmp_path / "drift.csv")
    assert code == 0 and "units are outside" in said.out and "age" in said.out
    assert pd.read_csv(tmp_path / "drift.csv").loc[0, "feature"] == "age"
    assert json.loads(call("--data", tmp_path / "same", "--json")[1].out)["drift"]["units"] == 80
    new = cohortium.predict(run, tmp_path / "other")
    assert set(new["outside"]) <= {"", "clinical", "rna", "clinical rna"}
    assert call("--data", tmp_path / "nowhere")[0] == 2
    (run.folder / "model" / "seen.safetensors").write_bytes(b"x")
    code, said = call("--data", tmp_path / "same")
    assert code == 2 and "damaged" in said.err
