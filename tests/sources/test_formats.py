"""The same table in every format reads as the same cohort."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Table
from cohortium.errors import DataError
from cohortium.sources import propose
from tests.sources.helpers import UNITS, lab, read, write_units


def _csv(folder: Path) -> str:
    lab().to_csv(folder / "lab.csv")
    return "lab.csv"


def _windows(folder: Path) -> str:
    text = lab().to_csv(lineterminator="\r\n")
    (folder / "lab.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    return "lab.csv"


def _quoted(folder: Path) -> str:
    rows = [f'"{i} ",{a},{b} ,{"" if pd.isna(c) else c}' for i, (a, b, c) in zip(UNITS, lab().to_numpy(), strict=True)]
    (folder / "lab.csv").write_text('"id", "crp", "hb" ,"age"\n' + "\n".join(rows) + "\n\n\n,,,\n")
    return "lab.csv"


def _german(folder: Path) -> str:
    lab().to_csv(folder / "lab.csv", sep=";", decimal=",")
    return "lab.csv"


def _tab(folder: Path) -> str:
    lab().to_csv(folder / "lab.tsv", sep="\t")
    return "lab.tsv"


def _tab_in_txt(folder: Path) -> str:
    lab().to_csv(folder / "lab.txt", sep="\t", na_rep="NA")
    return "lab.txt"


def _gz(folder: Path) -> str:
    (folder / "lab.csv.gz").write_bytes(gzip.compress(lab().to_csv().encode()))
    return "lab.csv.gz"


def _xz(folder: Path) -> str:
    (folder / "lab.tsv.xz").write_bytes(lzma.compress(lab().to_csv(sep="\t").encode()))
    return "lab.tsv.xz"


def _write_table_of_r(folder: Path) -> str:
    lines = lab().to_csv(na_rep="NA").splitlines()
    (folder / "lab.csv").write_text("\n".join([lines[0].removeprefix("id,"), *lines[1:]]))
    return "lab.csv"


def _utf16(folder: Path) -> str:
    lab().to_csv(folder / "lab.csv", encoding="utf-16")
    return "lab.csv"


def _parquet(folder: Path) -> str:
    lab().reset_index().to_parquet(folder / "lab.parquet")
    return "lab.parquet"


def _parquet_index(folder: Path) -> str:
    lab().to_parquet(folder / "lab.parquet")
    return "lab.parquet"


def _excel(folder: Path) -> str:
    lab().to_excel(folder / "lab.xlsx")
    return "lab.xlsx"


def _npz_arrays(folder: Path) -> str:
    table = lab()
    np.savez(folder / "lab.npz", X=table.to_numpy(), ids=np.array(UNITS), features=np.array(list(table.columns)))
    return "lab.npz"


def _npz_vectors(folder: Path) -> str:
    np.savez(folder / "lab.npz", **dict(zip(UNITS, lab().to_numpy(np.float32), strict=True)))
    return "lab.npz"


def _npy(folder: Path) -> str:
    np.save(folder / "lab.npy", lab().to_numpy())
    (folder / "lab.ids.txt").write_text("id\n" + "\n".join(UNITS) + "\n")
    return "lab.npy"


def _h5ad(folder: Path) -> str:
    table = lab()
    features = pd.DataFrame({"kind": "numeric", "levels": None}, index=table.columns)
    Table(table.index, table.to_numpy(), features).to_anndata().write_h5ad(folder / "lab.h5ad")
    return "lab.h5ad"


def _h5mu(folder: Path) -> str:
    import anndata
    import mudata

    table = lab()
    part = anndata.AnnData(table.to_numpy(), obs=pd.DataFrame(index=table.index), var=pd.DataFrame(index=table.columns))
    mudata.MuData({"blood": part}).write_h5mu(folder / "lab.h5mu")
    return "lab.h5mu"


def _turned(folder: Path) -> str:
    turned = lab().T
    turned.index.name = "feature"
    turned.insert(0, "description", ["C reactive", "haemoglobin", "years"])
    turned.to_csv(folder / "lab.csv")
    return "lab.csv"


WRITERS = [
    _csv, _windows, _quoted, _german, _tab, _tab_in_txt, _gz, _xz, _write_table_of_r, _utf16, _parquet, _parquet_index,
    _excel, _npz_arrays, _npz_vectors, _npy, _h5ad, _h5mu, _turned,
]  # fmt: skip
NAMELESS = (_npz_vectors, _npy)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_every_format_gives_the_same_cohort(tmp_path: Path, write) -> None:
    write_units(tmp_path, [*UNITS, "005"])
    file = write(tmp_path)
    extra = {"encoding": "utf-16"} if write is _utf16 else {"sheet": "blood"} if write is _h5mu else {}
    table = read(tmp_path, file, **extra).cohort.modalities["lab"]
    assert list(table.units) == UNITS
    np.testing.assert_allclose(table.values, lab().to_numpy())
    assert list(table.features.index) == (["f0", "f1", "f2"] if write in NAMELESS else ["crp", "hb", "age"])
    assert set(table.features["kind"]) == {"numeric"}


def test_single_precision_is_kept(tmp_path: Path) -> None:
    write_units(tmp_path)
    table = read(tmp_path, _npz_vectors(tmp_path)).cohort.modalities["lab"]
    assert table.values.dtype == np.float32
    assert read(tmp_path, _csv(tmp_path)).cohort.modalities["lab"].values.dtype == np.float64


@pytest.mark.parametrize("ids", [[7, 12, 30, 41], [7.0, 12.0, 30.0, 41.0]], ids=["integers", "floats"])
@pytest.mark.parametrize("ending", ["parquet", "xlsx"])
def test_numeric_ids_have_no_decimals(tmp_path: Path, ids: list[float], ending: str) -> None:
    write_units(tmp_path, ["41", "30", "12", "7"])
    frame = lab().reset_index(drop=True)
    frame.insert(0, "id", ids)
    frame.to_parquet(tmp_path / "lab.parquet")
    frame.to_excel(tmp_path / "lab.xlsx", index=False)
    cohort = read(tmp_path, f"lab.{ending}").cohort
    assert list(cohort.modalities["lab"].units) == ["41", "30", "12", "7"]
    np.testing.assert_array_equal(cohort.modalities["lab"].values, lab().to_numpy()[::-1])


def test_excel_sheet_by_name(tmp_path: Path) -> None:
    write_units(tmp_path)
    with pd.ExcelWriter(tmp_path / "lab.xlsx") as book:
        pd.DataFrame({"note": ["read the other sheet"]}).to_excel(book, sheet_name="About", index=False)
        lab().to_excel(book, sheet_name="Blood")
    table = read(tmp_path, "lab.xlsx", sheet="Blood").cohort.modalities["lab"]
    np.testing.assert_array_equal(table.values, lab().to_numpy())
    with pytest.raises(DataError, match=r"no sheet 'Blod'. Did you mean 'Blood'"):
        read(tmp_path, "lab.xlsx", sheet="Blod")


def test_array_without_ids_is_refused(tmp_path: Path) -> None:
    write_units(tmp_path)
    np.save(tmp_path / "lab.npy", lab().to_numpy())
    with pytest.raises(DataError, match=r"order of rows is not trusted"):
        read(tmp_path, "lab.npy")
    (tmp_path / "lab.ids.txt").write_text("001\n002\n")
    with pytest.raises(DataError, match=r"lab.npy is \(4, 3\), but lab.ids.txt holds 2 ids"):
        read(tmp_path, "lab.npy")


def test_python_objects_in_arrays_are_not_loaded(tmp_path: Path) -> None:
    write_units(tmp_path)
    np.savez(tmp_path / "lab.npz", **{i: np.array([{}], dtype=object) for i in UNITS})
    with pytest.raises(DataError, match=r"Python objects, which are not read"):
        read(tmp_path, "lab.npz")


def test_wide_files_read_as_narrow_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = [f"P{i}" for i in range(12)]
    wide = pd.DataFrame(rng.normal(size=(12, 300)), columns=[f"g{j}" for j in range(300)])
    wide["g5"] = rng.integers(0, 2, 12).astype(float)
    wide["g6"] = np.where(np.arange(12) % 2, "a", "b")
    wide["g7"] = np.arange(12)
    wide.insert(0, "id", ids)
    wide.to_csv(tmp_path / "lab.csv", index=False)
    write_units(tmp_path, ids)
    table = read(tmp_path).cohort.modalities["lab"]
    narrow = [
        read(tmp_path, columns=[f"g{j}" for j in part]).cohort.modalities["lab"]
        for part in (range(150), range(150, 300))
    ]
    np.testing.assert_array_equal(table.values, np.hstack([t.values for t in narrow]))
    assert list(table.features["kind"]) == [k for t in narrow for k in t.features["kind"]]
    assert list(table.features["levels"]) == [k for t in narrow for k in t.features["levels"]]
    assert table.features.loc["g5", "kind"] == table.features.loc["g6", "kind"] == "binary"
    assert list(table.features.index) == list(wide.columns[1:])


def test_propose_says_when_a_folder_has_no_table(tmp_path: Path) -> None:
    (tmp_path / "notes.docx").write_text("no table")
    with pytest.raises(DataError, match=r"holds no table that can be read"):
        propose(tmp_path)
    with pytest.raises(DataError, match=r"is not a folder"):
        propose(tmp_path / "nowhere")
