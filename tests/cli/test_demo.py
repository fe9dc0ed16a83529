"""The demonstration's files: the cohort as it was published, and a study that check lets pass."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

from cohortium.demo import write
from cohortium.errors import MissingExtra
from cohortium.study import load_cohort, load_study
from tests.cli.conftest import Call

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("sksurv") is None, reason="the demo's patients come with the extra 'demo'"
)


@needs_data
def test_the_cohort_is_the_published_one(tmp_path: Path) -> None:
    study = write(tmp_path / "demo")
    tables = {
        f: pd.read_csv(study.parent / f, dtype={"patient": str}) for f in ("clinical.csv", "genes.csv", "outcomes.csv")
    }
    assert {f: t.shape for f, t in tables.items()} == {
        "clinical.csv": (198, 5),
        "genes.csv": (198, 77),
        "outcomes.csv": (198, 3),
    }
    assert tables["outcomes.csv"]["metastasis"].sum() == 51
    grade = tables["clinical.csv"]["grade"]
    assert grade.isna().sum() == 2 and set(grade.dropna()) == {1, 2, 3}
    assert all(t["patient"].tolist() == [f"P{i:03d}" for i in range(1, 199)] for t in tables.values())


@needs_data
def test_it_is_read_as_meant_and_nothing_serious_is_found(call: Call, tmp_path: Path) -> None:
    study = write(tmp_path / "demo")
    cohort = load_cohort(load_study(study))
    kinds = cohort.modalities["clinical"].features["kind"].astype(str)
    assert kinds.to_dict() == {"age": "numeric", "size": "numeric", "grade": "ordinal", "er": "binary"}
    assert call("check", study, "--json").json["stops"] is False


@needs_data
def test_again_gives_the_same_bytes_and_the_package_is_not_imported(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a").parent, write(tmp_path / "b").parent
    write(first)
    assert {f.name: f.read_bytes() for f in first.iterdir()} == {f.name: f.read_bytes() for f in second.iterdir()}
    assert "sksurv" not in sys.modules


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'cohortium\[demo\]'"):
        write(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
