"""Flow cytometry from its files to a leaderboard and to new patients; what ``init`` proposes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.leaderboards import roc_auc
from tests.sources.fcs_files import sample, spillover, write_fcs

STUDY = """\
name: flow
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, columns: [age]}
    flow: {shape: cytometry, folder: fcs, events: 300}
endpoints:
  ill: {kind: binary, column: ill, positive: 1}
reference: [clinical]
models: [linear]
preset: quick
evaluation: {repeats: 1, folds: 4, inner_folds: 3}
"""
SPILL = np.array([[1, 0.2], [0.1, 1]])


def write(folder: Path, n: int = 60, seed: int = 0) -> Path:
    """CD8 is denser on cells of the ill; every tenth patient has no file, and one too few events."""
    (folder / "fcs").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.5
    ids = [f"S{seed}-{i:03d}" for i in range(n)]
    for i in range(n):
        if i % 10 == 3:
            continue
        x = sample(rng, 40 if i == 8 else int(rng.integers(400, 600)), 0.6 * ill[i] + rng.normal(0, 0.2))
        x[:, [5, 6]] = x[:, [5, 6]] @ SPILL
        write_fcs(folder / "fcs" / f"{ids[i]}.fcs", x, keywords={"$SPILLOVER": spillover(["PE-A", "APC-A"], SPILL)})
    units = pd.DataFrame({"id": ids, "age": rng.normal(60, 9, n).round(1), "ill": ill.astype(int)})
    units.to_csv(folder / "units.csv", index=False)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("flow")
    return cohortium.run(write(root / "data"), root / "run", jobs=1)


def test_events_tell_what_age_does_not(finished: Any) -> None:
    assert roc_auc(finished, "single:flow") > 0.85 > roc_auc(finished, "reference")
    flow = next(m for m in finished.results.cohort.modalities if m.name == "flow")
    assert (flow.n_units, flow.n_features) == (53, 3)
    assert any("arcsinh(x / 150) of compensated values" in n for n in flow.notes)
    assert "transformed:flow" in {f.name for f in finished.results.checks}
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "arcsinh(x / 150)" in page and "S0-001" not in page
    stored = "".join(p.read_text() for p in (finished.folder / "model").rglob("*.json"))
    assert "CD8 q90" in stored and "instances (log)" in stored


def test_new_patients_are_predicted_from_their_files(finished: Any, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    new = write(tmp_path / "new", n=50, seed=4).parent
    frame = pd.read_csv(new / "units.csv")
    p = cohortium.predict(finished, new)
    has = (p["modalities"] == "clinical flow").to_numpy()
    assert has.sum() == 44
    assert roc_auc_score(frame["ill"][has], p["ill.p_1"][has]) > 0.8
    estimates = cohortium.validate(finished, new)["ill"]
    assert next(e.value for e in estimates if e.metric == "roc_auc") > 0.75
    for file in (new / "fcs").iterdir():
        file.unlink()
    (new / "fcs").rmdir()
    alone = cohortium.predict(finished, new)
    assert set(alone["modalities"]) == {"clinical"} and alone["ill.p_1"].between(0, 1).all()


def test_init_proposes_a_folder_of_fcs_files(tmp_path: Path) -> None:
    from cohortium.sources import propose
    from cohortium.study import parse_study

    write(tmp_path / "data", n=20)
    text = propose(tmp_path / "data", "ill")
    flow = parse_study(text, "study.yaml").cohort.modalities["fcs"]
    assert (flow.shape, flow.folder) == ("cytometry", "fcs")
