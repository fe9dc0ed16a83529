"""Counts and beta values from their files to a leaderboard, to new patients and to outside ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.leaderboards import roc_auc

STUDY = """\
name: molecules
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, columns: [age]}
    rna: {file: counts.csv, transform: cpm_log, id_space: ensembl, strip_version: true}
    methylation: {file: betas.csv, transform: m_value, id_space: cpg, orientation: units_in_columns}
endpoints:
  ill: {kind: binary, column: ill, positive: 1}
reference: [clinical]
models: [linear]
preset: quick
evaluation: {repeats: 1, folds: 4, inner_folds: 3}
"""
GENES = 60


def write(folder: Path, n: int = 80, seed: int = 0, version: int = 3, scale: float = 1.0) -> Path:
    """Illness shows in the share of gene 3 among a patient's reads, however deep they were sequenced."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.5
    rate = np.tile(np.random.default_rng(99).gamma(1, 100, GENES), (n, 1))
    rate[:, 3] = 200 * np.exp(0.9 * ill + rng.normal(0, 0.2, n))
    x = rng.poisson(rate * scale * rng.gamma(2, 0.5, (n, 1)) + 0.5)
    ids = pd.Index([f"p{seed}_{i:03d}" for i in range(n)], name="id")
    genes = [f"ENSG{j:011d}.{version}" for j in range(GENES)]
    pd.DataFrame(x, ids, genes).to_csv(folder / "counts.csv")
    beta = 1 / (1 + np.exp(-rng.normal(size=(n, 20)) - 2 * np.outer(ill, np.arange(20) == 5)))
    pd.DataFrame(beta.round(4), ids, [f"cg{j:08d}" for j in range(20)]).iloc[: n - 10].T.to_csv(folder / "betas.csv")
    units = pd.DataFrame({"age": rng.normal(60, 9, n).round(1), "ill": ill.astype(int)}, ids)
    units.to_csv(folder / "units.csv")
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("molecules")
    return cohortium.run(write(root / "data"), root / "run", jobs=1)


def test_the_signal_is_found_and_the_report_says_what_was_done(finished: Any) -> None:
    assert roc_auc(finished, "single:rna") > 0.9 > roc_auc(finished, "reference")
    assert roc_auc(finished, "single:methylation") > 0.6
    rna, methylation = (
        next(m for m in finished.results.cohort.modalities if m.name == n) for n in ("rna", "methylation")
    )
    assert (rna.id_space, methylation.id_space, methylation.n_units) == ("ensembl", "cpg", 70)
    assert "transform cpm_log: log2((count + 0.5) / (library size + 1) × 10⁶)" in rna.notes
    assert "transform m_value: log2((beta + 0.001) / (1 − beta + 0.001))" in methylation.notes
    assert {"transformed:rna", "transformed:methylation"} <= {f.name for f in finished.results.checks}
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "log2((count + 0.5) / (library size + 1) × 10⁶)" in page and "ensembl" in page


def test_check_says_what_was_done(tmp_path: Path) -> None:
    found = {f.name: f for f in cohortium.check(cohortium.load_study(write(tmp_path)))}
    assert found["transformed:rna"].grade == "note" and "log2((count + 0.5)" in found["transformed:rna"].message


def test_new_patients_sequenced_deeper_are_predicted(finished: Any, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    write(tmp_path, n=60, seed=4, version=12, scale=20)
    truth = pd.read_csv(tmp_path / "units.csv")["ill"]
    p = cohortium.predict(finished, tmp_path)
    assert roc_auc_score(truth, p["ill.p_1"]) > 0.85
    estimates = cohortium.validate(finished, tmp_path)["ill"]
    assert next(e.value for e in estimates if e.metric == "roc_auc") > 0.85
