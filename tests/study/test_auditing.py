"""The audit: every planted leak is caught by the trial that is meant for it, and nobody else is accused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import cohortium
from cohortium.errors import RunFolderError
from cohortium.report.audit import accusation, answer
from tests.study import cohort_files, leaky

PLUGINS = ("honest", "selection", "scaling", "epoch", "calibrator", "batch", "disk")

STUDY = """\
name: leaks
cohort:
  units: {file: units.csv, id: patient_id}
  modalities:
    clinical: {file: clinical.csv}
    rna: {file: rna.csv}
endpoints:
  response: {kind: binary, column: response, positive: yes}
reference: [clinical]
models: [linear]
preset: quick
plugins: [PLUGINS]
evaluation: {folds: 3, inner_folds: 3, repeats: 1, coverage: 0.8}
""".replace("PLUGINS", ", ".join(PLUGINS))

FEW = "learners: [late, {}]\n".format(", ".join(f"'plugin:{p}'" for p in PLUGINS))
ONE = STUDY.replace("plugins", "#") + "learners: [late]\n"

CAUGHT = {
    "plugin:selection": ["model"],
    "plugin:scaling": ["model"],
    "plugin:epoch": ["model"],
    "plugin:calibrator": ["prediction", "alone"],
    "plugin:batch": ["alone"],
    "plugin:disk": ["shuffled labels"],
}


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """(folder, environment) of a finished run with a leaking learner of each sort, whose package is installed."""
    base = tmp_path_factory.mktemp("leaks")
    study = cohort_files.write(base / "cohort", n=150, study=STUDY + FEW)
    paths = [str(leaky.install(base / "site")), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p),
                   "LEAKY_OUTCOMES": str(base / "cohort" / "units.csv")}  # fmt: skip
    made = call(environment, "run", str(study), "--quiet", "--jobs", "1")
    assert made.returncode == 0, made.stderr
    return base / "cohort" / "study_run", environment


def call(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "cohortium", *arguments], env=environment, capture_output=True, text=True
    )


def test_every_planted_leak_is_caught_and_nobody_else_accused(leaking):
    folder, environment = leaking
    done = call(environment, "audit", str(folder), "--folds", "2", "--shuffles", "5", "--json", "--jobs", "1")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)["audit"]
    assert found["accused"] == CAUGHT
    assert (folder / "audit.html").is_file() and json.loads((folder / "audit.json").read_text()) == found
    for name in ("audit.html", "audit.json"):
        assert oct((folder / name).stat().st_mode)[-3:] == "600"
    records = [t for t in found["trials"] if t["trial"] == "record"]
    assert len(records) == 2 * len({t["learner"] for t in records}) and all(t["verdict"] == "clean" for t in records)
    assert not [p for p in folder.iterdir() if p.name.startswith(".audit")]
    ids = (folder.parent / "units.csv").read_text().split()
    assert not any(f'"{i.split(",")[0]}"' in (folder / "audit.json").read_text() for i in ids)


def test_a_plug_in_is_refused_by_explain_in_words(leaking):
    folder, environment = leaking
    said = call(environment, "explain", str(folder), "--learner", "plugin:honest")
    assert said.returncode == 2 and "of another package" in said.stderr


def test_a_clean_run_is_not_accused_and_says_what_it_shows(tmp_path):
    os = "os: {kind: survival, time: days, event: {column: status, equals: dead}, time_unit: days}"
    text = STUDY.replace("response: {kind: binary, column: response, positive: yes}", os).replace(
        "plugins", "# plugins"
    )
    study = cohort_files.write(tmp_path / "cohort", study=text)
    run = cohortium.run(study, jobs=1)
    made = cohortium.study.audit(run.folder, folds=1, shuffles=3, jobs=1)
    assert made.accused == {} and made.folds == 1
    assert {t.verdict for t in made.trials} == {"clean"} and {t.trial for t in made.trials} == {
        "model", "prediction", "alone", "record", "separation"
    }  # fmt: skip
    assert answer(made).startswith("Nothing leaked in 1 outer fold")
    parts = [x.part for x in made.ledger if x.endpoint == "os"]
    assert "all of the fold" in parts and any(p.startswith("base/rna") for p in parts)
    assert "the prediction of a unit depends" in accusation("late", ["alone"])


def test_what_cannot_be_audited_is_refused(tmp_path, leaking):
    _, environment = leaking
    study = cohort_files.write(tmp_path / "cohort", study=ONE)
    run = cohortium.run(study, jobs=1)
    with pytest.raises(RunFolderError, match="of another study"):
        cohortium.study.audit(
            run.folder,
            cohort_files.write(tmp_path / "else", study=ONE.replace("folds: 3", "folds: 4")),
        )
    cohort_files.write(tmp_path / "cohort", seed=1, study=ONE)
    with pytest.raises(RunFolderError, match="on other data"):
        cohortium.study.audit(run.folder)
    with pytest.raises(RunFolderError):
        cohortium.study.audit(tmp_path)
    unknown = cohort_files.write(tmp_path / "other", study=STUDY.replace("honest", "honnest"))
    assert "Did you mean 'honest'?" in call(environment, "check", str(unknown)).stderr
    only = STUDY.replace("    clinical: {file: clinical.csv}\n", "").replace(
        "reference: [clinical]\n", "learners: ['plugin:honest']\n"
    )
    said = call(environment, "check", str(cohort_files.write(tmp_path / "alone", study=only)))
    assert said.returncode == 2 and "a plug-in cannot give the answer" in said.stderr


def test_garbage_reaches_every_shape_of_modality_outside_and_nothing_inside():
    from dataclasses import replace

    import numpy as np

    from cohortium.cohort import Cohort
    from cohortium.cohort.garbage import spoiled
    from cohortium.testing import simulate_cohort

    rng = np.random.default_rng(0)
    s = simulate_cohort(
        rng, 80, {"labs": 5, "bag": 4, "events": 6}, "binary", shapes={"bag": "bag", "events": "events"}
    )
    outside = np.arange(80) >= 60
    reasons = s.cohort.absent.where(s.cohort.presence(), "failed_qc")
    s = replace(s, cohort=Cohort(s.cohort.units, s.cohort.modalities, reasons))
    bad = spoiled(s.cohort, outside, rng)
    assert bad.absent.iloc[:60].equals(s.cohort.absent.iloc[:60])
    for name, modality in s.cohort.modalities.items():
        same = [
            a.tobytes() if a.dtype != object else a.tolist()
            for _, a in s.cohort.take(np.arange(60)).modalities[name].arrays()
        ]
        kept = [
            a.tobytes() if a.dtype != object else a.tolist()
            for _, a in bad.take(np.arange(60)).modalities[name].arrays()
        ]
        if name != "events":  # its vocabulary has the words that nobody else has
            assert same == kept
        assert len(bad.modalities[name].units) < len(modality.units)
