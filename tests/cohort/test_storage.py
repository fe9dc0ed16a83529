"""Stored and read again a cohort is the same, and a broken folder says what is broken."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Cohort, Table, from_mudata, read_stored_cohort, to_mudata, write_cohort
from cohortium.errors import DataError
from tests.cohort.cohorts import assert_same, rich

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def test_folder_round_trip(tmp_path: Path) -> None:
    cohort = rich()
    write_cohort(cohort, tmp_path / "a" / "cohort")
    assert_same(cohort, read_stored_cohort(tmp_path / "a" / "cohort"))


def test_mudata_round_trip() -> None:
    assert_same(rich(), from_mudata(to_mudata(rich())))


def test_mudata_file_round_trip(tmp_path: Path) -> None:
    import mudata

    data = to_mudata(Cohort(rich().units, {k.replace("/", "_"): t for k, t in rich().modalities.items()}))
    data.write_h5mu(tmp_path / "c.h5mu")
    again = from_mudata(mudata.read_h5mu(tmp_path / "c.h5mu"))
    assert_same(from_mudata(data), again)
    assert list(again.ids) == list(rich().ids), "units without any modality are kept"


def test_a_cohort_without_modalities(tmp_path: Path) -> None:
    cohort = Cohort(rich().units, {})
    write_cohort(cohort, tmp_path / "c")
    assert_same(cohort, read_stored_cohort(tmp_path / "c"))


def test_the_folder_can_be_read_without_us(tmp_path: Path) -> None:
    import anndata

    write_cohort(rich(), tmp_path / "c")
    description = json.loads((tmp_path / "c" / "cohort.json").read_text())
    assert description["units"] == 6
    assert description["patients"] == 5
    entry = description["modalities"][1]
    assert (entry["name"], entry["units"], entry["features"], entry["shape"]) == ("clinical", 3, 3, "table")
    data = anndata.read_h5ad(tmp_path / "c" / entry["file"])
    assert list(data.obs_names) == ["010", "003", "b c"]
    assert list(data.var["kind"]) == ["numeric", "ordinal", "binary"]
    presence = pd.read_parquet(tmp_path / "c" / "presence.parquet")
    assert presence.loc["010", "rna/seq"] == "failed_qc"


def test_files_are_private_and_nothing_is_left_beside(tmp_path: Path) -> None:
    write_cohort(rich(), tmp_path / "c")
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "c").iterdir()} == {0o600}


def test_a_stored_cohort_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    write_cohort(rich(), tmp_path / "c")
    small = rich().only(["clinical"])
    write_cohort(small, tmp_path / "c")
    assert_same(small, read_stored_cohort(tmp_path / "c"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match=r"holds no stored cohort. Give another folder"):
        write_cohort(small, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cohort(rich(), tmp_path / "c")

    def fail(self: Table) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Table, "to_anndata", fail)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(rich().only(["clinical"]), tmp_path / "c")
    monkeypatch.undo()
    assert_same(rich(), read_stored_cohort(tmp_path / "c"))
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("cohort.json", None, r"no cohort.json"),
        ("cohort.json", b"{", r"cannot be read as JSON"),
        ("cohort.json", b"[]", r"no description of a stored cohort"),
        ("cohort.json", b'{"cohortium_cohort": 99}', r"of format 99; .* reads up to 1"),
        ("units.parquet", None, r"not whole: units.parquet is missing"),
        ("units.parquet", b"PAR1", r"no readable Parquet file"),
        ("presence.parquet", None, r"presence.parquet is missing"),
        ("002_clinical.h5ad", None, r"002_clinical.h5ad is missing"),
        ("002_clinical.h5ad", b"\x89HDF", r"no readable .h5ad file"),
    ],
)
def test_broken_folders(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    write_cohort(rich(), tmp_path / "c")
    if content is None:
        (tmp_path / "c" / file).unlink()
    else:
        (tmp_path / "c" / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_stored_cohort(tmp_path / "c")


def test_a_missing_folder_and_a_stranger_s_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No folder .*cohrt.* Did you mean 'cohort'"):
        write_cohort(rich(), tmp_path / "cohort")
        read_stored_cohort(tmp_path / "cohrt")
    other = Cohort(rich().units.rename(index={"003": "009"}), {})
    write_cohort(other, tmp_path / "other")
    (tmp_path / "cohort" / "units.parquet").write_bytes((tmp_path / "other" / "units.parquet").read_bytes())
    with pytest.raises(DataError, match=r"has units that units.parquet does not have"):
        read_stored_cohort(tmp_path / "cohort")


def test_filtered_mudata() -> None:
    data = to_mudata(rich())
    again = from_mudata(data[["ü", "003"]].copy())
    assert list(again.ids) == ["003", "ü"]
    assert list(again.absent["clinical"]) == ["present", "not_measured"]


def test_somebody_else_s_mudata() -> None:
    import anndata
    import mudata
    from scipy import sparse

    a = anndata.AnnData(
        sparse.csr_matrix(np.array([[1, 0], [0, 2]])),
        obs=pd.DataFrame(index=["u2", "u1"]),
        var=pd.DataFrame(index=["x", "y"]),
    )
    b = anndata.AnnData(
        np.eye(2, dtype=np.float32), obs=pd.DataFrame(index=["u1", "u3"]), var=pd.DataFrame(index=["x", "z"])
    )
    data = mudata.MuData({"a": a, "b": b})
    data.obs["patient"] = pd.Categorical(["p" if u != "u3" else "q" for u in data.obs_names])
    data.obs["site"] = "s"
    cohort = from_mudata(data)
    assert dict(zip(cohort.ids, cohort.units["patient"], strict=True)) == {"u1": "p", "u2": "p", "u3": "q"}
    row = dict(zip(cohort.modalities["a"].units, cohort.modalities["a"].values.tolist(), strict=True))
    assert row == {"u1": [0, 2], "u2": [1, 0]}
    assert set(cohort.modalities["b"].features["kind"]) == {"numeric"}
    del data.obs["patient"]
    alone = from_mudata(data)
    assert list(alone.units["patient"]) == list(alone.ids)
