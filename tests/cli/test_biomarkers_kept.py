"""``cohortium biomarkers --run``: kept in the run folder, shown in its report, and refused where the run is of something else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Done
from tests.cli.test_hostile import refused


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from cohortium.discovery import stability

    monkeypatch.setattr(stability, "PAIRS", 2)


@pytest.fixture
def run(done: Done, tmp_path: Path) -> Path:
    shutil.copytree(done.run, tmp_path / "run")
    return tmp_path / "run"


def test_it_is_kept_and_shown_and_replaced(call: Call, done: Done, run: Path) -> None:
    before = (run / "report.html").read_text()
    assert "Which features matter?" not in before
    study = done.folder / "study.yaml"
    found = call("biomarkers", study, "--run", run, "--json").json
    kept = Path(found["folder"])
    assert kept.parent == run / "biomarkers"
    assert all(p.stat().st_mode & 0o777 == (0o700 if p.is_dir() else 0o600) for p in (run / "biomarkers").rglob("*"))
    after = (run / "report.html").read_text()
    assert after.count("Which features matter?") == 1
    lead = found["results"]["groups"][0]["lead"]["feature"]
    assert lead in re.sub(r"<wbr>", "", after[after.index("Which features matter?") :])
    link = re.search(r'href="(biomarkers/[^"]+)"', after)
    assert link is not None and (run / link.group(1)).is_file()
    # Another answer takes the place of the first.
    assert "q ≤ 0.2" in call("biomarkers", study, "--run", run, "--fdr", "0.2").out
    assert len(list((run / "biomarkers").iterdir())) == 1
    section = (run / "report.html").read_text().partition("Which features matter?")[2]
    assert "q ≤ 0.2" in section and "q ≤ 0.1)" not in section.partition("<h3")[0]
    # What is damaged is said; the report is rendered from the files alone.
    (kept / "biomarkers.json").write_text("{}")
    refused(call("report", run), "biomarkers.json is damaged", "--run again")


def test_wrong_input(call: Call, done: Done, run: Path, tmp_path: Path) -> None:
    study = done.folder / "study.yaml"
    refused(call("biomarkers", study), "either --out or --run")
    refused(call("biomarkers", study, "--run", run, "--out", tmp_path / "a"), "either --out or --run")
    refused(call("biomarkers", study, "--run", tmp_path / "none"), "No run folder")
    other = tmp_path / "cohort"
    shutil.copytree(done.folder, other, ignore=shutil.ignore_patterns("*run*"))
    text = (other / "study.yaml").read_text()
    (other / "study.yaml").write_text(text + "seed: 99\n")
    refused(call("biomarkers", other / "study.yaml", "--run", run), "another study")
    (other / "study.yaml").write_text(text)
    lines = (other / "rna.csv").read_text().splitlines()
    (other / "rna.csv").write_text("\n".join(lines[:-1]) + "\n")
    refused(call("biomarkers", other / "study.yaml", "--run", run), "on other data")
    mark = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**mark, "status": "running"}))
    refused(call("biomarkers", study, "--run", run), "not finished")
    (run / "run.json").write_text(json.dumps(mark))
    refused(call("biomarkers", study, "--run", run, "--endpoint", "no"), "No endpoint called 'no'")
    (run / "biomarkers" / "endpoint_0").mkdir(parents=True)
    (run / "biomarkers" / "endpoint_0" / "mine.txt").write_text("x")
    refused(call("biomarkers", study, "--run", run), "holds something else")
    assert (run / "biomarkers" / "endpoint_0" / "mine.txt").is_file()
