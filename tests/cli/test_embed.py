"""``cohortium embed``: what the file holds, on whom it was fitted, and wrong input."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cohortium
from tests.cli.conftest import Call
from tests.cli.test_hostile import refused
from tests.study import factor_files

N = 140


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return factor_files.write(tmp_path_factory.mktemp("embed") / "cohort", N)


def read(file: Path):
    from anndata import read_h5ad

    return read_h5ad(file)


def test_embedding_is_what_the_help_says(call: Call, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.h5ad"
    found = call("embed", study, "--out", out)
    assert found.code == 0 and "fitted on all units" in found.out and "1 units have no modality" in found.out
    assert out.stat().st_mode & 0o777 == 0o600
    made = read(out)
    assert list(made.obs_names) == [f"{i:04d}" for i in range(N)], "units without an outcome are there too"
    modalities = ["labs", "rna", "protein", "notes"]
    assert set(made.obs.columns) == {"site", *(f"has_{m}" for m in modalities), "n_modalities", "fitted"}
    assert set(made.obsm) == {"X_joint", "X_joint_sd", *(f"X_{m}" for m in modalities)}
    assert made.obs["fitted"].all() and made.uns["cohortium"]["fitted_on"] == "everyone"
    z, joint = factor_files.factors(N), made.obsm["X_joint"]
    qa, qb = (np.linalg.qr(x[:-1] - x[:-1].mean(0))[0] for x in (z, joint))
    assert np.linalg.svd(qa.T @ qb)[1][2] > 0.9, "the three planted factors are in it"
    assert not joint[-1].any() and (made.obsm["X_joint_sd"][-1] == 1).all() and made.obs["n_modalities"].iloc[-1] == 0
    lacks = ~made.obs["has_protein"].to_numpy()
    assert np.isnan(made.obsm["X_protein"][lacks]).all() and np.isfinite(made.obsm["X_protein"][~lacks]).all()
    assert "lab1" in made.uns["loadings"]["labs"].index
    assert not [c for c in made.obs if "response" in c]


def test_machines_get_one_object_and_the_file_is_the_same_again(call: Call, study: Path, tmp_path: Path) -> None:
    found = call("embed", study, "--out", tmp_path / "a.h5ad", "--json").json
    assert (
        found["n_units"] == N and found["fitted_on"] == "everyone" and found["size"] == len(found["explained"]["rna"])
    )
    quiet = call("embed", study, "--out", tmp_path / "b.h5ad", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    np.testing.assert_array_equal(read(tmp_path / "a.h5ad").X, read(tmp_path / "b.h5ad").X)


def test_tested_units_shape_nothing_with_train_only(study: Path, tmp_path: Path) -> None:
    fixed = study.read_text().replace(
        factor_files.FIXED, "evaluation: {design: fixed_test, column: part, test_value: test, inner_folds: 3}"
    )
    folder = tmp_path / "c"
    shutil.copytree(study.parent, folder)
    (folder / "study.yaml").write_text(fixed)
    one = cohortium.embed(folder / "study.yaml", train_only=True)
    assert one.uns["cohortium"]["fitted_on"] == "training part" and 90 < one.obs["fitted"].sum() < 110
    rna = pd.read_csv(folder / "rna.csv", dtype={"patient_id": str})
    tested = rna["patient_id"].isin(one.obs_names[~one.obs["fitted"]]).to_numpy()
    rna.loc[tested, rna.columns[1:]] = 1e5
    rna.to_csv(folder / "rna.csv", index=False)
    two = cohortium.embed(folder / "study.yaml", train_only=True)
    trained = one.obs["fitted"].to_numpy()
    np.testing.assert_array_equal(one.X[trained], two.X[trained])
    assert np.abs(one.X[~trained] - two.X[~trained]).max() > 0.1


def test_settings_of_the_study_hold(study: Path) -> None:
    loaded = cohortium.load_study(study)
    from cohortium.study import parse_study

    text = study.read_text() + "joint: [{model: factors, size: 2}]\n"
    from dataclasses import replace

    assert cohortium.embed(replace(loaded, spec=parse_study(text, "s"))).n_vars == 2


def test_wrong_input_is_refused_before_anything_is_done(call: Call, study: Path, tmp_path: Path) -> None:
    refused(call("embed", study, "--out", tmp_path / "no" / "e.h5ad"), "does not exist")
    refused(call("embed", study, "--out", tmp_path), "is a folder")
    refused(call("embed", tmp_path / "other.yaml"), "other.yaml")
    refused(call("embed", study, "--out", tmp_path / "e.h5ad", "--train-only"), "3 folds", "fixed_test")
    assert call("embed", study, "--method", "magic").code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_an_autoencoder_embeds_as_well(call: Call, study: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'deep' is not installed")
    short = tmp_path / "study.yaml"
    short.write_text(
        study.read_text().replace("file: ", f"file: {study.parent}/") + "joint: [{model: vae, size: 6, epochs: 60}]\n"
    )
    found = call("embed", short, "--out", tmp_path / "v.h5ad", "--method", "vae")
    assert found.code == 0 and "latent variables (vae)" in found.out and "fitting" in found.err
    made = read(tmp_path / "v.h5ad")
    assert made.uns["cohortium"]["method"] == "vae" and made.uns["cohortium"]["epochs"] <= 60
    qa, qb = (np.linalg.qr(x[:-1] - x[:-1].mean(0))[0] for x in (factor_files.factors(N), made.obsm["X_joint"]))
    assert np.linalg.svd(qa.T @ qb)[1][0] > 0.9
    assert not made.X[-1].any() and (made.obsm["X_joint_sd"][-1] == 1).all()
    short.write_text(short.read_text().replace("epochs: 60", "counts: [rna], epochs: 60"))
    refused(call("embed", short, "--out", tmp_path / "w.h5ad", "--method", "vae"), "'rna' is named under counts")


def test_without_torch_the_extra_is_named(
    call: Call, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(call("embed", study, "--out", tmp_path / "v.h5ad", "--method", "vae"), "torch", "cohortium[deep]")
    refused(call("impute", study, "--target", "rna", "--method", "vae"), "torch", "cohortium[deep]")
    assert list(tmp_path.iterdir()) == []


def test_too_few_units_and_nothing_in_common_are_said(call: Call, tmp_path: Path) -> None:
    few = factor_files.write(tmp_path / "few", 12)
    for name in ("rna", "protein", "notes", "labs"):
        file = few.parent / f"{name}.csv"
        file.write_text("\n".join(file.read_text().splitlines()[:5]) + "\n")
    refused(call("embed", few, "--out", tmp_path / "e.h5ad"), "units have any modality", "10")
    from tests.study import cohort_files

    noise = cohort_files.write(tmp_path / "noise")
    found = call("embed", noise, "--out", tmp_path / "n.h5ad")
    assert found.code == 0 and "nothing in common" in found.out
    odd = noise.read_text().replace("    rna: {", '    "a/b": {')
    noise.write_text(odd)
    assert call("embed", noise, "--out", tmp_path / "n.h5ad").code == 0
    assert "has_a_b" in read(tmp_path / "n.h5ad").obs
