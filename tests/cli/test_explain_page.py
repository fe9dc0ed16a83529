"""``cohortium explain --patient --out page.html``: a planted sentence and a planted image are marked, and the page is private."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.explanation.instances import pieces, sentences
from tests.cli.conftest import Call, Done
from tests.cli.test_hostile import refused

STUDY = """\
name: told
cohort:
  units: {file: units.csv, id: id}
  modalities:
    notes: {shape: texts, file: notes.csv, id: id, columns: [note]}
    views: {shape: images, npz: views.npz, arrays: [x], ids: [who], encoder: descriptors}
endpoints:
  bad: {kind: binary, column: bad, positive: yes}
models: [linear]
preset: quick
learners: [early]
evaluation: {folds: 3, repeats: 1, inner_folds: 3}
acknowledge: ["*"]
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Whoever is bad has "severe fatigue", in a sentence among others, and one bright image of three."""
    from cohortium.study import run

    folder, n = tmp_path_factory.mktemp("told") / "cohort", 60
    folder.mkdir()
    rng = np.random.default_rng(0)
    bad, ids = np.arange(n) % 2 == 0, [f"N{i:03d}" for i in range(n)]
    pd.DataFrame({"id": ids, "bad": np.where(bad, "yes", "no")}).to_csv(folder / "units.csv", index=False)
    rest = ["Sleeps well.", "Walks daily.", "Eats enough.", "Talks a lot."]
    said = [" ".join([*rng.choice(rest, 2, replace=False), "Severe fatigue." if b else "Feels fresh.", *rng.choice(rest, 1)]) for b in bad]  # fmt: skip
    pd.DataFrame({"id": ids, "note": said}).to_csv(folder / "notes.csv", index=False)
    views = rng.integers(0, 60, (3 * n, 12, 12)).astype(np.uint8)
    views[1::3][bad] += 190
    np.savez(folder / "views.npz", x=views, who=np.repeat(ids, 3))
    (folder / "study.yaml").write_text(STUDY)
    run(folder / "study.yaml", folder.parent / "run", jobs=1)
    return folder / "study.yaml", folder.parent / "run"


def test_what_was_planted_is_marked_in_text_and_images(call: Call, told: tuple[Path, Path], tmp_path: Path) -> None:
    study, run = told
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    page = tmp_path / "page.html"
    found = call("explain", run, study, "--patient", "N004", "--out", page)
    assert found.code == 0 and "keep it private" in found.out and "What its modalities did" in found.out
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    marks = re.findall(r'<mark class="(\w+)">(.*?) <b>(.)', text)
    assert ("up3", "Severe fatigue.", "▲") in marks
    frames = re.findall(r'<figure class="picture (\w+)">.*?<figcaption>(.*?) <b>(.)', text, re.S)
    assert len(frames) == 3 and frames[0] == ("up3", "image 2", "▲")
    # Nothing of the patient is in the run, and the run is as it was.
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before
    assert (
        "fatigue" not in (run / "report.html").read_text().lower() and "N004" not in (run / "report.html").read_text()
    )


def test_wrong_places_are_refused_before_any_work(call: Call, done: Done, tmp_path: Path) -> None:
    unit = "0001"
    refused(
        call("explain", done.run, done.study, "--patient", unit, "--out", done.run / "p.html"), "inside the run folder"
    )
    refused(call("explain", done.run, done.study, "--patient", unit, "--out", tmp_path / "no" / "p.html"), "does not exist")  # fmt: skip
    refused(call("explain", done.run, done.study, "--patient", unit, "--out", tmp_path), ".html for a page")
    assert not (done.run / "p.html").exists()


@pytest.mark.parametrize("text", ["One. Two!  Three; four\n\nfive", "  Alone  ", "A. A. A.", "x"])
def test_pieces_are_the_whole_text_and_its_sentences(text: str) -> None:
    found = pieces(text)
    assert "".join(t for t, _ in found) == text
    assert [t for t, i in found if i is not None] == sentences(text)
