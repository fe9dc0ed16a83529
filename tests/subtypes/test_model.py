"""Fitted subtypes: laws of assignment, saving, and who is clustered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cohortium.errors import RunFolderError
from cohortium.joint import fit_joint_factors
from cohortium.subtypes import Found, find_subtypes, load_subtypes
from cohortium.subtypes.model import weights_of
from cohortium.subtypes.saving import save_subtypes
from tests.subtypes.cohorts import cohort_of, noise, planted


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    blocks, label = planted(rng, n=150, apart=4.5)
    have = rng.random((150, 3)) < 0.75
    have[:100][~have[:100].any(axis=1), 0] = True
    have[-1] = False
    cohort = cohort_of(blocks, have)
    found = find_subtypes(cohort, fit_joint_factors(cohort), np.random.default_rng(1), most=5, draws=59)
    return cohort, label, found


def test_planted_subtypes_are_found_with_modalities_missing(made: tuple) -> None:
    cohort, label, found = made
    assert found.evidence.chosen == 3 and not found.forced
    table = found.subtypes.assign(cohort)
    known = table["subtype"].notna().to_numpy()
    assert adjusted_rand_score(label[known], table["subtype"][known]) > 0.7
    nothing = ~cohort.presence().any(axis=1).to_numpy()
    assert nothing.any() and (known == ~nothing).all() and table["confidence"][nothing].isna().all()
    wrong = np.array([label[i] != np.bincount(label[(table["subtype"] == s).to_numpy()]).argmax()
                      for i, s in enumerate(table["subtype"]) if s is not None])  # fmt: skip
    assert table["confidence"][known][wrong].mean() < table["confidence"][known][~wrong].mean()
    assert np.isclose(found.subtypes.probabilities(cohort)[known].sum(axis=1), 1).all()


def test_order_and_absent_rows_change_nothing_and_saved_is_the_same(made: tuple, tmp_path: Path) -> None:
    cohort, _, found = made
    table = found.subtypes.assign(cohort)
    rows = np.random.default_rng(3).permutation(len(cohort))[:60]
    part = found.subtypes.assign(cohort.take(rows))
    assert list(part.index) == list(cohort.ids[rows])
    assert (part["subtype"].fillna("") == table["subtype"].iloc[rows].fillna("")).all()
    np.testing.assert_allclose(part["confidence"], table["confidence"].iloc[rows], rtol=1e-9)
    save_subtypes(found.subtypes, tmp_path)
    again = load_subtypes(tmp_path).assign(cohort)
    assert again.equals(table)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_every_pattern_of_presence_is_assigned(made: tuple) -> None:
    cohort, _, found = made
    whole = found.subtypes.probabilities(cohort).max(axis=1)
    for names in (["rna"], ["protein"], ["labs"], ["rna", "labs"]):
        part = cohort.only(names)
        p = found.subtypes.probabilities(part)
        have = part.presence().any(axis=1).to_numpy()
        assert (np.isnan(p[:, 0]) == ~have).all() and np.isfinite(p[have]).all()
        assert p[have].max(axis=1).mean() < whole[have].mean() + 1e-9, "less is known, less is sure"


def test_damaged_files_are_said(made: tuple, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no subtypes"):
        load_subtypes(tmp_path)
    save_subtypes(made[2].subtypes, tmp_path)
    file = tmp_path / "subtypes_model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunFolderError, match="damaged"):
        load_subtypes(tmp_path)
    (tmp_path / "subtypes_model.json").write_text("{}")
    with pytest.raises(RunFolderError, match="this version"):
        load_subtypes(tmp_path)


def test_units_of_one_patient_do_not_look_like_clusters() -> None:
    rng = np.random.default_rng(4)
    blocks = {m: np.repeat(x, 3, axis=0) + 0.05 * rng.normal(size=(150, 25)) for m, x in noise(rng, n=50).items()}
    cohort = cohort_of(blocks, patients=[f"p{i // 3:03d}" for i in range(150)])
    found = find_subtypes(cohort, fit_joint_factors(cohort), rng, most=4, draws=59)
    assert len(found.rows) == 50 and cohort.units["patient"].iloc[found.rows].is_unique
    assert found.evidence.chosen is None and found.subtypes is None


def test_a_number_can_be_forced_and_too_few_are_refused() -> None:
    rng = np.random.default_rng(5)
    cohort = cohort_of(noise(rng, n=60))
    joint = fit_joint_factors(cohort)
    forced: Found = find_subtypes(cohort, joint, np.random.default_rng(0), clusters=3, draws=19)
    assert forced.forced and forced.subtypes is not None and forced.evidence.chosen is None
    assert len(forced.subtypes.names) == 3
    with pytest.raises(ValueError, match=r"60 patients .* 70 are needed"):
        find_subtypes(cohort, joint, rng, clusters=7, draws=2)
    with pytest.raises(ValueError, match="20 patients"):
        find_subtypes(cohort.take(np.arange(20)), joint, rng, draws=2)


def test_variables_count_by_what_two_modalities_say() -> None:
    rng = np.random.default_rng(6)
    shared, own = rng.normal(size=(2, 150, 1))
    a, b = (rng.normal(size=(150, 20)) + shared for _ in range(2))
    a += 2 * own * rng.normal(size=20)  # an artefact of one assay, larger than what both tell of
    joint = fit_joint_factors(cohort_of({"a": a, "b": b}))
    weights, common = weights_of(joint)
    z = joint.embed(cohort_of({"a": a, "b": b})).mean * weights
    top = z[:, z.std(axis=0).argmax()]
    assert common and abs(np.corrcoef(top, shared[:, 0])[0, 1]) > 0.9
    alone, common = weights_of(fit_joint_factors(cohort_of({"a": a})))
    assert not common and (alone > 0).all()
